"""Files that are decoded as Pillow's own `open` and `convert` do, and files that are refused."""

import io
import resource
import struct
import subprocess
import sys
import warnings
import zlib
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from handlers.errors import InvalidInput
from handlers.tasks.images.decoding import MAX_PIXELS, decode, open_image
from tests.handlers.tasks.images.files import FORMATS, chunk, encoded, noise, png

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

PHOTO = noise(37, 23)
ORIENTATION = 0x0112


def decoded(data: bytes, mode: Literal["RGB", "L"] = "RGB", *, turn: bool = True) -> np.ndarray:
    return np.asarray(decode("image", open_image("image", data), mode, turn=turn))


def reference(data: bytes, mode: str = "RGB") -> np.ndarray:
    """What a PyTorch pipeline sees: torchvision's pil_loader, and Transformers' load_image."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert(mode))


def grey16() -> Image.Image:
    return Image.fromarray(np.arange(37 * 23, dtype=np.uint16).reshape(23, 37) * 71)


def palette_with_transparency() -> bytes:
    return encoded(PHOTO.quantize(16), "PNG", transparency=bytes(range(0, 256, 16)))


FILES = {
    "baseline JPEG": encoded(PHOTO, "JPEG"),
    "progressive JPEG": encoded(PHOTO, "JPEG", progressive=True),
    "grey JPEG": encoded(noise(37, 23, "L"), "JPEG"),
    "CMYK JPEG": encoded(noise(37, 23, "CMYK"), "JPEG"),
    "PNG": encoded(PHOTO),
    "PNG with alpha": encoded(noise(37, 23, "RGBA")),
    "grey PNG with alpha": encoded(noise(37, 23, "LA")),
    "palette": encoded(PHOTO.quantize(16)),
    "palette with transparency": palette_with_transparency(),
    "16 bit": encoded(grey16()),
    "1 bit": encoded(noise(37, 23, "L").convert("1")),
    "WebP": encoded(PHOTO, "WEBP"),
    "lossless WebP with alpha": encoded(noise(37, 23, "RGBA"), "WEBP", lossless=True),
    "moving WebP": encoded(PHOTO, "WEBP", save_all=True, append_images=[noise(37, 23, seed=1)]),
    "moving PNG": encoded(PHOTO, "PNG", save_all=True, append_images=[noise(37, 23, seed=1)]),
    "MPO": encoded(PHOTO, "MPO", save_all=True, append_images=[noise(37, 23, seed=1)]),
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_pillows_convert(name: str, mode: Literal["RGB", "L"]) -> None:
    np.testing.assert_array_equal(decoded(FILES[name], mode), reference(FILES[name], mode))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(9))
def test_photographs_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(PHOTO, kind, exif=exif)

    np.testing.assert_array_equal(decoded(data), reference(data))
    with Image.open(io.BytesIO(data)) as stored:
        np.testing.assert_array_equal(decoded(data, turn=False), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0no TIFF",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x03" + b"\x01" * 20,
    ],
)
def test_broken_notes_do_not_make_a_photograph_broken(kind: str, exif: bytes) -> None:
    data = encoded(PHOTO, kind, exif=exif)

    np.testing.assert_array_equal(decoded(data), decoded(encoded(PHOTO, kind)))


def test_broken_notes_are_not_warned_about() -> None:
    code = """
from handlers.tasks.images.decoding import decode, open_image
from tests.handlers.tasks.images.files import encoded, noise
data = encoded(noise(8, 8), "JPEG", exif=b"Exif\\0\\0II*\\0\\xff\\xff\\xff\\xff")
decode("image", open_image("image", data), "RGB", turn=True)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (found.stdout, found.stderr) == ("", "")


def test_decoding_in_two_threads_leaves_filters_of_warnings_alone() -> None:
    class Slow(PngImageFile):
        def __init__(self) -> None:
            super().__init__(io.BytesIO(encoded(PHOTO)))
            self.begun, self.go_on = Event(), Event()

        def load(self) -> "PixelAccess | None":
            self.begun.set()
            assert self.go_on.wait(10)
            return super().load()

    before = list(warnings.filters)
    images = [Slow(), Slow()]
    threads = [Thread(target=decode, args=("image", image, "RGB"), kwargs={"turn": False}) for image in images]
    for thread, image in zip(threads, images, strict=True):
        thread.start()
        assert image.begun.wait(10)
    for thread, image in zip(threads, images, strict=True):  # who began first ends first
        image.go_on.set()
        thread.join()

    assert list(warnings.filters) == before


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"hello", "bytes that begin with 68 65 6c 6c 6f"),
        (encoded(PHOTO, "GIF"), "GIF"),
        (encoded(PHOTO, "BMP"), "BMP"),
        (encoded(PHOTO, "TIFF"), "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIF or AVIF, or a video"),
    ],
)
def test_other_files_are_named(data: bytes, found: str) -> None:
    with pytest.raises(InvalidInput, match=f"^image: {found}, expected a JPEG, PNG or WebP$"):
        open_image("image", data)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_that_is_cut_short_is_refused(kind: str, share: float) -> None:
    data = encoded(noise(200, 200), kind)

    with pytest.raises(InvalidInput, match=r"^image: a \w+ that cannot be decoded \(.+\), expected a whole one$"):
        decoded(data[: int(len(data) * share)])


