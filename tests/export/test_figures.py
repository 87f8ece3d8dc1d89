"""Numbers as people read them."""

import math

import pytest

from export.figures import format_count, format_loss, format_ms, format_ratio, format_score, format_size, format_speed


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0.0 kB"), (114_900, "114.9 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (2_500_000_000, "2.50 GB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0.0493, "0.0493 ms"), (0.06, "0.0600 ms"), (9.4, "9.40 ms"), (99.96, "100 ms"), (1234.5, "1,234 ms")],
)
def test_durations_have_three_digits_that_count(duration_ms: float, text: str) -> None:
    assert format_ms(duration_ms) == text


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.9885, "0.9885"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (2859.694, "2860"),
        (1.25e-5, "1.25e-05"),
        (-0.5, "-0.5000"),
    ],
)
def test_scores_of_any_scale_can_be_told_apart(score: float, text: str) -> None:
    assert format_score(score) == text


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (0.0092, "loses 0.92%"),
        (-0.0005, "gains 0.05%"),
        (0.0, "loses nothing"),
        (1e-7, "loses under 0.01%"),
        (-1e-7, "gains under 0.01%"),
        (math.inf, "loses everything"),
        (math.nan, "loses everything"),
    ],
)
def test_losses_are_words(loss: float, text: str) -> None:
    assert format_loss(loss) == text


@pytest.mark.parametrize(
    ("latency_ms", "reference_ms", "text"),
    [
        (1.0, 3.12, "3.1 times as fast as fp32"),
        (3.12, 1.0, "3.1 times as slow as fp32"),
        (1.0, 1.04, "as fast as fp32"),
        (1.0, 0.96, "as fast as fp32"),
        (None, 1.0, ""),
        (1.0, None, ""),
        (0.0, 1.0, ""),
    ],
)
def test_speeds_are_words(latency_ms: float | None, reference_ms: float | None, text: str) -> None:
    assert format_speed(latency_ms, reference_ms, "fp32") == text


def test_ratios_of_what_was_not_measured_are_empty() -> None:
    assert format_ratio(1, 4) == "25%"
    assert format_ratio(None, 4) == format_ratio(1, None) == format_ratio(1, 0) == ""


def test_one_of_something_is_no_plural() -> None:
    assert [format_count(number, "node") for number in (0, 1, 2000)] == ["0 nodes", "1 node", "2,000 nodes"]
