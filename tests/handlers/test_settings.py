import math
import os
import re
import tempfile
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from handlers.errors import InvalidSetting
from handlers.memory import machine_memory_bytes
from handlers.settings import Settings, default_model_memory_mb, default_threads

CORES = len(os.sched_getaffinity(0))
HALF_OF_MEMORY = default_model_memory_mb({}) * 2**20


def test_only_the_store_has_to_be_named() -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "s3://bucket/prefix"})

    settings.check()
    assert settings == Settings(
        store_url="s3://bucket/prefix",
        models=(),
        alias="live",
        max_body_bytes=6 * 1024 * 1024,
        scratch_dir=Path(tempfile.gettempdir()),
        threads=CORES,
        log_level="INFO",
        init_wait_s=7.0,
        pinned=(),
        model_memory_bytes=HALF_OF_MEMORY,
        max_answer_bytes=None,
        problems=(),
    )


def test_every_setting_is_read(tmp_path: Path) -> None:
    settings = Settings.from_environ(
        {
            "LAMBDASERVE_STORE": " file:///models ",
            "LAMBDASERVE_MODELS": "a, b-2,",
            "LAMBDASERVE_ALIAS": "canary",
            "LAMBDASERVE_MAX_BODY_BYTES": "1000",
            "LAMBDASERVE_SCRATCH_DIR": str(tmp_path),
            "LAMBDASERVE_THREADS": "3",
            "LAMBDASERVE_LOG_LEVEL": "warning",
            "LAMBDASERVE_INIT_WAIT_S": "0.5",
            "LAMBDASERVE_PINNED": "b-2",
            "LAMBDASERVE_MODEL_MEMORY_MB": "300",
            "LAMBDASERVE_MAX_ANSWER_BYTES": "2000",
            "LAMBDASERVE_ALIAS_CHECK": "2.5",
        }
    )

    settings.check()
    assert settings == Settings(
        "file:///models",
        ("a", "b-2"),
        "canary",
        1000,
        tmp_path,
        3,
        "WARNING",
        0.5,
        pinned=("b-2",),
        model_memory_bytes=300 * 2**20,
        max_answer_bytes=2000,
        alias_check_s=2.5,
    )


def test_an_empty_setting_is_none() -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models", "LAMBDASERVE_ALIAS": " "})

    settings.check()
    assert settings.alias == "live"


@pytest.mark.parametrize(("text", "seconds"), [("strict", 0.0), ("never", math.inf), ("Strict", 0.0), ("0.5", 0.5)])
def test_aliases_are_looked_at_before_each_request_or_never_or_after_some_seconds(text: str, seconds: float) -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models", "LAMBDASERVE_ALIAS_CHECK": text})

    settings.check()
    assert settings.alias_check_s == seconds


def test_origins_and_base_path_are_put_into_one_form() -> None:
    environ = {"LAMBDASERVE_STORE": "file:///models", "LAMBDASERVE_BASE_PATH": "ml/prod/"}
    environ["LAMBDASERVE_CORS_ORIGINS"] = "https://Page.example, http://localhost:3000,"

    settings = Settings.from_environ(environ)

    settings.check()
    assert settings.base_path == "/ml/prod"
    assert settings.cors_origins == ("https://page.example", "http://localhost:3000")


def test_a_store_is_required() -> None:
    with pytest.raises(InvalidSetting, match=r"^LAMBDASERVE_STORE: nothing, expected file:///folder or s3://"):
        Settings.from_environ({}).check()


def test_all_problems_are_reported_at_once_and_defaults_taken(tmp_path: Path) -> None:
    wrong = {
        "LAMBDASERVE_STORE": "/models",
        "LAMBDASERVE_MODELS": "good,Bad_Name",
        "LAMBDASERVE_ALIAS": "../live",
        "LAMBDASERVE_MAX_BODY_BYTES": "6 MB",
        "LAMBDASERVE_SCRATCH_DIR": str(tmp_path / "absent"),
        "LAMBDASERVE_THREADS": "0",
        "LAMBDASERVE_LOG_LEVEL": "chatty",
        "LAMBDASERVE_INIT_WAIT_S": "soon",
        "LAMBDASERVE_PINNED": "No_Name",
        "LAMBDASERVE_MODEL_MEMORY_MB": "all",
        "LAMBDASERVE_MAX_ANSWER_BYTES": "-1",
        "LAMBDASERVE_ALIAS_CHECK": "sometimes",
    }
    settings = Settings.from_environ(wrong)

    assert sorted(problem.partition(":")[0] for problem in settings.problems) == sorted(wrong)
    defaults = Settings(store_url="", threads=CORES, model_memory_bytes=HALF_OF_MEMORY, problems=settings.problems)
    assert settings == defaults
    with pytest.raises(InvalidSetting) as refusal:
        settings.check()
    for name, value in wrong.items():
        quoted = "Bad_Name" if name == "LAMBDASERVE_MODELS" else value
        assert re.search(rf"{name}: .*'{re.escape(quoted)}', expected ", str(refusal.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAMBDASERVE_STORE", "ftp://host/models"),
        ("LAMBDASERVE_MAX_BODY_BYTES", "-1"),
        ("LAMBDASERVE_MAX_BODY_BYTES", "1.5"),
        ("LAMBDASERVE_MAX_BODY_BYTES", "9" * 5000),
        ("LAMBDASERVE_THREADS", "1e3"),
        ("LAMBDASERVE_INIT_WAIT_S", "-1"),
        ("LAMBDASERVE_INIT_WAIT_S", "nan"),
        ("LAMBDASERVE_INIT_WAIT_S", "inf"),
        ("LAMBDASERVE_ALIAS_CHECK", "0"),
        ("LAMBDASERVE_ALIAS_CHECK", "-1"),
        ("LAMBDASERVE_ALIAS_CHECK", "inf"),
        ("LAMBDASERVE_CORS_ORIGINS", "page.example"),
        ("LAMBDASERVE_CORS_ORIGINS", "https://page.example/"),
        ("LAMBDASERVE_CORS_ORIGINS", "https://page.example, nowhere"),
        ("LAMBDASERVE_BASE_PATH", "/"),
        ("LAMBDASERVE_BASE_PATH", "/a b"),
        ("LAMBDASERVE_BASE_PATH", "https://api.example.com/ml"),
    ],
)
def test_a_value_out_of_range_is_a_problem(name: str, value: str) -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models", name: value})

    assert [problem.partition(":")[0] for problem in settings.problems] == [name]


