"""The reference for JSON: what FastAPI's own documentation leads to, a pydantic model with a list of numbers."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from handlers.runtime.session import Session

__all__ = ["plain_app"]


class Tensor(BaseModel):
    """One tensor, as the Open Inference Protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    """A request of it."""

    id: str | None = None
    inputs: list[Tensor]


class InferResponse(BaseModel):
    """Its answer."""

    model_name: str
    model_version: str
    id: str | None
    outputs: list[Tensor]


def plain_app(model: str, session: Session) -> FastAPI:
    """Return an application that answers /v2/models/{model}/infer with that session, and nothing else."""
    app = FastAPI()

    @app.post(f"/v2/models/{model}/infer")
    async def infer(request: InferRequest) -> InferResponse:
        inputs = {tensor.name: np.array(tensor.data, np.float32).reshape(tensor.shape) for tensor in request.inputs}
        results = session.run(inputs)
        outputs = [
            Tensor(name=name, shape=list(array.shape), datatype="FP32", data=array.ravel().tolist())
            for name, array in results.items()
        ]
        return InferResponse(model_name=model, model_version="1", id=request.id, outputs=outputs)

    return app
