"""The error tree of the export side.

ExportError
├── SourceError       the source cannot be had, or what it returns is no usable `ModelSource`
├── DataError         data or weights that a source brings are missing, broken or do not fit the model
├── ConversionError   the model cannot be turned into ONNX, or the ONNX does not answer as PyTorch does
├── GateError         a measurement that decides on a variant could not be taken
├── ColdStartError    a cold start could not be measured, or ended in a wrong answer
├── OutputError       a folder of results cannot be written, or is not what it should be
└── TrainingInterrupted  a training was stopped as the user wished; it goes on from its checkpoint

Messages read `<subject>: <found>, <expected>[; <next step>]`.
"""

import os
import sysconfig
import traceback
from pathlib import Path

_INSTALLED = tuple(
    path + os.sep
    for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if path
)

_OURS = (Path(__file__).parent, Path(__file__).parent / "sources")  # not the recipes: they are users' code like any


class ExportError(Exception):
    """Base of everything that the export step raises on purpose; the command line exits 1 with its message."""


class SourceError(ExportError):
    """The source cannot be had, or what it returns is no usable `ModelSource`."""


class DataError(ExportError):
    """Data or weights that a source brings are missing, broken or do not fit the model."""


class ConversionError(ExportError):
    """The model cannot be turned into ONNX, or the ONNX does not answer as PyTorch does."""


class GateError(ExportError):
    """A measurement that decides on a variant could not be taken."""


class ColdStartError(ExportError):
    """A cold start could not be measured, or ended in a wrong answer."""


class OutputError(ExportError):
    """The artifact folder cannot be written, or is not what it should be."""


class TrainingInterrupted(ExportError):
    """A training was stopped as the user wished; it goes on from its checkpoint."""


def in_one_line(error: BaseException) -> str:
    """Return what an error says, its lines joined: torch lists the weights that do not fit on lines of their own."""
    return " ".join(str(error).split())


def users_line(error: BaseException) -> str:
    """Return " (file, line n)" for the last line of the user's own code that led to `error`, "" if there is none.

    The innermost line is mostly one of torch's, where the user can do nothing.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        installed = frame.filename.startswith(("<", *_INSTALLED))
        if not installed and Path(frame.filename).parent not in _OURS:
            return f" ({frame.filename}, line {frame.lineno})"
    return ""
