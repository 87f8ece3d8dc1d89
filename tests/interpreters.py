"""Where other Pythons are than the one that runs the tests."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@cache
def find_python(version: str) -> Path | None:
    """Return a working interpreter of that minor version ("3.13") or None, as the Makefile finds it."""
    found = subprocess.run([ROOT / "scripts" / "find-python", version], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()) if found.stdout.strip() else None
