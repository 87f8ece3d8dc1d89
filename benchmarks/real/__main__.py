"""Builds models with real weights, measures what was chosen, and holds it against its bars.

`python -m benchmarks.real [NAME ...]`: the models of those names, or all. Exits 1 if a bar is missed or a model could
not be built.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.real.bars import missed
from benchmarks.real.builds import build_artifact
from benchmarks.real.catalogue import MODELS, RealModel
from benchmarks.real.figures import Figures, measure
from benchmarks.real.table import to_table
from benchmarks.results import describe_machine, print_tables, write_section
from export.errors import ExportError
from handlers.errors import LambdaserveError
from handlers.settings import default_threads


def main(arguments: Sequence[str]) -> int:
    """Build, measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real")
    names = [model.name for model in MODELS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which models: {', '.join(names)}; none: all")
    wanted = parser.parse_args(arguments).names
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(names)}")
    threads = default_threads()
    rows, failed = [], False
    for model in MODELS:
        if wanted and model.name not in wanted:
            continue
        try:
            rows.append((model.name, _figures(model, threads), model.bars))
        except (ExportError, LambdaserveError) as error:  # the others are worth their time all the same
            print(f"bench: {model.name}: {error}", file=sys.stderr)
            failed = True
    print(describe_machine(threads))
    table = to_table(rows)
    print_tables([table])
    if not wanted:  # some of them are no reason to forget the others
        write_section("models", [table], threads=threads)
    lines = [f"missed: {name}: {bar.figure} {bar}" for name, figures, bars in rows for bar in missed(figures, bars)]
    print("\n".join(lines or ["every bar is met" if rows else "nothing was measured"]))
    return 1 if failed or lines else 0


def _figures(model: RealModel, threads: int) -> Figures:
    artifact = build_artifact(model, threads)
    # the source anew: what is measured must owe nothing to what the build has done to it
    return measure(model.source(), artifact, threads, classifies=model.classifies)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
