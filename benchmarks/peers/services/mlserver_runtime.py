"""MLServer's way to serve a model: a runtime of one's own, as it has none for ONNX. It speaks the OIP by itself."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_model import OnnxModel


class Runtime(MLModel):
    """Answers requests of the OIP."""

    async def load(self) -> bool:
        """Open the model."""
        self._model = OnnxModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        found = self._model.run({tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs})
        outputs = [NumpyCodec.encode_output(name, array) for name, array in found.items()]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
