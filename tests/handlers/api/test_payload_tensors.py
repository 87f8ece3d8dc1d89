import pytest

from handlers.api.payload_tensors import outputs_to_send
from handlers.errors import AnswerTooLarge
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer

SIZES = {"small": 4_000, "large": 50_000, "middle": 20_000}
ALL = sum(SIZES.values())
HERE = Transfer(Payloads("s3://bucket/payloads", 1_000_000))


@pytest.mark.parametrize(
    ("limit", "sent"),
    [(None, []), (ALL, []), (ALL - 1, ["large"]), (27_000, ["large"]), (26_999, ["large", "middle"])],
)
def test_the_largest_outputs_go_first_and_no_more_than_have_to(limit: int | None, sent: list[str]) -> None:
    assert outputs_to_send(HERE, SIZES, SIZES, ALL, limit) == sent


def test_only_what_may_go_does() -> None:
    assert outputs_to_send(HERE, SIZES, {"middle", "small"}, ALL, 60_000) == ["middle"]
    with pytest.raises(
        AnswerTooLarge, match=r"^answer: at least 74000 bytes, expected at most 50000; allow outputs to "
    ):
        outputs_to_send(HERE, SIZES, {"middle", "small"}, ALL, 50_000)


def test_where_all_may_go_and_it_is_still_too_much_there_is_nothing_to_allow() -> None:
    with pytest.raises(AnswerTooLarge, match=r"; ask for fewer outputs, or for less at once$"):
        outputs_to_send(HERE, SIZES, SIZES, ALL, 5_000)
