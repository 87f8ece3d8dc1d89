"""What is asked of each contender, the first golden of an artifact, and what is right: PyTorch's outputs for it."""

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handlers.registry.manifest import MANIFEST_FILE, Manifest, Variant, decode_manifest
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.goldens import Golden, deviation, read_goldens
from handlers.tasks.definitions import task_kind
from tests.interpreters import ROOT

__all__ = ["MODELS", "Case", "Outputs", "WrongAnswer"]

MODELS = {
    "mnist-cnn": "make bench-models MODELS=mnist-cnn",
    "minilm": "make bench-models MODELS=minilm",
    "bert-base": "make bench-models MODELS=bert-base",
    "large": "make bench-models MODELS=large",
}
"""The models of this part, which lie below build/real, and how to make each."""

Outputs = dict[str, np.ndarray]
"""Output arrays by name, of whatever shape."""


class WrongAnswer(Exception):
    """An answer is not PyTorch's; the message has both numbers."""


@dataclass(frozen=True)
class Case:
    """The model in the folder `artifact`, and a request to it."""

    artifact: Path

    @property
    def name(self) -> str:
        """The model's, as published."""
        return self.manifest.model

    @cached_property
    def manifest(self) -> Manifest:
        """The artifact's."""
        return decode_manifest((self.artifact / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)

    @cached_property
    def variant(self) -> Variant:
        """The one that is opened on this machine; the references open its file too."""
        return self.manifest.variants_for(cpu_kind())[0]

    @cached_property
    def golden(self) -> Golden:
        """Inputs of the request, and PyTorch's outputs, flat, each `output_stride`-th element."""
        return read_goldens(self.artifact / self.manifest.goldens.file, self.manifest)[0]

    @cached_property
    def needed_bytes(self) -> int:
        """The size of the files without which there is no proven answer."""
        files = [*self.variant.files, self.manifest.goldens.file]
        if self.manifest.tokenizer and task_kind(self.manifest.task) != "tensor":
            files.append(self.manifest.tokenizer)
        return sum(self.manifest.files[file].size for file in files)

    @cached_property
    def goldens_bytes(self) -> int:
        """The size of the goldens."""
        return self.manifest.files[self.manifest.goldens.file].size

    @cached_property
    def request(self) -> dict[str, Any]:
        """The request as the Open Inference Protocol has it."""
        given, _ = self.golden
        return {
            "inputs": [
                {
                    "name": spec.name,
                    "datatype": spec.datatype,
                    "shape": given[spec.name].shape,
                    "data": given[spec.name].ravel().tolist(),
                }
                for spec in self.manifest.inputs
            ]
        }

    @cached_property
    def event(self) -> dict[str, Any]:
        """The request as API Gateway hands it to a function."""
        event: dict[str, Any] = json.loads((ROOT / "events" / "infer.json").read_text(encoding="utf-8"))
        path = f"/v2/models/{self.name}/infer"
        body = base64.b64encode(json.dumps(self.request).encode()).decode()
        event["pathParameters"] = {"proxy": path.removeprefix("/v2/")}
        event["requestContext"]["path"] = f"/prod{path}"
        return event | {"path": path, "body": body, "isBase64Encoded": True}

    def check(self, contender: str, outputs: Outputs) -> None:
        """Hold an answer against PyTorch's, by the tolerance that the manifest gives the variant.

        Raises:
            WrongAnswer: It is another one.
        """
        stride = self.manifest.goldens.output_stride
        for name, expected in self.golden[1].items():
            found = outputs.get(name, np.empty(0)).reshape(-1)[::stride]
            allowed = self.variant.golden_tolerance.get(name, 0.0)
            subject = f"{contender}, {self.name}: output {name!r}"
            if found.shape != expected.shape:
                msg = f"{subject}: {found.size} elements, expected {expected.size}"
                raise WrongAnswer(msg)
            if not deviation(found, expected) <= allowed:
                worst = int(np.argmax(np.nan_to_num(np.abs(found - expected), nan=np.inf)))
                right = f"PyTorch's {expected[worst]:.6g}, at most {allowed:.3g} apart"
                msg = f"{subject}: {found[worst]:.6g}, expected {right}"
                raise WrongAnswer(msg)
