"""The tasks of text through Mangum, over models whose answers follow from their tables."""

import re
from typing import Any

import pytest

from tests.handlers.api.gateway import Answer, Gateway
from tests.handlers.api.text.conftest import TOKENS


def predict(gateway: Gateway, model: str, *instances: object, **parameters: object) -> Answer:
    body: dict[str, object] = {"instances": instances}
    return gateway.send(
        "POST", f"/v1/models/{model}:predict", body | ({"parameters": parameters} if parameters else {})
    )


def predictions(gateway: Gateway, model: str, *instances: object, **parameters: object) -> list[Any]:
    answer = predict(gateway, model, *instances, **parameters)
    assert answer.status == 200, answer.body
    return list(answer.body["predictions"])


def bag(*ids: int) -> object:
    """What `embedder` answers to these tokens."""
    return pytest.approx([ids.count(token) / len(ids) for token in range(TOKENS)])


def test_a_text_is_a_string_or_an_object_or_the_whole_body(texts: Gateway) -> None:
    right = bag(2, 5, 7, 3)
    assert predictions(texts, "embedder", "good film", {"text": "Good  FILM"}) == [right, right]
    whole = texts.send("POST", "/v1/models/embedder:predict", b"good film", headers={"Content-Type": "text/plain"})
    assert (whole.status, whole.body["predictions"]) == (200, [right])


def test_texts_of_all_lengths_are_answered_in_their_order(texts: Gateway) -> None:
    words = ["good", "bad", "film", "paris"]
    instances = [" ".join(words[i % 4] for _ in range(i % 7)) for i in range(100)]
    right = [bag(2, *[5 + i % 4] * min(i % 7, 6), 3) for i in range(100)]
    assert predictions(texts, "embedder", *instances) == right


def test_a_text_that_is_too_long_loses_its_end_but_not_its_last_special_token(texts: Gateway) -> None:
    assert predictions(texts, "embedder", "good " * 7 + "bad") == [bag(2, *[5] * 6, 3)]


def test_an_empty_text_and_unknown_words_are_answered(texts: Gateway) -> None:
    assert predictions(texts, "embedder", "", "snark 🦆") == [bag(2, 3), bag(2, 1, 1, 3)]


def test_token_ids_mean_what_their_text_means_with_and_without_special_tokens(texts: Gateway) -> None:
    right = bag(2, 5, 7, 3)
    assert predictions(texts, "embedder", [5, 7], "good film", [2, 5, 7, 3]) == [right] * 3
    assert predictions(texts, "embedder", [5] * 20, [2, *[5] * 20, 3]) == [bag(2, *[5] * 6, 3)] * 2


def test_labels_come_with_scores_the_best_first(texts: Gateway) -> None:
    [labels] = predictions(texts, "judge", "good")
    assert [entry["label"] for entry in labels] == ["good", "bad"]
    assert labels[0]["score"] == pytest.approx(1 / (1 + 2.718281828 ** (-8 / 3)))
    assert sum(entry["score"] for entry in labels) == pytest.approx(1)
    assert predictions(texts, "judge", "bad", top_k=1)[0] == [{"label": "bad", "score": labels[0]["score"]}]


def test_a_pair_is_read_as_one(texts: Gateway) -> None:
    [pair, joined] = predictions(texts, "judge", {"text": "good", "text_pair": "film"}, "good film [SEP]")
    assert pair == joined


def test_entities_say_where_in_the_users_text_they_are(texts: Gateway) -> None:
    text = "😀é  Paris Texas film"
    [found] = predictions(texts, "places", text)
    assert [(e["entity"], e["word"], e["index"], text[e["start"] : e["end"]]) for e in found] == [
        ("B-PLACE", "paris", 3, "Paris"),
        ("I-PLACE", "texas", 4, "Texas"),
    ]


def test_entities_that_belong_together_are_grouped(texts: Gateway) -> None:
    text = "paris texas film texas paris"
    [found] = predictions(texts, "places", text, aggregation_strategy="simple")
    assert [(e["entity_group"], e["word"], text[e["start"] : e["end"]]) for e in found] == [
        ("PLACE", "paris texas", "paris texas"),
        ("PLACE", "texas", "texas"),
        ("PLACE", "paris", "paris"),
    ]
    assert all("index" not in entity for entity in found)


