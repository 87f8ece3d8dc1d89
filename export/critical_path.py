"""What a cold start waited for, phase after phase, and what can be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from export.figures import format_ms, format_size
from handlers.registry.manifest import Manifest

__all__ = ["BETWEEN", "Phase", "Step", "Subject", "advise", "critical_path"]

BETWEEN = "between"
"""The step of time in which no phase ended that the next one could have waited for: threads that start, and wait."""

_FOR_ANSWER = "web_import"
_LITTLE_BYTES = 2_000_000  # take less time on their way than being asked for
_MUCH_SMALLER = 0.7
_OF_MODEL = ("fetch", "session", "goldens", "task")
_IMPORTS = "imports"
_GROUPS = {
    "interpreter": _IMPORTS,
    "settings": _IMPORTS,
    "store": _IMPORTS,
    "registry_import": _IMPORTS,
    "runtime_import": _IMPORTS,
    "web_import": _IMPORTS,
    "list": "lookup",
    "alias": "lookup",
    "manifest": "lookup",
}
"""What is attacked as one; any other phase by itself."""


class Phase(msgspec.Struct, frozen=True):
    """A phase, in milliseconds since the process began."""

    name: str
    start_ms: float
    end_ms: float


class Step(msgspec.Struct, frozen=True):
    """A phase of the critical path, and how much of the total it alone accounts for."""

    phase: str
    duration_ms: float


@dataclass(frozen=True)
class Subject:
    """What was started: a version, and the variant of it that was served."""

    manifest: Manifest
    variant: str

    def size_bytes(self, variant: str) -> int:
        """Return the size of a variant's files."""
        [found] = [each for each in self.manifest.variants if each.name == variant]
        return sum(self.manifest.files[file].size for file in found.files)

    @property
    def fetched_bytes(self) -> int:
        """The size of all files that the first answer needs."""
        manifest = self.manifest
        beside = [manifest.goldens.file, *([manifest.tokenizer] if manifest.tokenizer else [])]
        return self.size_bytes(self.variant) + sum(manifest.files[file].size for file in beside)


def critical_path(phases: Sequence[Phase]) -> list[Step]:
    """Return what the end waited for, in the order of time: the steps add up to the total.

    Backwards from the phase that ended last: what came before a phase is the one that ended last when it began. A phase
    beside it that ended earlier held nothing up, however long it took, but for the processor that it took. For the web
    framework nothing waits but the answer.
    """
    last = max(phases, key=lambda phase: phase.end_ms)
    steps = [Step(last.name, last.end_ms - last.start_ms)]
    start_ms = last.start_ms
    while start_ms > 0:
        before = [
            phase
            for phase in phases
            if phase.end_ms <= start_ms
            and phase.start_ms < start_ms
            and (phase.name != _FOR_ANSWER or last.name == "answer")
        ]
        if not before:
            steps.append(Step(BETWEEN, start_ms))
            break
        last = max(before, key=lambda phase: (phase.end_ms, -phase.start_ms))
        if last.end_ms < start_ms:
            steps.append(Step(BETWEEN, start_ms - last.end_ms))
        steps.append(Step(last.name, last.end_ms - last.start_ms))
        start_ms = last.start_ms
    return [Step(step.phase, round(step.duration_ms, 2)) for step in steps[::-1]]


def advise(path: Sequence[Step], phases: Sequence[Phase], subject: Subject) -> tuple[str, list[str]]:
    """Return the phase, or group of phases, to attack first, and what is to be said of it and of the model's own."""
    total_ms = sum(step.duration_ms for step in path)
    groups: dict[str, float] = {}
    for step in path:
        group = _GROUPS.get(step.phase, step.phase)
        groups[group] = groups.get(group, 0.0) + step.duration_ms
    groups.pop(BETWEEN, None)
    ranked = sorted(groups, key=lambda group: -groups[group])
    advice = [_say(ranked[0], groups[ranked[0]], total_ms, subject)]
    if ranked[0] in _OF_MODEL:
        return ranked[0], advice
    own = next((group for group in ranked if group in _OF_MODEL), None)
    if own is not None:
        advice.append(f"of what is your model's, {_say(own, groups[own], total_ms, subject)}")
    else:
        ready_ms = max((phase.end_ms for phase in phases if phase.name in _OF_MODEL), default=0.0)
        slack_ms = (
            max((phase.end_ms for phase in phases if _GROUPS.get(phase.name) == _IMPORTS), default=0.0) - ready_ms
        )
        advice.append(f"your model was ready {format_ms(slack_ms)} before that had ended: nothing waited for it")
    return ranked[0], advice


