"""What carries real weights and data: files of installed packages, found without importing those packages."""

import importlib
from importlib import metadata
from pathlib import Path
from types import ModuleType

from export.errors import SourceError

__all__ = ["BUILD", "carried_file", "carried_module"]

BUILD = Path(__file__).resolve().parents[2] / "build" / "real"
"""Where the benchmark keeps what it downloads, trains and builds."""

_NEXT_STEP = "make real-models"


def carried_file(package: str, name: str) -> Path:
    """Return the path of a file or folder `name` inside an installed package.

    The package is not imported: most of them need others, of versions long gone, for code that is not wanted here.

    Raises:
        SourceError: The package is not installed, or of a version that does not hold it.
    """
    try:
        path = Path(str(metadata.distribution(package).locate_file(name)))
    except metadata.PackageNotFoundError as error:
        msg = f"package {package}: not installed, expected it for {name}; {_NEXT_STEP}"
        raise SourceError(msg) from error
    if not path.exists():
        msg = f"package {package}: no {name} in {metadata.version(package)}, expected another version; {_NEXT_STEP}"
        raise SourceError(msg)
    return path


def carried_module(name: str) -> ModuleType:
    """Import a module that only these benchmarks need.

    Raises:
        SourceError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        msg = f"module {name}: {error}, expected it to be installed; {_NEXT_STEP}"
        raise SourceError(msg) from error
