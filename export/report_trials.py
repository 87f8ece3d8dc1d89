"""The parts of a report's page that go through the variants: what each is and costs, and what the gate says of it."""

import math
from xml.etree.ElementTree import Element

from export.figures import format_count, format_loss, format_ms, format_ratio, format_score, format_size
from export.markup import element, table
from export.report import Report, Trial
from export.report_plot import kind_of
from handlers.registry.manifest import Gate

__all__ = ["gate_section", "trials_section"]

_NONE = "\u2013"


def trials_section(report: Report) -> list[Element]:
    """Return a table of everything that was tried, PyTorch first."""
    pytorch = element(
        "tr",
        element("th", "PyTorch", _note("the trained module"), scope="row"),
        _number(format_score(report.pytorch_score), "reference"),
        _number(format_size(report.pytorch_size_bytes), "weights"),
        _number(format_ms(report.pytorch_latency_ms), "reference"),
        _number(""),
        element("td", "reference"),
    )
    rows = [pytorch, *[_trial_row(report, trial) for trial in report.trials]]
    words = (
        "All were measured on the same machine. Size: what is downloaded and opened. Time of a run: the median on the "
        "example inputs, the variants taking turns. Opening: the median time until a session is ready, a part of every "
        "cold start. Percentages under a number compare it with fp32, the unquantised ONNX file, and with PyTorch; "
        "less is better."
    )
    columns = ("variant", report.metric, "size", "time of a run", "opening", "verdict")
    return [
        element("h2", "Everything that was tried"),
        element("p", words),
        table(columns, rows, class_="cards trials"),
    ]


def _trial_row(report: Report, trial: Trial) -> Element:
    gate, fp32 = trial.gate, report.fp32
    time = format_ms(trial.latency_ms) if trial.latency_ms is not None else ""
    ratios = {
        "fp32": format_ratio(trial.latency_ms, fp32.latency_ms),
        "PyTorch": format_ratio(trial.latency_ms, report.pytorch_latency_ms),
    }
    of_fp32 = format_ratio(trial.size_bytes, fp32.size_bytes)
    return element(
        "tr",
        element("th", trial.name, *([_note(trial.how)] if trial.how else []), scope="row"),
        _number(format_score(gate.score), format_loss(gate.loss), f"allowed {gate.allowed:.2%}")
        if gate
        else _number(""),
        _number(format_size(trial.size_bytes), f"{of_fp32} of fp32") if trial.size_bytes is not None else _number(""),
        _number(time, *[f"{ratio} of {name}" for name, ratio in ratios.items() if ratio]),
        _number(format_ms(trial.open_ms) if trial.open_ms is not None else ""),
        element(
            "td",
            element("span", trial.verdict, class_=f"badge {'' if trial.verdict == 'skipped' else kind_of(trial)}"),
            _note(trial.why),
        ),
        class_=trial.verdict,
    )


def _note(text: str) -> Element:
    return element("small", text)


def _number(value: str, *notes: str) -> Element:
    return element("td", value or _NONE, *[_note(note) for note in notes], class_="number")


def gate_section(report: Report) -> list[Element]:
    """Return what the gate says of each variant, with a bar that shows the loss against what is allowed."""
    losses = [trial.gate.loss for trial in report.trials if trial.gate and math.isfinite(trial.gate.loss)]
    worst = max(0.0, *losses) if losses else 0.0
    # the allowed loss is in sight, and what passes can be told apart, however bad the worst is
    full = max(2 * report.max_loss, min(worst, 4 * report.max_loss)) or worst or 1.0
    words = (
        f"PyTorch scores {format_score(report.pytorch_score)} on what judges, "
        f"{format_count(report.samples, 'sample')}. A variant passes if it loses at most {report.max_loss:.2%} of "
        "that. What does not pass is not packaged, but for fp32, the last resort. The stroke across a bar is what is "
        "allowed, and a full bar may stand for more."
    )
    rows = [
        element(
            "tr",
            element("th", trial.name, scope="row"),
            *(_gate_cells(trial.gate, full) if trial.gate else _ungated_cells(trial)),
        )
        for trial in report.trials
        if trial.verdict != "skipped"
    ]
    columns = ("variant", "verdict", "loss", report.metric)
    return [element("h2", "The gate"), element("p", words), table(columns, rows, class_="gate")]


def _gate_cells(gate: Gate, full: float) -> list[Element]:
    share = min(1.0, max(0.0, gate.loss) / full) if math.isfinite(gate.loss) else 1.0
    bar = element(
        "span",
        element("i", style=f"width:{share:.1%}"),
        element("b", style=f"left:{min(1.0, gate.allowed / full):.1%}"),
        class_="bar" if gate.passed else "bar missed",
    )
    badge = element(
        "span", "passes" if gate.passed else "fails", class_=f"badge {'packaged' if gate.passed else 'failed'}"
    )
    return [
        element("td", badge),
        element("td", bar, format_loss(gate.loss), class_="error"),
        _number(format_score(gate.score)),
    ]


def _ungated_cells(trial: Trial) -> list[Element]:
    badge = element("span", "not judged", class_="badge refused")
    return [element("td", badge), element("td", trial.why), _number("")]