def _say(group: str, duration_ms: float, total_ms: float, subject: Subject) -> str:
    found = f"{group}: {format_ms(duration_ms)} of {format_ms(total_ms)}"
    speak = {
        _IMPORTS: _of_imports,
        "lookup": _of_lookup,
        "fetch": _of_fetch,
        "session": _of_session,
        "goldens": _of_goldens,
        "task": _of_task,
        "answer": _of_answer,
    }[group]
    return f"{found}: {speak(duration_ms, subject)}"


def _of_imports(_: float, __: Subject) -> str:
    return (
        "starting Python and importing libraries, the same for every model: nothing in yours improves it. SnapStart "
        "or provisioned concurrency takes it out of the first answer; more memory brings more of a processor, up to "
        "1,769 MB"
    )


def _of_lookup(_: float, __: Subject) -> str:
    return (
        "asking the store for the alias and the manifest, two answers one after the other: the way to the store is "
        "long. Put the bucket into the function's region"
    )


def _of_fetch(duration_ms: float, subject: Subject) -> str:
    size = subject.fetched_bytes
    if size < _LITTLE_BYTES:
        return (
            f"{format_size(size)} are few, so it is the way to the store that takes the time, not the bytes. Put the "
            "bucket into the function's region"
        )
    rate = size / duration_ms * 1000  # bytes a second
    return (
        f"{format_size(size)} at {format_size(round(rate))}/s: the bytes are the bottleneck. {_smaller(subject, rate)}"
    )


def _smaller(subject: Subject, rate: float | None = None) -> str:
    """Say how there would be fewer bytes, and how long they would take at `rate` bytes a second, if that is known."""
    smallest = min((variant.name for variant in subject.manifest.variants), key=subject.size_bytes)
    size = subject.size_bytes(smallest)
    if size < _MUCH_SMALLER * subject.size_bytes(subject.variant):
        takes = f", would take {format_ms(size / rate * 1000)}" if rate else ""
        return (
            f"A smaller variant of this version, {smallest} of {format_size(size)}{takes}: build with `--prefer size`, "
            "so that it is chosen"
        )
    if subject.variant == "fp32":
        return (
            "It is fp32: int8 is about a quarter as large; the build's report.html says what kept it from being "
            "chosen, and a larger `--max-loss` allows more"
        )
    return "No variant of this version is much smaller: what is left is a smaller model, or SnapStart"


def _of_session(_: float, subject: Subject) -> str:
    size = format_size(subject.size_bytes(subject.variant))
    return (
        f"onnxruntime opens {subject.variant}, {size}, and lays its weights out for this processor. "
        f"{_smaller(subject)}; more memory brings more of a processor, up to 1,769 MB"
    )


def _of_goldens(duration_ms: float, subject: Subject) -> str:
    count = subject.manifest.goldens.count
    return (
        f"{count} runs of {format_ms(duration_ms / count)}, the first ones of the session: it is the "
        "model's own time. Build with `--prefer latency`, or with smaller example inputs; a function with more memory "
        "runs it faster"
    )


def _of_task(_: float, subject: Subject) -> str:
    tokenizer = subject.manifest.tokenizer
    what = f"the tokenizer, {format_size(subject.manifest.files[tokenizer].size)}" if tokenizer else "the task"
    return f"opening {what}: a smaller vocabulary opens faster; SnapStart takes it out of the first answer"


def _of_answer(_: float, __: Subject) -> str:
    return (
        "the first request itself, with one run of the model. Build with `--prefer latency`, or give the function more "
        "memory"
    )
