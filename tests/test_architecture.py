"""What may know what: the import directions, and what a process has really imported when it has answered."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from handlers.tasks.definitions import EmbeddingTask, Tokenization
from tests.artifacts import make_artifact, publish_graphs
from tests.graphs import affine, mean_of_rows
from tests.handlers.api.gateway import rest_event
from tests.handlers.tasks.images.files import png
from tests.servers.s3 import S3Server
from tests.words import word_tokenizer

ROOT = Path(__file__).resolve().parents[1]
INFER = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 1, 2]}]}
PIXEL = png(width=1, height=1)
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}
EXPORT_ONLY = {"torch", "onnx", "onnxscript", "transformers", "export", "click", "rich", "uvicorn", "tests"}

# What the inference function may import from outside the standard library. Each name costs time in every cold start and
# room in the package: a new one is a decision, not an accident.
ALLOWED = {
    "handlers",
    *("numpy", "onnxruntime", "msgspec"),
    *("mangum", "starlette", "anyio", "typing_extensions", "idna", "sniffio"),
    *("aws_lambda_powertools", "jmespath"),
    *("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "six"),
    *("certifi", "brotli"),  # botocore and urllib3 take them where they find them; the package does not hold them
    "orjson",  # fastapi likewise; the bare application of bench-throughput needs it
    "python_multipart",  # starlette takes it along; forms are read with it
    *("flatbuffers", "google", "packaging"),  # onnxruntime's
}

# What the management function may on top: nobody waits for its cold start in milliseconds.
ALLOWED_TO_MANAGE = ALLOWED | {
    *("fastapi", "pydantic", "pydantic_core", "annotated_types", "annotated_doc", "typing_inspection"),
    *("opentelemetry", "dotenv", "email_validator", "dns"),  # fastapi and pydantic take them where they find them
}

# Printed last, so that what the code itself prints does no harm.
REPORT = """
import json, sys
from pathlib import Path
names = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(json.dumps(sorted(name for name in names if not name.startswith("_"))))
"""


def imported_by(code: str, *arguments: str) -> set[str]:
    """Run the code in a process of its own and return the top-level modules outside the standard library."""
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT, *arguments],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_function_that_has_answered_has_imported_nothing_but_what_it_may(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [EXAMPLE])
    code = """
import json, os, sys
os.environ["LAMBDASERVE_STORE"] = sys.argv[1]
from handlers import inference
answer = inference.handler(json.loads(sys.argv[2]), None)
assert '"data":[1.0,3.0,5.0]' in answer["body"], answer
rare = ("kserve", "openai", "openapi", "pages", "payloads", "sagemaker", "oip.repository", "oip.statistics")
assert not {f"handlers.api.{name}" for name in rare} & set(sys.modules)
writing = ("handlers.versions", "handlers.management", "handlers.api.management")
assert not [name for name in sys.modules if name.startswith(writing)]
"""
    event = rest_event("POST", "/v2/models/affine/infer", json.dumps(INFER).encode())

    found = imported_by(code, url, json.dumps(event))

    assert found & EXPORT_ONLY == set()
    assert found <= ALLOWED
    assert {"handlers", "onnxruntime", "mangum", "starlette"} <= found  # and the test has seen what it should see
    assert "boto3" not in found  # 0.2 s, for nobody's use with a store in a folder


def test_a_management_function_that_has_promoted_has_imported_nothing_but_what_it_may(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "mnist-cnn", {"fp32": affine()}, [EXAMPLE], alias=None)
    code = """
