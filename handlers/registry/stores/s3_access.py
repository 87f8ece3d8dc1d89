"""What it takes to read from S3 without boto3: where, in which region, as whom. None of it is asked of the network."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.registry.stores.sigv4 import Credentials

__all__ = ["S3Access", "S3Place"]

# What changes where boto3 finds credentials, or how it reaches S3, beyond what is read below. Where one of these is
# set, or a file of the AWS CLI is there, boto3 does the reading: it knows what they mean.
_FOR_BOTO3 = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DATA_PATH"),
    *("AWS_CREDENTIAL_EXPIRATION", "AWS_DEFAULTS_MODE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    *("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy"),
)
_FOR_BOTO3_WITH_TLS = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_FILES = ("~/.aws/config", "~/.aws/credentials")

# The partitions `aws` and `aws-us-gov`; pseudo regions such as `aws-global` and the other partitions are boto3's.
_REGION = re.compile(r"(us|us-gov|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d")
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]+)(?::(\d{1,5}))?/?")
_SIGNING_REGION = re.compile(r"[a-z0-9-]+")
_PRINTABLE = re.compile(r"[!-~]+")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class S3Place:
    """Where the objects of one bucket are.

    Attributes:
        host: Where to connect to.
        port: On which port.
        tls: Whether to speak HTTPS.
        path: What stands before each key: `/`, or `/bucket/` where the bucket is not in the host's name.
        region: What a signature is for.
    """

    host: str
    port: int
    tls: bool
    path: str
    region: str

    @property
    def authority(self) -> str:
        """The host as the header of that name has it, with the port if it is not the usual one."""
        return self.host if self.port == _PORTS["https" if self.tls else "http"] else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class S3Access:
    """How to reach the objects of one bucket: where they are, and as whom to ask."""

    place: S3Place
    credentials: Credentials

    @classmethod
    def from_environ(cls, bucket: str, environ: Mapping[str, str]) -> "S3Access | None":
        """Return what the environment says, if it says all and nothing that boto3 alone understands; else None."""
        credentials = _credentials(environ)
        place = _place(bucket, environ)
        if credentials is None or place is None or _needs_boto3(environ, tls=place.tls):
            return None
        return cls(place, credentials)


def _place(bucket: str, environ: Mapping[str, str]) -> S3Place | None:
    region = environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or ""
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    if "--" in bucket or bucket.endswith("-s3alias"):  # access points and directory buckets, with rules of their own
        return None
    if endpoint:
        found = _ENDPOINT.fullmatch(endpoint)
        if found is None or not _SIGNING_REGION.fullmatch(region):
            return None
        scheme, host, port = found.groups()
        return S3Place(host, int(port or _PORTS[scheme]), scheme == "https", f"/{bucket}/", region)
    if not _REGION.fullmatch(region):
        return None
    host = f"s3.{region}.amazonaws.com"
    if "." in bucket:  # no certificate is good for `a.b.s3.amazonaws.com`
        return S3Place(host, _PORTS["https"], tls=True, path=f"/{bucket}/", region=region)
    return S3Place(f"{bucket}.{host}", _PORTS["https"], tls=True, path="/", region=region)


def _credentials(environ: Mapping[str, str]) -> Credentials | None:
    # in the order of botocore's EnvProvider
    token = environ.get("AWS_SECURITY_TOKEN", environ.get("AWS_SESSION_TOKEN", ""))
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    # they go into headers: nothing that could end one
    if not all(map(_PRINTABLE.fullmatch, (key_id, secret, token or "none"))):
        return None
    return Credentials(key_id, secret, token)


def _needs_boto3(environ: Mapping[str, str], *, tls: bool) -> bool:
    names = _FOR_BOTO3 + (_FOR_BOTO3_WITH_TLS if tls else ())
    return any(environ.get(name) for name in names) or any(os.path.exists(os.path.expanduser(file)) for file in _FILES)  # noqa: PTH110, PTH111 - pathlib's raise where one may not look
