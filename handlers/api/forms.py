"""multipart/form-data, as browsers and `curl -F` send files: RFC 7578. Nothing is written to disk."""

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from handlers.errors import InvalidInput

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["Form", "read_form"]

_MOST_PARTS = 1_000
_OPTIONS = b"parameters"
_NAME = re.compile(rb'(?:^|[;\s])name=(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
# RFC 2046, section 5.1.1: 70 at most
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^;,\s"]{1,70}))\s*(?:;|$)', re.IGNORECASE)


@dataclass
class Form:
    """What a form holds: the contents of its files in their order, and the options for all of them."""

    files: list[bytes] = field(default_factory=list)
    options: dict[str, object] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """Take a form apart. The part `parameters` is a JSON object of options; every other part is a file.

    Args:
        content_type: The header, which says what stands between the parts.
        body: All of it.

    Raises:
        InvalidInput: It is no such form, or one of more than a thousand parts.
    """
    from python_multipart.exceptions import FormParserError  # here: few requests are forms
    from python_multipart.multipart import MultipartParser

    logging.getLogger("python_multipart.multipart").disabled = True  # it quotes what it does not understand
    found = _BOUNDARY.search(content_type)
    if found is None:
        msg = "content type: multipart/form-data without a boundary, expected one of at most 70 characters"
        raise InvalidInput(msg)
    reader = _Reader(body)
    try:
        parser = MultipartParser((found[1] or found[2]).encode("latin-1"), reader.callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        msg = f"body: no form ({str(error)[:80]}), expected multipart/form-data"
        raise InvalidInput(msg) from error
    if not reader.ended:
        msg = f"body: a form that ends in part {reader.parts + 1}, expected a last boundary"
        raise InvalidInput(msg)
    return reader.form


class _Reader:
    """Collects what the parser finds in a body that is in memory as a whole."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._header = b""
        self._value = b""
        self._name: bytes | None = None
        self._pieces: list[bytes] = []
        self.form = Form()
        self.parts = 0
        self.ended = False

    @property
    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if self.parts == _MOST_PARTS:
            msg = f"body: a form of more than {_MOST_PARTS} parts, expected at most that"
            raise InvalidInput(msg)
        self._header = self._value = b""
        self._name = None
        self._pieces = []

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = _NAME.search(self._value)
            self._name = (name[1] if name[1] is not None else name[2]) if name else None
        self._header = self._value = b""

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _end(self) -> None:
        self.parts += 1
        content = b"".join(self._pieces)
        self._pieces = []
        if self._name is None:
            msg = f"body: part {self.parts} without a name, expected Content-Disposition: form-data; name=..."
            raise InvalidInput(msg)
        if self._name == _OPTIONS:
            self.form.options |= _read_options(content)
        else:
            self.form.files.append(content)

    def _finish(self) -> None:
        self.ended = True


def _read_options(content: bytes) -> dict[str, object]:
    try:
        options: dict[str, object] = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"parameters: {str(error)[:80]}, expected a JSON object such as {{}}"
        raise InvalidInput(msg) from error
    return options
