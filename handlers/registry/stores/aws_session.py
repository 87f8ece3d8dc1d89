"""Sessions of boto3: settings and credentials are read anew for each, what never changes is read once."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
import botocore.session

if TYPE_CHECKING:
    from botocore.loaders import Loader

__all__ = ["open_session"]


def open_session() -> boto3.session.Session:
    """Return a session with the settings and credentials of this moment.

    Sessions share the loader of botocore's data: a client's description of S3, its endpoints and retries. To make the
    first client takes 70 to 110 ms with it, another one 12, and with a loader of its own 70 again.
    """
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=session)


@cache
def _loader() -> "Loader":
    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader
