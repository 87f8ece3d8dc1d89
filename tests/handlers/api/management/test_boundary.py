"""Who gets in, what is logged and counted, and what stays outside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.api.management.app import create_app
from handlers.api.management.service import Management
from handlers.settings import Settings
from tests.aliases import resolve_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.gateway import Gateway, http_event, rest_event
from tests.handlers.api.management.manager import ALICE, BOB, Manager, key, signed_by
from tests.handlers.function_process import Run, run_function

MARKER = "ZYXWVMARKER"
LIVE = "/models/m/aliases/live"
ROUTES = [
    ("GET", "/openapi.json"),
    ("GET", "/models"),
    ("GET", "/models/m"),
    ("GET", "/models/m/versions/1"),
    ("GET", "/models/m/history"),
    ("GET", "/models/m/diff?from=1&to=2"),
    ("POST", f"{LIVE}/promote"),
    ("POST", f"{LIVE}/canary"),
    ("POST", f"{LIVE}/rollback"),
    ("POST", "/models/m/versions"),
    ("POST", "/models/m/versions/1/finalise"),
    ("GET", "/nowhere"),
]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """What is at the boundary is the same whatever the store."""
    return (tmp_path / "store").as_uri()


@pytest.fixture
def broken() -> Iterator[Manager]:
    """A function whose settings make no sense."""
    manager = Manager(Settings.from_environ({"LAMBDASERVE_STORE": "ftp://nowhere"}))
    yield manager
    manager.gateway.close()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_whom_iam_has_not_let_in(three_versions: Manager, method: str, path: str) -> None:
    body = b'{"version": "2", "weight": 5, "by": "arn:aws:iam::123456789012:root"}' if method == "POST" else b""
    claimed = {"X-Amzn-User-Arn": ALICE, "Authorization": "AWS4-HMAC-SHA256 Credential=made/up"}

    answer = three_versions.gateway.invoke(rest_event(method, path, body, headers=claimed))

    assert answer["statusCode"] == 403
    assert json.loads(answer["body"])["code"] == "caller_unknown"
    assert resolve_alias(three_versions.store, "m", "live") == "1"


@pytest.mark.parametrize("identity", [None, "", {}, [], {"userArn": None}, {"userArn": ""}, {"userArn": ["arn:a"]}])
def test_an_identity_that_says_nothing_is_none(three_versions: Manager, identity: object) -> None:
    event = rest_event("GET", "/models")
    event["requestContext"]["identity"] = identity or {"sourceIp": "203.0.113.7"}

    assert three_versions.gateway.invoke(event)["statusCode"] == 403


def test_requests_that_come_by_no_event_are_nobodys(three_versions: Manager) -> None:
    assert three_versions.gateway.send_raw({"path": "/models"}).status == 403


def test_the_caller_of_an_http_api_or_a_function_url_is_known_too(three_versions: Manager) -> None:
    event = http_event("POST", f"{LIVE}/promote", b'{"version": "2"}')
    event["requestContext"]["authorizer"] = {"iam": {"userArn": BOB, "accountId": "123456789012"}}

    answer = three_versions.gateway.invoke(event)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["change"]["by"] == BOB


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(store_url: str, tmp_path: Path) -> None:
    manager = Manager.of(store_url, tmp_path, max_body_bytes=100)

    refused = manager.post(f"{LIVE}/promote", {"version": "2", "reason": "r" * 100})
    manager.gateway.close()

    assert (refused.status, refused.body["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/models/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("DELETE", "/models/m", 405, "method_not_allowed"),
        ("PUT", f"{LIVE}/promote", 405, "method_not_allowed"),
    ],
)
def test_other_paths_and_methods_are_refused_in_the_same_form(
    three_versions: Manager, method: str, path: str, status: int, code: str
) -> None:
    answer = three_versions.gateway.invoke(signed_by(ALICE, rest_event(method, path)))

    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"]) == (status, code)
    assert set(body) == {"error", "code", "request_id"}


def test_wrong_settings_are_answered_with_what_is_wrong(broken: Manager) -> None:
    answer = broken.get("/models")

    assert (answer.status, answer.body["code"]) == (503, "invalid_setting")
    assert "LAMBDASERVE_STORE" in answer.body["error"]
    assert answer.headers["retry-after"] == "1"


def test_a_fault_of_ours_shows_nothing_of_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager = Manager.of((tmp_path / "store").as_uri(), tmp_path)
    faulty = Management(manager.management.settings, manager.management.telemetry)
    faulty._store = object()  # type: ignore[assignment]  # noqa: SLF001 - no store at all
    gateway = Gateway(create_app(faulty))

    answer = gateway.invoke(signed_by(ALICE, rest_event("GET", "/models")))
    gateway.close()
    manager.gateway.close()

    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"]) == (500, "internal_error")
    assert "list_folders" not in answer["body"]
    assert [metric["Crashes"] for metric in metrics(capsys) if "Crashes" in metric] == [1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Calls that carry a marker wherever there is room for one, in a process that keeps nothing else."""
    url = (tmp_path_factory.mktemp("logged") / "store").as_uri()
    for alias in ("live", None):
        publish_graphs(url, "m", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}], alias=alias)
    calls: list[tuple[str, str, object, str]] = [
        ("POST", f"{LIVE}/promote", {"version": "2", "reason": MARKER}, ALICE),
        ("POST", f"{LIVE}/canary", {"version": "99", "weight": 5, "reason": MARKER}, BOB),
        ("POST", f"{LIVE}/canary", {"version": MARKER, "weight": MARKER, MARKER: MARKER}, BOB),
        ("POST", "/models/m/versions", {"manifest": MARKER}, BOB),
        ("POST", f"/models/{MARKER}/aliases/{MARKER}/rollback", MARKER, BOB),
        ("GET", f"/models/{MARKER.lower()}?limit={MARKER}", None, ALICE),
    ]
    events = []
    for number, (method, path, body, caller) in enumerate(calls):
        content = b"" if body is None else json.dumps(body).encode()
        event = signed_by(caller, rest_event(method, path, content, headers=key("c" * 32) if number == 0 else None))
        events.append((f"request-{number}", event))
    return run_function({"LAMBDASERVE_STORE": url, "LAMBDASERVE_LOG_LEVEL": "DEBUG"}, events, function="management")


def test_each_change_is_logged_with_who_asked_for_what_and_how_it_went(run: Run) -> None:
    done, absent, unreadable = [line for line in run.logs if line["message"] == "change asked for"]
    assert (done["action"], done["model"], done["alias"], done["version"]) == ("promote", "m", "live", "2")
    assert (done["caller"], done["operation"], done["outcome"]) == (ALICE, "c" * 32, "done")
    assert (absent["action"], absent["caller"], absent["outcome"]) == ("canary", BOB, "version_not_found")
    assert (unreadable["action"], unreadable["outcome"]) == ("claim", "invalid_input")
    assert [line["request_id"] for line in (done, absent, unreadable)] == ["request-0", "request-1", "request-3"]


def test_nothing_of_a_request_is_written(run: Run) -> None:
    assert MARKER not in (run.stdout + run.stderr).upper()


def test_calls_and_errors_are_counted_without_names_from_outside(run: Run) -> None:
    assert [line["request_id"] for line in run.metrics] == [f"request-{number}" for number in range(6)]
    assert all(line["ManagementCalls"] == 1 for line in run.metrics)
    assert [line.get("ManagementErrors", 0) for line in run.metrics] == [0, 1, 1, 1, 1, 1]
    assert all(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]] for line in run.metrics)


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if "_aws" in line]
