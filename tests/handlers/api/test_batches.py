"""Batches are cut to what the model and the memory take, and put together again."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.api.app import create_app
from handlers.api.batches import batch_length, cut_batch, join_batch
from handlers.api.call import Call
from handlers.api.service import Service
from handlers.errors import InsufficientMemory, InvalidInput
from handlers.registry.loading import LoadedModel
from handlers.registry.manifest import Batching
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.artifacts import publish_graphs
from tests.graphs import dense
from tests.handlers.api.gateway import Gateway, infer_body, tensor

WIDTH = 4
KB = 1024


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models that take any number of samples, or exactly 1 or 4 of them; or whose axis 0 counts nothing."""
    folder = tmp_path_factory.mktemp("batches")
    settings = Settings(store_url=(folder / "store").as_uri(), scratch_dir=folder, model_memory_bytes=100 * KB)
    cases: dict[str, tuple[int | str, Batching | None]] = {
        "any": ("batch", Batching()),
        "one": (1, Batching(length=1)),
        "four": (4, Batching(length=4)),
        "whole": ("rows", None),
    }
    for name, (axis, batching) in cases.items():
        example = {"x": np.ones((4 if axis == 4 else 1, WIDTH), np.float32)}
        memory = {"fp32": (10 * KB, None if batching is None else KB)}
        graphs = {"fp32": dense(WIDTH, 1, axis)}
        publish_graphs(settings.store_url, name, graphs, [example], batching=batching, memory=memory)
    models = Models(settings, Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False))
    models.await_all(60)
    return models


@pytest.fixture(scope="module")
def gateway(models: Models) -> Iterator[Gateway]:
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    gateway = Gateway(create_app(Service(models, telemetry, 1_000_000)))
    yield gateway
    gateway.close()


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, WIDTH)).astype(np.float32)


def load(models: Models, name: str) -> LoadedModel:
    return models.await_model(name, None, 60)


@given(st.integers(1, 40), st.integers(1, 12), st.booleans())
def test_pieces_make_the_batch_again(length: int, at_once: int, exactly: bool) -> None:  # noqa: FBT001 - drawn
    batch = {"x": np.arange(length * 2).reshape(length, 2), "text": np.array([str(i) for i in range(length)], object)}

    pieces = list(cut_batch(batch, at_once, exactly=exactly))

    assert sum(count for _, count in pieces) == length
    lengths = {len(value) for piece, _ in pieces for value in piece.values()}
    assert lengths == {at_once} if exactly else max(lengths) <= at_once
    joined = join_batch(pieces)
    np.testing.assert_array_equal(joined["x"], batch["x"])
    assert joined["text"].tolist() == batch["text"].tolist()


def test_inputs_that_disagree_have_no_batch_length() -> None:
    assert batch_length({"a": np.zeros((2, 3)), "b": np.zeros(2)}) == 2
    assert batch_length({"a": np.zeros((2, 3)), "b": np.zeros(3)}) is None
    assert batch_length({"a": np.zeros(())}) is None


def test_answers_of_different_lengths_cannot_be_put_together() -> None:
    with pytest.raises(InvalidInput, match=r"answers of different shapes .*; send fewer at once"):
        join_batch([({"y": np.zeros((1, 2))}, 1), ({"y": np.zeros((1, 3))}, 1)])


@pytest.mark.parametrize(("name", "count", "runs"), [
    ("any", 7, 1), ("one", 1, 1), ("one", 7, 7), ("four", 4, 1), ("four", 3, 1), ("four", 9, 3), ("whole", 7, 1),
])  # fmt: skip
def test_a_model_answers_any_batch_as_it_answers_each_sample(models: Models, name: str, count: int, runs: int) -> None:
    call = Call(load(models, name))
    x = rows(count)

    found = call.run({"x": x})["y"]

    np.testing.assert_allclose(found, np.repeat(x.mean(1, keepdims=True), WIDTH, 1), atol=1e-6)
    assert (call.samples, call.runs) == (count, runs)


