"""One prediction under way: its model, what it has taken so far, and the one way to the session."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from handlers.clock import PhaseClock
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer
from handlers.registry.loading import LoadedModel
from handlers.tasks.arrays import Arrays

__all__ = ["Call"]


def _no_transfer() -> Transfer:
    return Transfer(Payloads(), float("inf"))


@dataclass
class Call:
    """What answering one request to one model shares.

    Attributes:
        model: Which is asked.
        clock: Phases `decode`, `infer` and `encode`; what a 504 and the statistics tell.
        samples: How many samples went through the session, along axis 0 of the first input.
        runs: How often the session ran.
        tokens: How many tokens the model read, where it reads text.
        transfer: Moves what travels through the payload bucket; refuses where there is none.
        max_answer_bytes: What the answer may take, 0: any size.
    """

    model: LoadedModel
    clock: PhaseClock = field(default_factory=PhaseClock)
    samples: int = 0
    runs: int = 0
    tokens: int = 0
    transfer: Transfer = field(default_factory=_no_transfer)
    max_answer_bytes: int = 0

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run the model on a batch. Raises as `Session.run` does."""
        with self.clock.phase("infer"):
            results = self.model.session.run(inputs, outputs)
        first = next(iter(inputs.values()))
        self.samples += len(first) if first.ndim else 1
        self.runs += 1
        return results
