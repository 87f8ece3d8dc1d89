"""What a training leaves behind, and the source that `lambdaserve build` gets from it."""

import io
from pathlib import Path

import torch
from torch import nn

from export.errors import DataError, OutputError
from export.recipes.files import write_whole
from export.recipes.recipe import Dataset, Recipe, Split, find_recipe
from export.source import Batch, Evaluation, ModelSource

__all__ = [
    "SOURCE_FILE",
    "WEIGHTS_FILE",
    "batches",
    "load_weights",
    "prepare_folder",
    "trained_source",
    "write_trained",
]

WEIGHTS_FILE, SOURCE_FILE = "weights.pt", "source.py"
CALIBRATION_SAMPLES = 512
BATCH = 64  # of calibration and evaluation

_SOURCE_HEAD = "# Written by `lambdaserve train`: gives the network beside this file to `lambdaserve build`.\n"
_SOURCE_TEXT = f"""{_SOURCE_HEAD}from pathlib import Path
from export.recipes.trained import trained_source
def source():
    return trained_source({{}})
"""


def trained_source(word: str, directory: Path, data: Path | None = None) -> ModelSource:
    """Return the network that a training left in `directory`, with the data that calibrate and judge it.

    Calibration: the first 512 samples that were trained on. Evaluation: all that were held out.

    Args:
        word: Name of the recipe, or path of the file that holds it.
        directory: Holds `weights.pt`.
        data: Folder that the recipe reads; None: what is shipped or installed.

    Raises:
        DataError: Weights or data are missing, broken or do not fit.
        SourceError: There is no such recipe.
    """
    recipe = find_recipe(word)
    dataset = recipe.load(data)
    network = load_weights(recipe, dataset, directory / WEIGHTS_FILE)
    calibration = Split(
        {name: values[:CALIBRATION_SAMPLES] for name, values in dataset.train.inputs.items()},
        dataset.train.targets[:CALIBRATION_SAMPLES],
    )
    return ModelSource(
        name=recipe.name,
        module=recipe.finished(network),
        inputs={name: torch.from_numpy(values[:1].copy()) for name, values in dataset.train.inputs.items()},
        outputs=[recipe.output],
        dynamic=recipe.dynamic,
        calibration=[inputs for inputs, _ in batches(recipe, calibration)],
        evaluation=Evaluation(batches(recipe, dataset.test), metric=recipe.metric),
        task=recipe.task(dataset),
        tokenizer=dataset.tokenizer,
    )


def batches(recipe: Recipe, split: Split) -> list[Batch]:
    """Cut samples into batches of at most 64, in the order given: pairs of trimmed inputs by name and targets."""
    pieces = [slice(start, start + BATCH) for start in range(0, len(split), BATCH)]
    return [
        (recipe.trim({name: values[piece] for name, values in split.inputs.items()}), split.targets[piece])
        for piece in pieces
    ]


def load_weights(recipe: Recipe, dataset: Dataset, path: Path) -> nn.Module:
    """Return the recipe's network in eval mode with the weights of a state dict; no code in the file is run.

    Raises:
        DataError: The file is missing, is no state dict of this network, or holds values that are not finite.
    """
    next_step = f"train with `lambdaserve train {recipe.name}`"
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        network = recipe.network(dataset)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch lets through whatever its parsers meet in bytes that are something else
        # Without torch's own text: it explains how to load the file unsafely.
        found = f"something else ({type(error).__name__})" if path.is_file() else "file is not there"
        msg = f"{path}: {found}, expected the state dict of {recipe.name}; {next_step}"
        raise DataError(msg) from error
    if not all(weights.isfinite().all() for weights in network.state_dict().values()):
        msg = f"{path}: NaN or infinity among the weights, expected finite values; {next_step}"
        raise DataError(msg)
    return network.eval()


def prepare_folder(out: Path) -> None:
    """Create the folder, and refuse one with weights or a source that no training wrote.

    Raises:
        OutputError: It cannot be written to, or holds files of somebody else.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = [name for name in (SOURCE_FILE, WEIGHTS_FILE) if (out / name).exists()]
        ours = SOURCE_FILE in taken and (out / SOURCE_FILE).read_bytes().startswith(_SOURCE_HEAD.encode())
    except OSError as error:
        msg = f"{out}: {error.strerror}, expected a folder to write to"
        raise OutputError(msg) from error
    if taken and not ours:
        msg = f"{out}: holds another {' and '.join(taken)}, expected files of a training or none; choose a new folder"
        raise OutputError(msg)


def write_trained(word: str, network: nn.Module, out: Path, data: Path | None) -> None:
    """Write `source.py` and `weights.pt` into `out`, each of them whole or not at all.

    Raises:
        OutputError: They cannot be written.
    """
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    recipe = repr(str(Path(word).resolve()) if word.endswith(".py") else word)
    places = [recipe, "Path(__file__).parent", *([] if data is None else [f"Path({str(data.resolve())!r})"])]
    # The source goes first: alone it says what to do, while weights alone would be taken for somebody else's.
    write_whole(out / SOURCE_FILE, _SOURCE_TEXT.format(", ".join(places)).encode())
    write_whole(out / WEIGHTS_FILE, weights.getvalue())
