"""Every command of the README runs, with its Python file, in a folder of a newcomer's."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from handlers.registry.stores import open_store
from tests.interpreters import ROOT
from tests.servers.s3 import S3Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line[2:]
    for language, block in BLOCKS
    if language == "console"
    for line in block.splitlines()
    if line.startswith("$ ")
]
ELSEWHERE = {
    "make demo": "tests/test_demo.py",
    "make test": "this suite",
    "make deploy": "needs an AWS account; tests/test_artifact.py and test_template.py look at what it deploys",
}
"""Commands that other tests run, or that cannot run here: what stands for them."""

AGAINST_AWS = [command for command in COMMANDS if "BUCKET" in command or "execute-api" in command]
LOCAL = [command for command in COMMANDS if command not in ELSEWHERE and command not in AGAINST_AWS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's Python file, and this environment under the name that the README uses."""
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    [code] = [block for language, block in BLOCKS if language == "python"]
    name = code.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def test_the_commands_for_your_own_model_and_for_serving_it_work(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    lines = [
        line.replace(":8000/", f":{port}/").replace(" serve ", f" serve --port {port} ").replace("curl ", "curl -sSf ")
        for line in LOCAL
    ]
    script = "\n".join(["set -euxo pipefail", "trap 'kill $(jobs -p)' EXIT", *lines])

    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=200)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "my-model: chose " in done.stdout
    assert '"ready":true' in done.stdout
    assert '"name":"my-model","versions":["1"]' in done.stdout
    assert '{"predictions":[[{"label":"' in done.stdout
    assert '"outputs":[{"name":"logits","shape":[1,3],"datatype":"FP32","data":[' in done.stdout


def test_publishing_to_s3_works_as_for_a_deployment(folder: Path, s3_environment: S3Server) -> None:
    bucket = s3_environment.make_bucket()
    [publish] = [command for command in AGAINST_AWS if "publish" in command]
    build = next(command for command in LOCAL if " build " in command)

    for command in (build, publish.replace("BUCKET", bucket)):
        subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, check=True, timeout=200)

    assert list(open_store(f"s3://{bucket}/lambdaserve").list_folders("models/")) == ["my-model"]


@pytest.mark.parametrize("target", [command.removeprefix("make ") for command in ELSEWHERE])
def test_the_make_targets_exist(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=True)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert not missing
