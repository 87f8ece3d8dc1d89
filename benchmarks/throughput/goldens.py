"""What is asked, and what PyTorch answered: the goldens of an artifact as requests, and answers held against them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.warm.invocation import Request, json_request
from handlers.registry.manifest import Manifest, Variant
from handlers.runtime.goldens import Golden, deviation, read_goldens

__all__ = ["AskedGoldens", "WrongAnswer"]


class WrongAnswer(Exception):
    """An answer is not what PyTorch's was: how fast it came does not matter."""


@dataclass(frozen=True)
class AskedGoldens:
    """The goldens of a model of one input and one output, and how far from them its served variant may answer."""

    artifact: Path
    goldens: list[Golden]
    manifest: Manifest
    variant: Variant

    @classmethod
    def of(cls, artifact: Path, manifest: Manifest, variant: Variant) -> "AskedGoldens":
        """Read those of an artifact."""
        return cls(artifact, read_goldens(artifact / manifest.goldens.file, manifest), manifest, variant)

    @property
    def requests(self) -> list[Request]:
        """A request for each golden."""
        [spec] = self.manifest.inputs
        return [json_request(self.manifest.model, spec.name, given[spec.name]) for given, _ in self.goldens]

    def check(self, name: str, number: int, answers: Iterable[str]) -> None:
        """Check the bodies of answers to one golden.

        Args:
            name: Whose answers, for errors.
            number: Of the golden.
            answers: In JSON.

        Raises:
            WrongAnswer: One is further from PyTorch's answer than the variant may be; the message has both numbers.
        """
        [spec] = self.manifest.outputs
        right = self.goldens[number][1][spec.name]
        allowed = self.variant.golden_tolerance.get(spec.name, 0.0)
        for answer in answers:
            [output] = json.loads(answer)["outputs"]
            found = np.array(output["data"], np.float64)[:: self.manifest.goldens.output_stride]
            off = deviation(found, right) if found.shape == right.shape else float("inf")
            if not off <= allowed:
                msg = (
                    f"{name}: {spec.name} of golden {number}: {found[:10].tolist()}, expected PyTorch's "
                    f"{right[:10].tolist()} within {allowed:.3g}, not {off:.3g}"
                )
                raise WrongAnswer(msg)
