"""Files of recipes: found in a folder, read whether gzipped or not, written whole or not at all."""

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from export.errors import DataError, OutputError

__all__ = ["SHIPPED", "find_file", "read_bytes", "read_text", "write_whole"]

SHIPPED = Path(__file__).parent / "data"
"""What comes with the recipes; its README names authors and licences."""

_GZIP_MAGIC = b"\x1f\x8b"


def find_file(data: Path | None, names: Sequence[str], what: str) -> Path:
    """Return the first of `names` in the folder, each tried as it is and with `.gz`.

    Args:
        data: Folder of the user's; None: what is shipped.
        names: File names without `.gz`.
        what: What the folder is expected to hold, for the message.

    Raises:
        DataError: None of them is there.
    """
    folder = SHIPPED if data is None else data
    tried = [name + ending for name in names for ending in ("", ".gz")]
    for name in tried:
        if (folder / name).is_file():
            return folder / name
    found = "file is not there" if folder.is_dir() else "folder is not there"
    msg = (
        f"{folder / tried[0]}: {found}, expected one of {', '.join(tried)}; give a folder with {what}, or none for "
        "what is shipped"
    )
    raise DataError(msg)


def read_bytes(path: Path) -> bytes:
    """Return the content, unpacked if it is gzip: that is told by the content, not by the name.

    Raises:
        DataError: The file cannot be read, or is broken gzip.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: broken gzip ({error}), expected a whole one; get the file again"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path}: {error.strerror or error}, expected a file that can be read"
        raise DataError(msg) from error


def read_text(path: Path) -> str:
    """Return the content as text, as `read_bytes`.

    Raises:
        DataError: The file cannot be read, or is no UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: byte {error.start} is no UTF-8, expected text"
        raise DataError(msg) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, replacing an earlier one in a single step.

    Raises:
        OutputError: It cannot be written; an earlier file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        msg = f"{path}: {error.strerror or error}, expected a file that can be written"
        raise OutputError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)
