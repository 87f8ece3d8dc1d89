"""Memory of models, told apart from loading them."""

import threading

from handlers.registry.cache import ModelCache
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0
A, B = ("a", "1"), ("b", "1")


def test_who_waits_for_memory_is_woken_where_less_is_needed_than_was_set_aside(recorder: Recorder) -> None:
    changed = threading.Condition()
    cache = ModelCache(15, lambda _: False, recorder, changed)
    cache.reserve(A, 10)
    waiting = threading.Event()
    changed_wait = changed.wait

    def wait(timeout: float | None = None) -> bool:
        waiting.set()
        return changed_wait(timeout)

    changed.wait = wait  # type: ignore[method-assign]
    thread = threading.Thread(target=cache.reserve, args=(B, 10), daemon=True)
    thread.start()
    assert waiting.wait(WAIT_S)

    cache.reserve(A, 5)

    thread.join(5.0)
    assert not thread.is_alive()
    assert cache.make_room(0) == 0


def test_what_was_set_aside_in_vain_is_there_for_who_waits(recorder: Recorder) -> None:
    cache = ModelCache(15, lambda _: False, recorder, threading.Condition())
    cache.reserve(A, 10)
    thread = threading.Thread(target=cache.reserve, args=(B, 10), daemon=True)
    thread.start()

    cache.cancel(A)

    thread.join(5.0)
    assert not thread.is_alive()
    assert cache.make_room(0) == 5
