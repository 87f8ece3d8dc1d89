"""What people see of a report."""

import itertools
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.report import Confusion, FloatNode, OutputError, Report, Trial
from export.report_page import to_html
from handlers.registry.manifest import Calibration, Gate
from tests.export.pages import Node, read_page, rows, section
from tests.export.reports import PYTORCH_SCORE, confusion, float_nodes, report, trial

PLOT, TRIED, GATE = "Size against time", "Everything that was tried", "The gate"
OUTPUTS, NODES, CLASSES = (
    "How far the outputs are from PyTorch's",
    "Nodes that stay in float, and why",
    "Which classes are confused",
)
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)> &amp; \"' \x1b[31m\u202e"
SHOWN = HOSTILE.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "em"),
    *("strong", "small", "code", "span", "i", "b", "div", "dl", "dt", "dd", "ul", "li", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("svg", "g", "line", "circle", "path", "text", "tspan"),
}
"""What the page is made of: none of these loads or runs anything."""


def page_of(of: Report) -> Node:
    return read_page(to_html(of))


def full_report() -> Report:
    """A report in which nothing is missing."""
    broken = Trial(
        name="int4-weights", verdict="rejected", why="cannot be quantised: 32 does not divide 27", how="int4"
    )
    failed = trial("int8-blocks", 100_000, 0.07, 0.5, verdict="rejected")
    mixed = trial("int8-mixed", 150_000, 0.06, float_nodes=float_nodes(40))
    return report(
        trials=[*report().trials, failed, mixed, broken], warnings=["few samples"], confusion=confusion(10, 2000)
    )


@pytest.fixture(scope="module")
def page() -> Node:
    return page_of(full_report())


def with_trials(*trials: Trial) -> Report:
    return report(trials=[*trials, trial("fp32", 400_000, 0.1)], chosen=trials[0].name)


@pytest.mark.parametrize(
    "of",
    [
        full_report(),
        report(),
        report(chosen="fp32", trials=[trial("fp32", 400_000, 0.1, verdict="chosen")], held_out=False),
        report(confusion=confusion(40, 1000), metric="mse", calibration=Calibration(0, "example")),
    ],
)
def test_the_page_is_well_formed_and_loads_and_runs_nothing(of: Report) -> None:
    html = to_html(of)
    page = read_page(html)
    nodes = list(page.all())
    assert {node.tag for node in nodes} <= TAGS
    attributes = {name for node in nodes for name in node.attributes}
    assert not {name for name in attributes if name.startswith("on")} | attributes & {"src", "href", "srcset", "action"}
    assert not re.search(r"url\(|@import|//", html)
    [policy] = [node for node in page.all("meta") if "http-equiv" in node.attributes]
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'unsafe-inline';")


def test_hostile_names_and_messages_are_text() -> None:
    gate = Gate(HOSTILE, 1.0, 1.0, loss=0.0, allowed=0.01, passed=True, samples=1, held_out=True)
    nodes = [FloatNode(HOSTILE + str(i), HOSTILE, 0.1, 1, "none") for i in range(20)]
    errors = [OutputError(HOSTILE, 1.0, 0.0, 0.0)]
    one = trial(
        HOSTILE, 1, 1.0, verdict="chosen", why=HOSTILE, how=HOSTILE, gate=gate, float_nodes=nodes, errors=errors
    )
    of = report(
        model=HOSTILE,
        chosen=HOSTILE,
        metric=HOSTILE,
        machine=HOSTILE,
        warnings=[HOSTILE],
        trials=[one, trial("fp32", 2, 1.0)],
        confusion=confusion(3, 100),
    )
    html = to_html(of)
    assert "<script" not in html
    page = read_page(html)
    assert {node.tag for node in page.all()} <= TAGS
    assert page.one("head").one("title").text == f"{SHOWN}: build report"
    assert page.one("header").one("p", "model").text == SHOWN
    assert page.one("section", "warnings").one("li").text == SHOWN
    [row] = [row for row in section(page, TRIED) if row.tag == "tr" and row.classes == ["chosen"]]
    how, *_, why = (small.text for small in row.all("small"))
    assert (how, why) == (SHOWN, SHOWN)
    codes = [code.text for code in page.all("code")]
    assert codes == [SHOWN, "logits", *[SHOWN + str(i) for i in range(20)]]
    assert SHOWN in page.one("dl", "facts").text


