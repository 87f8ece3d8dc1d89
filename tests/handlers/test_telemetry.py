"""What the function writes: structured log lines, metrics that CloudWatch takes, and nothing of what was asked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.artifacts import publish_graphs
from tests.graphs import affine, gather, identity
from tests.handlers.api.gateway import infer_body, rest_event, tensor
from tests.handlers.function_process import Run, run_function

Json = dict[str, Any]
# one word, one number, and neither can come about by chance
WORD, NUMBER = "zyxwvmarker", 8675309867530
PATH = "/v2/models/affine/infer"
GOOD = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))


def event(path: str, body: object = None, method: str = "POST", **headers: str) -> Json:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    found: Json = rest_event(method, path, content, headers=headers)
    return found


def with_request_ids(events: list[Json]) -> list[tuple[str, Json]]:
    return [(f"00000000-0000-4000-8000-{number:012}", event) for number, event in enumerate(events)]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings for a store with models of which one has to pass over a variant."""
    folder = tmp_path_factory.mktemp("function")
    url = (folder / "store").as_uri()
    example = {"x": np.array([[0, 1, 2]], np.float32)}
    publish_graphs(url, "affine", {"int8-static": affine(3.0), "fp32": affine()}, [example])
    publish_graphs(url, "gather", {"fp32": gather([1, 2, 3])}, [{"index": np.array([1])}])
    publish_graphs(url, "text", {"fp32": identity("BYTES", ["n"])}, [{"x": np.array(["a"], dtype=object)}])
    pinned = "affine,gather,text"
    return {"LAMBDASERVE_STORE": url, "LAMBDASERVE_LOG_LEVEL": "DEBUG", "LAMBDASERVE_PINNED": pinned}


@pytest.fixture(scope="module")
def run(environ: dict[str, str]) -> Run:
    """A good request, a bad one, and one for a model that is not there."""
    events = [event(PATH, GOOD), event(PATH, infer_body()), event("/v2/models/unknown/infer", GOOD)]
    return run_function(environ, with_request_ids(events))


@pytest.fixture(scope="module")
def crashed(environ: dict[str, str]) -> Run:
    """Requests that carry the marker wherever there is room, to models that raise it as well."""
    return run_function(environ, with_request_ids(marked_events()), crash_with=f"{WORD} {NUMBER}")


def marked_events() -> list[Json]:
    x = tensor("x", "FP32", [1, 3], [NUMBER, 0, 0])
    bodies: list[object] = [
        infer_body(x, id=WORD, parameters={WORD: NUMBER}, **{WORD: NUMBER}),
        infer_body({**x, "name": WORD}),
        infer_body({**x, "datatype": WORD}),
        infer_body({**x, "shape": [NUMBER, 3]}),
        infer_body({**x, "data": [WORD]}),
        infer_body({**x, "data": WORD}),
        infer_body(x, outputs=[{"name": WORD}]),
        [WORD],
        WORD.encode(),
        b"\xff" + WORD.encode(),
        b'{"id":"' + WORD.encode() + b"\xff",
    ]
    headers = {"X-Marker": WORD, "User-Agent": WORD, "Content-Type": f"{WORD}/{WORD}", "Referer": f"https://{WORD}"}
    text = infer_body(tensor("x", "BYTES", [1], [WORD]))
    return [
        *(event(PATH, body, **headers) for body in bodies),
        event("/v2/models/text/infer", text),
        event("/v2/models/gather/infer", infer_body(tensor("index", "INT64", [1], [NUMBER]))),
        event(f"/v2/models/{WORD}/infer", GOOD),
        event(f"/v2/models/affine/versions/{WORD}/infer", GOOD),
        event(PATH, GOOD, **{"X-Routing-Key": WORD}),
        event(PATH, GOOD, **{"X-Model-Version": WORD}),
        event(PATH, GOOD, **{"X-Model-Version": str(NUMBER)}),
        event(f"/{WORD}", GOOD, WORD.upper()),
        event(f"{PATH}?{WORD}={WORD}", GOOD),
        event(f"/v2/health/ready?{WORD}={NUMBER}", None, "GET", **headers),
    ]


