"""Sources of the benchmark, where what they are made of is installed."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from export.errors import SourceError

T = TypeVar("T")


def or_skip(make: Callable[[], T]) -> T:
    """Return what `make` makes; skip the test, with the reason, where a package or file that it reads is missing."""
    try:
        return make()
    except SourceError as error:
        if "; make " not in str(error):  # any other is a fault
            raise
        pytest.skip(str(error))
