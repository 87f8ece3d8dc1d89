"""One prediction under way: its model, what it has taken so far, and the one way to the session."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from handlers.api.answers import AnswerLimit
from handlers.api.batches import batch_length, cut_batch, join_batch
from handlers.clock import Deadline, PhaseClock
from handlers.errors import DeadlineExceeded, InsufficientMemory, InvalidInput
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer
from handlers.registry.loading import LoadedModel
from handlers.tasks.arrays import Arrays

__all__ = ["Call", "HoldsUpOthers"]

_MB = 1024 * 1024
_INSTANCES_AT_ONCE = 32  # more gain nothing in speed, and cost padding where they differ in length
_WATCHED_SHARE = 20  # a run is watched by a timer where this many times its estimate is more than what is left


class HoldsUpOthers(Exception):
    """The run would hold up the event loop for too long; whoever made the call makes it again in a thread."""


def _plenty(_: int) -> int:
    return 2**62


def _no_transfer() -> Transfer:
    return Transfer(Payloads())


@dataclass
class Call:
    """What answering one request to one model shares.

    Attributes:
        model: Which is asked.
        clock: Phases `load`, `decode`, `infer` and `encode`; what a 504 and the statistics tell.
        samples: How many samples went through the session, along axis 0 of the first input.
        runs: How often the session ran.
        tokens: How many tokens the model read, where it reads text.
        transfer: Moves what travels through the payload bucket; refuses where there is none.
        answer_limit: What the answer may take.
        deadline: When the last run must have ended.
        entered_s: When the request came in, as `time.monotonic` counts.
        make_room: Returns how many bytes are left for runs, after trying to make it as many as it is given.
        most_s: How long all runs together may take in this thread.
    """

    model: LoadedModel
    clock: PhaseClock = field(default_factory=PhaseClock)
    samples: int = 0
    runs: int = 0
    tokens: int = 0
    transfer: Transfer = field(default_factory=_no_transfer)
    answer_limit: AnswerLimit = field(default_factory=AnswerLimit)
    deadline: Deadline = field(default_factory=Deadline)
    entered_s: float = field(default_factory=time.monotonic)
    make_room: Callable[[int], int] = _plenty
    most_s: float = float("inf")

    def limit(self, timeout_s: float | None) -> None:
        """Let the request take no longer than its caller allows, counted from when it came in; None: as it is."""
        if timeout_s is not None:
            self.deadline = self.deadline.sooner(self.entered_s + timeout_s)

    @property
    def set_aside_bytes(self) -> float:
        """How many bytes are set aside for runs of this model, as its example inputs take them."""
        return (self.model.variant.sample_memory_bytes or 0) * self.model.example_samples

    def check_time(self) -> None:
        """Check that there is time left to go on.

        Raises:
            DeadlineExceeded: There is none.
        """
        if self.deadline.left_s <= 0:
            found = "0 s left"
            raise self._too_late(found, "some for what is left to do")

    @property
    def instances_at_once(self) -> int:
        """How many instances to collate: what the model takes at once, and what is reasonable where it takes any."""
        batching = self.model.manifest.batching
        if batching is None:
            return 1
        return batching.length or _INSTANCES_AT_ONCE

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run the model on a batch, in pieces as the model and the memory take them.

        Raises:
            InvalidInput: As `Session.run`; or there is no sample where the model takes a fixed number.
            DeadlineExceeded: A run would not be, or was not, done in time.
            InsufficientMemory: One sample does not fit into memory.
            RuntimeFailure: As `Session.run`.
        """
        batching = self.model.manifest.batching
        length = batch_length(inputs)
        if batching is None or (length is None and batching.length is None):  # as one, whatever axis 0 may be
            first = next(iter(inputs.values()))
            return self._run(inputs, outputs, len(first) if first.ndim else 1)
        if batching.length is None and length is not None:
            at_once, grows = self._at_once(inputs, length)
            if length <= at_once:
                return self._run(inputs, outputs, length, shrink=grows)
        elif length and batching.length is not None:
            at_once, grows = batching.length, False
            if length == at_once:
                return self._run(inputs, outputs, length)
        else:
            lengths = {name: list(value.shape[:1]) for name, value in inputs.items()}
            msg = f"inputs: {lengths} samples, expected as many of each, and one at the least"
            raise InvalidInput(msg)
        pieces = [*cut_batch(inputs, at_once, exactly=batching.length is not None)]
        self.foresee(pieces[0][0], length, len(pieces))
        return join_batch([(self._run(piece, outputs, count, shrink=grows), count) for piece, count in pieces])

    def foresee(self, inputs: Arrays, count: int, times: float = 1.0) -> float:
        """Return how many seconds are left, if `times` runs on such inputs, of `count` samples in all, may fit.

        Raises:
            DeadlineExceeded: They cannot, as far as runs have shown.
        """
        left_s = self.deadline.left_s
        least_s = times * self.model.pace.least_s(_count_elements(inputs))
        if least_s > left_s or left_s <= 0:
            self.model.pace.doubt()
            found = f"{max(0.0, left_s):.3g} s left"
            raise self._too_late(found, f"at least {least_s:.3g} s for the next {count} samples")
        return left_s

    def _at_once(self, inputs: Arrays, length: int) -> tuple[int, bool]:
        """Return how many samples fit into memory, and whether they take more than what is set aside for the model.

        Memory is taken to grow with the elements of a sample. What the example inputs took is within the model's own
        peak; the rest is to be found in what all models together leave of their budget.
        """
        model = self.model
        per_example = model.variant.sample_memory_bytes
        elements = _count_elements(inputs)
        if per_example is None or not length or elements <= model.example_elements or not model.example_elements:
            return max(1, length), False
        set_aside = self.set_aside_bytes
        sample_bytes = max(1.0, set_aside * elements / length / model.example_elements)
        room = set_aside + self.make_room(int(sample_bytes - set_aside) + 1)
        if sample_bytes > room:
            msg = (
                f"model {model.name!r}: one sample of this size needs {sample_bytes / _MB:.0f} MB, expected at most "
                f"{max(0, room) / _MB:.0f} MB, which other models leave; send smaller samples, or give more memory"
            )
            raise InsufficientMemory(msg)
        return min(length, int(room // sample_bytes)), True

    def _run(self, inputs: Arrays, outputs: Sequence[str] | None, count: int, *, shrink: bool = False) -> Arrays:
        model = self.model
        elements = _count_elements(inputs)
        estimate_s = model.pace.estimate_s(elements)
        if self.most_s < float("inf"):
            spent_s = sum(self.clock.phases_ms.get(phase, 0.0) for phase in ("decode", "infer", "encode")) / 1000
            if not model.pace.observed or spent_s + estimate_s > self.most_s:
                raise HoldsUpOthers
        left_s = self.foresee(inputs, count)
        watched = left_s < float("inf") and (estimate_s * _WATCHED_SHARE > left_s or not model.pace.observed)
        start = time.perf_counter()
        try:
            with self.clock.phase("infer"):
                if watched or shrink:
                    results = model.session.run(inputs, outputs, timeout_s=left_s if watched else None, shrink=shrink)
                else:
                    results = model.session.run(inputs, outputs)
        except DeadlineExceeded as error:
            taken_s = time.perf_counter() - start
            model.pace.observe(elements, taken_s)
            found = f"a run stopped after {taken_s:.3g} s"
            raise self._too_late(found, f"it done by then ({count} samples)") from error
        model.pace.observe(elements, time.perf_counter() - start)
        self.samples += count
        self.runs += 1
        return results

    def _too_late(self, found: str, expected: str) -> DeadlineExceeded:
        spent = ", ".join(f"{name} {value / 1000:.3g} s" for name, value in self.clock.phases_ms.items())
        total_s = time.monotonic() - self.entered_s
        done = f" after {self.samples} samples" if self.samples else ""
        return DeadlineExceeded(
            f"model {self.model.name!r}: {found}{done}, expected {expected}; {total_s:.3g} s are spent"
            f"{f' ({spent})' if spent else ''}; send fewer samples at once, or allow more time"
        )


def _count_elements(inputs: Arrays) -> int:
    count = 0
    for value in inputs.values():
        count += value.size
    return count
