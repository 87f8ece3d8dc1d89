"""The reference: FastAPI, orjson and onnxruntime, and nothing that is not needed for one model and one input.

It validates nothing: not the tensor's name, datatype, shape or elements, nor the body's size. Runs on uvicorn with the
event loop and the HTTP parser of `lambdaserve serve`.
"""

import os
from pathlib import Path

import numpy as np
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from handlers.runtime.session import Session

__all__ = ["create_bare_app"]


def create_bare_app(session: Session, path: str) -> FastAPI:
    """Return an application that answers POST requests to `path`."""
    app = FastAPI()

    @app.post(path)
    async def infer(request: Request) -> Response:
        tensors = orjson.loads(await request.body())["inputs"]
        inputs = {tensor["name"]: np.array(tensor["data"], np.float32).reshape(tensor["shape"]) for tensor in tensors}
        outputs = [
            {"name": name, "datatype": "FP32", "shape": array.shape, "data": array.ravel()}
            for name, array in session.run(inputs).items()
        ]
        body = orjson.dumps({"model_name": "bare", "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, media_type="application/json")

    return app


if __name__ == "__main__":
    environ = os.environ
    opened = Session(Path(environ["MODEL_FILE"]), threads=int(environ["THREADS"]))
    application = create_bare_app(opened, environ["INFER_PATH"])
    uvicorn.run(application, port=int(environ["PORT"]), access_log=False, log_level="warning", lifespan="off")
