# noqa: INP001 - started by its path; an __init__.py would make this folder part of what it packs
"""Build a function's deployment package: locked wheels and this code, without what Lambda never loads.

Run by `sam build` through handlers/Makefile, with the minor version of Python that functions run on. Standard
library only, and never part of the package itself. Two builds from the same files are equal, byte for byte.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

# Where Lambda unpacks the package. Bytecode names its source so, not by a folder of the machine it was built on, and
# the import system has no path to correct in each code object.
TASK_ROOT = "/var/task"

# The runtime is Amazon Linux 2023: glibc 2.34. pip takes the tags literally and does not know that a wheel for an older
# glibc works too, so each is named.
NEWEST_GLIBC_MINOR = 34
OLDEST_GLIBC_MINOR = {"x86_64": 5, "arm64": 17}  # the first that manylinux has for the processor
LEGACY_TAGS = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "arm64": ("manylinux2014",)}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's word: the word in wheel names

# What of this folder is for building, not for running.
NOT_SHIPPED = ("Makefile", "requirements*", "deployment", "__pycache__", ".*")

# By function, as template.yaml names it: the lock of its wheels, and what of this folder is for the others alone.
FUNCTIONS = {
    "InferenceFunction": ("requirements.txt", ("management.py", "api/management", "versions")),
    "ManagementFunction": (
        "requirements-management.txt",
        ("inference.py", "snapstart.py", "payloads", "api/docs", "api/oip", "api/openapi"),
    ),
}

# What of the wheels is never loaded. Globs; `**` is any depth.
NEVER_LOADED = (
    "bin",  # console scripts
    "**/tests",  # of numpy alone 8 MB
    "**/*.pyi",
    "**/*.pxd",
    "**/*.h",
    "numpy/conftest.py",
    "numpy/f2py",  # a Fortran compiler's front end
    "numpy/_pyinstaller",
    "numpy/_core/include",
    "numpy/_core/lib",  # static libraries to link extensions with
    "numpy/random/lib",  # likewise
    "numpy/_core/_*_tests*.so",
    "numpy/_core/_simd*.so",  # only numpy's own tests import it
    "onnxruntime/quantization",  # these three need the onnx package, which is not here
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/datasets",
    "onnxruntime/capi/libonnxruntime.so*",  # for C programs; Python's extension module holds the same code once more
    "PIL/_avif*.so",  # of Pillow only JPEG, PNG and WebP are decoded, see handlers/tasks/images/decoding.py
    "pillow.libs/libavif-*",
    "PIL/_imagingft*.so",  # text in images, with fonts
    "pillow.libs/libfreetype-*",
    "pillow.libs/libharfbuzz-*",
    "pillow.libs/libbrotli*",
    "pillow.libs/libpng16-*",  # for fonts as well: Pillow reads PNG itself
    "PIL/_imagingcms*.so",  # colour management
    "pillow.libs/liblcms2-*",
    "PIL/_imagingtk*.so",
    "PIL/_imagingmath*.so",
    "PIL/_imagingmorph*.so",
    "boto3/examples",
    "botocore/data/s3/*/examples-1.json",  # for documentation
)

# Of these folders only the named entries are loaded: the function speaks to no service but S3. botocore lists them
# each time it makes a client, so this saves time as well as 28 MB.
ONLY_LOADED = {
    "botocore/data": ("s3", "_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"),
    "boto3/data": ("s3",),
}

# Scanners find versions there, people licences. The rest describes the installation (RECORD would name files that are
# gone).
KEPT_METADATA = re.compile(r"METADATA|licenses|(LICEN[CS]E|NOTICE|COPYING).*")


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--function", choices=sorted(FUNCTIONS), required=True)
    parser.add_argument("--architecture", choices=sorted(MACHINES), required=True)
    parser.add_argument("--source", type=Path, required=True, help="the folder of the package `handlers`")
    parser.add_argument("--out", type=Path, required=True, help="the folder to fill")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()

    if find_spec("pip") is None:
        sys.exit(f"{sys.executable}: no pip, expected one; run {sys.executable} -m ensurepip")
    requirements, others = FUNCTIONS[arguments.function]
    try:
        install(arguments.source / requirements, arguments.architecture, out)
    except subprocess.CalledProcessError:
        sys.exit(f"deployment/build.py: pip could not install {requirements}, its reason is above")
    prune(out)
    # SAM has copied the folder's contents; absolute imports need the folder `handlers` around them
    shutil.copytree(arguments.source, out / "handlers", ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    for name in others:
        remove((out / "handlers").glob(name), name)
    make_readable(out)
    compile_all(out)
    print(f"{size_mb(out):.1f} MB unzipped for {arguments.function}, {arguments.architecture}")  # noqa: T201 - the answer of a command


def install(requirements: Path, architecture: str, out: Path) -> None:
    """Install the locked wheels of that architecture, each checked against its hash; runs on any host."""
    platforms = [f"--platform={tag}" for tag in platform_tags(architecture)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    command += ["--target", str(out), "--requirement", str(requirements), "--require-hashes", "--no-deps"]
    command += ["--no-compile", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", "{}.{}".format(*sys.version_info), *platforms]
    subprocess.run(command, check=True)  # noqa: S603 - no input from outside


def platform_tags(architecture: str) -> list[str]:
    """Return every wheel tag that the runtime takes, newest first."""
    machine = MACHINES[architecture]
    minors = range(NEWEST_GLIBC_MINOR, OLDEST_GLIBC_MINOR[architecture] - 1, -1)
    return [f"manylinux_2_{minor}_{machine}" for minor in minors] + [
        f"{tag}_{machine}" for tag in LEGACY_TAGS[architecture]
    ]


def prune(out: Path) -> None:
    """Delete what is never loaded.

    Raises:
        SystemExit: A rule matches nothing: a release has moved its files, and the rule has to follow.
    """
    for pattern in NEVER_LOADED:
        remove(out.glob(pattern), pattern)
    for folder, kept in ONLY_LOADED.items():
        remove((entry for entry in (out / folder).iterdir() if entry.name not in kept), folder)
    for entry in out.glob("*.dist-info/*"):
        if not KEPT_METADATA.fullmatch(entry.name):
            remove([entry], entry.name)


def remove(paths: Iterable[Path], rule: str) -> None:
    """Delete files and folders."""
    found = list(paths)
    if not found:
        sys.exit(f"deployment/build.py: {rule!r} matches nothing, expected something to leave out; correct the rule")
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_readable(out: Path) -> None:
    """Let everybody read: Lambda runs as another user than the one who packed, whose umask may be strict."""
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def compile_all(out: Path) -> None:
    """Write bytecode that is never checked against its source: the file system is read-only where it runs.

    In a child process without the user's PYTHON* settings, which can move or optimise bytecode, and with a fixed hash
    seed, on which the order of constants depends.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(out), "-p", TASK_ROOT, str(out)]
    subprocess.run(command, check=True, env=environ | {"PYTHONHASHSEED": "0"})  # noqa: S603 - no input from outside


def size_mb(folder: Path) -> float:
    """Return the size of all files below `folder`, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