def test_an_empty_batch_is_one_where_any_number_is_taken_alone(models: Models) -> None:
    assert Call(load(models, "any")).run({"x": rows(0)})["y"].shape == (0, WIDTH)
    with pytest.raises(InvalidInput, match=r"inputs: \{'x': \[0\]\} samples, expected as many of each"):
        Call(load(models, "one")).run({"x": rows(0)})


@pytest.mark.parametrize(("left_kb", "runs"), [(100, 1), (9, 1), (4, 2), (1, 5), (0, 10)])
def test_a_batch_is_cut_to_the_memory_that_is_left(models: Models, left_kb: int, runs: int) -> None:
    # each sample takes 1 KB, of which the first is set aside with the model
    call = Call(load(models, "any"), make_room=lambda _: left_kb * KB)
    x = rows(10)

    found = call.run({"x": x})["y"]

    assert (call.samples, call.runs) == (10, runs)
    np.testing.assert_allclose(found, np.repeat(x.mean(1, keepdims=True), WIDTH, 1), atol=1e-6)


def test_memory_grows_with_the_size_of_a_sample(models: Models) -> None:
    model = load(models, "any")
    small = replace(model, manifest=replace_shape(model, (1, 2)))  # as if it had been measured on half of that
    call = Call(small, make_room=lambda _: 3 * KB)

    call.run({"x": rows(10)})

    assert call.runs == 5  # 2 KB each, 1 + 3 are there


def test_a_sample_that_does_not_fit_is_refused(models: Models) -> None:
    model = load(models, "any")
    asked: list[int] = []

    def make_room(least_bytes: int) -> int:
        asked.append(least_bytes)
        return KB

    small = replace(model, manifest=replace_shape(model, (1, 1)))
    with pytest.raises(
        InsufficientMemory, match=r"model 'any': one sample of this size needs .* MB, expected at most "
    ):
        Call(small, make_room=make_room).run({"x": rows(1)})
    assert asked == [3 * KB + 1]


def replace_shape(model: LoadedModel, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - msgspec's replace is untyped
    import msgspec

    return msgspec.structs.replace(model.manifest, example_shapes={"x": shape})


def test_a_model_of_batch_one_serves_batches_and_says_so(gateway: Gateway) -> None:
    described = gateway.send("GET", "/v2/models/one").body
    assert described["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, WIDTH]}]
    assert described["outputs"][0]["shape"] == [-1, WIDTH]

    answer = gateway.infer("one", infer_body(tensor("x", "FP32", [3, WIDTH], rows(3).ravel().tolist())))

    assert (answer.status, answer.body["outputs"][0]["shape"]) == (200, [3, WIDTH])
    refused = gateway.infer("one", infer_body(tensor("x", "FP32", [3, 5], [0] * 15)))
    assert refused.body["error"] == "input 'x': shape [3, 5], expected [-1, 4] where -1 is any length"


@pytest.mark.parametrize("name", ["any", "one", "four", "whole"])
def test_each_instance_gets_a_prediction(gateway: Gateway, name: str) -> None:
    instances = rows(70)

    answer = gateway.send("POST", f"/v1/models/{name}:predict", {"instances": instances.tolist()})

    assert answer.status == 200
    expected = np.repeat(instances.mean(1, keepdims=True), WIDTH, 1)
    np.testing.assert_allclose(answer.body["predictions"], expected, atol=1e-6)


def test_idle_models_make_room_for_a_batch(tmp_path: Path) -> None:
    settings = Settings(store_url=(tmp_path / "store").as_uri(), scratch_dir=tmp_path, model_memory_bytes=30 * KB)
    example = {"x": np.ones((1, WIDTH), np.float32)}
    for name, sample in (("a", KB), ("b", KB)):
        memory = {"fp32": (10 * KB, sample)}
        publish_graphs(
            settings.store_url, name, {"fp32": dense(WIDTH, 1)}, [example], batching=Batching(), memory=memory
        )
    telemetry = Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False)
    models = Models(settings, telemetry)
    load(models, "a")
    load(models, "b")

    assert models.make_room(10 * KB) == 10 * KB
    assert [model.name for model in models.loaded] == ["a", "b"]
    assert models.make_room(15 * KB) == 20 * KB
    assert [model.name for model in models.loaded] == ["b"]
    assert models.make_room(50 * KB) == 30 * KB
