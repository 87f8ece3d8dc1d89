"""What contenders are asked is what the goldens hold, and an answer that is not PyTorch's is told with both numbers."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cold.__main__ import main
from benchmarks.cold.cases import Case, WrongAnswer
from benchmarks.cold.contenders import OURS


def test_the_event_carries_the_first_golden_to_the_model(case: Case) -> None:
    body = json.loads(base64.b64decode(case.event["body"]))
    tensor = body["inputs"][0]
    golden = np.load(case.artifact / "goldens.npz")["0.input.0"]
    np.testing.assert_array_equal(np.array(tensor["data"], golden.dtype).reshape(tensor["shape"]), golden)
    assert case.event["path"] == f"/v2/models/{case.name}/infer"


def test_an_answer_within_the_tolerance_of_pytorchs_is_right(case: Case) -> None:
    allowed = case.variant.golden_tolerance["y"]
    right = case.golden[1]["y"]
    case.check(OURS, {"y": right.reshape(1, -1) + 0.9 * allowed})


def test_a_wrong_answer_is_told_with_both_numbers(case: Case) -> None:
    wrong = case.golden[1]["y"].astype(np.float64)
    expected = wrong[2]
    wrong[2] += 100.0
    with pytest.raises(WrongAnswer) as error:
        case.check(OURS, {"y": wrong.reshape(1, -1)})
    assert f"{wrong[2]:.6g}, expected PyTorch's {expected:.6g}" in str(error.value)
    assert f"{OURS}, {case.name}" in str(error.value)


@pytest.mark.parametrize("outputs", [{}, {"y": np.zeros(4)}, {"y": np.full(3, np.nan)}], ids=str)
def test_an_answer_that_lacks_numbers_is_wrong(case: Case, outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(WrongAnswer):
        case.check(OURS, outputs)


def test_what_is_needed_is_the_variant_and_the_goldens(case: Case) -> None:
    files = [case.artifact / case.variant.file, case.artifact / "goldens.npz"]
    assert case.needed_bytes == sum(file.stat().st_size for file in files)


def test_artifacts_that_are_missing_are_named_with_the_way_to_make_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["minilm"], tmp_path) == 1
    printed = capsys.readouterr().err
    assert "build/real/minilm/artifact/manifest.json is missing; make bench-models MODELS=minilm" in printed
    assert "mnist-cnn" not in printed


def test_models_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["no-such-model"])
    assert end.value.code == 2
    assert "no-such-model: expected some of mnist-cnn, minilm" in capsys.readouterr().err