import json, os, sys, types
os.environ["LAMBDASERVE_STORE"] = sys.argv[1]
from handlers import management
answer = management.handler(json.loads(sys.argv[2]), types.SimpleNamespace(aws_request_id="1"))
assert answer["statusCode"] == 200, answer
assert "handlers.inference" not in sys.modules
"""
    event = (ROOT / "events" / "management-promote.json").read_text()

    found = imported_by(code, url, event)

    assert found & EXPORT_ONLY == set()
    assert found <= ALLOWED_TO_MANAGE
    assert {"fastapi", "pydantic", "onnxruntime"} <= found


def test_a_function_with_models_in_s3_answers_without_boto3(s3_environment: S3Server, s3_bucket: str) -> None:
    url = f"s3://{s3_bucket}/{uuid4().hex}"
    publish_graphs(url, "affine", {"fp32": affine()}, [EXAMPLE])
    code = """
import json, os, sys, types
os.environ |= json.loads(sys.argv[1])
from handlers import inference
answer = inference.handler(json.loads(sys.argv[2]), types.SimpleNamespace(aws_request_id="1"))
assert answer["statusCode"] == 200 and "[1.0,3.0,5.0]" in answer["body"], answer
"""
    event = json.loads((ROOT / "events" / "infer.json").read_text())
    event |= {"path": "/v2/models/affine/infer", "body": json.dumps(INFER), "isBase64Encoded": False}
    environ = s3_environment.environment | {"LAMBDASERVE_STORE": url}

    found = imported_by(code, json.dumps(environ), json.dumps(event))

    assert "onnxruntime" in found
    assert found & {"boto3", "s3transfer", "urllib3"} == set()  # botocore's empty top is powertools'


def test_images_bring_pillow_and_no_decoders_but_three() -> None:
    code = """