def test_the_headline_says_what_was_chosen_and_what_it_gains(page: Node) -> None:
    header = page.one("header")
    assert header.one("h1").text == "Chosen: int8-static"
    assert header.one("p", "lead").text == (
        "29% of fp32's size, 2.0 times as fast as fp32 and 3.1 times as fast as PyTorch, "
        "loses 0.10% in accuracy against PyTorch."
    )
    assert [tile.text for tile in header.one("dl").children] == [
        "size114.9 kB29% of fp32's 391.6 kB29% of PyTorch's weights",
        "time of a run0.0490 ms2.0 times as fast as fp323.1 times as fast as PyTorch",
        "accuracy0.9875loses 0.10%fp32 0.9885PyTorch 0.9885",
        "judged on2,000held-out samples",
    ]


def test_a_build_that_chose_fp32_compares_it_with_pytorch_alone() -> None:
    header = page_of(report(chosen="fp32", trials=[trial("fp32", 400_000, 0.051, verdict="chosen")])).one("header")
    assert header.one("p", "lead").text == "3.0 times as fast as PyTorch, loses nothing in accuracy against PyTorch."
    assert "fp32" not in header.one("dl").text


def test_warnings_are_shown() -> None:
    assert not list(page_of(report()).all("section", "warnings"))
    two = page_of(report(warnings=["few samples", "one look"])).one("section", "warnings")
    assert two.one("h2").text == "2 warnings"
    assert [warning.text for warning in two.all("li")] == ["few samples", "one look"]


def test_each_trial_is_in_the_table_with_all_that_was_measured(page: Node) -> None:
    tried = rows(section(page, TRIED))
    assert [*tried] == ["PyTorch", *[one.name for one in full_report().trials]]

    def cell(name: str, column: str) -> list[str]:
        [found] = [cell for cell in tried[name].children if cell.attributes["data-label"] == column]
        return [part if isinstance(part, str) else part.text for part in found.content]

    assert cell("int8-static", "variant") == ["int8-static", "how int8-static"]
    assert cell("int8-static", "accuracy") == ["0.9875", "loses 0.10%", "allowed 1.00%"]
    assert cell("int8-static", "size") == ["114.9 kB", "29% of fp32"]
    assert cell("int8-static", "time of a run") == ["0.0490 ms", "50% of fp32", "32% of PyTorch"]
    assert cell("int8-static", "opening") == ["1.47 ms"]
    assert cell("int8-static", "verdict") == ["chosen", "why int8-static"]
    assert cell("PyTorch", "accuracy") == ["0.9885", "reference"]
    assert [cell("int4-weights", column) for column in ("accuracy", "size", "time of a run", "opening")] == [
        ["\u2013"]
    ] * 4
    assert cell("int4-weights", "verdict") == ["rejected", "cannot be quantised: 32 does not divide 27"]


def test_the_gate_passes_or_fails_each_trial_and_draws_its_loss() -> None:
    half = trial("half", 1, 1.0, PYTORCH_SCORE * 0.995, verdict="chosen")
    beyond = trial("beyond", 1, 1.0, PYTORCH_SCORE * 0.97, verdict="rejected")
    gone = trial("gone", 1, 1.0, float("nan"), verdict="rejected")
    broken = Trial(name="broken", verdict="rejected", why="cannot be run")
    gates = rows(section(page_of(with_trials(half, beyond, gone, broken)), GATE))

    def width(name: str) -> float:
        return float(gates[name].one("i").attributes["style"].removeprefix("width:").removesuffix("%"))

    assert {name: gates[name].one("span", "badge").text for name in gates} == {
        "half": "passes",
        "beyond": "fails",
        "gone": "fails",
        "broken": "not judged",
        "fp32": "passes",
    }
    assert float(gates["half"].one("b").attributes["style"][5:-1]) == pytest.approx(2 * width("half"), abs=0.2)
    assert (width("beyond"), width("gone"), width("fp32")) == (100, 100, 0)
    assert "loses everything" in gates["gone"].text
    assert "cannot be run" in gates["broken"].text
    assert [name for name in gates if list(gates[name].all("span", "missed"))] == ["beyond", "gone"]


