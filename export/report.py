"""What was tried, what it scored, and what was chosen. Needs no torch."""

from typing import TYPE_CHECKING, Literal

import msgspec
from rich.table import Table
from rich.text import Text

from export.figures import format_loss, format_ms, format_ratio, format_score, format_size, format_speed
from export.markup import printable
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
    "Verdict",
    "format_size",
    "to_table",
    "to_verification_table",
]

REPORT_FILE = "report.json"

Verdict = Literal["chosen", "packaged", "rejected", "skipped"]
Preference = Literal["size", "latency", "balanced"]


class FloatNode(msgspec.Struct, frozen=True):
    """A node that a mixed variant computes in float, and why.

    `error` is what the outputs lose where it is quantised and nothing else is: the sum of |difference|^2 over the
    samples that steer, divided by that of |PyTorch's output|^2, of the worst output; None where it cannot be quantised.
    `group` says how many nodes were measured together for want of time; `stored` is the type of its weights.
    """

    node: str
    operator: str
    error: float | None
    group: int
    stored: Literal["int8", "fp16", "fp32", "none"]


class OutputError(msgspec.Struct, frozen=True):
    """How far an output is from PyTorch's on the inputs that judge: mean cosine, largest and root-mean-square error.

    `relative` is the root-mean-square error divided by the root mean square of PyTorch's output.
    """

    output: str
    cosine: float | None
    largest: float | None
    relative: float | None


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
    pytorch_size_bytes: int
    classes: list[str]
    samples: int
    held_out: bool
    calibration: Calibration
    search: Search
    warnings: list[str]
    trials: list[Trial]
    confusion: Confusion | None = None

    @property
    def fp32(self) -> Trial:
        """The variant that the others are measured against; every build has it."""
        return self._trial("fp32")

    @property
    def chosen_trial(self) -> Trial:
        """The variant that was chosen."""
        return self._trial(self.chosen)

    @property
    def summary(self) -> str:
        """One line: what was chosen, and what it gains over fp32 and over PyTorch; then a line for each warning."""
        chosen, fp32 = self.chosen_trial, self.fp32
        size = f"{format_size(chosen.size_bytes or 0)}"
        speed = [format_speed(chosen.latency_ms, self.pytorch_latency_ms, "PyTorch")]
        scores = f"PyTorch {format_score(self.pytorch_score)}"
        if chosen is not fp32:
            of_pytorch = format_ratio(chosen.size_bytes, self.pytorch_size_bytes)
            size += f", {format_ratio(chosen.size_bytes, fp32.size_bytes)} of fp32 and {of_pytorch} of PyTorch"
            speed.insert(0, format_speed(chosen.latency_ms, fp32.latency_ms, "fp32"))
            scores = f"fp32 {_score(fp32)}, {scores}"
        first = (
            f"{self.model}: chose {self.chosen}: {size}; {_time(chosen)} a run, {' and '.join(filter(None, speed))}; "
            f"{self.metric} {_score(chosen)} ({scores}: {_loss(chosen)})"
        )
        lines = [first, *(f"warning: {text}" for text in self.warnings)]
        return "\n".join(printable(" ".join(line.split())) for line in lines)

    def _trial(self, name: str) -> Trial:
        return {trial.name: trial for trial in self.trials}[name]


def to_table(report: Report) -> Table:
    """Return the report for people: what each variant scores, weighs and takes, the ratios on a second line."""
    table = Table("variant")
    for column in (report.metric, "size", "time of a run"):
        table.add_column(_text(column), justify="right")
    table.add_column("verdict")
    pytorch_ms = report.pytorch_latency_ms
    table.add_row("PyTorch", format_score(report.pytorch_score), "", format_ms(pytorch_ms), "reference")
    for trial in report.trials:
        of_fp32 = format_ratio(trial.size_bytes, report.fp32.size_bytes)
        of_pytorch = format_ratio(trial.latency_ms, pytorch_ms)
        table.add_row(
            _text(trial.name, "bold" if trial.verdict == "chosen" else ""),
            _text(f"{_score(trial)}\n{_loss(trial)}"),
            _text(f"{format_size(trial.size_bytes)}\n{of_fp32} of fp32" if trial.size_bytes is not None else ""),
            _text(f"{_time(trial)}\n{of_pytorch} of PyTorch" if trial.latency_ms is not None else ""),
            _text(f"{trial.verdict}: {trial.why}"),
        )
    return table


def to_verification_table(verification: "Verification") -> Table:
    """Return what an artifact did on this machine for people."""
    table = Table("variant", "score here", "time here", "time where built", "verdict")
    for check in verification.checks:
        gate = check.gate
        table.add_row(
            _text(check.variant),
            _text(f"{gate.metric} {format_score(gate.score)}" if gate else "not measured: no held-out inputs"),
            format_ms(check.latency_ms) if check.latency_ms is not None else "",
            format_ms(check.built_latency_ms),
            _text(check.problem or check.warning or "right"),
        )
    return table


def _score(trial: Trial) -> str:
    return format_score(trial.gate.score) if trial.gate else ""


def _loss(trial: Trial) -> str:
    return format_loss(trial.gate.loss) if trial.gate else ""


def _time(trial: Trial) -> str:
    return format_ms(trial.latency_ms) if trial.latency_ms is not None else ""


def _text(text: str, style: str = "") -> Text:
    """Return text that is shown as it is: names and messages may hold what rich takes for markup."""
    return Text(printable(text), style)
