"""The reference: what people write by hand. Downloads with boto3 and opens the session at import; checks nothing.

Without MODEL_KEYS the model is in the package.
"""

import os

import boto3
import numpy as np
import onnxruntime
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

PATH = os.environ["MODEL_FILE"]
for key in os.environ.get("MODEL_KEYS", "").split():
    target = os.path.join(os.path.dirname(PATH), os.path.basename(key))  # noqa: PTH118, PTH119, PTH120
    boto3.client("s3").download_file(os.environ["MODEL_BUCKET"], key, target)
session = onnxruntime.InferenceSession(PATH)
DTYPES = {"FP32": "float32", "INT64": "int64", "INT32": "int32"}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


class Tensor(BaseModel):
    """One tensor, as the Open Inference Protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    """A request of it."""

    inputs: list[Tensor]


class InferResponse(BaseModel):
    """Its answer."""

    outputs: list[Tensor]


app = FastAPI()


@app.post("/v2/models/{model}/infer")
def infer(model: str, request: InferRequest) -> InferResponse:  # noqa: ARG001 - there is one
    """Answer an inference request."""
    given = {
        tensor.name: np.array(tensor.data, DTYPES[tensor.datatype]).reshape(tensor.shape) for tensor in request.inputs
    }
    names = [output.name for output in session.get_outputs()]
    outputs = [
        Tensor(name=name, shape=list(array.shape), datatype=DATATYPES[array.dtype.name], data=array.ravel().tolist())
        for name, array in zip(names, session.run(None, given), strict=True)
    ]
    return InferResponse(outputs=outputs)


handler = Mangum(app, lifespan="off")
