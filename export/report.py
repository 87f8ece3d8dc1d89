"""What was tried, what it scored, and what was chosen. Needs no torch."""

from typing import TYPE_CHECKING, Literal

import msgspec
from rich.table import Table

from handlers.registry.manifest import Gate

if TYPE_CHECKING:
    from export.verify import Verification

__all__ = ["REPORT_FILE", "Report", "Trial", "format_size", "to_table", "to_verification_table"]

REPORT_FILE = "report.json"

Verdict = Literal["chosen", "packaged", "rejected"]


class Trial(msgspec.Struct, frozen=True):
    """One candidate: what was measured (None where it did not come that far), the verdict and the reason for it."""

    name: str
    verdict: Verdict
    why: str
    size_bytes: int | None = None
    gate: Gate | None = None
    latency_ms: float | None = None


class Report(msgspec.Struct, frozen=True):
    """Everything that a build measured; `report.json`."""

    model: str
    chosen: str
    cpu: str
    threads: int
    metric: str
    pytorch_score: float
    pytorch_latency_ms: float
    samples: int
    held_out: bool
    trials: list[Trial]

    @property
    def summary(self) -> str:
        """One line: what was chosen, and what it gains."""
        by_name = {trial.name: trial for trial in self.trials}
        fp32, chosen = by_name["fp32"], by_name[self.chosen]
        size = (chosen.size_bytes or 0) / (fp32.size_bytes or 1)
        latency = chosen.latency_ms or 0.0
        faster = self.pytorch_latency_ms / latency if latency else 0.0
        score = chosen.gate.score if chosen.gate else float("nan")
        return (
            f"{self.model}: chose {self.chosen}: {size:.2f} of fp32's size, {latency:.3g} ms a run "
            f"({faster:.1f} times as fast as PyTorch), {self.metric} {score:.4f} (PyTorch {self.pytorch_score:.4f})"
        )


def to_table(report: Report) -> Table:
    """Return the report for people."""
    table = Table(title=None)
    for column, justify in (
        ("variant", "left"),
        (report.metric, "right"),
        ("size", "right"),
        ("time of a run", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type] # rich's Literal
    table.add_column("verdict")
    table.add_row("PyTorch fp32", f"{report.pytorch_score:.4f}", "", f"{report.pytorch_latency_ms:.3f} ms", "reference")
    for trial in report.trials:
        table.add_row(
            f"[bold]{trial.name}[/bold]" if trial.verdict == "chosen" else trial.name,
            f"{trial.gate.score:.4f}" if trial.gate else "",
            format_size(trial.size_bytes) if trial.size_bytes is not None else "",
            f"{trial.latency_ms:.3f} ms" if trial.latency_ms is not None else "",
            f"{trial.verdict}: {trial.why}",
        )
    return table


def to_verification_table(verification: "Verification") -> Table:
    """Return what an artifact did on this machine for people."""
    table = Table("variant", "score here", "time here", "time where built", "verdict")
    for check in verification.checks:
        table.add_row(
            check.variant,
            f"{check.gate.metric} {check.gate.score:.4f}" if check.gate else "not measured: no held-out inputs",
            f"{check.latency_ms:.3f} ms" if check.latency_ms is not None else "",
            f"{check.built_latency_ms:.3f} ms",
            check.problem or check.warning or "right",
        )
    return table


def format_size(size_bytes: int) -> str:
    """Return a size for people."""
    if size_bytes < 1_000_000:  # noqa: PLR2004 - a megabyte
        return f"{size_bytes / 1000:.1f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
