"""Where other Pythons are than the one that runs the tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def find_python(version: str) -> Path | None:
    """Return a working interpreter of that minor version ("3.13") or None: from PATH, else the newest of pyenv."""
    return next((path for path in _candidates(version) if _runs_as(path, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    if pyenv := shutil.which("pyenv"):
        listed = _output([pyenv, "versions", "--bare"]).split()
        named = (name.rpartition(".") for name in listed)
        patches = [int(patch) for minor, _, patch in named if minor == version and patch.isdecimal()]
        for patch in sorted(patches, reverse=True):
            yield Path(_output([pyenv, "prefix"], PYENV_VERSION=f"{version}.{patch}"), "bin", f"python{version}")


def _runs_as(python: Path, version: str) -> bool:
    """A pyenv shim is on PATH for every version and works only for the one that is switched on."""
    return _output([str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]) == version


def _output(command: list[str], **environ: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environ)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
