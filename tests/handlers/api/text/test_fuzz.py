"""Whatever is sent as text, the answer is below 500 and says why; `make fuzz` takes more cases."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.handlers.api.gateway import Gateway
from tests.handlers.api.test_fuzz import FUZZ, LEAVES, VALUES

MODELS = ["embedder", "judge", "places", "gaps", "affine"]
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="good bad[MASK]#😀\u0301\u0000\u200d"),
    st.sampled_from(["[MASK]", "[CLS]", "good [MASK]", "good " * 500]),
)
INSTANCES = st.one_of(
    TEXTS,
    st.fixed_dictionaries({"text": TEXTS | LEAVES}, optional={"text_pair": TEXTS | LEAVES}),
    st.lists(st.integers(-2, 12) | LEAVES, max_size=20),
    VALUES,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["top_k", "aggregation_strategy", "x"]),
    st.sampled_from([1, 3, "none", "simple"]) | LEAVES,
    max_size=2,
)
EMBEDDINGS = st.fixed_dictionaries(
    {"input": INSTANCES | st.lists(INSTANCES, max_size=4), "model": st.sampled_from(MODELS) | LEAVES},
    optional={
        "encoding_format": st.sampled_from(["float", "base64"]) | LEAVES,
        "dimensions": st.sampled_from([10, 3]) | LEAVES,
        "user": LEAVES,
        "x": LEAVES,
    },
)


@FUZZ
@given(model=st.sampled_from(MODELS), instances=st.lists(INSTANCES, max_size=4), parameters=PARAMETERS)
def test_any_instances_get_predictions_or_a_reason(
    texts: Gateway, model: str, instances: list[object], parameters: dict[str, object]
) -> None:
    body = json.dumps({"instances": instances, "parameters": parameters}).encode()
    answer = texts.send("POST", f"/v1/models/{model}:predict", body)
    assert answer.status in {200, 400}, answer.body
    if answer.status == 200:
        assert len(answer.body["predictions"]) == len(instances)
    else:
        assert ", expected" in answer.body["error"]


@FUZZ
@given(body=st.binary(max_size=100))
def test_any_body_as_text_gets_a_prediction_or_a_reason(texts: Gateway, body: bytes) -> None:
    answer = texts.send("POST", "/v1/models/embedder:predict", body, headers={"Content-Type": "text/plain"})
    assert answer.status in {200, 400}, answer.body


@FUZZ
@given(asked=EMBEDDINGS)
def test_any_request_of_openais_gets_embeddings_or_a_reason(texts: Gateway, asked: dict[str, object]) -> None:
    answer = texts.send("POST", "/v1/embeddings", json.dumps(asked).encode())
    assert answer.status in {200, 400, 404}, answer.body
    if answer.status != 200:
        assert ", expected" in answer.body["error"]["message"]
