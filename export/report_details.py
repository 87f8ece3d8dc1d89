"""The parts of a report's page that look inside the variants: errors of outputs, nodes in float, classes confused."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from export.figures import format_count
from export.markup import Content, element, table
from export.report import Confusion, Report, Trial

__all__ = ["confusion_section", "errors_section", "float_nodes_section"]

_SHOWN_NODES = 10  # the rest can be unfolded
_SHOWN_ERRORS = 24
_MATRIX_CLASSES = 30  # of more, a matrix says nothing to the eye
_SHOWN_PAIRS = 25


def errors_section(report: Report) -> list[Element]:
    """Return how far each output of each variant is from PyTorch's."""
    largest = _largest([error.relative for trial in report.trials for error in trial.errors])
    rows = [
        element(
            "tr",
            element("th", trial.name, element("small", element("code", error.output)), scope="row"),
            element("td", _figure(error.cosine, ".6f"), class_="number"),
            element("td", _bar(_share(error.relative, largest)), _figure(error.relative, ".3%"), class_="error"),
            element("td", _figure(error.largest, ".3g"), class_="number"),
        )
        for trial in report.trials
        for error in trial.errors
    ]
    if not rows:
        return []
    words = (
        "The score sums up all answers in one number; this compares the outputs themselves with PyTorch's, on the "
        "inputs that judge. Cosine: 1 where both point the same way. Typical error: the root-mean-square difference as "
        "a share of the output's own root mean square. Largest error: the greatest difference of a single number, in "
        "the output's unit."
    )
    columns = ("variant, output", "cosine", "typical error", "largest error")
    return [
        element("h2", "How far the outputs are from PyTorch's"),
        element("p", words),
        *_folded(columns, rows, _SHOWN_ERRORS, "errors"),
    ]


def float_nodes_section(report: Report) -> list[Element]:
    """Return which nodes stay in float, the most sensitive first, for each variant that has any."""
    mixed = [trial for trial in report.trials if trial.float_nodes]
    if not mixed:
        return []
    words = (
        "A mixed variant computes most nodes in int8 and those below in float, because the outputs suffer most where "
        "they are quantised. Error: what the outputs lose where this node is quantised and no other is, as the squared "
        "difference from PyTorch's output divided by the squared output, each summed over the samples that steer. 0 is "
        "no loss; 0.01 means that the difference is a tenth as long as the output. Where time was short, several nodes "
        "were measured at once and share their error."
    )
    parts = [element("h2", "Nodes that stay in float, and why"), element("p", words)]
    for trial in mixed:
        parts.append(element("h3", f"{trial.name}: {format_count(len(trial.float_nodes), 'node')}"))
        parts += _folded(
            ("node, operator", "error where quantised", "its weights"),
            _node_rows(trial),
            _SHOWN_NODES,
            "nodes",
        )
    return parts


def _node_rows(trial: Trial) -> list[Element]:
    nodes = sorted(trial.float_nodes, key=lambda node: math.inf if node.error is None else node.error, reverse=True)
    largest = _largest([node.error for node in nodes])
    return [
        element(
            "tr",
            element("th", element("code", node.node), element("small", node.operator), scope="row"),
            element(
                "td",
                _bar(_share(node.error, largest)),
                _figure(node.error, ".3g"),
                *([element("small", f"of {node.group} nodes at once")] if node.group > 1 else []),
                class_="error",
            ),
            element("td", "has none" if node.stored == "none" else f"in {node.stored}"),
        )
        for node in nodes
    ]


def _largest(errors: Sequence[float | None]) -> float:
    return max((error for error in errors if error is not None), default=0.0) or 1.0


def _share(error: float | None, largest: float) -> float:
    """Return how much of a bar an error fills: all of it where it is no number."""
    return 1.0 if error is None else min(1.0, max(0.0, error / largest))


def _figure(value: float | None, form: str) -> str:
    return "no number" if value is None else format(value, form)


