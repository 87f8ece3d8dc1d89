"""Memory of models, told apart from loading them."""

import threading

from handlers.registry.cache import ModelCache
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0


def test_who_waits_for_memory_is_woken_where_less_is_needed_than_was_set_aside(recorder: Recorder) -> None:
    changed = threading.Condition()
    cache = ModelCache(15, (), recorder, changed)
    cache.reserve("a", 10)
    waiting = threading.Event()
    changed_wait = changed.wait

    def wait(timeout: float | None = None) -> bool:
        waiting.set()
        return changed_wait(timeout)

    changed.wait = wait  # type: ignore[method-assign]
    thread = threading.Thread(target=cache.reserve, args=("b", 10), daemon=True)
    thread.start()
    assert waiting.wait(WAIT_S)

    cache.reserve("a", 5)

    thread.join(5.0)
    assert not thread.is_alive()
    assert cache.make_room(0) == 0


def test_what_was_set_aside_in_vain_is_there_for_who_waits(recorder: Recorder) -> None:
    cache = ModelCache(15, (), recorder, threading.Condition())
    cache.reserve("a", 10)
    thread = threading.Thread(target=cache.reserve, args=("b", 10), daemon=True)
    thread.start()

    cache.cancel("a")

    thread.join(5.0)
    assert not thread.is_alive()
    assert cache.make_room(0) == 5
