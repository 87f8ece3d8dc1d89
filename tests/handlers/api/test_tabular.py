"""A table through the service, in JSON and in CSV, on a tiny model."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.settings import Settings
from handlers.tasks.definitions import CategoricalColumn, NumericColumn, TabularTask
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Answer, Gateway

TASK = TabularTask(
    columns=(
        NumericColumn(name="size", input="x", missing=3, maximum=1000),
        CategoricalColumn(name="kind", input="x", categories=("cat", "dog")),
    ),
    output="y",
)
PREDICT = "/v1/models/{}:predict"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """`numbers` answers y = 2 x + 1 of (size, cat, dog), `labels` takes y for scores."""
    url = (tmp_path_factory.mktemp("tables") / "store").as_uri()
    example = [{"x": np.array([[0, 1, 2]], np.float32)}]
    publish_graphs(url, "numbers", {"fp32": affine()}, example, task=TASK)
    labels = TabularTask(columns=TASK.columns, output="y", labels=("a", "b", "c"))
    publish_graphs(url, "labels", {"fp32": affine()}, example, task=labels)
    service = make_service(Settings(store_url=url, scratch_dir=tmp_path_factory.mktemp("scratch")))
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    yield gateway
    gateway.close()


def send_csv(gateway: Gateway, text: str, media: str = "text/csv; charset=utf-8") -> Answer:
    return gateway.send("POST", PREDICT.format("numbers"), text.encode(), headers={"Content-Type": media})


def test_rows_are_answered_in_their_order(tables: Gateway) -> None:
    rows = [{"size": number, "kind": "dog" if number % 2 else "cat"} for number in range(100)]

    answer = tables.send("POST", PREDICT.format("numbers"), {"instances": rows})

    assert (answer.status, len(answer.body["predictions"])) == (200, 100)
    expected = [[2 * number + 1, *((1, 3) if number % 2 else (3, 1))] for number in range(100)]
    assert answer.body["predictions"] == expected


def test_csv_is_answered_as_json_is(tables: Gateway) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([["kind", "size"], ["dog", 1.5], ["cat", ""]])

    assert send_csv(tables, file.getvalue()).body == {"predictions": [[4, 1, 3], [7, 3, 1]]}


def test_labels_come_sorted_and_as_many_as_asked_for(tables: Gateway) -> None:
    body = {"instances": [{"size": 4, "kind": "dog"}], "parameters": {"top_k": 2}}

    answer = tables.send("POST", PREDICT.format("labels"), body)

    assert answer.body == {"predictions": [[{"label": "a", "score": 9}, {"label": "c", "score": 3}]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,kind\n1,dog\n2,cow\n", "line 3, column 'kind': 'cow', expected one of: 'cat', 'dog'"),
        ("size,kind\n1,dog\n2\n", "line 3: 1 values, expected 2 as in the header"),
        ("size,kind\n", "instances: none, expected at least one"),
        ("size,sort\n1,dog\n", "line 2: unknown columns 'sort', expected some of: 'kind'"),
    ],
)
def test_bad_csv_is_refused_with_its_line(tables: Gateway, text: str, message: str) -> None:
    answer = send_csv(tables, text)

    assert (answer.status, answer.body["error"]) == (400, message)


def test_bad_rows_are_refused_with_their_index(tables: Gateway) -> None:
    rows = [{"size": 1, "kind": "dog"}, {"size": 1e9, "kind": "dog"}]

    answer = tables.send("POST", PREDICT.format("numbers"), {"instances": rows})

    expected = "instances[1], column 'size': 1000000000.0, expected a finite number of at most 1000"
    assert (answer.status, answer.body["error"]) == (400, expected)


def test_csv_is_for_tables_and_other_bodies_are_not(tables: Gateway, gateway: Gateway) -> None:
    answer = send_csv(tables, "size,kind\n1,dog\n", "text/tab-separated-values")
    other = gateway.send("POST", PREDICT.format("affine"), b"x\n1\n", headers={"Content-Type": "text/csv"})

    assert answer.status == other.status == 415
    assert answer.body["error"].endswith("expected one of: application/json, text/csv")