def test_each_output_of_each_variant_has_its_errors() -> None:
    errors = [OutputError("logits", 0.9995, 2.5, 0.02), OutputError("state", 0.25, 0.001, 0.01)]
    page = page_of(with_trials(trial("int8", 1, 1.0, verdict="chosen", errors=errors)))
    table = [row for row in section(page, OUTPUTS) if row.tag == "tr"][1:]
    assert [row.text for row in table[:2]] == ["int8logits0.9995002.000%2.5", "int8state0.2500001.000%0.001"]
    widths = [row.one("i").attributes["style"] for row in table[:2]]
    assert widths == ["width:100.0%", "width:50.0%"]


def test_each_node_in_float_is_shown_the_most_sensitive_first(page: Node) -> None:
    nodes = {node.node: node for node in float_nodes(40)}
    shown = rows(section(page, NODES))
    assert [*shown] == sorted(nodes, key=lambda name: -(nodes[name].error or 0))
    for name, row in shown.items():
        node = nodes[name]
        at_once = f"of {node.group} nodes at once" if node.group > 1 else ""
        weights = "has none" if node.stored == "none" else f"in {node.stored}"
        assert row.text == f"{name}{node.operator}{node.error:.3g}{at_once}{weights}"


def test_an_error_of_a_node_is_drawn_to_the_scale_of_the_largest(page: Node) -> None:
    nodes = {node.node: node for node in float_nodes(40)}
    errors = {name: node.error or 0 for name, node in nodes.items()}
    largest = max(errors.values())
    for name, row in rows(section(page, NODES)).items():
        width = float(row.one("i").attributes["style"].removeprefix("width:").removesuffix("%"))
        assert width == pytest.approx(100 * errors[name] / largest, abs=0.06)


def test_what_is_beyond_ten_nodes_is_folded(page: Node) -> None:
    [fold] = page.all("details")
    assert fold.one("summary").text == "30 more"
    assert len(rows(list(fold.all()))) == 30
    few = page_of(with_trials(trial("int8-mixed", 1, 1.0, verdict="chosen", float_nodes=float_nodes(11))))
    assert not list(few.all("details"))
    assert len(rows(section(few, NODES))) == 11


def test_an_error_that_is_no_number_comes_first_and_fills_its_bar() -> None:
    nodes = [FloatNode("small", "Conv", 0.1, 1, "fp32"), FloatNode("gone", "Conv", None, 1, "fp32")]
    shown = rows(section(page_of(with_trials(trial("m", 1, 1.0, verdict="chosen", float_nodes=nodes))), NODES))
    assert [*shown] == ["gone", "small"]
    assert shown["gone"].one("i").attributes["style"] == "width:100.0%"


def test_confusion_matrices_count_what_was_answered() -> None:
    counts = Confusion([[8, 2, 0], [1, 9, 0], [0, 0, 0]], [[8, 1, 1], [0, 10, 0], [0, 0, 0]])
    pytorch, chosen = (node for node in section(page_of(report(confusion=counts)), CLASSES) if node.tag == "figure")
    assert pytorch.one("figcaption").text == "PyTorch: 3 of 20 wrong"
    assert chosen.one("figcaption").text == "int8-static: 2 of 20 wrong"
    for figure, expected in ((pytorch, counts.pytorch), (chosen, counts.chosen)):
        found = [[int(cell.text or 0) for cell in row.children[1:]] for row in figure.one("tbody").children]
        assert found == expected
    changed = [cell.attributes["title"] for cell in chosen.all("td", "changed")]
    assert changed == ["PyTorch: 2", "PyTorch: 0", "PyTorch: 1", "PyTorch: 9"]
    assert not list(pytorch.all("td", "changed"))
    right = [float(cell.attributes["style"].removeprefix("--shade:")) for cell in pytorch.all("td", "hit")]
    assert right == [0.4, 0.45, 0.0]
    often, once, *never = sorted(
        (float(cell.attributes["style"].removeprefix("--shade:")) for cell in pytorch.all("td", "miss")), reverse=True
    )
    assert often > once > 0
    assert set(never) == {0.0}


def test_of_many_classes_the_most_confused_pairs_are_listed() -> None:
    pytorch, chosen = ([[0] * 31 for _ in range(31)] for _ in range(2))
    pytorch[3][7], chosen[3][7] = 5, 2
    chosen[30][1] = 4
    pytorch[2][2] = chosen[2][2] = 99
    shown = section(page_of(report(confusion=Confusion(pytorch, chosen))), CLASSES)
    assert not [node for node in shown if "matrix" in node.classes]
    found = {name: [cell.text for cell in row.children[1:]] for name, row in rows(shown).items()}
    assert found == {"3 answered as 7": ["5", "2"], "30 answered as 1": ["0", "4"]}
    assert next(iter(found)) == "3 answered as 7"


