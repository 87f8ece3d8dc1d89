"""Sources that are Python: a function of the user's that returns a `ModelSource`."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import ExportError, SourceError, in_one_line, users_line
from export.source import ModelSource

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_function"]


def load_function(word: str) -> ModelSource:
    """Return the source that `file.py:function` or `package.module:function` names.

    The function is called without arguments. The folder of a file, and the working directory for a module, are put on
    the import path first, so that the file can import what lies beside it.

    Raises:
        SourceError: There is no such file, module or function; or it raises; or it returns something else.
    """
    place, separator, function_name = word.rpartition(":")
    if not separator or not place or not function_name.isidentifier():
        msg = f"source: {word!r}, expected file.py:function or package.module:function"
        raise SourceError(msg)
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        found = sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        msg = f"source {word}: {place} has no function {function_name!r}, expected one of {', '.join(found) or 'none'}"
        raise SourceError(msg)
    source = _call(function, word)
    if not isinstance(source, ModelSource):
        msg = f"source {word}: returned {type(source).__name__}, expected an export.ModelSource"
        raise SourceError(msg)
    return source


def _import_file(path: Path) -> "ModuleType":
    if not path.is_file():
        msg = f"source: no file {path}, expected a Python file"
        raise SourceError(msg)
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(f"lambdaserve_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        msg = f"source: {path} cannot be imported, expected a Python file"
        raise SourceError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as importlib does: dataclasses and pickle look their module up there
    _call(lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    return module


def _import_module(name: str) -> "ModuleType":
    sys.path.insert(0, str(Path.cwd()))
    if _is_missing(name):
        msg = (
            f"source: no module {name}, expected one that Python finds from {Path.cwd()}; a file is named with its .py"
        )
        raise SourceError(msg)
    module: ModuleType = _call(lambda: importlib.import_module(name), name)
    return module


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError as error:  # of a parent package; what the parent's own code misses is another story
        return error.name is not None and f"{name}.".startswith(f"{error.name}.")
    except Exception:  # noqa: BLE001 - the parent's code may raise anything: importing it says what
        return False


def _call(function: Callable[[], Any], subject: str) -> Any:  # noqa: ANN401 - whatever the user's code returns
    try:
        return function()
    except ExportError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and a script may end itself
        msg = (
            f"source {subject}: {type(error).__name__}: {in_one_line(error)}{users_line(error)}; "
            "run it alone with python to see the whole trace"
        )
        raise SourceError(msg) from error
