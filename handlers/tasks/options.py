"""What a request's `parameters` may ask of a task."""

from typing import TypeVar

import msgspec

from handlers.errors import InvalidInput

__all__ = ["read_options", "refuse_options"]

T = TypeVar("T")


def read_options(options: dict[str, object], kind: type[T]) -> T:
    """Return a request's options as an instance of `kind`, a msgspec.Struct that forbids unknown fields.

    Raises:
        InvalidInput: There is no such option, or its value makes no sense.
    """
    try:
        return msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        known = ", ".join(field.name for field in msgspec.structs.fields(kind)) or "none"  # type: ignore[arg-type]
        msg = f"parameters: {error}, expected some of: {known}"
        raise InvalidInput(msg) from error


def refuse_options(options: dict[str, object]) -> None:
    """Take no options.

    Raises:
        InvalidInput: There are some.
    """
    read_options(options, _NoOptions)


class _NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass
