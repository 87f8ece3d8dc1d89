"""The Open Inference Protocol (v2) over REST, with its extensions; docs/service.md says which.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md; that of the extensions is
triton-inference-server/server, docs/protocol. The routes are plain Starlette routes: FastAPI's own added 30 us to a
call when it was tried, and check nothing that is not checked here.
"""

from handlers.api.oip import inference, metadata, repository, statistics

__all__ = ["routes"]

# routes are tried in turn, so what is asked most comes first; the statistics of all models come before a model's
# metadata: /v2/models/stats is theirs
routes = [*inference.routes, *statistics.routes, *metadata.routes, *repository.routes]
