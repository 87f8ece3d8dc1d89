"""What names a place in S3: `s3://bucket[/prefix]`. Needs no boto3."""

import re

from handlers.errors import InvalidName, InvalidSetting
from handlers.registry.stores.keys import check_prefix

__all__ = ["split_s3_url"]

# docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def split_s3_url(url: str) -> tuple[str, str]:
    """Return the bucket, and the prefix of all keys: empty, or ending in `/`.

    Raises:
        InvalidSetting: The URL is not of this form.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    if scheme != "s3" or _BUCKET.fullmatch(bucket) is None:
        msg = f"store URL: {url!r}, expected s3://bucket[/prefix], the bucket 3 to 63 of a-z, 0-9, '.' and '-'"
        raise InvalidSetting(msg)
    prefix = path.removesuffix("/") + "/" if path else ""
    try:
        check_prefix(prefix)
    except InvalidName as error:
        msg = f"store URL: {url!r}, expected a prefix that is a key; {error}"
        raise InvalidSetting(msg) from error
    return bucket, prefix
