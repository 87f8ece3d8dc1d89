"""Whom to believe that they are S3."""

import importlib.machinery
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

__all__ = ["trust_amazon"]

# The roots of Amazon Trust Services, https://www.amazontrust.com/repository/, under which all of S3's endpoints are.
_AMAZON = re.compile(
    rb'# Label: "(?:Amazon Root CA \d+|Starfield Services Root Certificate Authority - G2)"\n(?:#.*\n)*'
    rb"(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n)"
)


def trust_amazon() -> "ssl.SSLContext":
    """Return what accepts certificates under Amazon's own roots, from the list that botocore brings, and no others.

    To load all of the 140 takes 20 ms of CPU, these five take 1. Where they do not do, boto3 is asked.
    """
    import ssl  # 5 ms, for those only who speak TLS

    # not importlib.util.find_spec, which takes 2 ms to import
    spec = importlib.machinery.PathFinder.find_spec("botocore", sys.path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(OSError, ValueError):  # no such file, or none of the five in it: then nobody is believed
        if spec is not None and spec.origin is not None:
            roots = _AMAZON.findall(Path(spec.origin).with_name("cacert.pem").read_bytes())
            context.load_verify_locations(cadata=b"".join(roots).decode())
    return context
