"""The Open Inference Protocol (v2) over REST, with its extensions; docs/service.md says which.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md; that of the extensions is
triton-inference-server/server, docs/protocol. The routes are plain Starlette routes: FastAPI's own added 30 us to a
call when it was tried, and check nothing that is not checked here.
"""
