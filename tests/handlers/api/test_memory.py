"""Memory does not grow with the number of requests, whether they are answered or refused."""

import logging

import pytest
from hypothesis import Phase, given, settings

from handlers.telemetry import SERVICE
from tests.handlers.api.gateway import Gateway
from tests.handlers.api.test_fuzz import FUZZ, assert_sane, mutated_bytes, mutated_values
from tests.handlers.api.watch import EXAMPLES, resident_bytes

PADDING = b" " * 10_000  # so that to keep one body of each request would be seen
ROUNDS = 12
CACHED_AFTER = 2  # rounds, whatever is to be cached is
LEAST_LEAK = 0.1  # of what the bodies hold together


def test_the_same_requests_again_and_again_take_no_more_memory(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(SERVICE), "propagate", False)  # pytest keeps every line that reaches it
    sent: list[tuple[str, bytes]] = []

    @settings(FUZZ, max_examples=EXAMPLES, database=None, phases=[Phase.generate])
    @given(mutated_values() | mutated_bytes())
    def collect(request_: tuple[str, bytes]) -> None:  # beforehand, as this takes memory itself
        sent.append(request_)

    def send_all(rounds: int) -> None:
        for _ in range(rounds):
            for model, body in sent:
                assert_sane(gateway.infer(model, body + PADDING))

    collect()
    send_all(CACHED_AFTER)
    before = resident_bytes()
    send_all(ROUNDS - CACHED_AFTER)

    size_bytes = (ROUNDS - CACHED_AFTER) * sum(len(body + PADDING) for _, body in sent)
    assert resident_bytes() - before < LEAST_LEAK * size_bytes
