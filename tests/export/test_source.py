"""Sources are found by the word on the command line, and what cannot be used is refused with the user's own line."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from export import ModelSource
from export.errors import SourceError
from export.source import load_source
from tests.export.sources import source_of

GOOD = """
import torch
from export import ModelSource

def source():
    return ModelSource("tiny", torch.nn.Linear(4, 3), {"x": torch.zeros(1, 4)}, ["y"])
"""


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source puts on the import path must not reach other tests."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_function_of_a_file_is_called(tmp_path: Path) -> None:
    (tmp_path / "my-model.py").write_text(GOOD)
    assert load_source(f"{tmp_path}/my-model.py:source").name == "tiny"


def test_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_source.py").write_text(GOOD)
    (tmp_path / "model.py").write_text("from beside_the_source import source\n")
    assert isinstance(load_source(f"{tmp_path}/model.py:source"), ModelSource)


def test_file_may_define_dataclasses_with_postponed_annotations(tmp_path: Path) -> None:
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    (tmp_path / "model.py").write_text(f"{head}@dataclass\nclass Config:\n    width: int = 4\n{GOOD}")
    assert isinstance(load_source(f"{tmp_path}/model.py:source"), ModelSource)


def test_function_of_a_module_below_the_working_directory_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "models.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_source("some_package.models:source").name == "tiny"


@pytest.mark.parametrize("word", ["model.py", "model.py:", ":source", "model.py:a b", ""])
def test_word_without_place_and_function_is_refused(word: str) -> None:
    with pytest.raises(
        SourceError, match=rf"source: {re.escape(repr(word))}, expected file.py:function or package.module:function"
    ):
        load_source(word)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"no file {re.escape(str(tmp_path))}/nowhere.py"):
        load_source(f"{tmp_path}/nowhere.py:source")


def test_missing_module_is_named() -> None:
    with pytest.raises(SourceError, match=r"no module no_such_package.models, expected one that Python finds from /"):
        load_source("no_such_package.models:source")


def test_module_that_a_source_misses_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match="ModuleNotFoundError: No module named 'no_such_package'"):
        load_source("needs_more:source")


def test_missing_function_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(GOOD)
    with pytest.raises(SourceError, match=r"no function 'other', expected one of .*\bsource\b"):
        load_source(f"{tmp_path}/model.py:other")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("    raise ValueError('no data')", "ValueError: no data"),
        ("    return torch.load('/no/such/weights.pt')", "FileNotFoundError: .*/no/such/weights.pt"),
        ("    return sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_source_that_raises_is_refused_with_the_users_line(tmp_path: Path, line: str, problem: str) -> None:
    """The innermost line is torch's in the second case: it would help nobody."""
    path = tmp_path / "model.py"
    path.write_text(f"import sys\nimport torch\ndef source():\n{line}\n")
    with pytest.raises(SourceError, match=rf"{problem} *.* \({re.escape(str(path))}, line 4\); run it alone"):
        load_source(f"{path}:source")


def test_file_that_ends_the_process_when_imported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(SourceError, match=rf"SystemExit: 0 \({re.escape(str(path))}, line 2\)"):
        load_source(f"{path}:source")


def test_file_that_is_no_python_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("def source():\n    return (\n")
    with pytest.raises(SourceError, match=r"SyntaxError: '\(' was never closed \(model.py, line 2\)"):
        load_source(f"{path}:source")


def test_another_type_than_a_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def source():\n    return {'name': 'tiny'}\n")
    with pytest.raises(SourceError, match=r"returned dict, expected an export.ModelSource"):
        load_source(f"{tmp_path}/model.py:source")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "Tiny"}, "model name: 'Tiny', expected 1 to 63 of a-z, 0-9 and -"),
        ({"name": "../tiny"}, "model name: '../tiny'"),
        ({"name": "a" * 64}, "model name"),
        ({"module": "weights.pt"}, "module: str, expected a torch.nn.Module"),
        ({"inputs": {}}, "0 inputs and 1 outputs, expected at least one of each"),
        ({"outputs": []}, "1 inputs and 0 outputs, expected at least one of each"),
        ({"outputs": "logits"}, "outputs: 'logits', expected a list of names"),
        ({"outputs": ["y", "y"]}, r"outputs: \['y', 'y'\], expected different names"),
        ({"outputs": [""]}, r"outputs: \[''\], expected different names that are not empty"),
        ({"outputs": ["x"]}, "inputs and outputs: .*, expected different names"),
        ({"inputs": {"x": [1.0]}}, r"inputs\['x'\]: list, expected a torch.Tensor"),
        ({"inputs": {"x": torch.zeros(1, dtype=torch.complex64)}}, r"inputs\['x'\]: torch.complex64, expected one of"),
        ({"inputs": {"x": torch.zeros(1, dtype=torch.bfloat16)}}, r"inputs\['x'\]: torch.bfloat16, expected one of"),
        ({"dynamic": {"z": {0: "batch"}}}, r"dynamic: names \['z'\], expected some of the inputs \['x'\]"),
        ({"dynamic": {"x": {2: "batch"}}}, r"dynamic\['x'\]: .*, expected axes from 0 to 1"),
        ({"dynamic": {"x": {-1: "batch"}}}, r"dynamic\['x'\]: .*, expected axes from 0 to 1"),
        ({"dynamic": {"x": {0: "batch size"}}}, r"dynamic\['x'\]: .* and a word for each"),
        ({"dynamic": {"x": [0]}}, r"dynamic\['x'\]: \[0\], expected axes"),
    ],
)
def test_source_that_no_later_step_could_use_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        source_of(nn.Identity(), **wrong)


def test_axis_0_of_every_input_is_dynamic_unless_told_otherwise() -> None:
    inputs = {"a": torch.zeros(1, 4), "b": torch.tensor(1.0)}
    assert source_of(nn.Identity(), inputs=inputs).dynamic_axes == {"a": {0: "batch"}, "b": {}}
    assert source_of(nn.Identity(), inputs=inputs, dynamic={}).dynamic_axes == {"a": {}, "b": {}}
    chosen = {"a": {1: "sequence"}}
    assert source_of(nn.Identity(), inputs=inputs, dynamic=chosen).dynamic_axes == {"a": {1: "sequence"}, "b": {}}
