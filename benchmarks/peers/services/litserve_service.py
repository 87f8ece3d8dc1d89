"""LitServe's way to serve a model: one worker, one API server, and between them the faster of its two queues."""

import os
from typing import Any

import litserve
from onnx_model import OnnxModel


class Model(litserve.LitAPI):
    """Answers requests of the OIP."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Open the model, in the worker."""
        self._model = OnnxModel()

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        return self._model.answer(request["inputs"])


if __name__ == "__main__":
    api = Model(api_path=os.environ["INFER_PATH"])
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
