"""The table of faults in docs/operations.md tells of every fault, and each of its rows is a test."""

import ast
import re

import pytest

from tests.interpreters import ROOT
from tests.servers.faults import FAULTS

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## When the store fails\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if line.startswith("| ")]
EXPLAINED = [row for row in ROWS if len(row) == 2 and row[0] != "fault"]
OUTCOMES = [row for row in ROWS if len(row) == 4 and row[0] != "fault"]
TESTS = {
    node.name
    for path in (ROOT / "tests" / "outages").glob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_fault_is_explained_and_no_other() -> None:
    assert sorted(name for what, _ in EXPLAINED for name in named(what)) == sorted(FAULTS)


@pytest.mark.parametrize("who", ["reader", "publisher", "operator"])
def test_every_fault_has_an_outcome_for_whom_it_can_meet(who: str) -> None:
    told = {name for what, whom, _, _ in OUTCOMES if whom == who for name in named(what)}

    assert set(FAULTS) - told == ({"flipped request"} if who == "reader" else set())  # a GET has no body


def test_every_outcome_is_a_test_and_every_test_is_in_the_table() -> None:
    shown = {name for *_, cell in OUTCOMES for name in named(cell)}

    assert shown - TESTS == set()
    here = {node for node in TESTS if node.startswith("test_every_")}
    assert TESTS - here - shown == set()
