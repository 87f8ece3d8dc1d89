"""The command `lambdaserve` as a user has it: help, exit codes, streams, and a served answer."""

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
import numpy as np
import pytest
import torch

from export.cli import cli
from export.source import load_source
from handlers.registry.aliases import Alias, Aliases
from handlers.registry.sealed import seal
from tests.export.command import lambdaserve
from tests.servers.serving import serving

SOURCE = """
import numpy as np
import torch
from export import Evaluation, ModelSource

def source():
    print("imported")  # what a user's code prints
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    with torch.inference_mode():
        labels = net(torch.from_numpy(x)).argmax(1).numpy()
    return ModelSource(
        "tiny", net, {"x": torch.zeros(1, 4)}, ["y"],
        calibration=[{"x": x}], evaluation=Evaluation([({"x": x}, labels)]),
    )

def raising():
    raise OSError("the weights are gone")

def branching():
    class Branch(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x
    return ModelSource("tiny", Branch(), {"x": torch.zeros(1, 4)}, ["y"])
"""
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Project:
    """A folder with a source, the artifact that was built from it, a store, and what the build printed."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def artifact(self) -> Path:
        return self.folder / "artifact"

    @property
    def store(self) -> str:
        return (self.folder / "store").as_uri()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Built and published once, with the commands. Read only."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "model.py").write_text(SOURCE)
    done = lambdaserve(
        "build", "model.py:source", "--out", "artifact", "--variants", "fp32", "--json", torch=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    project = Project(folder, done.stdout, done.stderr)
    for alias in (["--alias", "live"], []):
        done = lambdaserve("publish", project.artifact, "--store", project.store, *alias)
        assert done.returncode == 0, done.stderr
    return project


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name, member in group.commands.items():
        if isinstance(member, click.Group):
            yield from commands(member, *path, name)
        else:
            yield (*path, name), member


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_has_help(path: tuple[str, ...]) -> None:
    found = COMMANDS[path]
    assert found.help
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
        else:
            assert parameter.human_readable_name in found.help, "an argument is explained in its command's help"


@pytest.mark.parametrize(
    "path", [(), ("build",), ("verify",), ("publish",), ("serve",), ("profile",), ("models", "list")]
)
def test_help_needs_no_torch_and_goes_to_stdout(path: tuple[str, ...]) -> None:
    done = lambdaserve(*path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(("Usage: lambdaserve", *path)) in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("build", "model.py:source"),
        ("build", "model.py:source", "--out", "artifact", "--max-loss", "2"),
        ("build", "model.py:source", "--out", "artifact", "--variants", "int3"),
        ("publish", "artifact"),
        ("verify",),
        ("serve", "--store", "file:///nowhere", "--port", "70000"),
        ("models", "show", "--store", "file:///nowhere"),
        ("profile", "--store", "file:///nowhere"),
        ("profile", "--store", "file:///nowhere", "--model", "tiny", "--rounds", "0"),
        ("profile", "--store", "file:///nowhere", "--model", "tiny", "--memory-mb", "64"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = lambdaserve(*arguments, torch=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("model.py:raising", r"OSError: the weights are gone ({folder}/model.py, line 19); run it alone with python"),
        ("model.py:missing", "no function 'missing', expected one of"),
        ("nowhere.py:source", "no file nowhere.py, expected a Python file"),
        ("model.py:branching", "forward() branches on the values of a tensor: replace the branch by torch.where"),
        ("model.py", "'model.py', expected file.py:function or package.module:function"),
    ],
)
def test_source_that_cannot_be_built_exits_1_with_cause_and_next_step_and_leaves_nothing(
    source: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(SOURCE)
    done = lambdaserve("build", source, "--out", tmp_path / "builds" / "artifact", torch=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    *steps, refusal = done.stderr.splitlines()
    assert refusal.startswith("lambdaserve: ")
    assert message.format(folder=tmp_path) in refusal
    assert [step for step in steps if not step.endswith(" ...")] == []  # nor stack traces of anybody's
    assert list(tmp_path.rglob("builds/*")) == []


def test_build_without_torch_says_what_to_install(tmp_path: Path) -> None:
    done = lambdaserve("build", "model.py:source", "--out", "artifact", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search("no module '(torch|onnx)', expected torch and onnx; `make setup` installs them", done.stderr)


def test_results_go_to_stdout_as_json_and_progress_to_stderr(project: Project) -> None:
    assert json.loads(project.stdout) == json.loads((project.artifact / "report.json").read_text())
    for step in ("Importing the source", "Converting to ONNX", "Timing", "Measuring memory"):
        assert f"{step} ..." in project.stderr
    assert "imported" in project.stderr


def test_verify_prints_json(project: Project) -> None:
    done = lambdaserve("verify", project.artifact, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["model"] == "tiny"
    assert result["served"] == result["chosen"]


def test_build_tells_people_what_was_tried_and_what_to_type_next(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "artifact"
    done = lambdaserve("build", f"{project.folder}/model.py:source", "--out", out, "--threads", "1", torch=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: chose ")
    for expected in ("PyTorch", "int8-dynamic", "int8-static", "chosen: "):
        assert expected in done.stdout
    assert f"Next: lambdaserve verify {out}" in done.stdout
    assert f"Report: {out / 'report.html'}" in done.stdout
    for step in ("Preparing the graph", "Quantising", "Searching for what must stay in float"):
        assert f"{step} ..." in done.stderr


@pytest.mark.parametrize("arguments", [("verify", "nowhere"), ("publish", "nowhere", "--store", "file:///nowhere")])
def test_folder_that_is_no_artifact_exits_1_with_what_to_do(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = lambdaserve(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere: no manifest.json, expected an artifact folder; make one with lambdaserve build" in done.stderr


@pytest.mark.parametrize("arguments", [("models", "list"), ("serve",), ("publish", "artifact")])
def test_store_url_that_is_none_exits_1(arguments: tuple[str, ...], project: Project) -> None:
    done = lambdaserve(*arguments, "--store", "http://example.org", cwd=project.folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'http://example.org', expected file:///folder or s3://bucket/prefix" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_whose_aliases_are_damaged_is_listed_with_the_problem(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        (folder / "aliases.json").write_text("{}")
    (tmp_path / "models" / "good" / "aliases.json").write_bytes(
        seal(Aliases(schema_version=2, model="good", aliases={"live": Alias(version="1")}))
    )
    done = lambdaserve("models", "list", "--store", tmp_path.as_uri(), "--json")
    bad, good = json.loads(done.stdout)
    assert done.returncode == 0
    assert "models/bad/aliases.json" in bad["problem"]
    assert (good["aliases"], good["problem"]) == ({"live": {"version": "1"}}, None)


def test_models_are_listed_with_versions_and_aliases(project: Project) -> None:
    done = lambdaserve("models", "list", "--store", project.store, "--json")
    assert json.loads(done.stdout) == [
        {"name": "tiny", "versions": ["1", "2"], "aliases": {"live": {"version": "1"}}, "problem": None}
    ]
    table = lambdaserve("models", "list", "--store", project.store)
    assert "live -> 1" in table.stdout
    assert table.stderr == ""


def test_models_show_gives_the_manifest_of_the_live_version_or_of_the_one_named(project: Project) -> None:
    for arguments, version in ((), "1"), (("2",), "2"):
        done = lambdaserve("models", "show", "tiny", *arguments, "--store", project.store, "--json")
        assert json.loads(done.stdout)["version"] == version
    assert "tiny version 1, tensor, built" in lambdaserve("models", "show", "tiny", "--store", project.store).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny", "9"), "no version '9' in .*, expected one of: 1, 2"),
        (("other", "1"), "'other': not in .*, expected one of: tiny"),
        (("other",), "'other': not in .*, expected one of: tiny"),
        (("Tiny!", "1"), "'Tiny!', expected 1 to 63 of"),
    ],
)
def test_models_show_exits_1_for_what_is_not_there(arguments: tuple[str, ...], message: str, project: Project) -> None:
    done = lambdaserve("models", "show", *arguments, "--store", project.store)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


def test_serve_answers_as_pytorch_does_and_stops_at_ctrl_c(project: Project) -> None:
    source = load_source(f"{project.folder}/model.py:source")
    x = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    with torch.inference_mode():
        expected = source.module(torch.from_numpy(x)).numpy()
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [3, 4], "data": x.tolist()}]}
    with serving(project.store) as (url, process):
        answer = httpx.post(f"{url}/v2/models/tiny/infer", json=body, timeout=30)
        assert answer.status_code == httpx.codes.OK, answer.text
        (output,) = answer.json()["outputs"]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [3, 3])
    np.testing.assert_allclose(np.reshape(output["data"], (3, 3)), expected, atol=1e-3)
    assert process.returncode in (0, 128 + signal.SIGINT)
    assert stdout == ""
    assert "Traceback" not in stderr
    assert f"serving {project.store} on {url} (Ctrl-C stops)" in stderr


def test_serve_reads_the_settings_of_the_environment_and_its_options_go_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMBDASERVE_STORE", "file:///nowhere")
    monkeypatch.setenv("LAMBDASERVE_CORS_ORIGINS", "https://example.org")
    with serving(project.store) as (url, _):
        answer = httpx.get(f"{url}/v2/models/tiny", headers={"Origin": "https://example.org"}, timeout=30)

    assert answer.status_code == httpx.codes.OK
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
