"""What all commands say alike: results, and refusals."""

import contextlib
import sys
from collections.abc import Iterator

import click
import msgspec

from export.errors import ExportError
from handlers.errors import LambdaserveError

__all__ = ["STORE_HELP", "print_json", "refusals"]

STORE_HELP = "Where versions live: file:///folder or s3://bucket/prefix (AWS settings as usual)."


def print_json(value: object) -> None:
    """Print a result for machines."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn what was refused into a message and exit 1; a stack trace is for faults of ours."""
    try:
        yield
    except (ExportError, LambdaserveError) as error:
        click.echo(f"lambdaserve: {error}", err=True)
        sys.exit(1)
