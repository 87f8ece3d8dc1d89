"""What every task does, on either side of the session: the export step and the service run the same code."""

from collections.abc import Sequence
from typing import Any, Protocol

from handlers.tasks.arrays import Arrays

__all__ = ["MOST_INSTANCES", "Prepared", "Schema", "Task"]

MOST_INSTANCES = 100_000
"""Of a request: each takes some 500 bytes, however little it holds, and a body of 6 MB may have two million of them."""

Schema = dict[str, Any]
"""A JSON Schema, of the dialect of OpenAPI 3.0."""


class Prepared(Protocol):
    """One instance of a user's input, decoded and checked."""

    @property
    def length(self) -> int:
        """What batches are grouped by, so that little is padded: tokens of a text; 1 where all are alike."""


class Task(Protocol):
    """A task that is ready to use: made once per model, safe to use from several threads.

    `prepare`, the session, `answer`: instances stay in their order. What is prepared may be cut into batches at will.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """The model's outputs that `answer` reads."""

    @property
    def media_types(self) -> tuple[str, ...]:
        """Content types of a body that is one instance, beside JSON: `image/png`, `text/plain`; `text/csv` is many."""

    def memory_bytes(self, instances: Sequence[object]) -> int:
        """Return what `prepare` takes at its peak, where a small instance may hide something large; 0 elsewhere.

        Raises:
            InvalidInput: As `prepare`, where what is looked at for this cannot be used.
        """

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """Decode and check instances: JSON values as msgspec decodes them; bytes where they came as a raw body.

        A body of CSV comes as a `handlers.tasks.table.TextRow` for each row.

        Raises:
            InvalidInput: One cannot be used; the message says which, what was found and what was expected.
        """

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        """Return the model's inputs for a batch."""

    def check_options(self, options: dict[str, object]) -> object:
        """Return what a request's `parameters` ask for, as `answer` takes it.

        Raises:
            InvalidInput: There is no such option, or its value makes no sense.
        """

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """Return what to tell the user of each instance of a batch, fit for JSON."""

    def count_tokens(self, prepared: Sequence[Prepared]) -> int:
        """Return how many tokens these are; 0 where nothing is tokenised."""

    @property
    def instance_schema(self) -> Schema:
        """The schema of an instance."""

    @property
    def options_schema(self) -> Schema:
        """The schema of `parameters`."""

    @property
    def prediction_schema(self) -> Schema:
        """The schema of an answer to one instance."""

    @property
    def example(self) -> object:
        """An instance that is answered with 200."""
