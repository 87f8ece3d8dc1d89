"""A cold start for people: one line for each phase, as a bar on an axis of time."""

from rich.bar import Bar
from rich.table import Table

from export.cold_start import Profile
from export.critical_path import BETWEEN, Phase
from export.figures import format_ms, format_size

__all__ = ["to_notes", "to_waterfall"]

_MB_PER_CPU = 1769
_LEAST_BAR_SHARE = 0.02  # of the axis: less might not be drawn
_SEEN_SHARE = 0.01  # of the total, below which nobody asks what was between two phases


def to_waterfall(profile: Profile) -> Table:
    """Return the phases of the median round by their start; those that the answer waited for are marked."""
    critical = {step.phase for step in profile.critical_path}
    table = Table(
        title=f"{profile.model} version {profile.version}, {profile.variant}, cold start to first answer",
        box=None,
        expand=True,
        pad_edge=False,
    )
    table.add_column("phase", no_wrap=True)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("takes", justify="right", no_wrap=True)
    table.add_column(f"0 to {format_ms(profile.total_ms)}", ratio=1)
    for phase in profile.phases:
        waited_for = phase.name in critical
        table.add_row(
            f"{'*' if waited_for else ' '} {phase.name}",
            format_ms(phase.start_ms),
            format_ms(phase.end_ms - phase.start_ms),
            _bar(profile.total_ms, phase, "red" if waited_for else "blue"),
        )
    return table


def _bar(total_ms: float, phase: Phase, color: str) -> Bar:
    least_ms = total_ms * _LEAST_BAR_SHARE
    start_ms = min(phase.start_ms, total_ms - least_ms)
    return Bar(total_ms, start_ms, max(phase.end_ms, start_ms + least_ms), color=color)


def to_notes(profile: Profile) -> list[str]:
    """Return what is to be said beside the phases: the total, what to attack, and how this differs from Lambda."""
    totals = sorted(each.total_ms for each in profile.rounds)
    spread = "" if len(totals) == 1 else f" ({format_ms(totals[0])} to {format_ms(totals[-1])})"
    waited = ", ".join(
        f"{step.phase} {format_ms(step.duration_ms)}"
        for step in profile.critical_path
        if step.phase != BETWEEN or step.duration_ms > profile.total_ms * _SEEN_SHARE
    )
    count = len(totals)
    used = (
        f"{format_size(profile.fetched_bytes)} fetched, {profile.cpus} core{_s(profile.cpus)}, "
        f"{profile.threads} thread{_s(profile.threads)}"
    )
    return [
        f"total: {format_ms(profile.total_ms)}, median of {count} cold start{_s(count)}{spread}; {used}",
        f"* waited for: {waited}",
        f"attack {profile.advice[0]}",
        *profile.advice[1:],
        _difference(profile),
    ]


def _difference(profile: Profile) -> str:
    memory = profile.memory_mb
    if memory is None:
        how = f"with all cores of this machine; --memory-mb {_MB_PER_CPU} takes one, as a function of that size has it"
    elif memory < _MB_PER_CPU:
        how = f"with one whole core, of which a function of {memory:,} MB has {memory / _MB_PER_CPU:.0%}: it is slower"
    else:
        how = f"with as many cores as a function of {memory:,} MB has, as far as this machine has them"
    return (
        f"measured here, on Python {profile.python} with this machine's way to the store, {how}. Lambda's processors, "
        "network and disk differ; what its log says of `ColdStart` is what counts"
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"
