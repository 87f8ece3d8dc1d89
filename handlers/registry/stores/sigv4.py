"""AWS Signature Version 4 for a GET from S3.

The canonical request, the string to sign, the signing key and the header are built as written in
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Credentials", "sign_get", "uri_encode"]

_NO_BODY_SHA256 = hashlib.sha256().hexdigest()
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True)
class Credentials:
    """Whose request it is. `session_token` is empty with long-lived keys."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def sign_get(
    target: str, headers: Mapping[str, str], credentials: Credentials, region: str, time_s: float
) -> dict[str, str]:
    """Return `headers` and those that authorise the request, by name in lower case.

    Args:
        target: The path, encoded, and the query behind a `?` if there is one: sorted, encoded, `=` in each item.
        headers: What else is sent and shall be signed, `host` included, names in lower case, no spaces around values.
        credentials: Whose request it is.
        region: The bucket's.
        time_s: Now, in seconds since the epoch. S3 refuses what is more than 15 minutes off.
    """
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time_s))
    signed = dict(headers) | {"x-amz-content-sha256": _NO_BODY_SHA256, "x-amz-date": timestamp}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    path, _, query = target.partition("?")
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name]}\n" for name in sorted(signed)]
    canonical = "\n".join(["GET", path, query, "".join(lines), names, _NO_BODY_SHA256])
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{credentials.access_key_id}/{scope}"
    signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return signed


def uri_encode(text: str, safe: str = "") -> str:
    """Return the text as it stands in a path (`safe="/"`) or in a query, in upper case hexadecimal where it must."""
    # urllib.parse has this too, and takes 3 ms to import: this runs before the first byte is asked for
    kept = _UNRESERVED | frozenset(safe.encode())
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in text.encode())