def test_thirty_classes_are_still_a_matrix_and_none_are_no_section() -> None:
    assert len(list(page_of(report(confusion=confusion(30, 500))).all("table", "matrix"))) == 2
    assert CLASSES not in [node.text for node in page_of(report()).all("h2")]


def test_how_it_was_measured_is_said_in_full(page: Node) -> None:
    facts = {fact.one("dt").text: fact.one("dd").text for fact in page.one("dl", "facts").children}
    assert facts["metric"] == "accuracy, the share of inputs whose class is right. PyTorch scores 0.9885."
    assert facts["what judges"].startswith("2,000 samples of held-out data, looked at 4 times:")
    assert facts["what passes"] == "A variant may lose 1.00% of PyTorch's score."
    assert facts["what is preferred"] == "size: of the variants that pass, the smallest."
    assert facts["calibration"].startswith("512 samples of the source's calibration data.")
    search = facts["search for nodes that must stay in float"]
    assert search == "138 models measured in 41.2 s; 60 s were allowed."
    assert facts["machine"].startswith("AMD EPYC 9R14, 2 cores (x86_64-vnni).")
    assert facts["threads"].startswith("2,")


class Plot:
    """One of the two plots of a page: its marks by variant, and its words."""

    def __init__(self, page: Node, class_: str) -> None:
        self.svg = page.one("svg", class_)
        _, _, self.width, self.height = map(float, self.svg.attributes["viewbox"].split())
        self.marks = {group.one("title").text.partition(":")[0]: group for group in self.svg.all("g", "variant")}
        self.x0 = next(tick.number("x") for tick in self.svg.all("text", "tick") if "middle" in tick.classes)
        self.y0 = next(tick.number("y") - 4 for tick in self.svg.all("text", "tick") if "end" in tick.classes)

    def place(self, name: str) -> tuple[float, float]:
        """How far a mark is from the origin, to the right and upwards."""
        found = self.marks[name].children[-1]
        if found.tag == "path":
            left, top = map(float, re.findall(r"[\d.]+", found.attributes["d"])[:2])
            return left + 5 - self.x0, self.y0 - top - 5
        return found.number("cx") - self.x0, self.y0 - found.number("cy")

    @property
    def labels(self) -> list[str]:
        return [text.text for text in self.svg.all("text", "label")]

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """What the lines of the labels cover in a wide font: left, top, right, bottom."""
        boxes = []
        for text in self.svg.all("text", "label"):
            bold = len(text.one("tspan").text)
            half = (7.9 * bold + 6.6 * (len(text.text) - bold)) / 2
            x, y = text.number("x"), text.number("y")
            boxes.append((x - half, y - 10, x + half, y + 3))
        return boxes


@pytest.fixture(params=["wide", "narrow"])
def plot(page: Node, request: pytest.FixtureRequest) -> Plot:
    return Plot(page, request.param)


def test_marks_are_as_far_from_the_origin_as_they_are_slow_and_large(plot: Plot) -> None:
    drawn = {one.name: one for one in full_report().trials if one.latency_ms is not None and one.size_bytes is not None}
    assert set(plot.marks) == set(drawn)
    x, y = plot.place("fp32")
    for name, one in drawn.items():
        assert plot.place(name)[0] == pytest.approx(x * (one.latency_ms or 0) / 0.098, abs=0.1)
        assert plot.place(name)[1] == pytest.approx(y * (one.size_bytes or 0) / 391_600, abs=0.1)


def test_the_axes_are_numbered_to_scale(plot: Plot) -> None:
    across = [tick for tick in plot.svg.all("text", "tick") if "middle" in tick.classes]
    up = [tick for tick in plot.svg.all("text", "tick") if "end" in tick.classes]
    assert len(across) >= 3
    assert len(up) >= 4
    x, y = plot.place("fp32")
    for tick in across:
        assert tick.number("x") - plot.x0 == pytest.approx(x * float(tick.text) / 0.098, abs=0.1)
    for tick in up:
        assert plot.y0 - tick.number("y") + 4 == pytest.approx(y * float(tick.text) / 391.6, abs=0.1)
    assert float(up[-1].text) >= 391.6
    assert "size, kB" in [text.text for text in plot.svg.all("text", "axis")]


