"""Measure warm invocations and print each figure beside its reference and its bar.

The body goes in as API Gateway sends it (base64), through Mangum and the whole application, with logs and metrics on;
the reference runs in turns with it. Exit status 1: a bar is missed.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.models import publish_linear, publish_mean
from benchmarks.results import Table, print_tables, write_section
from benchmarks.warm.invocation import Answer, Invoker, Request, binary_request, json_request, time_ms
from benchmarks.warm.memory import tensor_cost
from benchmarks.warm.reference import plain_app
from benchmarks.warm.service import make_app, silence
from benchmarks.warm.text import measure_text
from export.errors import SourceError
from handlers.registry.loading import LoadedModel

_IMAGE = (1, 3, 224, 224)


@dataclass(frozen=True)
class Figure:
    """A measurement beside its bar; `ok` says whether it is met."""

    what: str
    ours: str
    reference: str
    result: str
    bar: str
    ok: bool


def main() -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        url = publish_linear(Path(folder))
        publish_mean(Path(folder))
        with silence():
            figures = _measure(url)
    rows = [
        (figure.what, figure.ours, figure.reference, figure.result, figure.bar, "met" if figure.ok else "missed")
        for figure in figures
    ]
    table = Table("Warm invocations, medians (5 % to 95 %)", ("", "invocation", "reference", "result", "bar", ""), rows)
    print_tables([table])
    write_section("warm", [table], threads=1)
    return 0 if all(figure.ok for figure in figures) else 1


def _measure(url: str) -> list[Figure]:
    app, models = make_app(url)
    invoke = Invoker(app)
    linear, mean = (models.await_model(name, None, 60) for name in ("linear", "mean"))
    random = np.random.default_rng(0)
    small = random.standard_normal((1, 10)).astype(np.float32)
    image = random.standard_normal(_IMAGE).astype(np.float32)
    _check_answers(invoke, linear, mean, small, image)
    return [
        _overhead("JSON [1, 10]", invoke, json_request("linear", "x", small), linear, small, 5000, 0.25),
        _overhead("binary [1, 3, 224, 224]", invoke, binary_request("mean", "x", image), mean, image, 300, 2.5),
        _beside_pydantic(invoke, mean, json_request("mean", "x", image)),
        _memory(url),
        *_text(),
    ]


def _overhead(  # noqa: PLR0913, PLR0917 - one row of the table
    what: str, invoke: Invoker, request: Request, model: LoadedModel, array: np.ndarray, rounds: int, bar_ms: float
) -> Figure:
    event = request.event()
    runs, invocations = _in_turns(lambda: model.session.run({"x": array}), lambda: invoke(event), rounds)
    added = statistics.median(invocations) - statistics.median(runs)
    return Figure(
        what, _spread(invocations), f"session.run {_spread(runs)}", f"{added:.3f} ms more", f"{bar_ms} ms",
        added <= bar_ms,
    )  # fmt: skip


def _beside_pydantic(invoke: Invoker, model: LoadedModel, request: Request, *, bar: float = 3.0) -> Figure:
    event = request.event()
    plain = Invoker(plain_app("mean", model.session))
    right = json.loads(Answer(plain(event)).body)["outputs"]
    np.testing.assert_allclose(json.loads(Answer(invoke(event)).body)["outputs"][0]["data"], right[0]["data"])
    theirs, ours = _in_turns(lambda: plain(event), lambda: invoke(event), 60)
    ratio = statistics.median(theirs) / statistics.median(ours)
    return Figure(
        "JSON [1, 3, 224, 224]", _spread(ours), f"FastAPI, pydantic {_spread(theirs)}", f"{ratio:.1f} times faster",
        f"{bar:.0f} times", ratio >= bar,
    )  # fmt: skip


def _memory(url: str, *, bar: float = 3.0) -> Figure:
    ratio = tensor_cost(url)
    return Figure("memory of a 4.2 MB tensor", "", "its size", f"{ratio:.2f} times", f"{bar:.0f} times", ratio <= bar)


def _text(*, bar: float = 0.1) -> list[Figure]:
    try:
        cost = measure_text()
    except SourceError as error:
        print(f"text is not measured: {error}", file=sys.stderr)
        return []
    reference = f"padded batch {_spread(cost.padded_run_ms)}"
    return [
        Figure(
            "32 sentences, MiniLM: tokens, batches", _spread(cost.added_ms), reference, f"{cost.added:.1%} of it",
            f"{bar:.0%}", cost.added <= bar,
        ),
        Figure(
            "32 sentences, MiniLM: all of it", _spread(cost.prediction_ms), reference, f"{cost.whole:.2f} times",
            f"{1 + bar:.2f} times", cost.whole <= 1 + bar,
        ),
    ]  # fmt: skip


def _check_answers(
    invoke: Invoker, linear: LoadedModel, mean: LoadedModel, small: np.ndarray, image: np.ndarray
) -> None:
    """A wrong answer is no result."""
    found = json.loads(Answer(invoke(json_request("linear", "x", small).event())).body)["outputs"][0]["data"]
    np.testing.assert_allclose(found, linear.session.run({"x": small})["y"].ravel())
    answer = Answer(invoke(binary_request("mean", "x", image).event()))
    length = int(answer.headers["inference-header-content-length"])
    np.testing.assert_array_equal(
        np.frombuffer(answer.body[length:], np.float32), mean.session.run({"x": image})["y"].ravel()
    )


def _in_turns(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times[0].append(time_ms(one))
        times[1].append(time_ms(other))
    return times


def _spread(values: list[float]) -> str:
    low, *_, high = statistics.quantiles(values, n=20)
    return f"{statistics.median(values):.3f} ms ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
