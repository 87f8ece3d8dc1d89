"""Builds models of the catalogue, as `lambdaserve build` does, and measures nothing.

`python -m benchmarks.real.builds NAME ...`: into build/real/NAME/artifact, for benchmarks that only serve them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.real.carriers import BUILD
from benchmarks.real.catalogue import LARGE, MODELS, RealModel
from export.build import BuildOptions, build
from export.errors import ExportError
from export.progress import Progress
from handlers.errors import LambdaserveError
from handlers.settings import default_threads

__all__ = ["build_artifact"]


def build_artifact(model: RealModel, threads: int) -> Path:
    """Build a model anew; return its artifact's folder.

    Raises:
        ExportError: Something that it is made of is missing, or it cannot be built.
    """
    print(f"{model.name}:", file=sys.stderr)
    artifact = BUILD / model.name / "artifact"
    options = BuildOptions(variants=model.variants, max_loss=model.max_loss, threads=threads)
    build(model.source(), artifact, options, Progress())
    return artifact


def main(arguments: Sequence[str]) -> int:
    """Build; return the exit status."""
    models = {model.name: model for model in (*MODELS, LARGE)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real.builds")
    parser.add_argument("names", nargs="+", choices=models, metavar="NAME", help=f"of {', '.join(models)}")
    try:
        for name in parser.parse_args(arguments).names:
            build_artifact(models[name], default_threads())
    except (ExportError, LambdaserveError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
