"""Opens a session in every way, a fresh process each, in turns, and prints what each takes as a table in Markdown.

`python -m benchmarks.opening [--cpus N] [--rounds N] ARTIFACT ...`: of each artifact, the variant that is served on
this machine, under the Python and from the package of the Lambda function.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.opening.levers import LEVERS, prepare
from benchmarks.opening.trials import Opening, Subject, open_once, read_subject
from tests.interpreters import ROOT, find_python

_PACKAGE = ROOT / ".aws-sam" / "build" / "InferenceFunction"
_HEADINGS = ("", "open ms", "of it CPU", "first run ms", "second", "later", "open and first", "peak MB", "anonymous MB")


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opening")
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT", help="folders that build has made")
    parser.add_argument("--cpus", type=int, default=1, help="that the process may use (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the medians are shown (default: 5)")
    wanted = parser.parse_args(arguments)
    python = find_python("3.13")
    for needed, how in ((python, "install Python 3.13"), (_PACKAGE, "make sam-build")):
        if needed is None or not needed.exists():
            print(f"bench: {needed or 'python3.13'} is missing; {how}", file=sys.stderr)
            return 1
    assert python is not None  # noqa: S101 - looked at above
    for artifact in wanted.artifacts:
        subject = read_subject(artifact)
        print(f"{subject.name}, CPUs: {wanted.cpus}, medians of {wanted.rounds}\n")
        print(_to_table(_measure(subject, python, wanted.cpus, wanted.rounds)), flush=True)
    return 0


def _measure(subject: Subject, python: Path, cpus: int, rounds: int) -> dict[str, Opening]:
    """Return the medians by the lever's name."""
    found: dict[str, list[dict[str, float]]] = {lever.name: [] for lever in LEVERS}
    with tempfile.TemporaryDirectory() as folder:
        prepare(subject.artifact / subject.variant.file, Path(folder))
        for _ in track(range(rounds), subject.name, console=Console(stderr=True)):
            for lever in LEVERS:
                opening = open_once(lever, subject, Path(folder), python, _PACKAGE, cpus)
                found[lever.name].append(asdict(opening))
    return {
        name: Opening(**{key: statistics.median(one[key] for one in openings) for key in openings[0]})
        for name, openings in found.items()
    }


def _to_table(found: Mapping[str, Opening]) -> str:
    lines = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for name, opening in found.items():
        times_s = (opening.open_s, opening.cpu_s, opening.first_s, opening.second_s, opening.warm_s)
        milliseconds = (1e3 * value for value in (*times_s, opening.open_s + opening.first_s))
        megabytes = (value / 1e6 for value in (opening.peak_bytes, opening.anonymous_bytes))
        lines.append((name, *(f"{value:.1f}" for value in milliseconds), *(f"{value:.0f}" for value in megabytes)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
