"""What a build reports: as JSON, in one line, and as a table."""

import io
import re
from typing import get_args, get_type_hints

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from export.report import (
    Confusion,
    FloatNode,
    OutputError,
    Report,
    Search,
    Trial,
    to_table,
    to_verification_table,
)
from export.verify import Check, Verification
from handlers.registry.manifest import Calibration, Gate
from tests.export.reports import confusion, float_nodes, report, trial
from tests.interpreters import ROOT

DOCUMENT = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def shown(table: Table, width: int = 200) -> str:
    """The table as it stands on a terminal."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False).print(table)
    return file.getvalue()


def cells(table: Table, name: str) -> list[str]:
    """What stands in the row of that name, column by column; its lines are joined by spaces."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown(table).splitlines() if "│" in line]
    start = next(i for i, line in enumerate(lines) if line[0] == name)
    end = next((i for i in range(start + 1, len(lines)) if lines[i][0]), len(lines))
    return [" ".join(filter(None, column)) for column in zip(*lines[start:end], strict=True)]


def test_the_first_line_says_what_was_chosen_and_what_it_gains() -> None:
    assert report().summary == (
        "mnist-cnn: chose int8-static: 114.9 kB, 29% of fp32 and 29% of PyTorch; 0.0490 ms a run, 2.0 times as fast "
        "as fp32 and 3.1 times as fast as PyTorch; accuracy 0.9875 (fp32 0.9885, PyTorch 0.9885: loses 0.10%)"
    )


def test_the_first_line_of_a_build_that_gained_nothing_compares_with_pytorch_alone() -> None:
    only = [trial("fp32", 391_600, 0.306, 0.9890, verdict="chosen")]
    assert report(chosen="fp32", trials=only).summary == (
        "mnist-cnn: chose fp32: 391.6 kB; 0.306 ms a run, 2.0 times as slow as PyTorch; "
        "accuracy 0.9890 (PyTorch 0.9885: gains 0.05%)"
    )


def test_each_warning_has_a_line_of_its_own_after_the_first() -> None:
    summary = report(warnings=["few\nsamples", "one look"]).summary.splitlines()
    assert summary[1:] == ["warning: few samples", "warning: one look"]
    assert len(report().summary.splitlines()) == 1


def test_the_table_has_each_trial_with_its_ratios() -> None:
    table = to_table(report())
    assert cells(table, "PyTorch") == ["PyTorch", "0.9885", "", "0.153 ms", "reference"]
    assert cells(table, "int8-static") == [
        "int8-static",
        "0.9875 loses 0.10%",
        "114.9 kB 29% of fp32",
        "0.0490 ms 32% of PyTorch",
        "chosen: why int8-static",
    ]
    assert cells(table, "int8-dynamic")[3:] == ["0.262 ms 171% of PyTorch", "rejected: why int8-dynamic"]
    assert cells(table, "fp32")[1:3] == ["0.9885 loses nothing", "391.6 kB 100% of fp32"]


def test_a_trial_that_could_not_be_made_has_its_reason_and_no_numbers() -> None:
    broken = Trial(name="int4", verdict="rejected", why="cannot be quantised")
    assert cells(to_table(report(trials=[*report().trials, broken])), "int4") == [
        "int4",
        "",
        "",
        "",
        "rejected: cannot be quantised",
    ]


def test_the_table_fits_a_terminal_of_80_columns_without_a_number_that_is_broken() -> None:
    large = [
        trial("int8-dynamic", 112_345_678, 1234.5, -1234.56, verdict="chosen", why="a long reason " * 9),
        trial("fp32", 999_900_000, 2345.6),
    ]
    lines = shown(to_table(report(chosen="int8-dynamic", trials=large, pytorch_latency_ms=1.5)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    for words in ("int8-dynamic", "112.3 MB", "11% of fp32", "1,234 ms"):
        assert any(words in line for line in lines), words


def test_names_and_messages_are_shown_as_they_are_and_steer_no_terminal() -> None:
    hostile = "[red]x[/red] [/] \x1b[31m\u202e"
    trials = [trial(hostile, 1, 1.0, verdict="chosen", why=hostile), trial("fp32", 1, 1.0)]
    table = to_table(report(metric=hostile, chosen=hostile, trials=trials))
    for text in (shown(table_of_only(hostile)), shown(table)):
        assert "[red]x[/red] [/] \ufffd[31m\ufffd" in text
        assert "\x1b" not in text
    assert "\x1b" not in report(warnings=[hostile]).summary


def table_of_only(name: str) -> Table:
    check = Check(name, problem=name, warning=None, gate=None, latency_ms=None, built_latency_ms=1.0)
    return to_verification_table(
        Verification(model="m", cpu="x86_64", chosen="fp32", served=None, checks=[check, check])
    )


def test_what_is_written_is_read_again_unchanged() -> None:
    before = report(
        confusion=confusion(3, 50),
        trials=[*report().trials, trial("int8-mixed", 1, 1.0, float_nodes=float_nodes(5))],
        warnings=["one"],
    )
    assert msgspec.json.decode(msgspec.json.encode(before), type=Report) == before


@pytest.mark.parametrize(
    ("struct", "title"),
    [
        (Report, "## report.json"),
        (Trial, "A trial:"),
        (Gate, "A gate:"),
        (OutputError, "An error of an output"),
        (FloatNode, "A node that stays in float"),
        (Calibration, "The calibration:"),
        (Search, "The search for nodes"),
        (Confusion, "The confusion of classes"),
    ],
)
def test_the_document_has_each_field_in_its_order(struct: type[msgspec.Struct], title: str) -> None:
    table = DOCUMENT[DOCUMENT.index(title) :].split("|---|", 1)[1].split("\n\n", 1)[0]
    documented = [name for line in table.splitlines()[1:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert documented == list(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("struct", "field"), [(Report, "prefer"), (Trial, "verdict"), (Calibration, "source"), (FloatNode, "stored")]
)
def test_the_document_has_each_value_that_a_field_can_take(struct: type[msgspec.Struct], field: str) -> None:
    [line] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{field}` |")]
    assert set(get_args(get_type_hints(struct)[field])) <= set(re.findall(r"`([\w-]+)`", line.split("|", 2)[2]))
