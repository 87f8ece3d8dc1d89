"""Deployment packages of the references, below build/bench, kept between runs."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.interpreters import ROOT

__all__ = ["BUILT", "CACHE", "Packages", "make_packages"]

CACHE = ROOT / "build" / "bench"
BUILT = ROOT / ".aws-sam" / "build" / "InferenceFunction"
"""Ours, as `make sam-build` leaves it."""

_PROGRAMS = Path(__file__).parent / "programs"
_WHEELS = ("boto3", "fastapi", "mangum", "numpy", "onnxruntime")
_COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")


class Packages:
    """The folders, unpacked.

    Attributes:
        bare: The plain handler as SAM's pip builder leaves it: whole wheels, no bytecode.
        compiled: The same with bytecode.
        programs: `floor.py` and `imports.py` with bytecode, to which others bring the wheels.
    """

    def __init__(self, folder: Path) -> None:
        self.bare, self.compiled, self.programs = (folder / name for name in ("bare", "compiled", "programs"))

    def with_model(self, name: str, files: Sequence[Path]) -> Path:
        """Return the package with bytecode and a model's files inside it."""
        package = self.compiled.parent / f"with-{name}"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(self.compiled, package, copy_function=_link)
        for file in files:
            shutil.copy(file, package)
        return package


def make_packages(python: Path) -> Packages:
    """Make those that are not there yet.

    Args:
        python: Of the version that Lambda runs, whose wheels and bytecode they hold.

    Raises:
        CalledProcessError: pip could not install the wheels.
    """
    packages = Packages(CACHE)
    locked = re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    lock = CACHE / "locked.txt"
    text = "\n".join(locked) + "\n"
    if not lock.exists() or lock.read_text() != text:
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(parents=True)
        constraints = CACHE / "constraints.txt"
        constraints.write_text(text)
        install = (
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--no-compile",
            "--only-binary=:all:",
        )
        subprocess.run([python, *install, "--constraint", constraints, "--target", packages.bare, *_WHEELS], check=True)
        shutil.copytree(packages.bare, packages.compiled)
        subprocess.run([python, *_COMPILE, packages.compiled], check=True)
        constraints.rename(lock)  # last: what is only half made is made anew
    packages.programs.mkdir(exist_ok=True)
    for package, program, compiled in (
        (packages.bare, "plain_handler.py", False),
        (packages.compiled, "plain_handler.py", True),
        (packages.programs, "floor.py", True),
        (packages.programs, "imports.py", True),
    ):
        shutil.copy(_PROGRAMS / program, package)
        if compiled:
            subprocess.run([python, *_COMPILE, "-f", package / program], check=True)
    return packages


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
