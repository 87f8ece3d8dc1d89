"""One opening of a session in a process of its own."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.opening.levers import WEIGHTS, Lever
from handlers.registry.manifest import MANIFEST_FILE, Manifest, Variant, decode_manifest
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.session import DISABLED_OPTIMIZERS

__all__ = ["Opening", "Subject", "open_once", "read_subject"]

_SCRIPT = Path(__file__).with_name("measured.py")


@dataclass(frozen=True)
class Subject:
    """What is opened: the variant that an artifact serves on this machine."""

    artifact: Path
    manifest: Manifest
    variant: Variant

    @property
    def name(self) -> str:
        """Model and variant."""
        return f"{self.manifest.model} {self.variant.name}"


@dataclass(frozen=True)
class Opening:
    """What one took, or medians of several.

    Attributes:
        open_s: From the options to the session.
        cpu_s: CPU time of that.
        first_s: The first run.
        second_s: The second.
        warm_s: Median of later ones.
        peak_bytes: Most that was resident until the first answer, mapped files included.
        anonymous_bytes: Of what is resident then, what cannot be read from a file again.
    """

    open_s: float
    cpu_s: float
    first_s: float
    second_s: float
    warm_s: float
    peak_bytes: float
    anonymous_bytes: float


def read_subject(artifact: Path) -> Subject:
    """Return what an artifact serves here.

    Raises:
        ArtifactError: The manifest is not what was written.
        OSError: There is none.
    """
    manifest = decode_manifest((artifact / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
    return Subject(artifact, manifest, manifest.variants_for(cpu_kind())[0])


def open_once(lever: Lever, subject: Subject, folder: Path, python: Path, package: Path, cpus: int) -> Opening:  # noqa: PLR0913, PLR0917 - each is something else
    """Open a session by a lever in a fresh process.

    Args:
        lever: How.
        subject: What.
        folder: With the files of `prepare`.
        python: The interpreter.
        package: Folder from which it imports numpy and onnxruntime.
        cpus: How many the process may use, and threads the session.

    Raises:
        RuntimeError: The process failed, or its answer is not the golden's.
    """
    weights = folder / WEIGHTS[lever.model] if lever.from_memory and lever.model in WEIGHTS else None
    trial = {
        "model": str(folder / lever.model),
        "weights": weights and str(weights),
        "config": lever.config,
        "optimises": lever.optimises,
        "from_bytes": lever.from_memory,
        "goldens": str(subject.artifact / subject.manifest.goldens.file),
        "inputs": [spec.name for spec in subject.manifest.inputs],
        "tolerance": {spec.name: subject.variant.golden_tolerance[spec.name] for spec in subject.manifest.outputs},
        "stride": subject.manifest.goldens.output_stride,
        "cpus": sorted(os.sched_getaffinity(0))[:cpus],
        "disabled_optimizers": DISABLED_OPTIMIZERS,
    }
    done = subprocess.run(
        [python, _SCRIPT, json.dumps(trial)],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"{lever.name}: exit status {done.returncode}, expected 0: {done.stderr.strip()[-300:]}"
        raise RuntimeError(msg)
    return Opening(**json.loads(done.stdout))
