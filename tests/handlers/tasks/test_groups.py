"""How instances are cut into batches."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from handlers.tasks.groups import in_groups


@dataclass(frozen=True)
class Sized:
    length: int


LENGTHS = st.lists(st.integers(1, 600), max_size=200)


@given(LENGTHS, st.integers(1, 40))
def test_every_instance_is_in_one_batch_and_none_is_too_large(lengths: list[int], most: int) -> None:
    groups = list(in_groups([Sized(length) for length in lengths], most))

    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert 1 <= len(group) <= most
        assert len(group) == 1 or len(group) * longest <= 1024
        assert sum(longest - lengths[index] for index in group) <= 32


def test_instances_that_are_all_alike_fill_their_batches() -> None:
    groups = list(in_groups([Sized(1)] * 70, 32))

    assert [len(group) for group in groups] == [32, 32, 6]


def test_texts_of_one_length_go_together() -> None:
    groups = list(in_groups([Sized(length) for length in (40, 5, 39, 6, 200)], 32))

    assert [sorted(group) for group in groups] == [[4], [0, 2], [1, 3]]
