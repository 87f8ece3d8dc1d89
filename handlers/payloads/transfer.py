"""The payloads of one request on their way: bounded in number, in bytes and in time, and checked as they arrive."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from handlers.errors import DeadlineExceeded, InsufficientMemory, InvalidInput
from handlers.payloads.identity import PayloadId
from handlers.payloads.payloads import Payloads

if TYPE_CHECKING:
    from handlers.payloads.bucket import PayloadBucket

__all__ = ["Download", "Transfer"]

T = TypeVar("T")

_PART_BYTES = 8 << 20
_MOST_IN_A_REQUEST = 256  # each is a request to S3, which costs money and, eight at a time, some 5 ms


def _for_ever() -> float:
    return float("inf")


def _plenty(_: int) -> int:
    return 2**62


@dataclass(frozen=True)
class Download:
    """Where a client finds a payload."""

    payload: PayloadId
    url: str


class Transfer:
    """The payloads of one request: bounded in bytes, all together, in memory and in time."""

    def __init__(
        self,
        payloads: Payloads,
        left_s: Callable[[], float] = _for_ever,
        make_room: Callable[[int], int] = _plenty,
    ) -> None:
        """Ask nothing of anybody yet.

        Args:
            payloads: The bucket.
            left_s: Returns how many seconds are left; asked when it comes to that, as a request tells its own timeout
                only once it is read.
            make_room: Returns how many bytes of memory are left, after trying to make it as many as it is given.
        """
        self._payloads = payloads
        self._left_s = left_s
        self._make_room = make_room
        self._received_bytes = 0
        self._kept_bytes = 0
        self._received = 0

    @property
    def possible(self) -> bool:
        """See `Payloads.possible`."""
        return self._payloads.possible

    def check(self) -> None:
        """See `Payloads.check`."""
        self._payloads.check()

    def receive(self, ids: Sequence[str]) -> list[memoryview]:
        """Return the bytes of payloads, in order: fetched in parallel parts, checked against size and SHA-256.

        Raises:
            NotSupported: There is no bucket.
            InvalidInput: One is no id, there are too many, or what was uploaded is not what its id says.
            PayloadTooLarge: All payloads of the request together are too large; none of `ids` was asked for.
            InsufficientMemory: They do not fit beside the models; none was asked for.
            PayloadNotFound: One was not uploaded, or has expired.
            DeadlineExceeded: They did not arrive in time.
            StoreUnavailable: The bucket could not be asked.
        """
        self.check()
        self._received += len(ids)
        if self._received > _MOST_IN_A_REQUEST:
            msg = f"payloads: {self._received}, expected at most {_MOST_IN_A_REQUEST} in a request"
            raise InvalidInput(msg)
        payloads = [PayloadId.parse(text) for text in ids]
        self._received_bytes += sum(payload.size for payload in payloads)
        self._payloads.check_size(self._received_bytes)
        self._check_memory(payloads)
        fetched = self._payloads.asking(lambda bucket: self._fetch(bucket, payloads))
        self._payloads.moved(received=len(fetched))
        return [fetched[payload] for payload in payloads]

    def send(self, data: bytes) -> Download:
        """Store bytes and return where to find them. Raises as `receive` does."""
        self.check()
        self._payloads.check_size(len(data))
        payload = PayloadId.new(len(data), hashlib.sha256(data).hexdigest())

        def write(bucket: "PayloadBucket") -> None:
            with _Workers(self._left_s) as workers:
                workers.result(workers.submit(bucket.write, payload, data))

        self._payloads.asking(write)
        self._payloads.moved(sent=1)
        return Download(payload, self._payloads.sign_download(payload))

    def _check_memory(self, payloads: Iterable[PayloadId]) -> None:
        self._kept_bytes += sum(payload.size for payload in set(payloads))
        left_bytes = max(0, self._make_room(self._kept_bytes))
        if self._kept_bytes > left_bytes:
            msg = (
                f"payloads: {self._kept_bytes} bytes, expected at most {left_bytes}, which models leave of memory; "
                "send less at once, or give more memory"
            )
            raise InsufficientMemory(msg)

    def _fetch(self, bucket: "PayloadBucket", payloads: Iterable[PayloadId]) -> dict[PayloadId, memoryview]:
        # one that is named twice is fetched once
        fetched = {payload: memoryview(bytearray(payload.size)) for payload in payloads}
        with _Workers(self._left_s) as workers:
            under_way = [
                (payload, [workers.submit(bucket.read_part, payload, *part) for part in _parts(whole)])
                for payload, whole in fetched.items()
            ]
            for payload, parts in under_way:
                digest = hashlib.sha256()
                for part, (_, content) in zip(parts, _parts(fetched[payload]), strict=True):
                    workers.result(part)
                    digest.update(content)  # while the next ones are on their way
                _check_hash(payload, digest.hexdigest())
        return fetched


class _Workers:
    """Threads for what waits on the network; left alone with it where the deadline comes first."""

    def __init__(self, left_s: Callable[[], float]) -> None:
        from handlers.payloads.bucket import CONNECTIONS

        self._left_s = left_s
        self._pool = ThreadPoolExecutor(CONNECTIONS, "payload")
        self.submit = self._pool.submit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def result(self, work: "Future[T]") -> T:
        try:
            return work.result(min(max(0.0, self._left_s()), threading.TIMEOUT_MAX))
        except TimeoutError as error:
            msg = "payload: still on its way, expected it within the time of this request; try again"
            raise DeadlineExceeded(msg) from error


def _parts(whole: memoryview) -> Iterable[tuple[int, memoryview]]:
    """Cut into what one connection fetches at a time, each with its offset."""
    return [(offset, whole[offset : offset + _PART_BYTES]) for offset in range(0, len(whole), _PART_BYTES)]


def _check_hash(payload: PayloadId, found: str) -> None:
    if found != payload.sha256:
        msg = (
            f"payload {str(payload)[:32]}: {payload.size} bytes with sha256 {found}, "
            f"expected {payload.sha256} as its id says; upload it again"
        )
        raise InvalidInput(msg)
