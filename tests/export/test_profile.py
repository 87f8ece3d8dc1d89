"""`lambdaserve profile` as a user has it: cold starts of a published model, from a folder and from S3."""

import json
import re
from typing import Any

import numpy as np
import pytest

from tests.artifacts import publish_graphs
from tests.export.command import lambdaserve
from tests.graphs import affine

EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}
OF_PROCESS = {"interpreter", "settings", "store", "registry_import", "web_import"}
OF_MODEL = {"alias", "manifest", "fetch", "runtime_import", "session", "goldens", "task"}


def profile(*arguments: object) -> dict[str, Any]:
    done = lambdaserve("profile", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert "Starting cold ..." in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_rounds_are_measured_and_the_one_with_the_median_is_shown(store_url: str) -> None:
    publish_graphs(store_url, "affine", {"int8-static": affine(), "fp32": affine()}, [EXAMPLE, EXAMPLE])

    found = profile("--store", store_url, "--model", "affine", "--rounds", "3")

    assert (found["model"], found["version"], found["variant"]) == ("affine", "1", "int8-static")
    assert {phase["name"] for phase in found["phases"]} == OF_PROCESS | OF_MODEL | {"answer"}
    totals = [each["total_ms"] for each in found["rounds"]]
    assert found["total_ms"] == sorted(totals)[1]
    assert {"total_ms": found["total_ms"], "phases": found["phases"]} in found["rounds"]
    for measured in found["rounds"]:
        assert all(0 <= phase["start_ms"] <= phase["end_ms"] <= measured["total_ms"] for phase in measured["phases"])
    spans = {phase["name"]: phase for phase in found["phases"]}
    assert spans["interpreter"]["end_ms"] <= spans["settings"]["start_ms"]
    assert spans["store"]["start_ms"] < spans["web_import"]["end_ms"]  # bytes come while the web framework is imported
    assert max(spans["task"]["end_ms"], spans["web_import"]["end_ms"]) <= spans["answer"]["start_ms"]
    assert sum(step["duration_ms"] for step in found["critical_path"]) == pytest.approx(found["total_ms"], abs=0.5)
    assert found["critical_path"][-1]["phase"] == "answer"
    assert found["advice"][0].startswith(f"{found['attack']}: ")
    assert "infer;dur=" in found["server_timing"]
    assert "cold-fetch;dur=" in found["server_timing"]


def test_people_get_a_waterfall_a_total_and_a_verdict(store_url: str) -> None:
    publish_graphs(store_url, "affine", {"fp32": affine()}, [EXAMPLE])

    done = lambdaserve("profile", "--store", store_url, "--model", "affine", "--rounds", "1")

    assert done.returncode == 0, done.stderr
    assert "affine version 1, fp32, cold start to first answer" in done.stdout
    bars = [line for line in done.stdout.splitlines() if line[2:].split(" ")[0] in OF_PROCESS | OF_MODEL | {"answer"}]
    assert [line[2:].split(" ")[0] for line in bars if line.startswith("*")][::12] == ["interpreter"]
    assert len(bars) == 13
    assert all(set(line) & set("█▉▊▋▌▍▎▏▐▕") for line in bars)
    assert "median of 1 cold start; " in done.stdout
    assert re.search(r"^attack [a-z]+: [\d,.]+ ms of [\d,.]+ ms: ", done.stdout, re.MULTILINE)
    assert "--memory-mb 1769 takes one" in done.stdout


def test_a_memory_size_brings_its_share_of_cores_and_threads(store_url: str) -> None:
    publish_graphs(store_url, "affine", {"fp32": affine()}, [EXAMPLE])
    arguments = ("--store", store_url, "--model", "affine", "--rounds", "1")

    one = profile(*arguments, "--memory-mb", "1769")
    two = profile(*arguments, "--memory-mb", "1769", "--threads", "2")

    assert (one["cpus"], one["threads"], one["memory_mb"]) == (1, 1, 1769)
    assert (two["cpus"], two["threads"]) == (1, 2)


def test_other_settings_of_this_environment_change_nothing(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_graphs(store_url, "affine", {"fp32": affine()}, [EXAMPLE], alias="canary")
    monkeypatch.setenv("LAMBDASERVE_BASE_PATH", "/ml")
    monkeypatch.setenv("LAMBDASERVE_MODELS", "other")

    found = profile("--store", store_url, "--model", "affine", "--alias", "canary", "--rounds", "1")

    assert (found["model"], found["alias"]) == ("affine", "canary")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--store", "file:///nowhere/at/all", "--model", "affine"),
            "model 'affine': no alias 'live', expected one of",
        ),
        (("--store", "http://example.org", "--model", "affine"), "expected file:///folder or s3://bucket/prefix"),
        (("--store", "{store}", "--model", "other"), "model 'other': no alias 'live'"),
        (("--store", "{store}", "--model", "Affine!"), "'Affine!', expected 1 to 63 of"),
        (("--store", "{store}", "--model", "affine", "--alias", "canary"), "no alias 'canary', expected one of: live"),
        (("--store", "{store}", "--model", "large", "--memory-mb", "256"), "cold start: answered 507 "),
        (("--store", "{store}", "--model", "broken"), "cold start: answered 503 "),
    ],
)
def test_what_cannot_be_measured_exits_1_with_the_reason(
    arguments: tuple[str, ...], message: str, store_url: str
) -> None:
    if "{store}" in arguments:
        publish_graphs(store_url, "affine", {"fp32": affine()}, [EXAMPLE])
        publish_graphs(store_url, "large", {"fp32": affine()}, [EXAMPLE], memory={"fp32": (10**9, None)})
        publish_graphs(store_url, "broken", {"fp32": affine(3.0)}, [EXAMPLE], proven=affine())

    done = lambdaserve("profile", *(each.format(store=store_url) for each in arguments), "--rounds", "1")

    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
