"""Reading from S3 without boto3, which takes 0.2 s to import: for what a function needs before its first answer."""

import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from handlers.errors import StoreUnavailable
from handlers.registry.stores import PIECE_BYTES, Sink, StoredObject
from handlers.registry.stores.keys import is_segment
from handlers.registry.stores.s3_access import S3Access
from handlers.registry.stores.s3_connection import BrokenAnswer, Connection, Head, Timeouts, connect
from handlers.registry.stores.s3_refusals import Refusal
from handlers.registry.stores.sigv4 import sign_get, uri_encode
from handlers.registry.stores.tls import trust_amazon

if TYPE_CHECKING:
    import ssl

__all__ = ["NeedsBoto3", "S3Reads"]

T = TypeVar("T")

_MOST_IDLE = 32  # two models on their way at the same time
_TRIES = 3  # as in boto3's standard mode
_TIMEOUTS = Timeouts()
_PIECE_BYTES = 8 << 20
_EXPLANATION_BYTES = 64 << 10
_PAGE_BYTES = 8 << 20  # of a list: at most 1000 keys of 1 KB, and XML around each
_FOLDER = re.compile(rb"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>\s*</CommonPrefixes>")
_ANSWERS = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED}
_TRANSIENT = {429, 500, 502, 503, 504}
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "InternalError"}
_ELSEWHERE = {301, 302, 307, 308}
_ELSEWHERE_CODES = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}


class NeedsBoto3(Exception):
    """The answer can be dealt with by boto3 only: the bucket is in another region, the certificate is not Amazon's."""


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class _Question(NamedTuple):
    operation: str
    subject: str
    target: str
    headers: dict[str, str]


class S3Reads:
    """Gets objects of one bucket, and lists its folders, over connections that are kept open.

    Safe to use from several threads. Tries again as boto3's standard mode does: connections that fail, answers that
    break off, and S3 in trouble.
    """

    def __init__(
        self,
        access: S3Access,
        bucket: str,
        tls: "ssl.SSLContext | None" = None,
        timeouts: Timeouts = _TIMEOUTS,
        pause_s: float = 1.0,
    ) -> None:
        """Take what is needed; nothing is connected yet.

        Args:
            access: Where, and as whom.
            bucket: The bucket's name.
            tls: Whom to believe; None: the certificates of Amazon.
            timeouts: How long to wait.
            pause_s: The longest pause before the second try, half of it on average; the double before the third.
        """
        self._access = access
        self._bucket = bucket
        self._tls = (tls or trust_amazon()) if access.place.tls else None
        self._timeouts = timeouts
        self._pause_s = pause_s
        self._idle: deque[Connection] = deque(maxlen=_MOST_IDLE)  # the longest unused goes, and closes

    def read(self, key: str) -> StoredObject:
        """Return the whole object. `key` is with the store's prefix. Raises as `Store.read`, and NeedsBoto3."""
        return self._get(self._question(key), _receive_object)

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        """Return the whole object, None where it is still the one that `etag` names. Raises as `read`."""

        def take(connection: Connection, head: Head) -> StoredObject | None:
            return None if head.status == HTTPStatus.NOT_MODIFIED else _receive_object(connection, head)

        return self._get(self._question(key, {"if-none-match": etag}), take)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer where the object ends sooner. Raises as `read`."""
        asked = max(length, 1)  # there is no way to ask for 0 bytes
        return self._get_range(key, offset, asked, _receive, b"")[:length]

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        """Hand `length` bytes from `offset` to `sink` and return how many there were. Raises as `read`."""
        sink.restart()
        if not length:
            return len(self.read_range(key, offset, 0))

        def take(connection: Connection, size_bytes: int) -> int:
            sink.restart()
            buffer = memoryview(bytearray(min(size_bytes, PIECE_BYTES)))
            for start in range(0, size_bytes, PIECE_BYTES):
                piece = buffer[: size_bytes - start]
                connection.receive_into(piece)
                sink.take(piece)
            return size_bytes

        return self._get_range(key, offset, length, take, 0)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, the store's included, sorted. Raises as `read`."""
        found: list[str] = []
        token = ""
        while True:
            # sorted by name, as signatures want it
            query = {"continuation-token": token} if token else {}
            query |= {"delimiter": "/", "list-type": "2", "prefix": prefix}
            words = "&".join(f"{name}={uri_encode(value)}" for name, value in query.items())
            target = f"{self._access.place.path.removesuffix('/') or '/'}?{words}"
            page = self._get(_Question("ListObjectsV2", f"s3://{self._bucket}/{prefix}", target, {}), _receive_page)
            keys = [match[1].decode() for match in _FOLDER.finditer(page)]
            found += [key.removeprefix(prefix).removesuffix("/") for key in keys]
            token = _element(b"NextContinuationToken", page)
            if not token:
                return iter(sorted(filter(is_segment, found)))

    def _get_range(self, key: str, offset: int, length: int, take: Callable[[Connection, int], T], nothing: T) -> T:
        def take_range(connection: Connection, head: Head) -> T:
            return take(connection, _range_bytes(head, offset, length))

        question = self._question(key, {"range": f"bytes={offset}-{offset + length - 1}"})
        try:
            return self._get_or_be_refused(question, take_range)
        except _Refused as error:
            if error.refusal.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return nothing
            raise error.refusal.explain(question.subject, self._bucket) from error

    def _question(self, key: str, headers: dict[str, str] | None = None) -> _Question:
        target = uri_encode(self._access.place.path + key, safe="/")
        return _Question("GetObject", f"s3://{self._bucket}/{key}", target, headers or {})

    def _get(self, question: _Question, take: Callable[[Connection, Head], T]) -> T:
        try:
            return self._get_or_be_refused(question, take)
        except _Refused as error:
            raise error.refusal.explain(question.subject, self._bucket) from error

    def _get_or_be_refused(self, question: _Question, take: Callable[[Connection, Head], T]) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(question, take)
            except _Refused as error:
                if not _is_transient(error.refusal) or tries == _TRIES:
                    raise
            except (OSError, BrokenAnswer) as error:
                self._idle.clear()  # what ended this connection may have ended all, unnoticed as yet
                if tries == _TRIES:
                    msg = f"{question.subject}: {self._describe(error)}, expected an answer from S3; try again"
                    raise StoreUnavailable(msg) from error
            time.sleep(random.random() * self._pause_s * 2 ** (tries - 1))  # noqa: S311 - no secret

    def _try(self, question: _Question, take: Callable[[Connection, Head], T]) -> T:
        connection, head = self._ask(self._request(question))
        try:
            if head.status not in _ANSWERS:
                _refuse(question, head, connection.receive_text(head, _EXPLANATION_BYTES))
            taken = take(connection, head)
        except BaseException:
            connection.close()
            raise
        if head.keeps_alive and connection.is_at_rest:
            self._idle.append(connection)
        else:
            connection.close()
        return taken

    def _ask(self, request: bytes) -> tuple[Connection, Head]:
        while True:
            try:
                connection, is_new = self._idle.pop(), False
            except IndexError:
                connection, is_new = self._connect(), True
            try:
                return connection, connection.ask(request)
            except BaseException as error:
                connection.close()
                # S3 ends connections that idle: that is no failure, unless a new one fares the same
                if is_new or isinstance(error, TimeoutError) or not isinstance(error, OSError):
                    raise

    def _connect(self) -> Connection:
        try:
            return connect(self._access.place.host, self._access.place.port, self._tls, self._timeouts)
        except OSError as error:
            if isinstance(error, ValueError):  # ssl.SSLCertVerificationError, and nothing else that is both
                msg = f"{self._access.place.host}: {error}"
                raise NeedsBoto3(msg) from error
            raise

    def _request(self, question: _Question) -> bytes:
        place = self._access.place
        headers = {"host": place.authority} | question.headers
        signed = sign_get(question.target, headers, self._access.credentials, place.region, time.time())
        lines = [f"{name}: {value}\r\n" for name, value in signed.items()]
        return f"GET {question.target} HTTP/1.1\r\n{''.join(lines)}accept-encoding: identity\r\n\r\n".encode()

    def _describe(self, error: Exception) -> str:
        where = self._access.place.authority
        if isinstance(error, TimeoutError):
            return f"nothing from {where} in time"
        return f"{where}: {(error.strerror if isinstance(error, OSError) else None) or error}"


