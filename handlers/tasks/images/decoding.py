"""From the bytes of a JPEG, PNG or WebP to pixels, by Pillow.

Pillow's decoders are called directly: `Image.open` imports those of other formats, and warns where we refuse.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from handlers.errors import InsufficientMemory, InvalidInput
from handlers.tasks.images.structure import check_structure

if TYPE_CHECKING:
    from typing import Literal

    from PIL.ImageFile import ImageFile

__all__ = ["MAX_PIXELS", "decode", "decoding_bytes", "open_image"]

MAX_PIXELS = 25_000_000
"""Of one image: what cameras of 24 megapixels make."""

_DECODED_BYTES = 8  # of a pixel at the most: Pillow has four, as decoded and once turned or converted
_DECODED_WEBP_BYTES = 16  # libwebp's own pixels beside those

_MOST_SCANNED_PIXELS = 12 * MAX_PIXELS  # half a second; libjpeg saves photographs in ten scans, mozjpeg in up to 20
_MOST_PIXELS_A_BYTE = 1024  # Huffman codes have a bit or more, and a block of 64 pixels has one or more of them

# Pillow's warnings would go to the log, which holds nothing of a request, by way of stderr. Once for all: what sets
# filters for a while (`warnings.catch_warnings`) sets them for every thread, and puts them back in any order.
warnings.filterwarnings("ignore", module=r"PIL\.")

_DECODERS: dict[str, Callable[[io.BytesIO], "ImageFile"]] = {
    "JPEG": JpegImageFile,  # the first image where there are several: Pillow's own factory looks for more of them
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
}
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
}
_ORIENTATION = 0x0112  # the tag, EXIF 2.3, section 4.6.4
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(subject: str, data: bytes) -> "ImageFile":
    """Read an image's header.

    Raises:
        InvalidInput: The bytes are no JPEG, PNG or WebP, or are built to take long, or the image is too large.
    """
    kind = _kind_of(data)
    if kind not in _DECODERS:
        msg = f"{subject}: {kind}, expected a JPEG, PNG or WebP"
        raise InvalidInput(msg)
    scans = check_structure(subject, kind, data)
    with _refusing(subject, kind):
        image = _DECODERS[kind](io.BytesIO(data))
    if image.width * image.height > MAX_PIXELS:
        msg = f"{subject}: {image.width} x {image.height} pixels, expected at most {MAX_PIXELS}; make it smaller"
        raise InvalidInput(msg)
    if image.width * image.height * scans > _MOST_SCANNED_PIXELS:
        msg = f"{subject}: {scans} scans of {image.width} x {image.height} pixels, expected at most "
        msg += f"{_MOST_SCANNED_PIXELS} pixels in all; make it smaller, or save it with fewer scans"
        raise InvalidInput(msg)
    if kind == "JPEG" and image.width * image.height > _MOST_PIXELS_A_BYTE * len(data):
        # the others' decoders refuse what is missing; this one makes it grey
        msg = f"{subject}: a JPEG of {len(data)} bytes that claims {image.width} x {image.height} pixels, expected "
        msg += f"at most {_MOST_PIXELS_A_BYTE} for each byte"
        raise InvalidInput(msg)
    return image


def decoding_bytes(image: "ImageFile") -> int:
    """Return how many bytes `decode` takes at its peak, by the header of an image."""
    return image.width * image.height * (_DECODED_WEBP_BYTES if image.format == "WEBP" else _DECODED_BYTES)


def decode(subject: str, image: "ImageFile", mode: 'Literal["RGB", "L"]', *, turn: bool) -> Image.Image:
    """Return the pixels of an image; of one that moves, its first frame.

    Args:
        subject: What to call it in errors.
        image: As `open_image` returns it.
        mode: What its colours become, as `convert` of Pillow has it: transparency is dropped.
        turn: Whether it is turned and mirrored as its EXIF orientation says.

    Raises:
        InvalidInput: The file is cut short or broken.
        InsufficientMemory: Its pixels do not fit.
    """
    with _refusing(subject, image.format or "image"):
        image.load()
        pixels: Image.Image = image
        if turn and (orientation := _orientation(image)) in _TURNS:
            pixels = pixels.transpose(_TURNS[orientation])
        return pixels if pixels.mode == mode else pixels.convert(mode)


def _kind_of(data: bytes) -> str:
    """Name what the bytes are, by how they begin."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return "HEIF or AVIF, or a video"
    if not data:
        return "an empty file"
    kinds = (kind for signature, kind in _SIGNATURES.items() if data.startswith(signature))
    return next(kinds, f"bytes that begin with {data[:8].hex(' ')}")


def _orientation(image: "ImageFile") -> int:
    try:
        found = image.getexif().get(_ORIENTATION)
        return found if isinstance(found, int) else _UPRIGHT
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError, struct.error):
        return _UPRIGHT  # notes about an image that nobody can read do not make it another


@contextmanager
def _refusing(subject: str, kind: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        msg = f"{subject}: not enough memory to decode this {kind}, expected a smaller image"
        raise InsufficientMemory(msg) from error
    except Image.DecompressionBombError as error:  # the decoder of WebP looks at the size by itself
        msg = f"{subject}: a {kind} of far too many pixels, expected at most {MAX_PIXELS}; make it smaller"
        raise InvalidInput(msg) from error
    except Exception as error:  # whatever a decoder stumbles over, in bytes that anybody may send, is the file's fault
        reason = str(error)[:80] or type(error).__name__
        msg = f"{subject}: a {kind} that cannot be decoded ({reason}), expected a whole one"
        raise InvalidInput(msg) from error
