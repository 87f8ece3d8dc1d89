"""`lambdaserve verify`: does an artifact answer on this machine as it did where it was built? Needs no torch."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from export.judge import Judge
from export.measure import MAX_SLOWDOWN, interleaved_medians_ms
from export.metrics import METRICS
from export.package import read_artifact, read_held_out
from export.progress import Progress
from handlers.errors import LambdaserveError
from handlers.registry.manifest import CpuKind, Gate, Manifest, Variant
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.goldens import check_goldens, read_goldens
from handlers.runtime.session import Session

__all__ = ["Check", "Verification", "verify"]


class Check(msgspec.Struct, frozen=True):
    """What one variant did here. `problem` is None where it may be served; `gate` is None without held-out inputs."""

    variant: str
    problem: str | None
    warning: str | None
    gate: Gate | None
    latency_ms: float | None
    built_latency_ms: float


class Verification(msgspec.Struct, frozen=True):
    """What an artifact did on this machine. `served` is the variant that would be opened here, None if none may be."""

    model: str
    cpu: CpuKind
    chosen: str
    served: str | None
    checks: list[Check]

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """Passed only if the variant that was chosen is the one that would be served."""
        return "passed" if self.served == self.chosen else "failed"


def verify(folder: Path, threads: int, progress: Progress) -> Verification:
    """Hash the files, replay the goldens, measure the gate again and time every variant of an artifact.

    Raises:
        OutputError: `folder` holds no artifact.
        ArtifactError: Its files are not those that were built.
    """
    with progress.step("Hashing"):
        manifest = read_artifact(folder)
    order = manifest.variants_for(cpu_kind())
    judge = _judge(folder, manifest)
    goldens = read_goldens(folder / manifest.goldens.file, manifest)
    sessions: dict[str, Session] = {}
    gates: dict[str, Gate | None] = {}
    problems: dict[str, str | None] = {}
    with progress.step("Replaying goldens and gate", len(order)) as advance:
        for variant in order:
            try:
                session = Session(folder / variant.file, threads=threads)
                session.check_signature(manifest.inputs, manifest.outputs)
                check_goldens(session, goldens, manifest.goldens, variant)
                gates[variant.name] = judge.judge(session.run) if judge else None
                sessions[variant.name] = session
                problems[variant.name] = _gate_problem(gates[variant.name], variant.gate)
            except LambdaserveError as error:
                problems[variant.name] = str(error)
            advance(1)
    with progress.step("Timing"):
        latencies = interleaved_medians_ms(
            {name: partial(session.run, goldens[0][0]) for name, session in sessions.items()}
        )
    checks = [_check(variant, problems[variant.name], gates.get(variant.name), latencies) for variant in order]
    return Verification(
        model=manifest.model,
        cpu=cpu_kind(),
        chosen=order[0].name,
        served=next((check.variant for check in checks if check.problem is None), None),
        checks=checks,
    )


def _judge(folder: Path, manifest: Manifest) -> Judge | None:
    """Return a judge over the inputs that judged the build; None where they did not come along.

    A metric that is a function of the user's is not known here: agreement with PyTorch stands in.
    """
    data = read_held_out(folder, manifest)
    if data is None:
        return None
    gate = manifest.variants[-1].gate
    if gate.metric not in METRICS:
        data = replace(data, targets=None)
    return Judge(data, METRICS.get(gate.metric), gate.allowed)


def _gate_problem(gate: Gate | None, built: Gate) -> str | None:
    """Return what the gate refuses here, None if nothing.

    Where the metric was a function of the user's, agreement is measured and shown; the limit was not meant for it.
    """
    if gate is None or gate.passed or gate.metric != built.metric:
        return None
    return f"loses {gate.loss:.2%} of {gate.metric} here, allowed {gate.allowed:.2%}"


def _check(variant: Variant, problem: str | None, gate: Gate | None, latencies: dict[str, float]) -> Check:
    latency = latencies.get(variant.name)
    fp32 = latencies.get("fp32")
    slow = latency is not None and fp32 is not None and latency > MAX_SLOWDOWN * fp32
    warning = f"slower than fp32 here: {latency:.3g} ms, fp32 {fp32:.3g} ms" if slow else None
    return Check(variant.name, problem, warning, gate, latency, variant.latency_ms)