def test_log_lines_of_a_cold_start_name_model_version_and_variant(run: Run) -> None:
    loaded = {line["model"]: line for line in run.logs if line["message"] == "model loaded"}

    assert loaded.keys() == {"affine", "gather", "text"}
    assert (loaded["affine"]["version"], loaded["affine"]["variant"]) == ("1", "fp32")
    assert all(line["level"] == "INFO" and line["service"] == "lambdaserve" for line in loaded.values())
    phases = {"alias", "manifest", "fetch", "runtime_import", "session", "goldens", "task"}
    assert set(loaded["gather"]["phases_ms"]) == phases
    [passed_over] = [line for line in run.logs if line["message"] == "variant passed over"]
    assert (passed_over["model"], passed_over["version"], passed_over["variant"]) == ("affine", "1", "int8-static")
    assert passed_over["error"] == "golden_mismatch"
    assert "from its goldens, expected at most 0" in passed_over["reason"]


def test_a_refused_request_is_logged_with_its_request_id_and_no_reason(run: Run) -> None:
    [refused] = [line for line in run.logs if line["message"] == "request refused"]

    assert refused["request_id"] == "00000000-0000-4000-8000-000000000001"
    assert (refused["model"], refused["version"], refused["error"]) == ("affine", "1", "invalid_input")
    assert "reason" not in refused


def test_every_log_line_has_a_time_with_its_zone(run: Run) -> None:
    assert run.logs
    assert all(re.search(r"\d\d:\d\d:\d\d.*(Z|[+-]\d\d:?\d\d)$", line["timestamp"]) for line in run.logs)


def test_nothing_but_structured_lines_is_written(run: Run, crashed: Run) -> None:
    assert run.stderr == crashed.stderr == ""


