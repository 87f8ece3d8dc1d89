"""The forms in which a request may hold a file: as it is, in base64, in a data URL."""

import base64
import binascii

from handlers.errors import InvalidInput

__all__ = ["FILE_SCHEMA", "read_file"]

FILE_SCHEMA = {
    "description": "An image file (JPEG, PNG or WebP) in base64, alone, as `b64`, or as a data URL",
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"b64": {"type": "string"}},
            "required": ["b64"],
            "additionalProperties": False,
        },
    ],
}


def read_file(subject: str, instance: object) -> bytes:
    """Return the file that an instance holds.

    Args:
        subject: What to call the instance in errors.
        instance: The file's bytes; its base64 text; `{"b64": text}`, as TensorFlow Serving and KServe V1 have it; or a
            data URL, RFC 2397, in base64.

    Raises:
        InvalidInput: It is none of these.
    """
    if isinstance(instance, bytes):
        return instance
    text = instance["b64"] if isinstance(instance, dict) and instance.keys() == {"b64"} else instance
    if not isinstance(text, str):
        found = (
            f"an object with {sorted(map(str, instance))[:3]}" if isinstance(instance, dict) else type(text).__name__
        )
        msg = f'{subject}: {found[:80]}, expected an image file in base64, or {{"b64": <base64>}}'
        raise InvalidInput(msg)
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            msg = f"{subject}: the data URL {head[:40]!r}, expected data:image/png;base64,<base64>"
            raise InvalidInput(msg)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # the latter for what is not ASCII
        msg = f"{subject}: no base64 ({error}), expected the base64 of an image file, without line breaks"
        raise InvalidInput(msg) from error
