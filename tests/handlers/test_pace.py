import pytest

from handlers.pace import Pace


def test_a_run_elsewhere_is_what_is_known_at_first() -> None:
    assert Pace(100, 0.5).estimate_s(100) == 0.5
    assert Pace(100, 0.5).estimate_s(200) == 1.0
    assert Pace(0, 0.5).estimate_s(10_000) == 0.5


def test_what_is_seen_here_soon_counts_for_more() -> None:
    pace = Pace(100, 0.5)
    for _ in range(20):
        pace.observe(100, 2.0)

    assert pace.observed
    assert pace.estimate_s(100) == pytest.approx(2.0, rel=0.05)


def test_a_fixed_share_and_a_growing_one_are_told_apart() -> None:
    pace = Pace(10, 0.001)
    for elements in (10, 1000, 100, 2000, 10, 500) * 5:
        pace.observe(elements, 0.01 + elements * 1e-4)

    assert pace.estimate_s(10) == pytest.approx(0.011, rel=0.05)
    assert pace.estimate_s(5000) == pytest.approx(0.51, rel=0.05)


def test_from_one_size_larger_ones_are_taken_to_take_as_much_longer() -> None:
    pace = Pace()
    for _ in range(10):
        pace.observe(100, 0.1)

    assert pace.estimate_s(1000) == pytest.approx(1.0, rel=0.1)
    assert pace.estimate_s(1) <= 0.11


def test_an_estimate_is_never_negative() -> None:
    pace = Pace()
    for elements, seconds in ((1000, 0.1), (1, 0.5), (500, 0.2)):
        pace.observe(elements, seconds)

    assert all(pace.estimate_s(elements) >= 0 for elements in (0, 1, 1000, 10**9))


def test_refusals_take_a_wrong_estimate_down_and_a_run_sets_it_right() -> None:
    pace = Pace()
    pace.observe(1, 10.0)
    for _ in range(20):
        pace.doubt()
    assert pace.least_s(1) < 0.1

    pace.observe(1, 10.0)

    assert pace.least_s(1) == pytest.approx(8.0)


def test_how_time_grows_beyond_what_was_seen_is_not_taken_for_certain() -> None:
    pace = Pace(3, 1e-4)
    pace.observe(3, 1e-4)

    assert pace.estimate_s(3_000_000) == pytest.approx(100.0)
    assert pace.least_s(3_000_000) == pytest.approx(8e-5)


def test_a_larger_run_takes_no_less_than_a_smaller_one_and_a_smaller_one_no_less_than_its_share() -> None:
    pace = Pace()
    pace.observe(100, 1.0)

    assert pace.least_s(1000) == pytest.approx(0.8)
    assert pace.least_s(50) == pytest.approx(0.4)


def test_what_was_measured_elsewhere_counts_less_for_certain() -> None:
    assert Pace(100, 1.0).least_s(100) == pytest.approx(0.48)
