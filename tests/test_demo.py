import numpy as np
import pytest

from demo.__main__ import problem_with
from demo.client import Answers
from tests.demo import Demo, run_demo


def test_demo_serves_what_it_has_trained_and_a_second_run_does_only_what_is_missing(demo: Demo) -> None:
    assert demo.status == 0, demo.output
    for expected in ("PyTorch fp32", "ONNX fp32", "chosen: ", "start to first answer", "Next:"):
        assert expected in demo.output
    assert "served over HTTP" in demo.output

    again = run_demo(demo.folder)
    assert again.status == 0, again.output
    assert "trained already" in again.output
    assert "published already" in again.output


def test_demo_fails_where_the_served_model_is_not_the_one_that_was_proven(demo: Demo) -> None:
    versions = demo.folder / "store" / "models" / "mnist-cnn" / "versions" / "1"
    originals = {file: file.read_bytes() for file in versions.glob("*.onnx")}
    try:
        for file, original in originals.items():
            file.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        broken = run_demo(demo.folder)
    finally:
        for file, original in originals.items():
            file.write_bytes(original)

    assert broken.status != 0
    assert "503" in broken.output
    assert "sha256" in broken.output


@pytest.mark.parametrize(
    ("right", "proven", "expected"),
    [(1960, 0.98, None), (1959, 0.98, None), (1950, 0.98, "the gate had proven"), (1900, 0.95, "expected at least")],
)
def test_only_answers_that_are_right_and_as_proven_are_no_problem(
    right: int, proven: float, expected: str | None
) -> None:
    labels = np.zeros(2000)
    predicted = np.where(np.arange(2000) < right, 0, 1)

    found = problem_with(Answers(predicted, labels, first_answer_s=1.0), proven)

    assert (found is None) if expected is None else (expected in str(found))
