"""Files that are built to take long: counted, not timed."""

import io
import re
from collections.abc import Callable

import pytest
from PIL import Image

from handlers.errors import InvalidInput
from handlers.tasks.images.decoding import decode, open_image
from handlers.tasks.images.structure import check_structure
from tests.handlers.tasks.images.files import chunk, encoded, noise, png

JPEG = encoded(noise(64, 64), "JPEG", progressive=True)
SCAN = re.compile(rb"\xff\xda")
END = b"\xff\xd9"
COMMENT = b"\xff\xfe\0\2"


def empty_scans(count: int) -> bytes:
    """Return a progressive JPEG with that many more scans, all of them the smallest that it has."""
    starts = [found.start() for found in SCAN.finditer(JPEG)]
    scans = [JPEG[start:end] for start, end in zip(starts, [*starts[1:], len(JPEG) - 2], strict=True)]
    return JPEG[:-2] + min(scans[1:], key=len) * count + END


@pytest.mark.parametrize(
    ("make", "kind", "most", "message"),
    [
        (empty_scans, "JPEG", 22, "a JPEG of more than 32 scans, expected at most that"),
        (lambda count: JPEG[:2] + COMMENT * count + JPEG[2:], "JPEG", 950, "a JPEG of more than 1000 segments"),
        (lambda count: JPEG[:2] + b"\xff" * count + JPEG[2:], "JPEG", 60, "bytes between segments, expected none"),
        (lambda count: png(chunk(b"vpAg", b"") * count), "PNG", 9_997, "a PNG of more than 10000 chunks"),
        (lambda count: png(chunk(b"IDAT", b"") * count), "PNG", 9_997, "a PNG of more than 10000 chunks"),
    ],
)
def test_pieces_are_counted(make: Callable[[int], bytes], kind: str, most: int, message: str) -> None:
    decode("image", open_image("image", make(most)), "RGB", turn=True)

    with pytest.raises(InvalidInput, match=f"^image: .*{message}"):
        open_image("image", make(10 * most))
    with pytest.raises(InvalidInput, match=message):
        check_structure("image", kind, make(10 * most))


def test_scans_within_what_a_camera_notes_are_not_counted() -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xda".encode("latin-1").decode("latin-1") * 100  # a description that looks like scans
    data = encoded(noise(64, 64), "JPEG", exif=exif, comment=b"\xff\xda" * 100)

    check_structure("image", "JPEG", data)


def test_what_comes_after_the_end_is_not_counted() -> None:
    # as in the moving photographs of some telephones, which have a video there
    check_structure("image", "JPEG", encoded(noise(64, 64), "JPEG") + b"\xff\xda\0\2" * 40_000)
    check_structure("image", "PNG", encoded(noise(64, 64)) + chunk(b"vpAg", b"") * 20_000)


def test_a_scan_full_of_markers_that_are_none_is_gone_over_once() -> None:
    check_structure("image", "JPEG", JPEG[:-2] + b"\xff" * 200_000 + b"\0")  # twice means minutes


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"quality": 100}])
def test_files_that_show_something_pass(options: dict[str, object]) -> None:
    data = encoded(noise(600, 400), "JPEG", **options)

    check_structure("image", "JPEG", data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
