"""Names that become parts of keys and paths, and the keys of everything in a store.

Nothing that comes from outside touches a store before it has gone through here.
"""

import re

from handlers.errors import InvalidName

_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ALIAS = re.compile(r"(?![0-9]+\Z)[a-z0-9][a-z0-9-]{0,62}")  # no version: paths take either
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def check_model_name(name: str) -> str:
    """Return `name` if it is a model's.

    Raises:
        InvalidName: It is not.
    """
    return _check(_MODEL, name, "model name", "1 to 63 of a-z, 0-9 and -, not starting with -")


def is_model_name(name: str) -> bool:
    """Tell whether it is a model's."""
    return _MODEL.fullmatch(name) is not None


def is_version(name: str) -> bool:
    """Tell whether it is a version."""
    return _VERSION.fullmatch(name) is not None


def check_alias(name: str) -> str:
    """Return `name` if it is an alias. Raises as `check_model_name` does."""
    return _check(_ALIAS, name, "alias", "1 to 63 of a-z, 0-9 and -, not starting with -, and not all digits")


def check_version(version: str) -> str:
    """Return `version` if it is one. Raises as `check_model_name` does."""
    return _check(_VERSION, version, "version", "a positive integer such as 1")


def _check(pattern: re.Pattern[str], value: str, what: str, expected: str) -> str:
    if pattern.fullmatch(value) is None:
        msg = f"{what}: {value[:80]!r}, expected {expected}"
        raise InvalidName(msg)
    return value


def models_prefix() -> str:
    """Return the prefix below which every model has a folder."""
    return "models/"


def model_prefix(model: str) -> str:
    """Return the prefix below which all of `model` lies."""
    return f"models/{check_model_name(model)}/"


def aliases_key(model: str) -> str:
    """Return the key of the object that holds all aliases of `model`."""
    return f"{model_prefix(model)}aliases.json"


def versions_prefix(model: str) -> str:
    """Return the prefix below which every version of `model` has a folder."""
    return f"{model_prefix(model)}versions/"


def file_key(model: str, version: str, file: str) -> str:
    """Return the key of one file of a version."""
    return f"{versions_prefix(model)}{check_version(version)}/{file}"
