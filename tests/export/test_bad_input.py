"""What cannot become an artifact is refused with a name and a next step, exit 1, and leaves nothing."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.build import build
from export.errors import DataError
from export.package import read_artifact
from export.reference import Reference
from handlers.registry.loading import load_version
from handlers.registry.stores import open_store
from handlers.settings import Settings
from handlers.timeline import Timeline
from tests.export.command import environment, lambdaserve
from tests.export.sources import OPTIONS, contents, mlp, normal, silent, source_of

SOURCE = """
import numpy as np
import torch
from export import Evaluation, ModelSource

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))

def source(**other):
    return ModelSource("tiny", net(), {"x": torch.zeros(1, 4)}, ["y"], **other)

X = np.zeros((2, 4), np.float32)

def weights():
    module = net()
    torch.save({"0.weight": torch.zeros(64, 4), "other.bias": torch.zeros(3)}, "w.pt")
    module.load_state_dict(torch.load("w.pt", weights_only=True))

def nan():
    module = net()
    module[2].bias.data[1] = float("nan")
    return ModelSource("tiny", module, {"x": torch.zeros(1, 4)}, ["y"])

def names():
    return source(calibration=[{"image": X}])

def shapes():
    return source(calibration=[{"x": X[:, :3]}])

def datatypes():
    return source(calibration=[{"x": X.astype(np.float64)}])

def empty():
    return source(evaluation=Evaluation([]))

def nothing():
    return source(calibration=[{"x": X[:0]}])

def label():
    return source(evaluation=Evaluation([({"x": X}, np.array([0, 3]))]))
"""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("weights", 'Missing key(s) in state_dict: "0.bias", "2.weight", "2.bias". Unexpected key(s) in state_dict: "other.bias"'),
        ("nan", "weights: 2.bias holds 1 NaN in 3 values, expected numbers alone"),
        ("names", "calibration: a batch with ['image'], expected a dict of arrays named ['x']"),
        ("shapes", "calibration: 'x' is float32 [2, 3], expected float32 [-1, 4]"),
        ("datatypes", "calibration: 'x' is float64 [2, 4], expected float32 [-1, 4]"),
        ("empty", "evaluation: no batches, expected at least one"),
        ("nothing", "calibration: 'x' is [0, 4], expected no empty batches"),
        ("label", "evaluation: targets from 0 to 3, expected classes 0 to 2"),
    ],
)  # fmt: skip
def test_command_names_what_is_wrong_and_leaves_nothing(function: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(SOURCE)
    done = lambdaserve("build", f"model.py:{function}", "--out", "builds/a", torch=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "builds").exists() or not list((tmp_path / "builds").iterdir())


def test_infinite_weights_are_taken_and_nan_buffers_are_not() -> None:
    net = mlp(4, 3)
    net.register_buffer("mask", torch.tensor([float("-inf"), 0.0]))
    Reference(source_of(net)).check_weights()
    net.register_buffer("mask", torch.tensor([float("nan"), 0.0]))
    with pytest.raises(DataError, match="weights: mask holds 1 NaN in 2 values"):
        Reference(source_of(net)).check_weights()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # Python ignores the signal: writes fail, as on a full disk
sys.argv[1:] = {arguments!r}
from export.cli import main
main()
"""


@pytest.mark.parametrize("limit", [100, 20_000], ids=["at the first byte", "at the weights"])
def test_no_space_is_said_and_leaves_nothing(limit: int, tmp_path: Path) -> None:
    text = "import torch\nfrom export import ModelSource\ndef source():\n"
    text += '    return ModelSource("tiny", torch.nn.Linear(128, 128), {"x": torch.randn(4, 128)}, ["y"])\n'
    (tmp_path / "m.py").write_text(text)
    arguments = ["build", "m.py:source", "--out", "builds/a", "--variants", "fp32"]
    script = LIMITED.format(limit=limit, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment(), timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "builds/a: cannot be written: " in done.stderr.replace("\n", "")
    assert "is the disk full?" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "builds").iterdir()) == []


def test_weights_beyond_one_file_lie_beside_it_and_are_served(tmp_path: Path) -> None:
    source = source_of(mlp(64, 64, 3), torch.zeros(1, 64), calibration=[{"x": normal(4, 64, seed=i)} for i in range(4)])
    build(source, tmp_path / "whole", OPTIONS, silent())
    report = build(source, tmp_path / "a", replace(OPTIONS, single_file_bytes=1000), silent())
    manifest = read_artifact(tmp_path / "a")
    fp32 = manifest.variants[-1]
    assert (fp32.file, fp32.data) == ("fp32.onnx", "fp32.onnx.data")
    assert manifest.files["fp32.onnx.data"].size >= 4 * 64 * 64
    assert set(fp32.files) <= set(manifest.files)
    size = {trial.name: trial.size_bytes for trial in report.trials}["fp32"]
    assert size == sum(manifest.files[file].size for file in fp32.files)
    assert read_artifact(tmp_path / "whole").variants[-1].data is None
    assert "fp32.onnx.data" not in contents(tmp_path / "whole")
    done = lambdaserve("verify", tmp_path / "a")
    assert done.returncode == 0, done.stderr


def test_published_weights_beside_the_graph_are_fetched_and_opened_together(tmp_path: Path) -> None:
    source = source_of(mlp(64, 64, 3), torch.zeros(1, 64))
    build(source, tmp_path / "a", replace(OPTIONS, variants=(), single_file_bytes=1000), silent())
    url = (tmp_path / "store").as_uri()
    assert lambdaserve("publish", tmp_path / "a", "--store", url, "--alias", "live").returncode == 0
    settings = Settings.from_environ({"LAMBDASERVE_STORE": url})

    class Deaf:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    loaded = load_version(open_store(url), "tiny", "1", settings, Deaf(), lambda _: None, Timeline())  # type: ignore[arg-type] # it hears nothing
    given = {"x": normal(2, 64)}
    np.testing.assert_allclose(loaded.session.run(given)["y"], Reference(source).run(given)["y"], 1e-4, 1e-4)
