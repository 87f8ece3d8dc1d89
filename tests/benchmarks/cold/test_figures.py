"""Figures follow from the answers, and what misses its bar is shown to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.cold.cases import Case
from benchmarks.cold.contenders import BARE, FLOOR, FLOOR_CLIENT, OURS, FirstAnswer
from benchmarks.cold.figures import Figures, bars_for
from benchmarks.cold.tables import to_plot, to_tables
from benchmarks.real.bars import missed

MB = 1024 * 1024
SERVER = "(c) a server"


def answers(seconds: Sequence[float], *, fetched_bytes: int = 0) -> list[FirstAnswer]:
    outputs = {"logits": np.zeros(10)}
    return [FirstAnswer(each, each / 2, outputs, 150 * MB, fetched_bytes) for each in seconds]


@pytest.fixture
def figures(case: Case) -> Figures:
    times = {
        OURS: answers([1.2, 2.4, 9.0], fetched_bytes=case.needed_bytes + 64 * 1024),
        FLOOR: answers([1.0, 2.0, 4.0]),
        FLOOR_CLIENT: answers([1.05, 2.05, 4.05]),
        BARE: answers([4.0, 8.0, 9.0]),
        SERVER: [FirstAnswer(each, None, {}, None, None) for each in (2.4, 4.8, 18.0)],
    }
    return Figures(case, 1, times, 110 * MB)


def test_ratios_are_those_within_a_round(figures: Figures) -> None:
    assert figures.times_floor == pytest.approx(1.2)
    assert figures.times_plain == pytest.approx(0.3)


def test_bytes_and_memory_are_what_is_over(figures: Figures) -> None:
    assert figures.excess_kb == 64
    assert (figures.peak_mb, figures.added_mb) == (150, 40)


def test_bars_are_met_up_to_their_bounds(figures: Figures) -> None:
    assert missed(figures, bars_for("minilm")) == []
    slower = replace(figures, answers=dict(figures.answers) | {FLOOR: answers([0.9, 1.8, 3.6])}, reference_peak_bytes=0)
    assert [bar.figure for bar in missed(slower, bars_for("minilm"))] == ["times_floor", "added_mb"]


def test_a_plain_handler_is_a_bar_for_minilm_and_larger() -> None:
    with_bar = [name for name in ("mnist-cnn", "minilm", "bert-base", "large") if "times_plain" in str_of(name)]
    assert with_bar == ["minilm", "bert-base", "large"]


def test_tables_and_plot_show_each_contender(figures: Figures) -> None:
    one, bars = to_tables([figures], 3)
    assert [row[1] for row in one.rows] == [OURS, FLOOR, FLOOR_CLIENT, BARE, SERVER]
    assert one.rows[1][2:] == ("2.00 (1.00 to 4.00)", "1.00", "1.20 times")
    assert one.rows[4][2:] == ("4.80 (2.40 to 18.00)", "-", "0.50 times")
    assert "under awslambdaric it takes 50 ms more" in one.note
    assert "1.20 times\nat most 1.25: met" in bars.rows[0]
    assert "64.0 KB\nat most 64: met" in bars.rows[0]
    (sticks,) = to_plot([figures]).groups.values()
    assert [stick.ours for stick in sticks] == [True, False, False, False, False]


def str_of(model: str) -> list[str]:
    return [bar.figure for bar in bars_for(model)]
