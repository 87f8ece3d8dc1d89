"""Batches of instances, cut so that little is padded."""

from collections.abc import Iterator, Sequence

from handlers.tasks.task import Prepared

__all__ = ["in_groups"]

_MOST_TOKENS = 1024  # of a batch, padding included: more are no faster, and a masked LM answers 122 KB for each
_PADDING = 32  # tokens that cost about what another run of the session does (MiniLM, 2 threads: 3 to 5 ms)


def in_groups(prepared: Sequence[Prepared], most: int) -> Iterator[list[int]]:
    """Yield the indices of batches; those of about one length go together, the longest first.

    A batch has at most `most` instances and 1,024 tokens (or one instance), and is closed when it would hold more
    padding than another run of the session costs.
    """
    order = sorted(range(len(prepared)), key=lambda index: prepared[index].length)
    while order:
        longest = prepared[order[-1]].length
        size, padding = 1, 0
        while size < min(most, len(order)):
            padding += longest - prepared[order[-1 - size]].length
            if padding > _PADDING or (size + 1) * longest > _MOST_TOKENS:
                break
            size += 1
        yield order[-size:]
        del order[-size:]