def _bar(share: float) -> Element:
    return element("span", element("i", style=f"width:{share:.1%}"), class_="bar")


def confusion_section(report: Report) -> list[Element]:
    """Return which classes PyTorch and the chosen variant take for which."""
    confusion = report.confusion
    if confusion is None:
        return []
    parts = [element("h2", "Which classes are confused")]
    classes = len(confusion.chosen)
    if classes > _MATRIX_CLASSES:
        return [*parts, *_pairs(report.chosen, confusion)]
    words = (
        "Each row is a right class, each column what was answered: the diagonal counts right answers, everything "
        "beside it mistakes. The stronger the shade, the larger the share of its row. "
        "Framed: where the count is not PyTorch's."
    )
    figures = [
        _matrix("PyTorch", confusion.pytorch, confusion.pytorch),
        _matrix(report.chosen, confusion.chosen, confusion.pytorch),
    ]
    return [*parts, element("p", words), element("div", *figures, class_="matrices")]


def _matrix(name: str, counts: Sequence[Sequence[int]], pytorch: Sequence[Sequence[int]]) -> Element:
    classes = range(len(counts))
    head = element("tr", element("td"), *[element("th", str(i), scope="col") for i in classes])
    rows = []
    for i in classes:
        cells = [_cell(counts[i][j], pytorch[i][j], sum(counts[i]), is_right=i == j) for j in classes]
        rows.append(element("tr", element("th", str(i), scope="row"), *cells))
    matrix = element("table", element("thead", head), element("tbody", *rows), class_="matrix")
    total, right = sum(map(sum, counts)), sum(counts[i][i] for i in classes)
    caption = element("figcaption", element("strong", name), f": {total - right:,} of {total:,} wrong")
    return element("figure", caption, element("div", matrix, class_="scroll"))


def _cell(count: int, pytorch: int, total: int, *, is_right: bool) -> Element:
    share = count / total if total else 0.0
    # mistakes are rare: shaded like right answers, none could be seen
    shade = 0.5 * share if is_right else (0.12 + 0.6 * math.sqrt(share) if count else 0.0)
    cell = element(
        "td", f"{count}" if count else "", class_="hit" if is_right else "miss", style=f"--shade:{shade:.2f}"
    )
    if count != pytorch:
        cell.set("class", f"{cell.get('class')} changed")
        cell.set("title", f"PyTorch: {pytorch}")
    return cell


def _pairs(chosen: str, confusion: Confusion) -> list[Element]:
    classes = range(len(confusion.chosen))
    counts = [(max(confusion.pytorch[i][j], confusion.chosen[i][j]), i, j) for i in classes for j in classes if i != j]
    worst = sorted((count for count in counts if count[0]), key=lambda count: (-count[0], count[1:]))
    rows = [
        element(
            "tr",
            element("th", f"{i} answered as {j}", scope="row"),
            element("td", f"{confusion.pytorch[i][j]:,}", class_="number"),
            element("td", f"{confusion.chosen[i][j]:,}", class_="number"),
        )
        for _, i, j in worst[:_SHOWN_PAIRS]
    ]
    words = (
        f"Of {len(classes):,} classes, the pairs that are taken for each other most often, by the larger of the two "
        f"counts; {len(worst):,} pairs are confused at all."
    )
    return [element("p", words), *([table(("classes", "PyTorch", chosen), rows, class_="pairs")] if rows else [])]


def _folded(columns: Sequence[str], rows: Sequence[Element], shown: int, what: str) -> list[Element]:
    """Return a table, of which what is beyond `shown` rows can be unfolded."""
    if len(rows) <= shown + 1:  # a fold for one row takes the room of one row
        return [table(columns, rows, class_=what)]
    rest: Content = element("summary", f"{len(rows) - shown:,} more")
    return [
        table(columns, rows[:shown], class_=what),
        element("details", rest, table(columns, rows[shown:], class_=what)),
    ]
