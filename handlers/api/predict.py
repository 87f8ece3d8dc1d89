"""Predictions for instances: what a user has (a photograph, a sentence, a row), through the model's task."""

from collections.abc import Sequence
from dataclasses import dataclass

from handlers.api.call import Call
from handlers.errors import InsufficientMemory, InvalidInput
from handlers.tasks.groups import in_groups
from handlers.tasks.task import MOST_INSTANCES

__all__ = ["Instances", "predict"]

_MB = 1024 * 1024


@dataclass(frozen=True)
class Instances:
    """What a request asks: instances of its model's task, and options for all of them."""

    values: Sequence[object]
    options: dict[str, object]


def predict(call: Call, asked: Instances) -> list[object]:
    """Return a prediction for each instance, in their order.

    Raises:
        InvalidInput: There is none, or too many, or one that the task cannot use.
        InsufficientMemory: To decode them takes more than there is; or as `Call.run`.
        DeadlineExceeded, RuntimeFailure: As `Call.run`.
    """
    task = call.model.task
    if not asked.values:
        msg = "instances: none, expected at least one"
        raise InvalidInput(msg)
    if len(asked.values) > MOST_INSTANCES:
        msg = f"instances: {len(asked.values)}, expected at most {MOST_INSTANCES}; send them in several requests"
        raise InvalidInput(msg)
    with call.clock.phase("decode"):
        options = task.check_options(asked.options)
        _check_memory(call, task.memory_bytes(asked.values))
        prepared = task.prepare(asked.values)
        call.tokens += task.count_tokens(prepared)
    answers: list[object] = [None] * len(prepared)
    groups = [*in_groups(prepared, call.instances_at_once)]
    sizes = [len(group) * max(prepared[index].length for index in group) for group in groups]
    for number, group in enumerate(groups):
        call.check_time()
        members = [prepared[index] for index in group]
        with call.clock.phase("decode"):
            inputs = task.collate(members)
        if sizes[number]:  # empty texts have no size to compare
            call.foresee(inputs, sum(map(len, groups[number:])), sum(sizes[number:]) / sizes[number])
        outputs = call.run(inputs, task.outputs)
        with call.clock.phase("encode"):
            for index, answer in zip(group, task.answer(members, outputs, options), strict=True):
                answers[index] = answer
    return answers


def _check_memory(call: Call, needed_bytes: int) -> None:
    """Check that preparing fits into memory: that of the runs to come, and what all models leave of their budget."""
    if not needed_bytes:
        return
    room = call.set_aside_bytes + call.make_room(max(0, needed_bytes - int(call.set_aside_bytes)))
    if needed_bytes > room:
        msg = (
            f"instances: {needed_bytes / _MB:.1f} MB to decode them, expected at most {max(0, room) / _MB:.1f} MB, "
            "which models leave; send smaller or fewer ones, or give more memory"
        )
        raise InsufficientMemory(msg)
