"""The command `lambdaserve` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

WITHOUT_TORCH = """
import sys
for name in ("torch", "onnx", "onnxscript"):
    sys.modules[name] = None  # from here on an import of it raises ModuleNotFoundError
from export.cli import main
main()
"""
"""What `python -c` runs so that the command works only if it imports nothing of what `build` alone may import."""


def command(*arguments: object, torch: bool = False) -> list[str]:
    """Return the command line; with `torch=False` torch and onnx cannot be imported in that process."""
    return [sys.executable, *(["-m", "export"] if torch else ["-c", WITHOUT_TORCH]), *map(str, arguments)]


def lambdaserve(*arguments: object, torch: bool = False, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; the caller looks at the exit code."""
    return subprocess.run(
        command(*arguments, torch=torch),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment(),
        timeout=120,
    )


def environment() -> dict[str, str]:
    """Return this environment with the packages under test on the path, wherever the command is run."""
    root = str(Path(__file__).resolve().parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))}