def test_metrics_are_valid_embedded_metric_format(run: Run, crashed: Run) -> None:
    assert run.metrics
    for line in (*run.metrics, *crashed.metrics):
        header = line["_aws"]
        assert header.keys() <= {"Timestamp", "CloudWatchMetrics"}
        assert isinstance(header["Timestamp"], int)
        assert 1_600_000_000_000 < header["Timestamp"] < 10_000_000_000_000  # milliseconds
        [directive] = header["CloudWatchMetrics"]
        assert directive["Namespace"] == "lambdaserve"
        for dimensions in directive["Dimensions"]:
            assert 1 <= len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(line[name], str)
                assert 1 <= len(line[name]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert metric["Unit"] in ("Count", "Milliseconds")
            value = line[metric["Name"]]
            assert isinstance(value, int | float)
            assert value >= 0


def values(run: Run, name: str, **members: str) -> list[float]:
    """Return all values of a metric in the lines with these members."""
    return [line[name] for line in run.metrics if members.items() <= line.items() and name in line]


def test_predictions_and_errors_are_counted_per_model_and_version(run: Run) -> None:
    assert values(run, "Requests", model="affine", version="1") == [1, 1]
    assert values(run, "Errors", model="affine", version="1", error="invalid_input") == [1]
    assert len(values(run, "Latency", model="affine", version="1", variant="fp32")) == 1
    for line in run.metrics:
        [dimensions] = line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
        assert {"model", "version"} <= set(dimensions) or "ColdStartInterpreter" in line


def test_the_phases_of_a_cold_start_are_measured_per_model(run: Run) -> None:
    phases = ("Alias", "Manifest", "Fetch", "RuntimeImport", "Session", "Goldens", "Task")
    for model in ("affine", "gather", "text"):
        assert values(run, "ColdStarts", model=model, version="1", variant="fp32") == [1]
        for phase in phases:
            assert len(values(run, f"ColdStart{phase}", model=model, version="1")) == 1
    assert values(run, "VariantsPassedOver", model="affine", version="1", variant="int8-static") == [1]


def test_the_cold_start_as_a_whole_is_measured_from_the_start_of_the_process(run: Run) -> None:
    [started] = [line for line in run.logs if line["message"] == "environment started"]
    of_process = {
        "interpreter": "Interpreter",
        "settings": "Settings",
        "store": "Store",
        "registry_import": "RegistryImport",
        "list": "List",
        "web_import": "WebImport",
    }

    assert set(started["phases_ms"]) == set(of_process)
    for phase, metric in of_process.items():
        [value] = values(run, f"ColdStart{metric}", service="lambdaserve")
        assert value == pytest.approx(started["phases_ms"][phase], abs=0.01)
    for model in ("affine", "gather", "text"):
        [total] = values(run, "ColdStart", model=model, version="1", variant="fp32")
        of_model = [line for line in run.metrics if line.get("model") == model and "ColdStartTask" in line]
        assert total > sum(value for name, value in of_model[0].items() if re.fullmatch("ColdStart[A-Z].*", name))


def test_a_model_that_a_request_loads_has_phases_and_no_total(environ: dict[str, str]) -> None:
    run = run_function(environ | {"LAMBDASERVE_PINNED": "gather"}, with_request_ids([event(PATH, GOOD)]))

    assert len(values(run, "ColdStartFetch", model="affine")) == len(values(run, "ColdStart", model="gather")) == 1
    assert values(run, "ColdStart", model="affine") == []


def test_a_crash_is_logged_with_its_place_and_without_its_message(crashed: Run) -> None:
    crashes = [line for line in crashed.logs if line["message"] == "internal error"]

    assert crashes
    assert {line["error"] for line in crashes} == {"KeyError"}
    assert all("in infer" in "".join(line["stack"]) for line in crashes)
    assert all(line["request_id"].startswith("00000000-0000-4000-8000-") for line in crashes)
    assert values(crashed, "Crashes") == [1] * len(crashes)
    statuses = [answer["statusCode"] for answer in crashed.answers]
    assert statuses.count(500) == len(crashes)


@pytest.mark.parametrize("crash", [False, True])
def test_nothing_of_a_request_is_written_anywhere(environ: dict[str, str], crashed: Run, *, crash: bool) -> None:
    run = crashed if crash else run_function(environ, with_request_ids(marked_events()))

    statuses = {answer["statusCode"] for answer in run.answers}
    assert statuses >= {200, 400, 404, 500 if crash else 200}
    assert any(WORD in answer["body"] for answer in run.answers)  # clients are told what was found, logs are not
    for written in (run.stdout, run.stderr):
        assert WORD not in written.lower()
        assert str(NUMBER) not in written


def test_a_failure_to_load_is_logged_with_its_cause_and_counted(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    path = tmp_path / "store/models/affine/versions/1/fp32.onnx"
    path.unlink()

    run = run_function({"LAMBDASERVE_STORE": url}, with_request_ids([event(PATH, GOOD)]))

    init, request = [line for line in run.logs if line["message"] == "loading failed"]
    for line in (init, request):
        assert (line["level"], line["model"], line["error"]) == ("ERROR", "affine", "corrupt_file")
        assert "models/affine/versions/1/fp32.onnx: missing, " in line["reason"]
        assert any("ObjectNotFound" in part for part in line["stack"])
    assert "request_id" not in init
    assert request["request_id"] == "00000000-0000-4000-8000-000000000000"
    assert values(run, "LoadFailures", model="affine") == [1, 1]
    assert [answer["statusCode"] for answer in run.answers] == [503]


MOVED = """
import sys
from pathlib import Path
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.aliases import point_alias
models = Models(Settings(sys.argv[1], alias_check_s=0.0), Telemetry("INFO"))
models.await_model("affine", None, 60)
point_alias(models._renewal.open_store(), "affine", "live", "2")
models.await_model("affine", None, 60)
beside = Models(Settings(sys.argv[1], alias_check_s=0.001), Telemetry("INFO"))
beside.await_model("affine", None, 60)
(Path(sys.argv[2]) / "aliases.json").write_bytes(b"{}")
while beside._renewal.problem("affine") is None:
    beside.await_model("affine", None, 60)
"""


def test_a_moved_alias_and_looks_that_fail_are_logged_and_counted(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    for scale, alias in ((2.0, "live"), (3.0, None)):
        publish_graphs(url, "affine", {"fp32": affine(scale)}, [{"x": np.array([[0, 1, 2]], np.float32)}], alias=alias)

    done = subprocess.run(
        [sys.executable, "-c", MOVED, url, str(tmp_path / "store/models/affine")],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    [moved] = [line for line in lines if line.get("message") == "alias moved"]
    assert (moved["model"], moved["alias"], moved["from"], moved["to"]) == ("affine", "live", "1", "2")
    [swap] = [line for line in lines if "AliasSwaps" in line]
    assert (swap["model"], swap["AliasSwaps"], "version" in swap) == ("affine", 1, False)
    failed = [line for line in lines if line.get("message") == "alias check failed"]
    assert {(line["level"], line["model"], line["error"]) for line in failed} == {("ERROR", "affine", "corrupt_file")}
    assert [line["AliasCheckFailures"] for line in lines if "AliasCheckFailures" in line] == [1] * len(failed)
