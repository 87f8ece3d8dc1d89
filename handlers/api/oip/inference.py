"""The infer call: from the body's bytes to the answer's.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Inference".
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.call import Call
from handlers.api.headers import header
from handlers.api.oip.answer import InferAnswer, write_answer
from handlers.api.oip.request import read_request
from handlers.api.predictions import JSON_BYTES, answer_predictions, asks_for_predictions
from handlers.api.service import Service, model_of, service_of
from handlers.errors import InvalidInput
from handlers.registry.loading import LoadedModel

__all__ = ["answer_inference", "answer_tensors", "infer", "routes"]

_JSON_BYTES = "Inference-Header-Content-Length"
_DIGITS = 18  # hold any length there is; int() refuses thousands of them


def infer(call: Call, body: bytes, json_bytes: int | None = None) -> InferAnswer:
    """Run the model on the tensors in `body` and return the answer.

    Tensors may travel through the payload bucket; `Transfer` raises more than is listed here.

    Args:
        call: To the model.
        body: JSON, and after it binary tensors.
        json_bytes: Length of the JSON; None: all of it. 0: there is none.

    Raises:
        InvalidInput: The body is no inference request, or not one that this model can take.
        NotSupported: It wants what only servers on the caller's machine can do.
        RuntimeFailure: The model could not be run for want of memory.
    """
    with call.clock.phase("decode"):
        request = read_request(call, body, json_bytes)
    results = call.run(request.inputs, [output.name for output in request.outputs])
    with call.clock.phase("encode"):
        return write_answer(call, request, results)


async def answer_inference(request: Request) -> Response:
    """Return the answer to a request whose path names a model. Raises as `infer`, `Service.model` and `read_body`."""
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    model = await model_of(request)
    if asks_for_predictions(request, body, model.task):
        return await answer_predictions(request, service, model, body)
    return await answer_tensors(request, service, model, body)


async def answer_tensors(request: Request, service: Service, model: LoadedModel, body: bytes) -> Response:
    """Return the answer to a body that holds tensors, whatever path it came by. Raises as `infer` does."""
    json_bytes = _json_bytes(header(request, JSON_BYTES))
    answer = await service.call(model, lambda call: infer(call, body, json_bytes), len(body))
    if answer.json_bytes is None:
        return Response(answer.body, media_type="application/json")
    headers = {_JSON_BYTES: str(answer.json_bytes)}
    return Response(answer.body, headers=headers, media_type="application/octet-stream")


def _json_bytes(header: str | None) -> int | None:
    if header is None:
        return None
    if not header.isdecimal() or not header.isascii() or len(header) > _DIGITS:
        msg = f"{_JSON_BYTES}: {header[:80]!r}, expected the length of the JSON in bytes"
        raise InvalidInput(msg)
    return int(header)


routes = [
    Route("/v2/models/{model}/infer", answer_inference, methods=["POST"]),
    Route("/v2/models/{model}/versions/{version}/infer", answer_inference, methods=["POST"]),
]
