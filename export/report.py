"""What was tried, what it scored, and what was chosen. Needs no torch."""

from typing import TYPE_CHECKING, Literal

import msgspec
from rich.table import Table

from handlers.registry.manifest import Calibration, Gate

if TYPE_CHECKING:
    from export.verify import Verification

__all__ = [
    "REPORT_FILE",
    "Confusion",
    "FloatNode",
    "OutputError",
    "Preference",
    "Report",
    "Search",
    "Trial",
    "format_size",
    "to_table",
    "to_verification_table",
]

REPORT_FILE = "report.json"

Verdict = Literal["chosen", "packaged", "rejected", "not needed"]
Preference = Literal["size", "latency", "balanced"]


class FloatNode(msgspec.Struct, frozen=True):
    """A node that a mixed variant computes in float, and why.

    `error` is what the outputs lose where it is quantised and nothing else is, as the mean over the calibration samples
    of |difference|^2 / |PyTorch's output|^2; `group` says how many nodes were measured together for want of time;
    `stored` is the type of its weights in the file.
    """

    node: str
    operator: str
    error: float
    group: int
    stored: Literal["int8", "fp16", "fp32", "none"]


class OutputError(msgspec.Struct, frozen=True):
    """How far an output is from PyTorch's on the inputs that judge: mean cosine, largest and root-mean-square error.

    `relative` is the root-mean-square error divided by the root mean square of PyTorch's output.
    """

    output: str
    cosine: float
    largest: float
    relative: float


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate: what was measured (None where it did not come that far), the verdict and the reason for it.

    `how` says in words how it was made; `open_ms` is the median time that its session took to open.
    """

    name: str
    verdict: Verdict
    why: str
    how: str = ""
    size_bytes: int | None = None
    gate: Gate | None = None
    latency_ms: float | None = None
    open_ms: float | None = None
    errors: list[OutputError] = []
    float_nodes: list[FloatNode] = []


class Search(msgspec.Struct, frozen=True):
    """The search for nodes that must stay in float: time allowed and taken, models measured, looks at what judges."""

    budget_s: float
    taken_s: float
    measurements: int
    judgements: int


class Confusion(msgspec.Struct, frozen=True):
    """How often (row) class i was answered as (column) class j, by PyTorch and by the variant that was chosen."""

    pytorch: list[list[int]]
    chosen: list[list[int]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a build measured; `report.json`, specified in docs/report.md."""

    model: str
    chosen: str
    prefer: Preference
    max_loss: float
    cpu: str
    machine: str
    threads: int
    metric: str
    pytorch_score: float
    pytorch_latency_ms: float
    samples: int
    held_out: bool
    calibration: Calibration
    search: Search
    warnings: list[str]
    trials: list[Trial]
    confusion: Confusion | None = None

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