@pytest.mark.parametrize(
    ("memory_mb", "vcpus"), [("128", 1), ("512", 1), ("1769", 1), ("2048", 1), ("3538", 2), ("10240", 6)]
)
def test_threads_are_what_the_memory_size_buys_and_no_more_than_there_are_cores(memory_mb: str, vcpus: int) -> None:
    assert default_threads({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}) == min(vcpus, CORES)


def test_threads_are_the_cores_outside_of_lambda() -> None:
    assert default_threads({}) == CORES
    assert default_threads({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "much"}) == CORES


def test_a_number_of_threads_that_is_given_wins_over_the_memory_size() -> None:
    environ = {"LAMBDASERVE_STORE": "file:///models", "LAMBDASERVE_THREADS": "5"}
    environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "128"

    assert Settings.from_environ(environ).threads == 5


def test_settings_do_not_change() -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models"})

    with pytest.raises(FrozenInstanceError):
        settings.alias = "canary"  # type: ignore[misc]


def test_payloads_are_off_unless_a_bucket_is_named() -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models"})
    assert (settings.payloads_url, settings.max_payload_bytes) == ("", 256 * 1024 * 1024)

    named = {"LAMBDASERVE_PAYLOADS": "s3://bucket/payloads", "LAMBDASERVE_MAX_PAYLOAD_BYTES": "1000"}
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models", **named})
    assert (settings.payloads_url, settings.max_payload_bytes) == ("s3://bucket/payloads", 1000)
    settings.check()


@pytest.mark.parametrize(
    ("memory_mb", "asked", "taken_mb"),
    [("512", "", 128), ("1769", "", 256), ("1024", "268435456", 256), ("512", "268435456", 128)],
)
def test_payloads_never_take_more_than_a_quarter_of_the_memory(memory_mb: str, asked: str, taken_mb: int) -> None:
    environ = {"LAMBDASERVE_STORE": "file:///models", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}

    settings = Settings.from_environ(environ | {"LAMBDASERVE_MAX_PAYLOAD_BYTES": asked})

    assert settings.max_payload_bytes == taken_mb * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAMBDASERVE_PAYLOADS", "file:///folder"),
        ("LAMBDASERVE_PAYLOADS", "https://bucket.s3.amazonaws.com"),
        ("LAMBDASERVE_PAYLOADS", "s3://bucket/../x"),
        ("LAMBDASERVE_MAX_PAYLOAD_BYTES", "256 MB"),
    ],
)
def test_payload_settings_that_make_no_sense_are_problems(name: str, value: str) -> None:
    settings = Settings.from_environ({"LAMBDASERVE_STORE": "file:///models", name: value})

    [problem] = settings.problems
    assert problem.startswith(f"{name}: {value!r}, expected ")


def test_what_is_pinned_is_served() -> None:
    environ = {"LAMBDASERVE_STORE": "file:///models", "LAMBDASERVE_PINNED": "b,c,a", "LAMBDASERVE_MODELS": "a"}

    assert Settings.from_environ(environ).problems == ("LAMBDASERVE_PINNED: b, c, expected some of LAMBDASERVE_MODELS",)
    assert Settings.from_environ({**environ, "LAMBDASERVE_MODELS": ""}).pinned == ("b", "c", "a")


@pytest.mark.parametrize(("memory_mb", "models_mb"), [("128", 32), ("256", 64), ("512", 312), ("1769", 1569)])
def test_models_get_what_the_memory_size_leaves_them(memory_mb: str, models_mb: int) -> None:
    assert default_model_memory_mb({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}) == models_mb


def test_models_get_half_of_what_there_is_outside_of_lambda() -> None:
    assert default_model_memory_mb({}) == machine_memory_bytes() // 2 // 2**20


def test_answers_are_bounded_on_lambda_alone_unless_told() -> None:
    environ = {"LAMBDASERVE_STORE": "file:///models"}
    on_lambda = {**environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}

    assert Settings.from_environ(environ).max_answer_bytes is None
    assert Settings.from_environ(on_lambda).max_answer_bytes == 6 * 1024 * 1024 - 16 * 1024
    assert Settings.from_environ({**on_lambda, "LAMBDASERVE_MAX_ANSWER_BYTES": "0"}).max_answer_bytes is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("on-demand", True), ("provisioned-concurrency", False), ("snap-start", False), (None, False)],
)
def test_packing_waits_only_where_a_request_waits_for_the_environment(kind: str | None, *, expected: bool) -> None:
    environ = {} if kind is None else {"AWS_LAMBDA_INITIALIZATION_TYPE": kind}

    assert Settings.from_environ(environ).defers_packing is expected