def claiming(kind: str, width: int, height: int) -> bytes:
    """Return a small file whose header claims another size."""
    data = bytearray(encoded(noise(8, 8), kind, **({"lossless": False} if kind == "WEBP" else {})))
    if kind == "PNG":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif kind == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    else:
        struct.pack_into("<HH", data, 26, width, height)
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_that_is_too_large_is_refused_by_its_header(kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"8000 x 7999 pixels, expected at most {MAX_PIXELS}; make it smaller"):
        open_image("image", claiming(kind, 8_000, 7_999))
    with pytest.raises(InvalidInput, match=f"pixels, expected at most {MAX_PIXELS}; make it smaller"):
        open_image("image", claiming(kind, 16_000, 15_999))


@pytest.mark.parametrize("options", [{}, {"progressive": True, "optimize": True}])
def test_an_empty_image_may_be_small(options: dict[str, object]) -> None:
    data = encoded(Image.new("L", (2_000, 2_000), "grey"), "JPEG", quality=10, **options)

    assert decoded(data).shape == (2_000, 2_000, 3)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_lies_about_its_size_takes_no_memory(kind: str) -> None:
    data = claiming(kind, 5_000, 5_000)  # 100 MB, if it were true
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(InvalidInput, match=r"cannot be decoded|claims 5000 x 5000 pixels"):
        decoded(data)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 90_000  # KB: less than the pixels once


def test_an_image_for_which_there_is_no_memory_is_no_fault_of_its_file() -> None:
    code = """
import resource, sys
from handlers.errors import InsufficientMemory
from handlers.tasks.images.decoding import decode, open_image
from tests.handlers.tasks.images.files import encoded
from PIL import Image
data = encoded(Image.new("L", (4_000, 4_000)))
image = open_image("image", data)
with open("/proc/self/statm") as pages:
    used = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10_000_000, resource.RLIM_INFINITY))
try:
    decode("image", image, "RGB", turn=True)
except InsufficientMemory as error:
    assert str(error) == "image: not enough memory to decode this PNG, expected a smaller image", error
else:
    sys.exit("decoded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_more_compressed_than_there_are_pixels_is_left_alone() -> None:
    bomb = png(content=zlib.compress(bytes(300_000_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert decoded(bomb).shape == (16, 16, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB


@pytest.mark.parametrize(
    "piece",
    [
        chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(9_000_000))),
        chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(900_000))) * 100,
        chunk(b"iCCP", b"note\0\0" + zlib.compress(bytes(9_000_000))),
    ],
)
def test_text_that_unpacks_to_megabytes_is_refused(piece: bytes) -> None:
    with pytest.raises(InvalidInput, match="a PNG that cannot be decoded"):
        decoded(png(piece))


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from(sorted(FILES.values())),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6),
    end=st.floats(0.2, 1),
)
def test_whatever_is_in_a_file_it_is_decoded_or_refused(
    data: bytes, changes: list[tuple[float, bytes]], end: float
) -> None:
    broken = bytearray(data[: int(len(data) * end)])
    for place, new in changes:
        start = int(place * len(broken))
        broken[start : start + len(new)] = new
    try:
        found = decoded(bytes(broken))
    except InvalidInput:
        return
    assert found.dtype == np.uint8
    assert found.shape[2] == 3  # colours


def test_many_scans_of_many_pixels_are_refused_and_few_of_either_are_not() -> None:
    large = encoded(Image.new("L", (5000, 4800)), "JPEG", progressive=True)  # six scans
    end = b"\xff\xd9"
    last = large[large.rindex(b"\xff\xda") : -2]

    open_image("image", large)
    open_image("image", large[:-2] + 6 * last + end)
    with pytest.raises(
        InvalidInput, match=r"^image: 13 scans of 5000 x 4800 pixels, expected at most 300000000 pixels"
    ):
        open_image("image", large[:-2] + 7 * last + end)
