"""What the demo prints in the end."""

from rich.console import Console
from rich.table import Table

from demo.client import Answers
from demo.steps import MODEL, Workplace
from export.recipes.trained import WEIGHTS_FILE
from export.report import format_size
from handlers.registry.manifest import Manifest

_SHOWN_DIGITS = 8


def print_results(console: Console, place: Workplace, manifest: Manifest, answers: Answers) -> None:
    """Print one table of what was measured, and what was predicted for which digit."""
    fp32 = manifest.variants[-1]
    chosen = manifest.variants_for(manifest.provenance.cpu)[0]
    table = Table(title=f"{MODEL} on {answers.count} held-out digits")
    for column in ("", "accuracy", "size", "prediction"):
        table.add_column(column, no_wrap=True)
    weights_bytes = (place.training / WEIGHTS_FILE).stat().st_size
    pytorch_ms = manifest.provenance.pytorch_latency_ms
    table.add_row("PyTorch fp32", f"{fp32.gate.reference:.2%}", format_size(weights_bytes), f"{pytorch_ms:.3f} ms")
    table.add_row("ONNX fp32", f"{fp32.gate.score:.2%}", _size(manifest, fp32.file), f"{fp32.latency_ms:.3f} ms")
    table.add_row(
        f"chosen: {chosen.name}",
        f"{chosen.gate.score:.2%}",
        _size(manifest, chosen.file),
        f"{chosen.latency_ms:.3f} ms",
    )
    table.add_row("served over HTTP", f"{answers.accuracy:.2%}", "", "")
    shown = slice(_SHOWN_DIGITS)
    table.add_section()
    table.add_row("start to first answer", f"{answers.first_answer_s:.2f} s")
    table.add_row("digits sent", " ".join(map(str, answers.labels[shown])))
    table.add_row("digits predicted", " ".join(map(str, answers.predicted[shown])))
    console.print(table)


def print_next_commands(console: Console, place: Workplace) -> None:
    """Print the three commands that a newcomer wants next."""
    console.print("\nNext:")
    commands = {
        "serve it, and ask it": f".venv/bin/lambdaserve serve --store {place.store_url} & sleep 3; "
        f"curl http://127.0.0.1:8000/v2/models/{MODEL}",
        "your own model": ".venv/bin/lambdaserve build my_model.py:source --out build/my-model",
        "deploy": "make deploy",
    }
    for what, command in commands.items():
        console.print(f"  {what}:\n    {command}", soft_wrap=True, highlight=False)


def _size(manifest: Manifest, file: str) -> str:
    return format_size(manifest.files[file].size)
