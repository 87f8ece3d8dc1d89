from collections.abc import Callable

import pytest

from handlers.errors import InvalidName
from handlers.registry.names import (
    aliases_key,
    check_alias,
    check_model_name,
    check_version,
    file_key,
    versions_prefix,
)

NO_NAMES = ("", "-a", "A", "a_b", "a.b", "a b", "ä", "a/b", "..", "../a", "a\n", "a\0", "a" * 64)
NO_VERSIONS = ("", "0", "01", "-1", "+1", "1.0", "1 ", "1\n", "v1", "live", "1/2", "..", "٣", "1" * 19)


@pytest.mark.parametrize("name", ["a", "0a", "mnist-cnn", "a-", "a" * 63])
@pytest.mark.parametrize("check", [check_model_name, check_alias])
def test_good_names_are_returned(check: Callable[[str], str], name: str) -> None:
    assert check(name) == name


def test_a_model_may_be_named_by_digits_and_an_alias_may_not() -> None:
    assert check_model_name("10") == "10"
    with pytest.raises(InvalidName, match="not all digits"):
        check_alias("10")


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("check", [check_model_name, check_alias, aliases_key, versions_prefix])
def test_bad_names_are_refused_before_they_are_part_of_a_key(check: Callable[[str], str], name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 63 of a-z"):
        check(name)


@pytest.mark.parametrize("version", ["1", "10", "9" * 18])
def test_good_versions_are_returned(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize("version", NO_VERSIONS)
def test_bad_versions_are_refused_before_they_are_part_of_a_key(version: str) -> None:
    with pytest.raises(InvalidName, match="expected a positive integer"):
        file_key("m", version, "manifest.json")


def test_a_refused_name_is_quoted_at_most_in_part() -> None:
    with pytest.raises(InvalidName) as refusal:
        check_model_name("A" * 100_000)

    assert len(str(refusal.value)) < 300


def test_keys_are_those_of_the_specification() -> None:
    assert aliases_key("mnist-cnn") == "models/mnist-cnn/aliases.json"
    assert file_key("mnist-cnn", "12", "fp32.onnx") == "models/mnist-cnn/versions/12/fp32.onnx"
