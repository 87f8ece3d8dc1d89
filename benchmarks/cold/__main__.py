"""How long a cold start takes, from the start of a process to its first answer, beside a floor and beside others.

`python -m benchmarks.cold [--rounds N] [NAME ...]`: the models of those names, or all. Exits 1 if an answer is not
PyTorch's, a bar is missed, or an artifact is not there; goes on without servers that are not installed, and says so.
docs/benchmarks.md says what is counted.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.cold.cases import MODELS, Case, WrongAnswer
from benchmarks.cold.contenders import Conditions, Contender, FirstAnswer, lambda_contenders
from benchmarks.cold.cpus import available, started_on
from benchmarks.cold.figures import Figures, bars_for
from benchmarks.cold.memory import reference_peak_bytes
from benchmarks.cold.packages import BUILT, make_packages
from benchmarks.cold.servers import server_contenders
from benchmarks.cold.shelf import running_shelf
from benchmarks.cold.tables import to_plot, to_tables
from benchmarks.peers.catalogue import installed_peers
from benchmarks.real.bars import missed
from benchmarks.results import describe_machine, print_tables, write_section
from handlers.registry.manifest import MANIFEST_FILE
from tests.interpreters import ROOT, find_python

_ROUNDS = 7


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Measure what is built below `root`, print and write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which models: {', '.join(MODELS)}; none: all")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"cold starts of each contender; {_ROUNDS}")
    wanted = parser.parse_args(arguments)
    unknown = sorted(set(wanted.names) - set(MODELS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(MODELS)}")
    names = wanted.names or list(MODELS)
    missing = _missing(names, root)
    if missing:
        print("\n".join(f"bench: {line}" for line in missing), file=sys.stderr)
        return 1
    try:
        figures = _measure([Case(root / _artifact(name)) for name in names], wanted.rounds)
    except WrongAnswer as error:  # a fast wrong answer is no result
        print(f"bench: WRONG ANSWER: {error}", file=sys.stderr)
        return 1
    tables, plot = to_tables(figures, wanted.rounds), to_plot(figures)
    print(describe_machine(0))
    print_tables(tables)
    if not wanted.names:  # some of them are no reason to forget the others
        write_section("cold", tables, [plot], threads=0)
    lines = [
        f"missed: {each.case.name}, {each.cpus} CPU: {bar.figure} {getattr(each, bar.figure):.6g}, {bar}"
        for each in figures
        for bar in missed(each, bars_for(each.case.name))
    ]
    print("\n".join(lines or ["every bar is met"]))
    return 1 if lines else 0


def _measure(cases: Sequence[Case], rounds: int) -> list[Figures]:
    python = find_python("3.13")
    assert python is not None  # noqa: S101 - looked at before
    packages = make_packages(python)
    peers = installed_peers()
    figures = []
    for cpus in available():
        with (
            tempfile.TemporaryDirectory() as name,
            started_on(cpus.others),
            running_shelf(Path(name), cases) as shelf,
        ):
            conditions = Conditions(cpus, shelf, python, packages, Path(name))
            groups = [lambda_contenders(conditions, cases), server_contenders(cpus, peers)]
            for case in cases:
                peak = reference_peak_bytes(conditions, case)
                label = f"{case.name}, {cpus.count} CPU"
                figures.append(Figures(case, cpus.count, _in_turns(groups, case, rounds, label), peak))
    return figures


def _in_turns(
    groups: Sequence[Sequence[Contender]], case: Case, rounds: int, label: str
) -> dict[str, list[FirstAnswer]]:
    """Return the answers of all contenders, all of them right.

    They take turns in an order drawn by lot, group after group: the last are slow, and those before them, which are
    held against each other, follow each other closely.
    """
    random = np.random.default_rng(0)
    answers: dict[str, list[FirstAnswer]] = {contender.name: [] for group in groups for contender in group}
    for _ in track(range(rounds), label, console=Console(stderr=True)):
        for contender in [group[index] for group in groups for index in random.permutation(len(group))]:
            answer = contender.start(case)
            case.check(contender.name, answer.outputs)
            answers[contender.name].append(answer)
    return answers


def _artifact(name: str) -> Path:
    return Path("build") / "real" / name / "artifact"


def _missing(names: Sequence[str], root: Path) -> list[str]:
    """Return a line for each thing that is not there, and how to get it."""
    lines = [] if find_python("3.13") else ["python3.13 is missing; install Python 3.13"]
    needed = [(BUILT.relative_to(ROOT), "make sam-build")]
    needed += [(_artifact(name) / MANIFEST_FILE, f'{MODELS[name]}, or name others: MODELS="..."') for name in names]
    return lines + [f"{path} is missing; {how}" for path, how in needed if not (root / path).exists()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
