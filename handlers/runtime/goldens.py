"""Goldens: a few inputs whose right answers travel with the version and are checked where it is served."""

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handlers.errors import CorruptFile, GoldenMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import Goldens, Manifest, TensorSpec, Variant
    from handlers.runtime.session import Session
    from handlers.tasks.arrays import Arrays

__all__ = ["Golden", "check_goldens", "deviation", "read_goldens", "replay", "write_goldens"]

Golden = tuple["Arrays", "Arrays"]
"""Inputs by name, and the kept elements of the outputs by name, each flat."""


def write_goldens(
    path: Path, goldens: "Sequence[Golden]", inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]"
) -> None:
    """Write goldens as the `.npz` file that `handlers.registry.manifest.Goldens` describes."""
    arrays: dict[str, np.ndarray] = {}
    for i, (given, expected) in enumerate(goldens):
        arrays |= {f"{i}.input.{j}": _storable(given[spec.name]) for j, spec in enumerate(inputs)}
        arrays |= {f"{i}.output.{j}": _storable(expected[spec.name]) for j, spec in enumerate(outputs)}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_goldens(path: Path, manifest: "Manifest") -> list[Golden]:
    """Return the goldens in `path`.

    Raises:
        CorruptFile: The file is not what the manifest says.
    """
    try:
        # opened here: np.load leaves a file open that turns out to be no zip file
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return [
                (
                    {spec.name: _usable(file[f"{i}.input.{j}"], spec) for j, spec in enumerate(manifest.inputs)},
                    {spec.name: _usable(file[f"{i}.output.{j}"], spec) for j, spec in enumerate(manifest.outputs)},
                )
                for i in range(manifest.goldens.count)
            ]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path.name}: {error}, expected an .npz file with {manifest.goldens.count} goldens"
        raise CorruptFile(msg) from error


def replay(session: "Session", goldens: "Sequence[Golden]", stride: int) -> dict[str, float]:
    """Return the largest deviation of each output over all goldens.

    Raises:
        GoldenMismatch: An answer has another size than expected.
    """
    worst: dict[str, float] = {}
    for given, expected in goldens:
        found = session.run(given, list(expected))
        for name, right in expected.items():
            kept = found[name].reshape(-1)[::stride]
            if kept.shape != right.shape:
                msg = f"output {name!r}: {kept.size} golden elements, expected {right.size}"
                raise GoldenMismatch(msg)
            worst[name] = max(worst.get(name, 0.0), deviation(kept, right))
    return worst


def check_goldens(session: "Session", goldens: "Sequence[Golden]", described: "Goldens", variant: "Variant") -> None:
    """Replay the goldens through a variant's session.

    Raises:
        GoldenMismatch: An output differs by more than the manifest allows this variant.
    """
    for name, found in replay(session, goldens, described.output_stride).items():
        allowed = variant.golden_tolerance.get(name, 0.0)
        if not found <= allowed:
            msg = f"{variant.name}: output {name!r} is {found:.6g} from its goldens, expected at most {allowed:.6g}"
            raise GoldenMismatch(msg)


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest absolute difference; NaN and infinities count as equal to their like, else as infinite.

    For text it is 0 where all is equal and infinite elsewhere.
    """
    if np.dtype(object) in {found.dtype, expected.dtype}:
        return 0.0 if np.array_equal(found, expected) else float("inf")
    left, right = found.astype(np.float64), expected.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    if same.all():
        return 0.0
    difference = np.abs(left[~same] - right[~same])
    return float("inf") if np.isnan(difference).any() else float(difference.max())


def _storable(array: np.ndarray) -> np.ndarray:
    """Text is kept as fixed-width unicode: an array of objects would need pickle."""
    return array.astype(np.str_) if array.dtype == object else array


def _usable(array: np.ndarray, spec: "TensorSpec") -> np.ndarray:
    return array.astype(object) if spec.datatype == "BYTES" else array