def test_a_mask_is_filled_with_the_likeliest_tokens(texts: Gateway) -> None:
    [found] = predictions(texts, "gaps", "good [MASK] film")
    assert [(e["token"], e["token_str"], e["sequence"]) for e in found] == [
        (9, "texas", "good texas film"),
        (8, "paris", "good paris film"),
    ]
    assert found[0]["score"] / found[1]["score"] == pytest.approx(2.718281828, rel=1e-5)
    [all_of_them] = predictions(texts, "gaps", "[MASK]", top_k=100)
    assert [e["token"] for e in all_of_them] == list(range(TOKENS))[::-1]
    assert sum(e["score"] for e in all_of_them) == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "instance", "message"),
    [
        ("judge", 7, r"instances\[1\]: int, expected a string, or an object with the string `text`"),
        ("judge", {"text": "good", "pair": "film"}, r"instances\[1\]: members 'text', 'pair', expected .*`text_pair`"),
        ("judge", {"text": 5}, r"instances\[1\]: members 'text', expected"),
        ("judge", {}, r"instances\[1\]: members none, expected"),
        ("places", {"text": "good", "text_pair": "film"}, r"instances\[1\]: .*, expected .*the string `text`$"),
        (
            "gaps",
            "good film",
            r"instances\[1\]: 0 times \[MASK\] in the 4 tokens that are read of it, expected it once",
        ),
        ("gaps", "[MASK] [MASK]", r"instances\[1\]: 2 times \[MASK\]"),
        ("gaps", "good good good good good good [MASK]", r"instances\[1\]: 0 times \[MASK\] in the 8 tokens"),
        ("embedder", [5, TOKENS], rf"instances\[1\]: token {TOKENS}, expected an id of the model's tokenizer"),
        ("embedder", [-1], r"instances\[1\]: token -1, expected"),
        ("embedder", [True], r"instances\[1\]: token bool, expected"),
        ("embedder", [2**62], r"instances\[1\]: token int, expected"),
        ("embedder", ["good"], r"instances\[1\]: token str, expected"),
        ("embedder", [], r"instances\[1\]: no tokens, expected"),
        ("judge", [5], r"instances\[1\]: list, expected"),
    ],
)
def test_an_instance_that_cannot_be_used_is_refused_by_its_number(
    texts: Gateway, model: str, instance: object, message: str
) -> None:
    answer = predict(texts, model, "[MASK]", instance)
    assert answer.status == 400
    assert re.search(message, answer.body["error"]), answer.body


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("judge", {"top_k": 0}),
        ("judge", {"top_k": True}),
        ("judge", {"best": 1}),
        ("gaps", {"top_k": 101}),
        ("places", {"aggregation_strategy": "max"}),
        ("embedder", {"dimensions": 2}),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(texts: Gateway, model: str, parameters: dict[str, object]) -> None:
    answer = predict(texts, model, "[MASK]", **parameters)
    assert answer.status == 400
    assert answer.body["error"].startswith("parameters: ")


def test_more_instances_than_can_be_held_are_refused(texts: Gateway) -> None:
    for model in ("judge", "embedder"):
        answer = predict(texts, model, *[""] * 100_001)
        assert answer.status == 400
        assert answer.body["error"].startswith("instances: 100001, expected at most 100000; send them")


def test_infer_takes_texts_too(texts: Gateway) -> None:
    answer = texts.send("POST", "/v2/models/judge/infer", {"instances": ["good"], "parameters": {"top_k": 1}})
    assert (answer.status, answer.body["predictions"][0][0]["label"]) == (200, "good")


def test_a_body_that_is_no_text_is_refused(texts: Gateway) -> None:
    answer = texts.send("POST", "/v1/models/judge:predict", b"good\xff", headers={"Content-Type": "text/plain"})
    assert answer.status == 400
    assert answer.body["error"] == "instances[0]: invalid start byte at byte 4, expected text in UTF-8"
    lone = b'{"instances": ["\\ud800"]}'
    assert texts.send("POST", "/v1/models/judge:predict", lone).status == 400
