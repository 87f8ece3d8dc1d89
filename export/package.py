"""The artifact folder: written whole or not at all, and checked before anything is done with it. Needs no torch."""

import errno
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from export.errors import OutputError
from export.judge import HeldOut
from handlers.errors import CorruptFile, LambdaserveError
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import MANIFEST_FILE, Manifest, decode_manifest
from handlers.tasks.arrays import Arrays

__all__ = ["HELD_OUT_FILE", "new_artifact", "read_artifact", "read_held_out", "write_held_out"]

HELD_OUT_FILE = "held-out.npz"
"""Inputs that judged the variants, beside the artifact for `verify`; no part of it, and never published."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAX_HELD_OUT_BYTES = 64 * 1024 * 1024


@contextmanager
def new_artifact(out: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` if the block ends well, and is gone otherwise.

    Raises:
        OutputError: `out` holds something that is no artifact, or cannot be written.
    """
    out = out.resolve()
    if out.exists() and not _replaceable(out):
        msg = f"{out}: exists and is no artifact, expected a new or empty folder, or an artifact to replace"
        raise OutputError(msg)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        msg = f"{out}: cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    try:
        yield work
        _swap(work, out)
    except OSError as error:
        hint = "; is the disk full?" if error.errno in _NO_ROOM else ""
        msg = f"{out}: cannot be written: {error}{hint}"
        raise OutputError(msg) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replaceable(out: Path) -> bool:
    """Tell whether `out` is an empty folder, or one that holds an artifact and nothing else."""
    if not out.is_dir():
        return False
    names = {path.name for path in out.iterdir()}
    if not names:
        return True
    try:
        manifest = decode_manifest((out / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
    except (OSError, LambdaserveError):
        return False
    return names <= {MANIFEST_FILE, HELD_OUT_FILE, *manifest.files}


def _swap(work: Path, out: Path) -> None:
    work.chmod(0o755)  # mkdtemp's 0700 is for secrets
    if not out.exists():
        work.rename(out)
        return
    old = work.with_name(f"{work.name}-old")
    out.rename(old)
    work.rename(out)
    shutil.rmtree(old)


def read_artifact(folder: Path) -> Manifest:
    """Return the manifest of an artifact folder, after every file that it names has been hashed.

    Raises:
        OutputError: This is no artifact folder.
        ArtifactError: A file is missing or altered, or the manifest is of another schema version.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        msg = f"{folder}: no {MANIFEST_FILE}, expected an artifact folder; make one with lambdaserve build"
        raise OutputError(msg)
    manifest = decode_manifest(path.read_bytes(), str(path))
    for name, entry in manifest.files.items():
        file = folder / name
        if not file.is_file():
            msg = f"{file}: missing, expected {entry.size} bytes with sha256 {entry.sha256}"
            raise CorruptFile(msg)
        found = describe_file(file)
        if found != entry:
            msg = f"{file}: {found.size} bytes with sha256 {found.sha256}, expected {entry.size} with {entry.sha256}"
            raise CorruptFile(msg)
    return manifest


def write_held_out(folder: Path, data: HeldOut, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Write what judged into the artifact's folder, as many batches as fit into 64 MB."""
    arrays: Arrays = {}
    size = 0
    for i, (given, answers) in enumerate(zip(data.inputs, data.outputs, strict=True)):
        batch = {f"{i}.input.{j}": given[name] for j, name in enumerate(inputs)}
        batch |= {f"{i}.output.{j}": answers[name] for j, name in enumerate(outputs)}
        if data.targets is not None:
            batch[f"{i}.target"] = data.targets[i]
        size += sum(array.nbytes for array in batch.values())
        if i and size > _MAX_HELD_OUT_BYTES:
            break
        arrays |= batch
    arrays["held_out"] = np.array(data.held_out)
    arrays["classes"] = np.array(sorted(data.classes), np.str_)
    np.savez_compressed(folder / HELD_OUT_FILE, allow_pickle=False, **arrays)


def read_held_out(folder: Path, manifest: Manifest) -> HeldOut | None:
    """Return what `write_held_out` wrote; None where the folder came without it.

    Raises:
        CorruptFile: The file is of another artifact, or broken.
    """
    path = folder / HELD_OUT_FILE
    if not path.is_file():
        return None
    try:
        # opened here: of a file that is half a zip numpy would leave its own open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            count = sum(key.endswith(".input.0") for key in file.files)
            targets = [file[f"{i}.target"] for i in range(count)] if "0.target" in file.files else None
            inputs = [{s.name: file[f"{i}.input.{j}"] for j, s in enumerate(manifest.inputs)} for i in range(count)]
            outputs = [{s.name: file[f"{i}.output.{j}"] for j, s in enumerate(manifest.outputs)} for i in range(count)]
            classes = frozenset(map(str, file["classes"]))
            return HeldOut(inputs, outputs, targets, held_out=bool(file["held_out"]), classes=classes)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path}: {error}, expected the inputs that judged this artifact; delete it to verify without them"
        raise CorruptFile(msg) from error
