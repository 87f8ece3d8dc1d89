"""Refuses image files that are built to take long, before a decoder sees them.

A decoder's work goes with an image's pixels, which are bounded elsewhere, but also with the number of pieces that the
file is cut into. A progressive JPEG may hold any number of scans, and each goes over all pixels: 1,000 empty ones are
42 KB, and took 16 s. Segments and chunks are read by Pillow in Python: 300,000 are 4 MB, and took 4 s.
"""

import re

from handlers.errors import InvalidInput

__all__ = ["check_structure"]

_MOST_SCANS = 32  # ten in the files of libjpeg, up to 20 in those of mozjpeg
_MOST_SEGMENTS = 1_000  # of at most 64 KB each
_MOST_CHUNKS = 10_000  # libpng writes one for each 8 KB
_MOST_FILL = 64  # bytes between two segments of a JPEG

# nothing in them repeats, so that no data makes them go over it twice; a marker may have more 0xff before it
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_AFTER_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # RST0 to RST7 and stuffed bytes are within a scan
_END_OF_IMAGE, _START_OF_SCAN = b"\xd9", b"\xda"


def check_structure(subject: str, kind: str, data: bytes) -> int:
    """Count the pieces of a file, without reading what is in them, and return how often a decoder goes over its pixels.

    Args:
        subject: What to call the file in errors.
        kind: JPEG, PNG or WebP; the last is taken apart in native code, which is fast enough.
        data: The file. Whether it is whole is not looked at.

    Raises:
        InvalidInput: There are more pieces than in any file that shows something.
    """
    match kind:
        case "JPEG":
            return _check_jpeg(subject, data)
        case "PNG":
            _check_png(subject, data)
    return 1


def _check_jpeg(subject: str, data: bytes) -> int:
    scans = 0
    position = 2  # after the start of the image
    pattern = _MARKER
    for _ in range(_MOST_SEGMENTS):
        found = pattern.search(data, position)
        if found is None or found[1] == _END_OF_IMAGE:
            return scans
        if pattern is _MARKER and found.end() - position > _MOST_FILL:
            msg = f"{subject}: a JPEG with {found.end() - position} bytes between segments, expected none"
            raise InvalidInput(msg)
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
        scans += found[1] == _START_OF_SCAN
        pattern = _MARKER_AFTER_SCAN if found[1] == _START_OF_SCAN else _MARKER
        if scans > _MOST_SCANS:
            msg = f"{subject}: a JPEG of more than {_MOST_SCANS} scans, expected at most that"
            raise InvalidInput(msg)
    msg = f"{subject}: a JPEG of more than {_MOST_SEGMENTS} segments, expected at most that"
    raise InvalidInput(msg)


def _check_png(subject: str, data: bytes) -> None:
    position = 8  # after the signature
    for _ in range(_MOST_CHUNKS):
        if position >= len(data) or data[position + 4 : position + 8] == b"IEND":
            return
        position += 12 + int.from_bytes(data[position : position + 4])  # its length, type and checksum
    msg = f"{subject}: a PNG of more than {_MOST_CHUNKS} chunks, expected at most that"
    raise InvalidInput(msg)