import sys
from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import ImageClassificationTask
from handlers.tasks.opening import open_task
image = TensorSpec(name="x", datatype="FP32", shape=(-1, 3, -1, -1))
scores = TensorSpec(name="y", datatype="FP32", shape=(-1, 1))
task = open_task(ImageClassificationTask(input="x", output="y", labels=("a",)), [image], [scores], None)
file = bytes.fromhex(sys.argv[1])
assert task.collate(task.prepare([file]))["x"].shape == (1, 3, 1, 1)
plugins = {name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")}
assert plugins == {f"PIL.{name}ImagePlugin" for name in ("Jpeg", "Png", "WebP")}, plugins
"""

    found = imported_by(code, PIXEL.hex())

    assert found <= ALLOWED | {"PIL"}
    assert found & {"onnxruntime", "starlette", "python_multipart"} == set()


def test_a_model_of_text_brings_nothing_but_tokenizers(tmp_path: Path) -> None:
    url, tokenizer = (tmp_path / "store").as_uri(), tmp_path / "tokenizer.json"
    word_tokenizer(["good"]).save(str(tokenizer))
    tokenization = Tokenization(inputs={"ids": "ids", "mask": "mask"}, max_tokens=8)
    example = {"ids": np.array([[2, 5, 3]]), "mask": np.ones((1, 3), np.int64)}
    task = EmbeddingTask(tokenization=tokenization, output="mean")
    graph = mean_of_rows(np.eye(6, dtype=np.float32))
    publish_graphs(url, "embedder", {"fp32": graph}, [example], task=task, tokenizer=tokenizer)
    code = """
import asyncio, os, sys
os.environ["LAMBDASERVE_STORE"] = sys.argv[1]
from handlers import inference
from handlers.api.predict import Instances, predict
[model] = inference.models.loaded
answer = asyncio.run(inference.app.state.service.call(model, lambda call: predict(call, Instances(["good"], {}))))
assert len(answer[0]) == 6, answer
"""

    found = imported_by(code, url)

    assert found & EXPORT_ONLY == set()
    assert found <= ALLOWED | {"tokenizers"}
    assert "tokenizers" in found


def test_a_store_in_s3_brings_nothing_but_boto3_and_that_only_where_it_must() -> None:
    code = """
import os
os.environ["AWS_REGION"] = "eu-west-1"
from handlers.registry.stores import open_store
open_store("s3://bucket/prefix")
"""
    keys = 'import os\nos.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}\n'

    assert imported_by(keys + code) <= ALLOWED - {"boto3", "botocore", "urllib3", "numpy", "onnxruntime", "fastapi"}
    found = imported_by(code)

    assert "boto3" in found
    assert found <= ALLOWED
    assert found & {"numpy", "onnxruntime", "starlette"} == set()


def test_a_payload_brings_nothing_but_boto3() -> None:
    code = """
import os
os.environ |= {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
os.environ |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
from handlers.payloads.payloads import Payloads
Payloads("s3://bucket/payloads", 1000).issue(1, "0" * 64)
"""

    found = imported_by(code)

    assert "boto3" in found
    assert found <= ALLOWED
    assert found & {"numpy", "onnxruntime", "starlette"} == set()


def test_the_transfer_starts_before_anything_slow_is_imported() -> None:
    # the cold path: models.start() comes first, and numpy, onnxruntime and the web framework, which take longer to
    # import than most models to arrive, are imported while the bytes are on their way
    found = imported_by("import handlers.registry.models, handlers.settings")

    assert found == {"handlers", "msgspec", "typing_extensions"} | (found & {"lambdaserve"})


COMMANDS_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None  # as where they are not installed: importing them raises
from export.cli import cli
for arguments in {commands!r}:
    try:
        cli(arguments, standalone_mode=False)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
del sys.modules["torch"], sys.modules["onnx"]
"""


def test_help_needs_no_torch() -> None:
    names = ("", "build", "verify", "publish", "serve", "profile", "models", "models list", "models show")
    commands = [[*name.split(), "--help"] for name in names]

    found = imported_by(COMMANDS_WITHOUT_TORCH.format(commands=commands))

    assert "click" in found
    assert found & {"torch", "onnx", "onnxscript", "transformers", "numpy", "onnxruntime"} == set()


def test_verify_publish_models_and_profile_need_no_torch(tmp_path: Path) -> None:
    artifact, url = tmp_path / "artifact", (tmp_path / "store").as_uri()
    make_artifact(artifact, "affine", {"fp32": affine()}, [EXAMPLE])
    commands = [
        ["verify", str(artifact), "--json"],
        ["publish", str(artifact), "--store", url, "--alias", "live", "--json"],
        ["models", "list", "--store", url, "--json"],
        ["models", "show", "affine", "--store", url, "--json"],
        ["profile", "--store", url, "--model", "affine", "--rounds", "1", "--json"],
    ]

    found = imported_by(COMMANDS_WITHOUT_TORCH.format(commands=commands))

    assert "onnxruntime" in found
    assert found & {"torch", "onnx", "onnxscript", "transformers"} == set()


def test_serve_needs_no_torch() -> None:
    found = imported_by(COMMANDS_WITHOUT_TORCH.format(commands=[]) + "import export.serve")

    assert {"uvicorn", "starlette"} <= found
    assert found & {"torch", "onnx", "onnxscript", "transformers"} == set()


def test_imports_go_in_the_directions_that_are_declared() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "handlers").rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in ("os.environ", "os.getenv"))
    }

    assert readers - {"handlers/deployment/build.py"} == {"handlers/settings.py"}  # the former never runs on Lambda


def test_nothing_that_is_deployed_can_open_a_pickle() -> None:
    words = ("import pickle", "allow_pickle=True", "joblib", "import dill", "import marshal", "import shelve")
    found = {
        str(path.relative_to(ROOT)): word
        for path in (ROOT / "handlers").rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    }

    assert found == {}


@pytest.mark.parametrize("package", ["handlers", "export"])
def test_only_the_command_line_prints_or_exits(package: str) -> None:
    allowed = {"export/__main__.py", "handlers/deployment/build.py"}
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if path.parent != ROOT / "export" / "cli"
        and any(word in path.read_text(encoding="utf-8") for word in (" print(", "sys.exit(", "os._exit("))
    }

    assert found <= allowed
