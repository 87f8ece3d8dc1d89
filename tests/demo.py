"""The demo, run once for all tests that need a real trained model or what the demo printed."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interpreters import ROOT


@dataclass(frozen=True)
class Demo:
    """A finished demo: where its results are, how it ended and what it printed."""

    folder: Path
    status: int
    output: str

    @property
    def artifact(self) -> Path:
        """The artifact of the trained `mnist-cnn`."""
        return self.folder / "artifact"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """What `make demo` does, into a fresh folder."""
    return run_demo(tmp_path_factory.mktemp("demo"))


def run_demo(folder: Path) -> Demo:
    """Run the demo in this interpreter's environment, as the Makefile does."""
    command = [sys.executable, "-m", "demo", "--work", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Demo(folder, done.returncode, done.stdout + done.stderr)
