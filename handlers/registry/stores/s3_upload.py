"""Files on their way to S3: streamed from the disk, each byte counted once however often it is read."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.registry.stores import Progress

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_s3 import S3Client

__all__ = ["WRITE_ID", "Uploads"]

WRITE_ID = "write-id"
"""The metadata that tells one write from all others (on the wire: `x-amz-meta-write-id`)."""


class Uploads:
    """The files that one client is sending, each known by the write id in its request. Safe to use from threads."""

    def __init__(self, client: "S3Client") -> None:
        """Ask the client to say when it begins to send."""
        self._files: dict[str, _CountedFile] = {}
        client.meta.events.register("before-send.s3.PutObject", self._start_counting)

    @contextmanager
    def open(self, write_id: str, path: Path, progress: Progress | None) -> Iterator[io.FileIO]:
        """Open a file as the body of the request with this write id. `progress` hears of it as it is sent."""
        with _CountedFile(path, progress) as file:
            self._files[write_id] = file
            try:
                yield file
            finally:
                del self._files[write_id]

    def _start_counting(self, request: "AWSPreparedRequest", **_: object) -> None:
        write_id = request.headers[f"x-amz-meta-{WRITE_ID}"]
        file = self._files.get(write_id.decode() if isinstance(write_id, bytes) else write_id)
        if file is not None:
            file.start_counting()


class _CountedFile(io.FileIO):
    """A file that is read to be hashed, hashed again to be signed, sent, and all of that anew when the SDK tries again.

    Each of these begins with a seek; only what is read after `start_counting` counts, and only beyond what was counted.
    """

    def __init__(self, path: Path, progress: Progress | None) -> None:
        super().__init__(path, "rb")
        self._progress = progress
        self._counting = False
        self._counted_bytes = 0

    def start_counting(self) -> None:
        self._counting = True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._counting = False
        return super().seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        data = super().read(-1 if size is None else size)
        fresh_bytes = self.tell() - self._counted_bytes
        if self._counting and fresh_bytes > 0:
            self._counted_bytes += fresh_bytes
            if self._progress is not None:
                self._progress(fresh_bytes)
        return data
