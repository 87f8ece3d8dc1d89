import re

import pytest

from handlers.errors import InvalidInput
from handlers.payloads.identity import PayloadId
from handlers.registry.stores.keys import is_segment

SHA256 = "0123456789abcdef" * 4


def test_an_id_says_size_and_hash_and_is_fit_for_a_url_and_a_key() -> None:
    payload = PayloadId.new(8_388_608, SHA256)

    assert re.fullmatch(rf"[0-9a-f]{{32}}-8388608-{SHA256}", str(payload))
    assert is_segment(str(payload))
    assert PayloadId.parse(str(payload)) == payload


def test_no_two_ids_are_alike() -> None:
    assert len({PayloadId.new(1, SHA256).random for _ in range(1000)}) == 1000


RANDOM = "f" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "https://bucket.s3.amazonaws.com/key",
        "s3://bucket/key",
        "../models/mnist/aliases.json",
        f"{RANDOM}-8-{SHA256}/../x",
        f"/{RANDOM}-8-{SHA256}",
        f"{RANDOM}-0-{SHA256}",
        f"{RANDOM}-08-{SHA256}",
        f"{RANDOM}--8-{SHA256}",
        f"{RANDOM}-{'9' * 13}-{SHA256}",
        f"{RANDOM}-٣-{SHA256}",
        f"{RANDOM}-8-{SHA256.upper()}",
        f"{RANDOM}-8-{SHA256[:-1]}",
        f"{RANDOM[:-1]}-8-{SHA256}",
        f"{RANDOM}-8-{SHA256}\n",
        "x" * 10_000,
    ],
)
def test_nothing_else_is_an_id(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^payload: '.*', expected an id from POST /v1/payloads ") as refusal:
        PayloadId.parse(text)

    assert len(str(refusal.value)) < 300
