"""Which version answers whom: no store and no session have a part in it."""

import random

import pytest

from handlers.registry.aliases import Alias, Aliases
from handlers.registry.routing import MAIN, find_version, share_of, version_of

SPLIT = Alias(version="1", canary="2", weight=10)
ALIASES = Aliases(schema_version=2, model="m", aliases={"live": SPLIT, "next": Alias(version="3")}, retired=("4",))
KEYS = [f"customer {number}" for number in range(20_000)]


def test_a_split_by_chance_is_as_its_weight_says() -> None:
    random.seed(6)
    found = [version_of(SPLIT, share_of("m", None)) for _ in KEYS]

    assert abs(found.count("2") / len(KEYS) - 0.1) < 5 * (0.1 * 0.9 / len(KEYS)) ** 0.5  # five standard deviations


def test_a_split_by_keys_is_as_its_weight_says_and_each_key_stays_where_it_is() -> None:
    found = {key: version_of(SPLIT, share_of("m", key)) for key in KEYS}

    assert abs([*found.values()].count("2") / len(KEYS) - 0.1) < 5 * (0.1 * 0.9 / len(KEYS)) ** 0.5
    assert found == {key: version_of(SPLIT, share_of("m", key)) for key in KEYS}


def test_keys_stand_where_they_stand_in_every_process() -> None:
    # as any SHA-256 has it: the first 8 bytes of `printf 'm\0customer 1' | sha256sum`, and of the others
    shares = {("m", "customer 1"): 19.7721042, ("m", "customer 2"): 74.2343169, ("n", "customer 1"): 32.9443688}

    assert {asked: share_of(*asked) for asked in shares} == pytest.approx(shares, rel=1e-6)


def test_who_has_had_the_canary_keeps_it_as_the_weight_grows() -> None:
    shares = [share_of("m", key) for key in KEYS]
    grown = Alias(version="1", canary="2", weight=40)

    assert all(version_of(grown, share) == "2" for share in shares if version_of(SPLIT, share) == "2")


def test_models_are_not_split_alike() -> None:
    both = sum(share_of("m", key) < 10 and share_of("n", key) < 10 for key in KEYS)

    assert both / len(KEYS) < 0.02


@pytest.mark.parametrize(
    ("name", "share", "version"),
    [
        ("live", MAIN, "1"),
        ("live", 10.0, "1"),
        ("live", 9.999, "2"),
        ("live", 0.0, "2"),
        ("next", 0.0, "3"),
        ("7", 0.0, "7"),
        ("4", 0.0, None),
        ("draft", 0.0, None),
        ("0", 0.0, None),
        ("01", 0.0, None),
        ("٣", 0.0, None),
        ("1" * 19, 0.0, None),
    ],
)
def test_a_name_leads_to_a_version(name: str, share: float, version: str | None) -> None:
    assert find_version(ALIASES, name, share) == version
