"""Spans of a cold start: when they were, from whatever thread, and that each is told to clients once."""

import os
import re
import subprocess
import sys
import threading
import time

import pytest

from handlers.timeline import Span, Timeline
from tests.interpreters import ROOT


def names(entries: str) -> list[str]:
    """Return the names in the value of a `Server-Timing` header, and see that it is one."""
    found = re.findall(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=(\d+\.\d+)", entries)
    assert ", ".join(f"{name};dur={duration}" for name, duration in found) == entries
    return [name for name, _ in found]


def tell(timeline: Timeline, *, waited: bool = False, failed: bool = False) -> list[str]:
    return names(timeline.tell(waited=waited, failed=failed))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no system tells when a process began")
def test_the_time_before_the_first_line_counts() -> None:
    code = """
import time
first_line = time.time()
time.sleep(0.3)
from handlers.timeline import Timeline
print(first_line, time.time() - Timeline.now_s())
"""
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    first_line, started = map(float, done.stdout.split())

    assert before - 0.1 < started < first_line  # the clock of processes ticks every 10 ms


def test_spans_of_several_threads_overlap() -> None:
    timeline = Timeline()
    within = threading.Barrier(2)

    def work(name: str) -> None:
        with timeline.span(name):
            within.wait(10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("fetch", "web_import")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    one, other = timeline.spans
    assert {one.name, other.name} == {"fetch", "web_import"}
    assert 0 < max(one.start_s, other.start_s) <= min(one.end_s, other.end_s) <= timeline.now_s()


def test_no_span_is_lost_where_threads_note_them_at_once() -> None:
    process = Timeline()

    def work() -> None:
        load = Timeline(process)
        for _ in range(50):
            with load.span("fetch"):
                pass
        assert len(load.spans) == 50

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(process.spans) == 400
    assert process._running == []  # noqa: SLF001 - what would be told for ever


def test_a_part_is_noted_in_the_whole_and_knows_its_own_alone() -> None:
    process = Timeline()
    process.add("interpreter", 0.0, 0.25)
    load = Timeline(process)
    load.add("fetch", 0.5, 1.0)
    load.add("fetch", 1.0, 2.0)

    assert load.phases_ms == {"fetch": 1500.0}
    assert process.phases_ms == {"interpreter": 250.0, "fetch": 1500.0}


def test_a_span_that_ends_in_an_error_is_noted() -> None:
    timeline = Timeline()

    with pytest.raises(KeyError), timeline.span("manifest"):
        raise KeyError

    assert [span.name for span in timeline.spans] == ["manifest"]


def test_the_first_answer_tells_all_with_the_time_they_took_together_and_no_other_does() -> None:
    timeline = Timeline()
    timeline.add("interpreter", 0.0, 0.25)
    timeline.add("fetch", 0.25, 1.0)
    timeline.add("web_import", 0.25, 0.5)

    told = timeline.tell(waited=False, failed=False)

    assert told == "cold;dur=1000.00, cold-interpreter;dur=250.00, cold-fetch;dur=750.00, cold-web-import;dur=250.00"
    assert tell(timeline) == tell(timeline, waited=True) == []
    assert timeline.spans[0] == Span("interpreter", 0.0, 0.25)  # kept, for who asks later


def test_a_model_that_is_loaded_later_is_told_to_who_waited_for_it() -> None:
    timeline = Timeline()
    timeline.add("interpreter", 0.0, 0.25)
    tell(timeline)
    timeline.add("fetch", 100.0, 101.0)

    assert tell(timeline) == []
    assert timeline.tell(waited=True, failed=False) == "cold;dur=1000.00, cold-fetch;dur=1000.00"
    assert tell(timeline, waited=True) == []


def test_what_had_been_loaded_before_a_request_came_is_none_of_its_phases() -> None:
    timeline = Timeline()
    timeline.add("interpreter", 0.0, 0.25)
    tell(timeline)
    timeline.add("fetch", 100.0, 101.0)  # of a model that nobody waited for to the end
    timeline.add("session", 3600.0, 3601.0)

    assert timeline.tell(waited=True, failed=False, entered_s=3599.0) == "cold;dur=1000.00, cold-session;dur=1000.00"


def test_an_answer_that_failed_tells_what_is_known_and_leaves_it_to_the_next() -> None:
    timeline = Timeline()
    timeline.add("interpreter", 0.0, 0.01)

    with timeline.span("fetch"):
        assert tell(timeline, failed=True) == ["cold", "cold-interpreter", "cold-fetch"]
        assert tell(timeline, failed=True) == ["cold", "cold-interpreter", "cold-fetch"]

    assert tell(timeline) == ["cold", "cold-interpreter", "cold-fetch"]
    assert tell(timeline, failed=True) == []
