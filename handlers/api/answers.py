"""How large an answer may be: what Lambda hands on, counted as it travels."""

from dataclasses import dataclass

from handlers.errors import AnswerTooLarge

__all__ = ["AnswerLimit"]

_TEXT = ("text/", "application/json", "application/javascript", "application/xml")
"""Media types that travel as text, as Mangum has it; all others, and whatever is compressed, are base64."""


@dataclass(frozen=True)
class AnswerLimit:
    """The largest body of an answer, in bytes as it travels: base64 where it is binary, a JSON string where it is text.

    None: any size.
    """

    max_bytes: int | None = None

    def largest(self, media_type: str, *, compressed: bool = False) -> int | None:
        """Return how long a body of that type may be for certain; None: as long as it likes.

        Text may be longer if it has few quotes, which take two bytes each on their way: `travels` tells.
        """
        if self.max_bytes is None:
            return None
        return self.max_bytes // 2 if _is_text(media_type, compressed=compressed) else self.max_bytes // 4 * 3

    def travels(self, media_type: str, body: bytes, *, compressed: bool = False) -> int:
        """Return how many bytes a body takes on its way."""
        if not _is_text(media_type, compressed=compressed):
            return (len(body) + 2) // 3 * 4
        # control characters, which take six, are not in JSON
        return len(body) + body.count(b'"') + body.count(b"\\") + body.count(b"\n")

    def check(self, media_type: str, body: bytes, *, compressed: bool = False) -> None:
        """Refuse an answer that is too large.

        Raises:
            AnswerTooLarge: It is.
        """
        if self.max_bytes is None or len(body) * 2 <= self.max_bytes:
            return
        size = self.travels(media_type, body, compressed=compressed)
        if size > self.max_bytes:
            msg = (
                f"answer: {size} bytes as it travels, expected at most {self.max_bytes}; ask for fewer outputs or "
                "samples, in binary, or through the payload bucket (`payload_output`)"
            )
            raise AnswerTooLarge(msg)


def _is_text(media_type: str, *, compressed: bool) -> bool:
    return not compressed and any(text in media_type for text in _TEXT)
