"""Whether there is a payload bucket, what it takes, and addresses for those who have something to put there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from handlers.errors import InvalidSetting, LambdaserveError, NotSupported, PayloadTooLarge, StoreUnavailable
from handlers.payloads.identity import PayloadId

if TYPE_CHECKING:
    from handlers.payloads.bucket import PayloadBucket

__all__ = ["PayloadObserver", "Payloads", "Upload"]

T = TypeVar("T")

_ADDRESS_VALID_S = 15 * 60


class PayloadObserver(Protocol):
    """Who wants to know what goes in and out; no names, sizes or contents."""

    def payloads_moved(self, *, issued: int = 0, received: int = 0, sent: int = 0) -> None:
        """Take note of addresses that were handed out, of payloads that were fetched, and of those that were stored."""

    def payload_failed(self, error: LambdaserveError) -> None:
        """Take note that the bucket did not do what was asked."""


@dataclass(frozen=True)
class Upload:
    """Where and how a client uploads one payload."""

    payload: PayloadId
    url: str
    headers: dict[str, str]
    expires_at: datetime


class Payloads:
    """The payload bucket of one process, opened when it is first needed. Safe to use from several threads."""

    def __init__(
        self,
        url: str = "",
        max_bytes: int = 0,
        observer: PayloadObserver | None = None,
        *,
        address_valid_s: int = _ADDRESS_VALID_S,
    ) -> None:
        """Ask nothing of anybody yet.

        Args:
            url: `s3://bucket[/prefix]`, empty where there is no such bucket.
            max_bytes: What one payload may hold, and what all those of a request may together.
            observer: Told what happens.
            address_valid_s: How long a signed address is good for.
        """
        self.max_bytes = max_bytes
        self._url = url
        self._observer = observer
        self._address_valid_s = address_valid_s
        self._opened: PayloadBucket | None = None
        self._lock = threading.Lock()

    @property
    def possible(self) -> bool:
        """Whether there is a bucket."""
        return bool(self._url)

    def check(self) -> None:
        """Refuse where there is no bucket.

        Raises:
            NotSupported: There is none.
        """
        if not self.possible:
            msg = "payloads: no bucket for them here, expected the setting LAMBDASERVE_PAYLOADS to name one"
            raise NotSupported(msg)

    def issue(self, size: int, sha256: str) -> Upload:
        """Return an id for a payload of this size and hash, and an address that takes just that.

        Raises:
            NotSupported: There is no bucket.
            PayloadTooLarge: No payload may be as large.
            StoreUnavailable: There is nothing to sign with.
        """
        self.check()
        self.check_size(size)
        payload = PayloadId.new(size, sha256)
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=self._address_valid_s)
        url, headers = self.asking(lambda bucket: bucket.sign_upload(payload, self._address_valid_s))
        self.moved(issued=1)
        return Upload(payload, url, headers, expires_at)

    def check_size(self, size: int) -> None:
        """Refuse more bytes than may travel so. Raises `PayloadTooLarge`."""
        if size > self.max_bytes:
            msg = f"payload: {size} bytes, expected at most {self.max_bytes}, for all of a request together"
            raise PayloadTooLarge(msg)

    def sign_download(self, payload: PayloadId) -> str:
        """Return where to find what is stored. Raises as `issue` does."""
        return self.asking(lambda bucket: bucket.sign_download(payload, self._address_valid_s))

    def asking(self, ask: "Callable[[PayloadBucket], T]") -> T:
        """Return what the bucket answers; where it does not, the observer hears of it."""
        try:
            return ask(self._open())
        except (StoreUnavailable, InvalidSetting) as error:
            if self._observer is not None:
                self._observer.payload_failed(error)
            raise

    def moved(self, *, issued: int = 0, received: int = 0, sent: int = 0) -> None:
        """Tell the observer."""
        if self._observer is not None:
            self._observer.payloads_moved(issued=issued, received=received, sent=sent)

    def _open(self) -> "PayloadBucket":
        with self._lock:
            if self._opened is None:
                # boto3 takes 0.2 s to import: only a request with a payload pays for it
                from handlers.payloads.bucket import PayloadBucket

                self._opened = PayloadBucket.open(self._url)
            return self._opened
