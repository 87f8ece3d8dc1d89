"""What all commands have alike: results, refusals, and the settings of what is served."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click
import msgspec

from export.errors import ExportError
from handlers.errors import LambdaserveError

if TYPE_CHECKING:
    from handlers.settings import Settings

__all__ = ["STORE_HELP", "print_json", "read_settings", "refusals"]

STORE_HELP = "Where versions live: file:///folder or s3://bucket/prefix (AWS settings as usual)."


def print_json(value: object) -> None:
    """Print a result for machines."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


def read_settings(store: str, options: "Mapping[str, str] | None" = None) -> "Settings":
    """Return the settings of the environment, with a store and options that are not empty in place of theirs.

    Raises:
        InvalidSetting: Some make no sense.
    """
    from handlers.settings import Settings  # no command reads them that only prints its help

    given = {name: value for name, value in (options or {}).items() if value}
    settings = Settings.from_environ(given={"LAMBDASERVE_STORE": store} | given)
    settings.check()
    return settings


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn what was refused into a message and exit 1; a stack trace is for faults of ours."""
    try:
        yield
    except (ExportError, LambdaserveError) as error:
        click.echo(f"lambdaserve: {error}", err=True)
        sys.exit(1)