def test_pytorch_is_a_line_where_its_time_is(plot: Plot) -> None:
    line = plot.svg.one("line", "reference")
    assert line.number("x1") == line.number("x2")
    assert line.number("x1") - plot.x0 == pytest.approx(plot.place("fp32")[0] * 0.153 / 0.098, abs=0.1)
    assert plot.svg.one("text", "reference").text == "PyTorch 0.153 ms"


def test_pytorch_is_an_arrow_where_it_would_push_the_variants_into_a_corner() -> None:
    far = Plot(page_of(report(pytorch_latency_ms=9.0)), "wide")
    assert not list(far.svg.all("line", "reference"))
    assert far.svg.one("text", "reference").text == "PyTorch 9.00 ms →"
    assert far.place("int8-dynamic")[0] > far.width / 2


def test_a_mark_says_whether_its_variant_passed(plot: Plot) -> None:
    kinds = {name: group.children[-1].classes[1] for name, group in plot.marks.items()}
    assert kinds == {
        "int8-static": "chosen",
        "int8-dynamic": "refused",
        "fp32": "packaged",
        "int8-blocks": "failed",
        "int8-mixed": "packaged",
    }
    assert [*plot.marks][-1] == "int8-static"  # drawn last: on top
    shapes = {kinds[name]: (group.children[-1].tag, len(group.children)) for name, group in plot.marks.items()}
    assert shapes["failed"] == ("path", 2)
    assert shapes["chosen"] == ("circle", 3)


def test_the_legend_explains_each_mark_and_names_what_is_not_drawn(page: Node) -> None:
    legend = [item.text for item in page.one("ul", "legend").children]
    assert len(legend) == 4
    assert legend[0] == "chosen"
    assert any(node.text == "Not drawn, for want of measurements: int4-weights." for node in section(page, PLOT))
    assert len(page_of(with_trials(trial("a", 1, 1.0, verdict="chosen"))).one("ul", "legend").children) == 2


def test_each_variant_is_labelled_with_its_loss(plot: Plot) -> None:
    words = " ".join(plot.labels)
    for name, loss in {"int8-static": "loses 0.10%", "int8-blocks": "loses 49.42%", "fp32": "loses nothing"}.items():
        assert f"{name} {loss}" in words


def test_variants_in_one_place_share_one_label() -> None:
    same = [trial(f"int8-{i}", 100_000, 0.05, verdict="packaged" if i else "chosen") for i in range(6)]
    for class_ in ("wide", "narrow"):
        plot = Plot(page_of(with_trials(*same)), class_)
        texts = [text for text in plot.svg.all("text", "label") if text.text.startswith("int8-")]
        assert [text.text for text in texts] == [f"int8-{i} loses nothing" for i in range(6)]
        assert len({text.number("x") for text in texts}) == 1
        assert [b.number("y") - a.number("y") for a, b in itertools.pairwise(texts)] == pytest.approx([15.0] * 5)


@pytest.mark.parametrize("class_", ["wide", "narrow"])
@given(
    places=st.lists(
        st.tuples(st.sampled_from([0.001, 0.02, 0.021, 0.04, 0.1]), st.sampled_from([1, 50_000, 52_000, 399_000])),
        min_size=1,
        max_size=7,
    )
)
def test_labels_lie_on_no_other_label_and_within_the_plot(class_: str, places: list[tuple[float, int]]) -> None:
    trials = [trial(f"int8-word-{i}", size, ms) for i, (ms, size) in enumerate(places)]
    trials[0] = msgspec.structs.replace(trials[0], verdict="chosen")
    plot = Plot(page_of(with_trials(*trials)), class_)
    assert all(
        left >= 0 and top >= 0 and right <= plot.width and bottom <= plot.height
        for left, top, right, bottom in plot.boxes
    )
    for one, other in itertools.combinations(plot.boxes, 2):
        is_beside = one[2] <= other[0] or other[2] <= one[0]
        assert is_beside or one[3] <= other[1] or other[3] <= one[1]


def test_a_variant_of_no_size_or_of_many_gigabytes_can_be_drawn() -> None:
    huge = page_of(report(trials=[trial("fp32", 30_000_000_000, 12_345.6, verdict="chosen")], chosen="fp32"))
    assert "size, GB" in [text.text for text in huge.all("text", "axis")]
    nothing = page_of(report(trials=[trial("fp32", 0, 0.0, verdict="chosen")], chosen="fp32"))
    assert Plot(nothing, "wide").place("fp32") == (0, 0)
