"""Exported programs, TorchScript and pickled modules become sources; what is in the file decides, not its suffix."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export.errors import SourceError
from export.source import load_source
from export.sources import SourceOptions
from export.sources.example_inputs import parse_inputs
from tests.export.command import lambdaserve
from tests.export.sources import converted, mlp, normal

TOLERANCE = 1e-4


class Both(nn.Module):
    """Two inputs that share an axis, two named outputs, and normalisation that differs in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"left": self.norm(self.linear(x)), "right": y.cumsum(1) + 1}


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)

    def forward(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y, (h, c) = self.lstm(x, (h, c))
        return y, h, c


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def saved_program(path: Path) -> Both:
    module = Both().eval()
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", min=2, max=50)
    example = (torch.randn(3, 4), torch.randn(3, 7))
    torch.export.save(torch.export.export(module, example, dynamic_shapes=({0: batch}, {0: batch, 1: length})), path)
    return module


def test_exported_program_brings_inputs_axes_and_outputs(tmp_path: Path) -> None:
    module = saved_program(tmp_path / "My Program.pt2")
    source = load_source(str(tmp_path / "My Program.pt2"))
    assert (source.name, source.outputs) == ("my-program", ["left", "right"])
    assert {name: list(value.shape) for name, value in source.inputs.items()} == {"x": [3, 4], "y": [3, 7]}
    assert source.dynamic_axes == {"x": {0: "batch"}, "y": {0: "batch", 1: "y_1"}}
    session = converted(source, tmp_path / "m.onnx")
    assert [spec.shape for spec in session.inputs] == [(-1, 4), (-1, -1)]
    for batch, length in ((1, 2), (2, 50), (17, 9)):
        given = {"x": normal(batch, 4), "y": normal(batch, length)}
        with torch.inference_mode():
            right = module(torch.from_numpy(given["x"]), torch.from_numpy(given["y"]))
        for name, found in session.run(given).items():
            np.testing.assert_allclose(found, right[name], TOLERANCE, TOLERANCE)


def test_exported_program_is_known_by_its_content(tmp_path: Path) -> None:
    saved_program(tmp_path / "program.pt2")
    (tmp_path / "program.pt2").rename(tmp_path / "program.pt")
    assert list(load_source(str(tmp_path / "program.pt")).inputs) == ["x", "y"]


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.filterwarnings("ignore")  # torch calls its own scripts old, and its tracer warns of LSTMs
def test_torchscript_with_state_is_converted(how: str, tmp_path: Path) -> None:
    module = Lstm().eval()
    example = (torch.zeros(1, 5, 4), torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
    scripted = torch.jit.script(module) if how == "script" else torch.jit.trace(module, example)  # type: ignore[no-untyped-call] # torch's
    torch.jit.save(scripted, tmp_path / "l.ts")
    given = ("x=FP32[batch,sequence=5,4]", "h=FP32[1,batch=1,8]", "c=FP32[1,batch,8]")
    source = load_source(str(tmp_path / "l.ts"), SourceOptions(inputs=given, outputs=("y", "hn", "cn")))
    session = converted(source, tmp_path / "m.onnx")
    assert [spec.shape for spec in session.inputs] == [(-1, -1, 4), (1, -1, 8), (1, -1, 8)]
    arrays = {"x": normal(3, 9, 4), "h": normal(1, 3, 8), "c": normal(1, 3, 8, seed=1)}
    with torch.inference_mode():
        right = module(*map(torch.from_numpy, arrays.values()))
    for found, expected in zip(session.run(arrays).values(), right, strict=True):
        np.testing.assert_allclose(found, expected, TOLERANCE, TOLERANCE)


@pytest.mark.filterwarnings("ignore")  # torch calls its own scripts old, and its tracer warns of LSTMs
def test_torchscript_without_inputs_is_refused_with_their_names(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Lstm()), tmp_path / "l.pt")
    with pytest.raises(SourceError, match=r"expected --input for each of x, h, c, such as --input image=FP32"):
        load_source(str(tmp_path / "l.pt"))


@pytest.mark.filterwarnings("ignore")  # torch calls its own scripts old, and its tracer warns of LSTMs
def test_command_builds_torchscript(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(mlp(4, 3)), tmp_path / "net.pt")
    given = ("build", "net.pt", "--input", "x=FP32[batch,4]", "--output", "y", "--out", "a", "--variants", "fp32")
    done = lambdaserve(*given, torch=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("net: chose fp32")
    assert (tmp_path / "a" / "manifest.json").is_file()


MARK = """
from pathlib import Path
import torch

class Net(torch.nn.Linear):
    def __setstate__(self, state):
        (Path(__file__).parent / "was-run").touch()
        super().__setstate__(state)
"""


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A pickled module whose class leaves a mark when it is unpickled."""
    (tmp_path / "net_of_a_pickle.py").write_text(MARK)
    sys.path.insert(0, str(tmp_path))
    import net_of_a_pickle  # type: ignore[import-not-found] # written above

    torch.save(net_of_a_pickle.Net(4, 3), tmp_path / "net.pt")
    sys.modules.pop("net_of_a_pickle")
    sys.path.remove(str(tmp_path))
    return tmp_path / "net.pt"


def test_pickled_module_is_not_opened_unless_allowed(pickled: Path) -> None:
    with pytest.raises(
        SourceError, match=r"net.pt: pickled Python objects, expected .*give --allow-pickle if you trust"
    ):
        load_source(str(pickled), SourceOptions(inputs=("x=FP32[batch,4]",)))
    assert not (pickled.parent / "was-run").exists()


def test_pickled_module_is_opened_with_a_warning_where_allowed(
    pickled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = load_source(str(pickled), SourceOptions(inputs=("x=FP32[batch,4]",), allow_pickle=True))
    assert "warning: " in capsys.readouterr().err
    assert (pickled.parent / "was-run").exists()
    assert converted(source, pickled.with_name("m.onnx")).outputs[0].shape == (-1, 3)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code was run",))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save(mlp(4, 3).state_dict(), path), r"holds weights alone \(0.weight, 0.bias\), expected a module; write"),
        (lambda path: torch.save(torch.zeros(3), path), "holds Tensor, expected a torch.nn.Module"),
        (lambda path: path.write_bytes(pickle.dumps(Evil())), "expected"),
        (lambda path: path.write_bytes(b"nonsense"), "expected"),
        (lambda path: path.write_bytes(b""), "expected"),
        (lambda _: None, "no file .*model.pt"),
    ],
)  # fmt: skip
def test_file_that_is_no_model_is_refused(
    write: object, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "model.pt")  # type: ignore[operator] # a function of a path
    with pytest.raises(SourceError, match=message):
        load_source(str(tmp_path / "model.pt"))
    assert "code was run" not in capfd.readouterr().out


def test_option_that_a_source_does_not_take_is_refused(tmp_path: Path) -> None:
    saved_program(tmp_path / "p.pt2")
    with pytest.raises(SourceError, match=r"--texts: given with the exported program p.pt2, expected --name, --output"):
        load_source(str(tmp_path / "p.pt2"), SourceOptions(texts=tmp_path / "t"))
    with pytest.raises(SourceError, match=r"--input: given with the source a.py:f, expected none of these options"):
        load_source("a.py:f", SourceOptions(inputs=("x=FP32[1]",)))


def test_axes_of_one_name_share_their_length() -> None:
    found = parse_inputs(["a=INT64[batch,sequence=5]", "m=BOOL[batch, sequence]", "s=FP16[]", "u=UINT8[2,w,3]"])
    assert {name: list(value.shape) for name, value in found.tensors.items()} == {
        "a": [1, 5],
        "m": [1, 5],
        "s": [],
        "u": [2, 8, 3],
    }
    assert found.dynamic == {"a": {0: "batch", 1: "sequence"}, "m": {0: "batch", 1: "sequence"}, "u": {1: "w"}}
    assert [str(value.dtype) for value in found.tensors.values()] == [
        "torch.int64",
        "torch.bool",
        "torch.float16",
        "torch.uint8",
    ]


@pytest.mark.parametrize("word", ["x", "x=FP32", "x=FP32[0]", "x=FP32[-1,3]", "x=FP31[1]", "x=BYTES[1]", "=FP32[1]"])
def test_input_that_is_not_understood_is_refused(word: str) -> None:
    with pytest.raises(SourceError, match=r"--input .*expected"):
        parse_inputs([word])
