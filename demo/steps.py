"""The steps before serving, each of which leaves a file behind and is skipped where that is there."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from export.catalogue import list_models, show_version
from export.progress import Progress
from export.recipes.trained import WEIGHTS_FILE
from export.recipes.training import train
from handlers.registry.manifest import Manifest
from handlers.registry.stores import open_store

MODEL = "mnist-cnn"


@dataclass(frozen=True)
class Workplace:
    """Where the demo keeps what it makes."""

    work: Path
    data: Path | None

    @property
    def folder(self) -> Path:
        """The folder of this data's results: those for all of MNIST are others than those for the subset."""
        return self.work if self.data is None else self.work / "all"

    @property
    def training(self) -> Path:
        """Weights, and the source that gives them back."""
        return self.folder / MODEL

    @property
    def artifact(self) -> Path:
        """What `lambdaserve build` makes."""
        return self.folder / "artifact"

    @property
    def store_url(self) -> str:
        """Where `lambdaserve publish` puts it."""
        return (self.folder / "store").as_uri()


def prepare(place: Workplace, console: Console) -> Manifest:
    """Do what is missing, and return the manifest of the version that is live."""
    if (place.training / WEIGHTS_FILE).exists():
        console.print(f"1. trained already: {place.training}")
    else:
        console.print("1. training the MNIST CNN recipe")
        _train(place, console)
    store = open_store(place.store_url)
    if any(model.name == MODEL and "live" in model.aliases for model in list_models(store)):
        console.print(f"2. published already: {place.store_url}")
    else:
        _lambdaserve(console, "build", f"{place.training}/source.py:source", "--out", str(place.artifact))
        _lambdaserve(console, "verify", str(place.artifact))
        _lambdaserve(console, "publish", str(place.artifact), "--store", place.store_url, "--alias", "live")
    return show_version(store, MODEL, None)


def _train(place: Workplace, console: Console) -> None:
    started = time.perf_counter()
    result = train(MODEL, place.training, place.data, progress=Progress())
    duration_s = time.perf_counter() - started
    console.print(f"   {result.score:.2%} of the held-out images are recognised after {duration_s:.0f} s")


def _lambdaserve(console: Console, *arguments: str) -> None:
    console.print(f"2. [bold]lambdaserve {' '.join(arguments)}[/bold]", soft_wrap=True)
    subprocess.run([sys.executable, "-m", "export", *arguments], check=True)
