"""The deployment package, looked at from outside and run as Lambda would."""

import hashlib
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifact import HOST_ARCHITECTURE, build_artifact
from tests.interpreters import ROOT

SIZE_LIMIT_MB, ZIPPED_LIMIT_MB = 150, 50  # Lambda's own: 250 MiB, and 50 MB for what is uploaded directly

# What Amazon Linux 2023 offers: glibc 2.34, and the C++ library of GCC 11.
OFFERED = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (11, 0)}
SYSTEM_LIBRARIES = {  # libz: every manylinux system has it by definition
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"),
    *("libz.so.1", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
}
MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "arm64": "AArch64"}


@pytest.fixture(scope="session")
def management_artifact(artifact: Path) -> Path:
    return artifact.parent / "ManagementFunction"


@pytest.fixture(scope="session")
def other_artifact(lambda_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for the processor that this machine does not have."""
    other = next(name for name in MACHINES if name != HOST_ARCHITECTURE)
    return build_artifact(tmp_path_factory.mktemp("other"), other, lambda_python)


def test_it_answers_with_nothing_else_on_the_path(artifact: Path, lambda_python: Path, tmp_path: Path) -> None:
    code = """
        import json, sys, types
        sys.path.insert(0, sys.argv[1])
        from handlers.inference import handler
        event = json.load(open(sys.argv[2]))
        context = types.SimpleNamespace(aws_request_id="request-1")
        answer = handler(event, context)
        assert answer["statusCode"] == 200, answer
        assert json.loads(answer["body"]) == {"live": True}, answer
        elsewhere = {
            name: module.__file__
            for name, module in sys.modules.items()
            if getattr(module, "__file__", None) and not module.__file__.startswith((sys.argv[1], sys.base_prefix))
        }
        assert not elsewhere, elsewhere
    """
    environ = {"LAMBDASERVE_STORE": f"file://{tmp_path}", "LAMBDASERVE_SCRATCH_DIR": str(tmp_path)}
    run_isolated(lambda_python, code, artifact, ROOT / "events" / "health-live.json", **environ)


def test_it_makes_an_s3_client(artifact: Path, lambda_python: Path) -> None:
    """botocore's data is pruned to what S3 needs."""
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import boto3
        client = boto3.client("s3", region_name="us-east-1")
        assert client.can_paginate("list_objects_v2")
        assert boto3.session.Session().get_available_services() == ["s3"]
    """
    run_isolated(lambda_python, code, artifact)


def test_a_session_runs_without_the_library_for_c_programs(artifact: Path, lambda_python: Path) -> None:
    # y = x + x, FP32 [2], opset 17
    model = "CAgSADo1Cg4KAXgKAXgSAXkiA0FkZBIBZ1oPCgF4EgoKCAgBEgQKAggCYg8KAXkSCgoICAESBAoCCAJCBAoAEBE="
    code = f"""
        import base64, sys
        sys.path.insert(0, sys.argv[1])
        import numpy, onnxruntime
        session = onnxruntime.InferenceSession(base64.b64decode("{model}"), providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {{"x": numpy.array([1, 2.5], numpy.float32)}})
        assert y.tolist() == [2, 5], y
    """
    assert not list(artifact.glob("onnxruntime/capi/libonnxruntime.so*"))
    run_isolated(lambda_python, code, artifact)


def test_images_are_decoded_without_what_other_formats_need(artifact: Path, lambda_python: Path) -> None:
    """Pillow's wheel brings libraries for AVIF, fonts, colour profiles and Tk; those that are left are all needed."""
    code = """
        import io, sys
        sys.path.insert(0, sys.argv[1])
        from PIL import Image
        from handlers.registry.manifest import TensorSpec
        from handlers.tasks.definitions import ImageClassificationTask, Resize
        from handlers.tasks.images.classification import ImageClassification
        definition = ImageClassificationTask(
            input="x", output="y", labels=("a",), resize=Resize(height=9, width=9, interpolation="bicubic")
        )
        x = TensorSpec(name="x", datatype="FP32", shape=(-1, 3, 9, 9))
        y = TensorSpec(name="y", datatype="FP32", shape=(-1, 1))
        task = ImageClassification(definition, [x], [y])
        exif = Image.Exif()
        exif[0x0112] = 6
        files = []
        for kind in ("JPEG", "PNG", "WEBP"):
            file = io.BytesIO()
            Image.new("RGB", (20, 30), "red").save(file, kind, exif=exif)
            files.append(file.getvalue())
        found = task.collate(task.prepare([*files, task.example]))["x"]
        assert found.shape == (4, 3, 9, 9), found.shape
        assert (found[:3, 0] > 0.98).all(), found
        assert (found[:3, 1:] < 0.02).all(), found
    """
    libraries = {path.name.partition("-")[0] for path in artifact.glob("pillow.libs/*")}
    assert not libraries & {"libavif", "libfreetype", "libharfbuzz", "liblcms2"}
    run_isolated(lambda_python, code, artifact)


def test_its_own_code_is_all_there_and_nothing_that_builds_it(artifact: Path) -> None:
    source = ROOT / "handlers"
    pages = {path.relative_to(source) for path in (source / "api" / "docs").iterdir() if path.is_file()}
    modules = {path.relative_to(source) for path in source.rglob("*.py") if "deployment" not in path.parts}
    managing = {path for path in modules if {"management", "management.py", "versions"} & set(path.parts)}
    assert len(managing) > 10
    shipped = artifact / "handlers"
    assert {path.relative_to(shipped) for path in files(shipped) if path.suffix != ".pyc"} == modules - managing | pages


def test_the_management_function_has_its_own_package_that_answers(
    management_artifact: Path, lambda_python: Path, tmp_path: Path
) -> None:
    code = """
        import json, sys, types
        sys.path.insert(0, sys.argv[1])
        from handlers.management import handler
        event = json.load(open(sys.argv[2]))
        answer = handler(event, types.SimpleNamespace(aws_request_id="request-1"))
        assert answer["statusCode"] == 200, answer
        assert json.loads(answer["body"]) == {"models": [], "next": None}, answer
        import handlers.versions.promotion, numpy, onnxruntime, tokenizers
        elsewhere = {
            name: module.__file__
            for name, module in sys.modules.items()
            if getattr(module, "__file__", None) and not module.__file__.startswith((sys.argv[1], sys.base_prefix))
        }
        assert not elsewhere, elsewhere
    """
    environ = {"LAMBDASERVE_STORE": f"file://{tmp_path}", "LAMBDASERVE_SCRATCH_DIR": str(tmp_path)}
    assert not (management_artifact / "handlers" / "inference.py").exists()
    assert not list(management_artifact.glob("fastapi_swagger"))
    run_isolated(lambda_python, code, management_artifact, ROOT / "events" / "management-list.json", **environ)


@pytest.mark.parametrize("package", ["fastapi", "pydantic", "pydantic_core"])
def test_only_the_management_function_carries_its_framework(
    artifact: Path, management_artifact: Path, package: str
) -> None:
    assert not (artifact / package).exists()
    assert (management_artifact / package).is_dir()


def test_it_holds_nothing_that_never_runs(artifact: Path) -> None:
    top = {path.name for path in artifact.iterdir()}
    assert not top & {"torch", "onnx", "transformers", "export", "tests", "pip", "setuptools", "bin", "Makefile"}
    assert not top & {"requirements.txt", "template.yaml", "deployment"}
    inside = {path.relative_to(artifact) for path in files(artifact)}
    never = {"tests", "quantization", "f2py", "RECORD", "INSTALLER", "direct_url.json"}
    assert not [path for path in inside if never & set(path.parts) or path.suffix in {".pyi", ".h", ".a", ".pxd"}]


def test_metadata_stays(artifact: Path) -> None:
    """Scanners for known holes read names and versions in it."""
    folders = list(artifact.glob("*.dist-info"))
    locked = re.findall(r"^[\w.-]+==", (ROOT / "handlers" / "requirements.txt").read_text(), re.MULTILINE)
    assert len(folders) == len(locked)
    assert all((folder / "METADATA").is_file() for folder in folders)


@pytest.mark.parametrize("function", ["artifact", "management_artifact"])
def test_it_fits(function: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    artifact: Path = request.getfixturevalue(function)
    size_mb = sum(path.stat().st_size for path in files(artifact)) / 1e6
    print(f"\n{size_mb:.1f} MB unzipped, limit {SIZE_LIMIT_MB}")  # noqa: T201 (shown by pytest -s)
    assert size_mb < SIZE_LIMIT_MB
    with zipfile.ZipFile(tmp_path / "package.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for path in files(artifact):
            package.write(path, path.relative_to(artifact))
    assert (tmp_path / "package.zip").stat().st_size / 1e6 < ZIPPED_LIMIT_MB


def test_everybody_may_read_it(artifact: Path) -> None:
    """Lambda runs as another user than the one who packed."""
    assert not [path for path in artifact.rglob("*") if path.stat().st_mode & 0o444 != 0o444]
    assert not [path for path in artifact.rglob("*") if path.is_dir() and path.stat().st_mode & 0o111 != 0o111]


def test_all_bytecode_is_there_current_and_of_the_runtime(artifact: Path, lambda_python: Path) -> None:
    code = """
        import importlib.util, json, marshal, pathlib, sys, types
        root = pathlib.Path(sys.argv[1])
        problems = []

        def names(code):
            yield code.co_filename
            for constant in code.co_consts:
                if isinstance(constant, types.CodeType):
                    yield from names(constant)

        sources = sorted(root.rglob("*.py"))
        assert len(sources) > 500, len(sources)
        for source in sources:
            cached = pathlib.Path(importlib.util.cache_from_source(str(source)))
            if not cached.is_file():
                problems.append(f"{source}: no bytecode")
                continue
            data = cached.read_bytes()
            if data[:4] != importlib.util.MAGIC_NUMBER:
                problems.append(f"{cached}: of another Python")
            elif int.from_bytes(data[4:8], "little") != 0b01:
                problems.append(f"{cached}: checked against its source at every import")
            elif data[8:16] != importlib.util.source_hash(source.read_bytes()):
                problems.append(f"{cached}: stale")
            elif (found := set(names(marshal.loads(data[16:])))) != {f"/var/task/{source.relative_to(root)}"}:
                problems.append(f"{cached}: names {found}")
        compiled = {importlib.util.source_from_cache(str(path)) for path in root.rglob("*.pyc")}
        problems += [f"{path}: bytecode without a source" for path in compiled - {str(source) for source in sources}]
        assert not problems, problems[:10]
    """
    run_isolated(lambda_python, code, artifact)


def test_a_second_build_is_the_same(artifact: Path, lambda_python: Path, tmp_path: Path) -> None:
    again = build_artifact(tmp_path / "a-longer-path", HOST_ARCHITECTURE, lambda_python)
    assert hashes(again) == hashes(artifact)


@pytest.mark.parametrize("architecture", MACHINES)
def test_its_libraries_fit_the_runtime(architecture: str, request: pytest.FixtureRequest) -> None:
    package: Path = request.getfixturevalue("artifact" if architecture == HOST_ARCHITECTURE else "other_artifact")
    libraries = [path for path in files(package) if path.read_bytes()[:4] == b"\x7fELF"]
    bundled = {path.name for path in libraries}
    assert len(libraries) > 10
    for library in libraries:
        about = readelf(library)
        assert MACHINES[architecture] in about, library
        for kind, version in re.findall(r"Name: (GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+) ", about):
            needed = tuple(int(part) for part in version.split("."))
            assert needed <= OFFERED[kind], f"{library.name}: needs {kind} {version}, the runtime has {OFFERED[kind]}"
        needed_libraries = set(re.findall(r"\(NEEDED\).*\[(.+)\]", about))
        assert needed_libraries, library
        assert needed_libraries <= SYSTEM_LIBRARIES | bundled, library


@pytest.mark.parametrize(
    ("makefile", "environ", "message"),
    [
        ("Makefile", {}, "run `sam build`"),
        ("deployment/arm64/Makefile", {"LAMBDA_PYTHON": "no-such-python"}, "LAMBDA_PYTHON=/path/to/python3.13"),
        ("deployment/x86_64/Makefile", {"LAMBDA_PYTHON": "false"}, "no working Python 3.13"),
    ],
)
def test_a_build_that_cannot_be_right_says_why(
    makefile: str, environ: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["make", "--makefile", makefile, "build-InferenceFunction"],
        cwd=ROOT / "handlers",
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path), "LAMBDA_PYTHON": "python3.13"} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def hashes(folder: Path) -> dict[Path, str]:
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)}


def readelf(library: Path) -> str:
    """Return header, needed libraries and needed symbol versions of an ELF file."""
    command = ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(library)]
    return subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True).stdout


def run_isolated(python: Path, code: str, *arguments: Path, **environ: str) -> None:
    """Run code that sees neither this environment's packages (-S) nor the user's settings (-I)."""
    body = "if True:\n" + code  # as indented as it stands in the test
    names = [str(argument) for argument in arguments]
    done = subprocess.run(
        [str(python), "-I", "-S", "-B", "-c", body, *names],
        env={"PATH": os.defpath} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        pytest.fail(f"exit {done.returncode}:\n{done.stdout}{done.stderr}", pytrace=False)
