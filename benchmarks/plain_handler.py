"""The reference: what people write by hand. Downloads with boto3 and opens the session at import; checks nothing."""

import base64
import json
import os

import boto3
import numpy as np
import onnxruntime

boto3.client("s3").download_file(os.environ["MODEL_BUCKET"], os.environ["MODEL_KEY"], "/tmp/model.onnx")  # noqa: S108
session = onnxruntime.InferenceSession("/tmp/model.onnx")  # noqa: S108


def handler(event: dict[str, str], _: object) -> dict[str, object]:
    """Answer an inference request."""
    tensor = json.loads(base64.b64decode(event["body"]))["inputs"][0]
    array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    logits = session.run(None, {tensor["name"]: array})[0]
    body = {"outputs": [{"name": "logits", "shape": logits.shape, "data": logits.ravel().tolist()}]}
    return {"statusCode": 200, "body": json.dumps(body), "isBase64Encoded": False}
