"""Trains, builds, verifies, publishes and serves a digit recogniser, asks it over HTTP, and says how it went.

Each step that has left its result behind is skipped. Exits 0 only if what is served is right.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from demo.client import Answers, ask_served_model
from demo.report import print_next_commands, print_results
from demo.steps import Workplace, prepare
from export.recipes.mnist_data import load_mnist

_LEAST_ACCURACY = 0.975


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the IDX files of all of MNIST; default: the subset here")
    parser.add_argument(
        "--work", type=Path, default=Path("build/demo"), help="folder for results (default: %(default)s)"
    )
    arguments = parser.parse_args()
    console = Console()
    place = Workplace(arguments.work.resolve(), arguments.data)
    manifest = prepare(place, console)
    digits = load_mnist(arguments.data)
    answers = ask_served_model(place.store_url, digits.test_images, digits.test_labels)
    print_results(console, place, manifest, answers)
    problem = problem_with(answers, manifest.variants_for(manifest.provenance.cpu)[0].gate.score)
    if problem:
        console.print(f"[bold red]wrong[/bold red]: {problem}")
        return 1
    print_next_commands(console, place)
    return 0


def problem_with(answers: Answers, proven_accuracy: float) -> str | None:
    """Return what is wrong with the served answers, None if nothing is."""
    if answers.accuracy < _LEAST_ACCURACY:
        return f"{answers.accuracy:.2%} of the served predictions are right, expected at least {_LEAST_ACCURACY:.2%}"
    # one digit may fall on the other side of a rounding where the batch is split otherwise
    if abs(answers.accuracy - proven_accuracy) > 1.5 / answers.count:
        return f"{answers.accuracy:.2%} of the served predictions are right, the gate had proven {proven_accuracy:.2%}"
    return None


if __name__ == "__main__":
    sys.exit(main())
