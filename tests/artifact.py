"""The functions' deployment packages, made by `sam build` as for a deployment, and the SAM CLI itself."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interpreters import ROOT, find_python

RUNTIME = "3.13"  # the template's; test_template compares the two
HOST_ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.fixture(scope="session")
def lambda_python() -> Path:
    """An interpreter of the function's minor version; skips where there is none."""
    python = find_python(RUNTIME)
    if python is None:
        pytest.skip(f"no python{RUNTIME} on PATH or in pyenv: the package's bytecode takes one to make and to run")
    return python


@pytest.fixture(scope="session")
def artifact(lambda_python: Path) -> Iterator[Path]:
    """The inference function's unpacked package for this machine, built once in a session. Read only, please.

    The management function's lies beside it.
    """
    if platform.system() != "Linux" or not HOST_ARCHITECTURE:
        pytest.skip(f"{platform.system()} on {platform.machine()}: Lambda's libraries do not run here")
    with tempfile.TemporaryDirectory(prefix="lambdaserve-artifact-") as folder:
        yield build_artifact(Path(folder), HOST_ARCHITECTURE, lambda_python)


def build_artifact(folder: Path, architecture: str, python: Path) -> Path:
    """Run `sam build` for that architecture and return the folder that would be zipped, somewhere below `folder`.

    It is the inference function's; beside it are those of the other functions, by name.
    """
    done = run_sam(
        *("build", "--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache")),
        *("--parameter-overrides", f"Architecture={architecture}"),
        LAMBDA_PYTHON=str(python),
    )
    if done.returncode != 0:
        pytest.fail(f"sam build exited with {done.returncode}:\n{done.stdout}{done.stderr}", pytrace=False)
    return folder / "build" / "InferenceFunction"


def run_sam(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the SAM CLI in the repository's root; the caller looks at the exit code."""
    settings = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(
        [str(find_sam()), *arguments],
        cwd=ROOT,
        env=os.environ | settings | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def find_sam() -> Path:
    """Return the SAM CLI: LAMBDASERVE_SAM, or what `make setup` installs. Never skips: every machine can have it."""
    named = os.environ.get("LAMBDASERVE_SAM", "")
    sam = shutil.which(named) if named else shutil.which("sam", path=str(ROOT / ".venv-sam" / "bin"))
    if sam is None:
        found = f"SAM CLI: none at {named or '.venv-sam/bin/sam'}"
        pytest.fail(f"{found}; run `make setup` or set LAMBDASERVE_SAM", pytrace=False)
    return Path(sam)
