"""Makes the report of what a build tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.candidates import FP32, Candidate, why_not
from export.judge import Judge
from export.measure import machine_name
from export.report import Preference, Report, Search, Trial, Verdict
from handlers.registry.manifest import Calibration
from handlers.runtime.cpu import cpu_kind

__all__ = ["Measured", "make_report"]

_CHOSEN = {
    "size": "the smallest that passes",
    "latency": "the fastest that passes",
    "balanced": "the smallest product of size and time that passes",
}


@dataclass(frozen=True)
class Measured:
    """What a build measured: candidates without fp32, fp32, what is packaged (best first), times by name.

    `problems` says why some could not be made, `skipped` why some need not be.
    """

    others: Sequence[Candidate]
    fp32: Candidate
    packaged: Sequence[Candidate]
    problems: Mapping[str, str]
    skipped: Mapping[str, str]
    latencies_ms: Mapping[str, float]
    opening_ms: Mapping[str, float]
    pytorch_latency_ms: float
    pytorch_size_bytes: int

    @property
    def chosen(self) -> Candidate:
        """What is served."""
        return self.packaged[0]


def make_report(  # noqa: PLR0913 - each is something else
    model: str,
    measured: Measured,
    judge: Judge,
    *,
    prefer: Preference,
    max_loss: float,
    threads: int,
    calibration: Calibration,
    search: Search,
    warnings: Sequence[str],
) -> Report:
    """Return the report of a build."""
    trials = [_trial(candidate, measured, prefer) for candidate in (*measured.others, measured.fp32)]
    trials += [Trial(name=name, verdict="rejected", why=why) for name, why in measured.problems.items()]
    trials += [Trial(name=name, verdict="skipped", why=why) for name, why in measured.skipped.items()]
    return Report(
        model=model,
        chosen=measured.chosen.name,
        prefer=prefer,
        max_loss=max_loss,
        cpu=cpu_kind(),
        machine=machine_name(),
        threads=threads,
        metric=judge.metric_name,
        pytorch_score=judge.reference_score,
        pytorch_latency_ms=measured.pytorch_latency_ms,
        pytorch_size_bytes=measured.pytorch_size_bytes,
        classes=sorted(judge.data.classes),
        samples=judge.data.samples,
        held_out=judge.data.held_out,
        calibration=calibration,
        search=search,
        warnings=list(warnings),
        trials=trials,
        confusion=measured.chosen.confusion,
    )


def _trial(candidate: Candidate, measured: Measured, prefer: Preference) -> Trial:
    verdict, why = _verdict(candidate, measured, prefer)
    return Trial(
        name=candidate.name,
        verdict=verdict,
        why=why,
        how=candidate.how,
        size_bytes=candidate.size_bytes,
        gate=candidate.gate,
        latency_ms=measured.latencies_ms[candidate.name],
        open_ms=measured.opening_ms[candidate.name],
        errors=list(candidate.errors),
        float_nodes=list(candidate.float_nodes),
    )


def _verdict(candidate: Candidate, measured: Measured, prefer: Preference) -> tuple[Verdict, str]:
    chosen = candidate is measured.chosen
    if candidate.name == FP32:
        return ("chosen", "nothing else passes") if chosen else ("packaged", "the last resort")
    if chosen:
        return "chosen", _CHOSEN[prefer]
    why = why_not(candidate, measured.fp32, measured.latencies_ms, prefer)
    return (
        ("rejected", why) if why else ("packaged", f"passes, and is not {_CHOSEN[prefer].removesuffix(' that passes')}")
    )
