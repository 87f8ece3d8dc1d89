"""`lambdaserve train` as a user has it: help, exit codes, streams, and Ctrl-C."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from export.recipes import RECIPES
from export.recipes.training import train
from tests.export.command import command, environment, lambdaserve
from tests.export.recipes.reduced import equal, weights_of

EPOCHS = 300


def test_help_lists_every_recipe_without_torch() -> None:
    answer = lambdaserve("train", "--help")
    assert answer.returncode == 0
    for name, line in RECIPES.items():
        assert f"{name} " in answer.stdout
        assert line.split(":")[0] in answer.stdout


def test_unknown_recipe_is_a_usage_error_that_lists_them(tmp_path: Path) -> None:
    answer = lambdaserve("train", "mnist", "--out", tmp_path)
    assert answer.returncode == 2
    assert "expected one of mlp-regressor" in " ".join(answer.stderr.split())


def test_without_torch_it_says_what_to_install(tmp_path: Path) -> None:
    answer = lambdaserve("train", "mnist-cnn", "--out", tmp_path)
    assert answer.returncode == 1
    assert "no module 'torch', expected torch; `make setup` installs it" in answer.stderr


def test_data_that_are_not_there_exit_1_by_name(tmp_path: Path) -> None:
    answer = lambdaserve("train", "mlp-regressor", "--out", tmp_path / "out", "--data", tmp_path / "x", torch=True)
    assert answer.returncode == 1
    assert f"lambdaserve: {tmp_path / 'x' / 'diabetes.csv'}: folder is not there, expected one of" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_exits_130_and_the_same_training_goes_on(presses: int, tables: Path, tmp_path: Path) -> None:
    arguments = ("train", "binary-classifier", "--data", tables, "--epochs", EPOCHS, "--out", tmp_path / "stopped")
    process = subprocess.Popen(
        command(*arguments, torch=True),
        env=environment() | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Training"):
            assert process.poll() is None
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    assert "the same command goes on" in stderr
    assert not (tmp_path / "stopped" / "weights.pt").exists()
    if presses == 1:
        assert (tmp_path / "stopped" / "checkpoint.pt").exists()
    for folder in ("stopped", "whole"):
        train("binary-classifier", tmp_path / folder, tables, epochs=EPOCHS)
    assert equal(weights_of(tmp_path / "stopped"), weights_of(tmp_path / "whole"))


def test_result_names_the_next_command(tables: Path, tmp_path: Path) -> None:
    answer = lambdaserve("train", "mlp-classifier", "--data", tables, "--epochs", "1", "--out", tmp_path, torch=True)
    assert answer.returncode == 0
    assert answer.stdout.startswith("mlp-classifier: accuracy 0.")
    assert answer.stdout.splitlines()[-1].startswith(f"Next: lambdaserve build {tmp_path}/source.py:source --out")


def test_json_gives_the_score_and_the_files(tables: Path, tmp_path: Path) -> None:
    arguments = ("train", "mlp-regressor", "--data", tables, "--epochs", "1", "--out", tmp_path, "--json")
    found = json.loads(lambdaserve(*arguments, torch=True).stdout)
    assert (found["model"], found["metric"], found["samples"]) == ("mlp-regressor", "mse", 60)
    assert found["weights"] == str(tmp_path / "weights.pt")
