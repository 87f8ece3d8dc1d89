"""The command `lambdaserve`. This module and `__main__` are the only ones that print or exit.

Results go to stdout, progress to stderr; exit 0 done, 1 refused, 2 usage, 130 stopped by Ctrl-C with a checkpoint to go
on from. torch is imported by `build` and `train` alone.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console

from export.errors import ExportError, TrainingInterrupted
from export.progress import Progress
from export.recipes import RECIPES
from export.recipes.stopping import stop_on_ctrl_c
from export.report import Preference
from handlers import __version__
from handlers.errors import LambdaserveError

__all__ = ["main"]

_STOPPED = 130  # what shells report for a process that SIGINT ended
_STORE_HELP = "Where versions live: file:///folder or s3://bucket/prefix (AWS settings as usual)."


def main() -> None:
    """Run the command line."""
    cli(prog_name="lambdaserve")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    r"""Turn a trained PyTorch model into a proven, quantised, versioned prediction service.

    \b
    A model's way:
      lambdaserve build my_model.py:source --out build/my-model
      lambdaserve verify build/my-model
      lambdaserve publish build/my-model --store file://$PWD/store --alias live
      lambdaserve serve --store file://$PWD/store
    """


_RECIPE_LINES = "".join(f"  {name:<18}{line}\n" for name, line in RECIPES.items())


@cli.command(epilog=f"\b\nRecipes:\n{_RECIPE_LINES}")
@click.argument("recipe")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for weights, source and learning curve.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the data.  [default: what is shipped or installed]",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Decides on initial weights and order."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="How often each sample is seen.  [default: as the recipe says]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(recipe: str, out: Path, data: Path | None, seed: int, epochs: int | None, as_json: bool) -> None:
    """Train an example model, and leave behind what `lambdaserve build` takes.

    RECIPE is one of those below, or a file.py with a RECIPE of your own. The folder then holds weights.pt, source.py,
    learning-curve.csv and learning-curve.svg. Ctrl-C leaves a checkpoint and exits 130; the same command goes on from
    there, and ends in the same weights.
    """
    if recipe not in RECIPES and not recipe.endswith(".py"):
        msg = f"{recipe!r}: expected one of {', '.join(RECIPES)}, or a file.py with a RECIPE"
        raise click.BadParameter(msg, param_hint="RECIPE")
    with _refusals(), stop_on_ctrl_c() as stop:
        try:
            from export.recipes.training import train as run
        except ModuleNotFoundError as error:
            msg = f"train: no module {error.name!r}, expected torch; `make setup` installs it"
            raise ExportError(msg) from error
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no result
                result = run(recipe, out, data, seed=seed, epochs=epochs, progress=Progress(), stop=stop)
        except (TrainingInterrupted, KeyboardInterrupt) as error:
            what = str(error) or f"training {recipe}: stopped at once, what was done since the last checkpoint is lost"
            click.echo(f"lambdaserve: {what}; the same command goes on", err=True)
            sys.exit(_STOPPED)
        if as_json:
            _print_json(msgspec.to_builtins(result, enc_hook=str))
        else:
            click.echo(f"{result.model}: {result.metric} {result.score:.4g} on {result.samples} held-out samples")
            click.echo(f"Next: lambdaserve build {result.source}:source --out {out / 'artifact'}")


@cli.command()
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
    with _refusals():
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
            _print_json(report)
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


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), help="Threads of a run while it is timed.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(artifact: Path, threads: int | None, as_json: bool) -> None:
    """Replay the goldens and the gate of the artifact in folder ARTIFACT on this machine.

    Exits 1 if a file is missing or altered, or if the variant that was chosen does not answer here as it was proven to.
    """
    with _refusals():
        from export.report import to_verification_table
        from export.verify import verify as run
        from handlers.settings import default_threads

        result = run(artifact, threads or default_threads(), Progress())
        if as_json:
            _print_json(result)
        else:
            Console().print(to_verification_table(result))
            would = f"{result.served or 'nothing'} would be served here ({result.cpu})"
            click.echo(f"{result.verdict}: {result.chosen} was chosen, {would}")
        if result.verdict == "failed":
            sys.exit(1)


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--store", required=True, help=_STORE_HELP)
@click.option("--alias", help="Let this alias name the new version; what is served is found through `live`.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def publish(artifact: Path, store: str, alias: str | None, as_json: bool) -> None:
    """Copy the artifact in folder ARTIFACT into a store as a new version.

    The version is visible when it is complete, and never changes. Without --alias it is there and not served yet.
    """
    with _refusals():
        from export.publish import publish as run
        from handlers.registry.stores import open_store

        result = run(artifact, open_store(store), alias, Progress())
        if as_json:
            _print_json(result)
        else:
            named = f", alias {result.alias}" if result.alias else ""
            click.echo(f"published {result.model} version {result.version} to {result.store}{named}")


@cli.command()
@click.option("--store", required=True, help=_STORE_HELP)
@click.option("--models", default="", help="Comma-separated names.  [default: every model that has the alias]")
@click.option("--alias", default="live", show_default=True, help="The alias through which versions are found.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a run.  [default: one per core]")
def serve(store: str, models: str, alias: str, host: str, port: int, threads: int | None) -> None:
    r"""Serve the models of a store over HTTP, with the application that runs on Lambda.

    \b
    Try it:
      curl http://127.0.0.1:8000/v2/health/ready
      curl http://127.0.0.1:8000/v2/models/my-model
    """
    with _refusals():
        from export.serve import serve as run
        from handlers.settings import Settings

        given = {"LAMBDASERVE_STORE": store, "LAMBDASERVE_MODELS": models, "LAMBDASERVE_ALIAS": alias}
        settings = Settings.from_environ(given | ({"LAMBDASERVE_THREADS": str(threads)} if threads else {}))
        settings.check()
        click.echo(f"serving {store} on http://{host}:{port} (Ctrl-C stops)", err=True)
        run(settings, host, port)


@cli.group()
def models() -> None:
    """See what is in a store."""


@models.command("list")
@click.option("--store", required=True, help=_STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_models(store: str, as_json: bool) -> None:
    """List the models of a store, their versions, and what their aliases name."""
    with _refusals():
        from export.catalogue import list_models as run
        from export.catalogue import to_models_table
        from handlers.registry.stores import open_store

        found = run(open_store(store))
        if as_json:
            _print_json(found)
        else:
            Console().print(to_models_table(found))


@models.command("show")
@click.argument("model")
@click.argument("version", required=False)
@click.option("--store", required=True, help=_STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show_model(model: str, version: str | None, store: str, as_json: bool) -> None:
    """Show what VERSION of MODEL is made of; without VERSION, what `live` names."""
    with _refusals():
        from export.catalogue import show_version, to_version_table
        from handlers.registry.stores import open_store

        manifest = show_version(open_store(store), model, version)
        if as_json:
            _print_json(manifest)
        else:
            Console().print(to_version_table(manifest))


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn what was refused into a message and exit 1; a stack trace is for faults of ours."""
    try:
        yield
    except (ExportError, LambdaserveError) as error:
        click.echo(f"lambdaserve: {error}", err=True)
        sys.exit(1)