def _body_bytes(head: Head) -> int:
    size_bytes = head.body_bytes
    if size_bytes is None:
        msg = "an object without Content-Length"
        raise NeedsBoto3(msg)
    return size_bytes


def _range_bytes(head: Head, offset: int, length: int) -> int:
    """Return how long the body is, which must be the range that was asked for, or the beginning of it."""
    size_bytes = _body_bytes(head)
    found = head.headers.get("content-range", "")
    whole = head.status == HTTPStatus.OK and offset == 0  # what some servers answer for an empty object
    if size_bytes > length or not (whole or found.startswith(f"bytes {offset}-{offset + size_bytes - 1}/")):
        msg = f"{size_bytes} bytes as {found or 'the whole object'!r}, expected {length} from {offset}"
        raise BrokenAnswer(msg)
    return size_bytes


def _receive_page(connection: Connection, head: Head) -> bytes:
    page = connection.receive_text(head, _PAGE_BYTES)
    if not page.rstrip().endswith(b"</ListBucketResult>"):
        msg = f"{page[-40:]!r} at the end, expected that of a list"
        raise BrokenAnswer(msg)
    return page


def _receive_object(connection: Connection, head: Head) -> StoredObject:
    size_bytes, etag = _body_bytes(head), head.headers.get("etag")
    if not etag:  # to replace what has none would be to replace whatever is there
        msg = "an object without ETag"
        raise BrokenAnswer(msg)
    return StoredObject(_receive(connection, size_bytes), etag)


def _receive(connection: Connection, size_bytes: int) -> bytes:
    """Return the body, in memory that grows as it comes: the size is only what the answer says of itself."""
    pieces = []
    while size_bytes:
        piece = bytearray(min(size_bytes, _PIECE_BYTES))
        connection.receive_into(memoryview(piece))
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)


def _refuse(question: _Question, head: Head, explanation: bytes) -> NoReturn:
    code = _element(b"Code", explanation) or str(head.status)
    if head.status in _ELSEWHERE or code in _ELSEWHERE_CODES:
        raise NeedsBoto3(code)
    raise _Refused(Refusal(head.status, code, _element(b"Message", explanation), question.operation))


def _is_transient(refusal: Refusal) -> bool:
    return refusal.status in _TRANSIENT or refusal.code in _TRANSIENT_CODES


def _element(name: bytes, xml: bytes) -> str:
    """Return the text of the first such element, on one line. An XML parser is not worth its import."""
    found = re.search(rb"<%b>([^<]*)</%b>" % (name, name), xml)
    if found is None:
        return ""
    import html  # only what went wrong needs it

    return " ".join(html.unescape(found[1].decode(errors="replace")).split())
