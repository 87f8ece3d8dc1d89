"""`lambdaserve build`."""

import contextlib
import sys
from pathlib import Path

import click
from rich.console import Console

from export.cli.output import print_json, refusals
from export.errors import ExportError
from export.progress import Progress
from export.report import Preference

__all__ = ["build"]


@click.command()
@click.argument("source")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the artifact; an older artifact is replaced.",
)
@click.option(
    "--max-loss",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Largest loss that a variant may have, relative to PyTorch's score.",
)
@click.option(
    "--variants", default="auto", show_default=True, help="auto, or a comma-separated list; fp32 is always built."
)
@click.option(
    "--prefer",
    default="balanced",
    show_default=True,
    type=click.Choice(["size", "latency", "balanced"]),
    help="Which of the variants that pass is chosen: the smallest, the fastest, or the smallest product of both.",
)
@click.option(
    "--search-seconds",
    default=120,
    show_default=True,
    type=click.IntRange(0),
    help="How long to search for what must stay in float.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads of a run while it is timed.  [default: one per core]")
@click.option("--name", help="Name of the model.  [default: made of the folder's or file's]")
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    help="For a model folder: texts, one a line; one half calibrates, the other judges.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=DATATYPE[AXES]",
    help="For TorchScript: an example input such as image=FP32[batch,3,224,224], where a word is an axis that varies; "
    "once for each input, in their order.",
)
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="For a file: name of an output, in order.")
@click.option("--allow-pickle", is_flag=True, help="Unpickle the file, which runs whatever code is in it.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def build(
    source: str,
    out: Path,
    max_loss: float,
    variants: str,
    prefer: Preference,
    search_seconds: int,
    threads: int | None,
    name: str | None,
    texts: Path | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    allow_pickle: bool,
    as_json: bool,
) -> None:
    """Convert SOURCE to ONNX, quantise it, and package the variants that pass the gate.

    SOURCE is file.py:function or package.module:function, where the function takes nothing and returns an
    export.ModelSource: the trained module, example inputs, and, for int8 that is worth having, calibration and
    evaluation data. Or it is a Hugging Face model folder (give --texts too), a .pt2 file of torch.export.save, or a
    TorchScript file (give --input too). docs/sources.md says more.

    Each variant is measured against PyTorch: its score on the evaluation data, its size, its time. Of those that lose
    no more than --max-loss, are smaller than fp32 and not slower, the one that --prefer asks for is chosen; if there is
    none, fp32 is. Where int8 loses too much, the nodes that cost the accuracy are searched for and left in float.
    """
    with refusals():
        try:
            from export.build import VARIANTS, BuildOptions
            from export.build import build as run
            from export.source import load_source
            from export.sources import SourceOptions
        except ModuleNotFoundError as error:
            msg = f"build: no module {error.name!r}, expected torch and onnx; `make setup` installs them"
            raise ExportError(msg) from error
        from export.report import to_table
        from export.report_page import REPORT_PAGE
        from handlers.settings import default_threads

        wanted = VARIANTS if variants == "auto" else _variants(variants, VARIANTS)
        options = BuildOptions(wanted, max_loss, threads or default_threads(), prefer, search_seconds)
        progress = Progress()
        with contextlib.redirect_stdout(sys.stderr):  # what the user's code prints is no result
            with progress.step("Importing the source"):
                loaded = load_source(source, SourceOptions(name, texts, inputs, outputs, allow_pickle))
            report = run(loaded, out, options, progress)
        if as_json:
            print_json(report)
        else:
            click.echo(report.summary)
            Console().print(to_table(report))
            click.echo(f"Report: {out / REPORT_PAGE}")
            click.echo(f"Next: lambdaserve verify {out}")


def _variants(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "fp32"))
    unknown = [name for name in names if name not in known]
    if unknown:
        msg = f"{', '.join(unknown)}: expected auto, or some of fp32, {', '.join(known)}"
        raise click.BadParameter(msg, param_hint="--variants")
    return names
