"""A report as one HTML file for people: no scripts, no fonts, nothing that is loaded from elsewhere."""

from pathlib import Path
from xml.etree.ElementTree import Element

from export.figures import format_count, format_loss, format_ms, format_ratio, format_score, format_size, format_speed
from export.markup import element, to_document
from export.report import Report
from export.report_details import confusion_section, errors_section, float_nodes_section
from export.report_plot import KINDS, kind_of, to_plot, to_swatch
from export.report_trials import gate_section, trials_section

__all__ = ["REPORT_PAGE", "to_html"]

REPORT_PAGE = "report.html"

_STYLE = Path(__file__).with_name("report_page.css")
_PLOT_WIDTHS = {"wide": 860, "narrow": 350}  # one for each kind of screen: letters that shrink cannot be read
_METRICS = {
    "accuracy": "accuracy, the share of inputs whose class is right",
    "mse": "mse, the mean squared error of the first output; less is better",
    "agreement": "agreement, how much the answers are PyTorch's: the lesser of the mean cosine and the share of equal "
    "classes; 1 is perfect",
    "cosine": "cosine, the mean cosine between the answers and PyTorch's, of the worst output; 1 is perfect",
}
_PREFERENCES = {
    "size": "size: of the variants that pass, the smallest",
    "latency": "latency: of the variants that pass, the fastest",
    "balanced": "balanced: of the variants that pass, the one with the smallest product of size and time",
}
_CALIBRATION = {
    "calibration": "of the source's calibration data",
    "evaluation": "of the source's evaluation data, for want of calibration data",
    "example": "made of the source's example inputs, for want of data",
}


def to_html(report: Report) -> str:
    """Return the whole page. Whatever names and messages hold, they are shown as text."""
    main = element(
        "main",
        *_headline(report),
        *_warnings(report),
        *_plot_section(report),
        *trials_section(report),
        *gate_section(report),
        *errors_section(report),
        *float_nodes_section(report),
        *confusion_section(report),
        *_circumstances(report),
    )
    return to_document(f"{report.model}: build report", _STYLE.read_text(encoding="utf-8"), main)


def _headline(report: Report) -> list[Element]:
    chosen, fp32 = report.chosen_trial, report.fp32
    size = format_size(chosen.size_bytes or 0)
    of_fp32 = f"{format_ratio(chosen.size_bytes, fp32.size_bytes)} of fp32's {format_size(fp32.size_bytes or 0)}"
    of_pytorch = f"{format_ratio(chosen.size_bytes, report.pytorch_size_bytes)} of PyTorch's weights"
    speeds = [
        format_speed(chosen.latency_ms, fp32.latency_ms, "fp32") if chosen is not fp32 else "",
        format_speed(chosen.latency_ms, report.pytorch_latency_ms, "PyTorch"),
    ]
    scores = [f"PyTorch {format_score(report.pytorch_score)}"]
    if chosen is not fp32 and fp32.gate:
        scores.insert(0, f"fp32 {format_score(fp32.gate.score)}")
    gains = [
        *([f"{format_ratio(chosen.size_bytes, fp32.size_bytes)} of fp32's size"] if chosen is not fp32 else []),
        " and ".join(filter(None, speeds)),
        *([f"{format_loss(chosen.gate.loss)} in {report.metric} against PyTorch"] if chosen.gate else []),
    ]
    judged = "held-out samples" if report.held_out else "example inputs, no held-out data"
    tiles = [
        _tile("size", size, *([of_fp32] if chosen is not fp32 else []), of_pytorch),
        _tile("time of a run", format_ms(chosen.latency_ms or 0), *filter(None, speeds)),
        *(
            [_tile(report.metric, format_score(chosen.gate.score), format_loss(chosen.gate.loss), *scores)]
            if chosen.gate
            else []
        ),
        _tile("judged on", f"{report.samples:,}", judged),
    ]
    return [
        element(
            "header",
            element("p", report.model, class_="model"),
            element("h1", "Chosen: ", element("em", report.chosen)),
            element("p", f"{', '.join(gains)}.", class_="lead"),
            element("dl", *tiles, class_="tiles"),
        )
    ]


def _tile(name: str, value: str, *notes: str) -> Element:
    shown = [element("dd", note, class_="note") for note in notes]
    return element("div", element("dt", name), element("dd", value, class_="value"), *shown)


def _warnings(report: Report) -> list[Element]:
    texts = report.warnings
    if not texts:
        return []
    title = element("h2", "Warning" if len(texts) == 1 else f"{len(texts)} warnings")
    return [element("section", title, element("ul", *[element("li", text) for text in texts]), class_="warnings")]


def _plot_section(report: Report) -> list[Element]:
    plots = [
        plot for name, width in _PLOT_WIDTHS.items() if (plot := to_plot(report, width, f"plot {name}")) is not None
    ]
    if not plots:
        return []
    missing = [trial.name for trial in report.trials if trial.size_bytes is None or trial.latency_ms is None]
    kinds = {kind_of(trial) for trial in report.trials if trial.size_bytes is not None and trial.latency_ms is not None}
    legend = [element("li", to_swatch(kind), words) for kind, words in KINDS.items() if kind in kinds]
    return [
        element("h2", "Size against time"),
        element(
            "p",
            "Each mark is a variant: the further down, the smaller its file; the further left, the shorter a run. "
            f"Under its name stands what it loses of PyTorch's {report.metric}. PyTorch's own time is the "
            "dashed line, or an arrow where it is further to the right.",
        ),
        element("figure", *plots, element("ul", *legend, class_="legend"), class_="plots"),
        *([element("p", f"Not drawn, for want of measurements: {', '.join(missing)}.")] if missing else []),
    ]


def _circumstances(report: Report) -> list[Element]:
    search, calibration = report.search, report.calibration
    searched = "There was none."
    if search.measurements:
        models = format_count(search.measurements, "model")
        searched = f"{models} measured in {search.taken_s:,.1f} s; {search.budget_s:,g} s were allowed."
    judges = "held-out data" if report.held_out else "example inputs, for want of held-out data"
    facts = {
        "metric": f"{_METRICS.get(report.metric, f'{report.metric}, a function of the source')}. PyTorch scores "
        f"{format_score(report.pytorch_score)}.",
        "outputs with classes": f"{', '.join(report.classes)}: of these, the class of each sample counts too."
        if report.classes
        else "none: the largest element of an output says nothing.",
        "what judges": f"{format_count(report.samples, 'sample')} of {judges}, looked at "
        f"{format_count(search.judgements, 'time')}: the more often, the likelier it is that a variant passes by luck.",
        "what passes": f"A variant may lose {report.max_loss:.2%} of PyTorch's score.",
        "what is preferred": f"{_PREFERENCES[report.prefer]}.",
        "calibration": f"{format_count(calibration.samples, 'sample')} {_CALIBRATION[calibration.source]}. They set "
        "the ranges of int8 activations and steer the search.",
        "search for nodes that must stay in float": searched,
        "machine": f"{report.machine} ({report.cpu}). Times hold for this machine; another kind of CPU has other ones.",
        "threads": f"{report.threads}, of each session and of PyTorch while it was timed.",
    }
    pairs = [element("div", element("dt", name), element("dd", text)) for name, text in facts.items()]
    return [element("h2", "How it was measured"), element("dl", *pairs, class_="facts")]
