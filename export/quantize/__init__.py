"""fp32 ONNX -> candidate variants. The only place in the export step that touches onnxruntime's quantiser.

Each variant is written by a function of its own; whether it is any good is measured elsewhere.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from export.quantize.int8 import quantize_dynamically, quantize_statically
from handlers.tasks.arrays import Arrays

__all__ = ["VARIANTS", "write_variant"]

VARIANTS = ("int8-dynamic", "int8-static")
"""What is tried beside fp32, which always is."""

NEEDS_CALIBRATION = frozenset({"int8-static"})


def write_variant(name: str, fp32: Path, target: Path, calibration: Sequence[Arrays]) -> None:
    """Write the variant `name` of the model in `fp32` to `target`.

    Raises:
        Exception: Whatever onnxruntime's quantiser raises on graphs that it cannot take; a candidate that cannot be
            made is no candidate, and the caller reports why.
    """
    writers: dict[str, Callable[[], None]] = {
        "int8-dynamic": lambda: quantize_dynamically(fp32, target),
        "int8-static": lambda: quantize_statically(fp32, target, calibration),
    }
    with _quiet():
        writers[name]()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice off the terminal: it logs to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
