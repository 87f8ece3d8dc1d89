"""OpenAI's own client against the service: over a socket as `lambdaserve serve` answers, and through Mangum."""

import base64
from collections.abc import Iterator
from typing import Any, Literal

import httpx2
import numpy as np
import openai
import pytest
from openai import OpenAI

from handlers.api.app import create_app
from handlers.settings import Settings
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway
from tests.handlers.api.text.conftest import TOKENS
from tests.servers.serving import serving


class GatewayTransport(httpx2.BaseTransport):
    """Hands a client's requests to the application through Mangum."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._gateway.send(request.method, request.url.path, request.read(), headers=dict(request.headers))
        return httpx2.Response(answer.status, json=answer.body)


@pytest.fixture(scope="module")
def served(store_of_texts: str) -> Iterator[str]:
    with serving(store_of_texts) as (url, _):
        yield url


@pytest.fixture(params=["socket", "mangum"])
def client(request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    if request.param == "socket":
        url = request.getfixturevalue("served")
        with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            yield client
        return
    transport = httpx2.Client(transport=GatewayTransport(request.getfixturevalue("texts")))
    with OpenAI(base_url="http://lambda/v1", api_key="none", max_retries=0, http_client=transport) as client:
        yield client


def bag(*ids: int) -> object:
    """What `embedder` answers to these tokens."""
    return pytest.approx([ids.count(token) / len(ids) for token in range(TOKENS)])


def test_a_text_is_embedded(client: OpenAI) -> None:
    made = client.embeddings.create(model="embedder", input="good film")  # asks for base64 and decodes it
    assert [(entry.index, entry.object, entry.embedding) for entry in made.data] == [(0, "embedding", bag(2, 5, 7, 3))]
    assert (made.object, made.model) == ("list", "embedder")
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (4, 4)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_batch_is_embedded_in_its_order_and_its_padding_costs_no_tokens(
    client: OpenAI, encoding: Literal["float", "base64"]
) -> None:
    made = client.embeddings.create(
        model="embedder", input=["good film", "bad", "good good good"], encoding_format=encoding
    )
    assert made.usage.total_tokens == 4 + 3 + 5
    found = [entry.embedding for entry in made.data]
    if encoding == "base64":  # asked for by name, it is left as it is
        found = [np.frombuffer(base64.b64decode(str(vector)), "<f4").tolist() for vector in found]
    assert found == [bag(2, 5, 7, 3), bag(2, 6, 3), bag(2, 5, 5, 5, 3)]
    assert [entry.index for entry in made.data] == [0, 1, 2]


def test_tokens_are_embedded(client: OpenAI) -> None:
    [one] = client.embeddings.create(model="embedder", input=[5, 7]).data
    several = client.embeddings.create(model="embedder", input=[[5, 7], [6]], dimensions=TOKENS, user="somebody").data
    assert [one.embedding, *(entry.embedding for entry in several)] == [bag(2, 5, 7, 3)] * 2 + [bag(2, 6, 3)]


def test_models_are_listed_and_described(client: OpenAI) -> None:
    listed = client.models.list()
    assert {"embedder", "judge", "affine"} <= {model.id for model in listed}
    model = client.models.retrieve("embedder")
    assert (model.id, model.object, model.owned_by) == ("embedder", "model", "lambdaserve")
    assert model.created == 1767225600  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("asked", "param", "message"),
    [
        ({"input": ""}, "input", "input: an empty string at 0, expected none"),
        ({"input": ["good", ""]}, "input", "input: an empty string at 1, expected none"),
        ({"input": []}, "input", "input: an empty list, expected a string, token ids"),
        ({"input": [[]]}, "input", "input: an empty list at 0"),
        ({"input": ["good", [5]]}, "input", "input: a list of list, str, expected one of strings"),
        ({"input": [5, "good"]}, "input", "input: a list of int, str"),
        ({"input": {"text": "good"}}, "input", "input: dict, expected a string"),
        ({"input": [5, 4000]}, "input", "instances[0]: token 4000, expected an id of the model's"),
        ({"input": "good", "dimensions": 3}, "dimensions", f"expected none, or the model's own {TOKENS}"),
        ({"input": "good", "encoding_format": "hex"}, "encoding_format", "'hex', expected float or base64"),
        ({"input": "good", "extra_body": {"truncate": True}}, "truncate", "truncate: unknown, expected some of"),
        ({"input": "good", "model": "judge"}, "model", "is of the task text-classification, expected one"),
        ({"input": "good", "model": "affine"}, "model", "is of the task tensor, expected one"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_is_a_bad_request(
    client: OpenAI, asked: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(**({"model": "embedder"} | asked))
    assert (refused.value.status_code, refused.value.type) == (400, "invalid_request_error")
    assert (refused.value.param, refused.value.code) == (param, "invalid_input")
    assert isinstance(refused.value.body, dict)
    assert message in refused.value.body["message"]


def test_a_model_that_is_not_there_is_not_found(client: OpenAI) -> None:
    for ask in (
        lambda: client.embeddings.create(model="nobody", input="good"),
        lambda: client.models.retrieve("nobody"),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            ask()
        assert (refused.value.param, refused.value.code) == ("model", "model_not_found")


def test_a_body_that_is_no_json_is_refused_in_the_same_form(texts: Gateway) -> None:
    for body in (
        b"",
        b"[",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"model": 1, "input": "good"}',
        b'{"model": "embedder"}',
    ):
        answer = texts.send("POST", "/v1/embeddings", body)
        assert answer.status == 400
        assert set(answer.body["error"]) == {"message", "type", "param", "code"}
        member = {b'{"model": 1, "input": "good"}': "model", b'{"model": "embedder"}': "input"}.get(body)
        assert answer.body["error"]["param"] == member
        assert "recursion" not in answer.body["error"]["message"]


def test_members_that_are_null_are_as_good_as_absent(texts: Gateway) -> None:
    asked = {"model": "embedder", "input": "good", "encoding_format": None, "dimensions": None, "user": None}

    assert isinstance(texts.send("POST", "/v1/embeddings", asked).body["data"][0]["embedding"], list)


def test_a_model_that_is_not_ready_is_a_503_in_the_same_form(empty_store: Settings) -> None:
    gateway = Gateway(create_app(make_service(empty_store)))
    answer = gateway.send("POST", "/v1/embeddings", {"model": "embedder", "input": "good"})
    listed = gateway.send("GET", "/v1/models")
    gateway.close()
    assert (answer.status, answer.body["error"]["type"]) == (503, "server_error")
    assert answer.body["error"]["code"] == "model_not_ready"
    assert (listed.status, listed.body) == (200, {"object": "list", "data": [], "models": []})
