"""Numbers as people read them."""

import math

__all__ = ["format_count", "format_loss", "format_ms", "format_ratio", "format_score", "format_size", "format_speed"]


def format_count(number: int, noun: str) -> str:
    """Return how many there are of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_size(size_bytes: int) -> str:
    """Return a size for people."""
    for unit_bytes, unit in ((1000, "kB"), (1_000_000, "MB")):
        if size_bytes < 999.95 * unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes / 1_000_000_000:.2f} GB"


def format_ms(duration_ms: float) -> str:
    """Return a duration for people: three digits that count."""
    return f"{duration_ms:,.0f} ms" if duration_ms >= 99.95 else f"{duration_ms:#.3g} ms"  # noqa: PLR2004 - 3 digits


def format_score(score: float) -> str:
    """Return a score for people: four decimals, or four digits that count where the metric has no scale of its own."""
    return f"{score:.4f}" if 0.01 <= abs(score) < 10 or score == 0 else f"{score:.4g}"  # noqa: PLR2004 - where 4 suffice


def format_loss(loss: float) -> str:
    """Return in words what a variant loses or gains, relative to PyTorch's score."""
    if not math.isfinite(loss):
        return "loses everything"
    if loss == 0:
        return "loses nothing"
    share = f"{abs(loss):.2%}"
    return f"{'loses' if loss > 0 else 'gains'} {'under 0.01%' if share == '0.00%' else share}"


def format_ratio(value: float | None, reference: float | None) -> str:
    """Return one number as a share of another; empty where either was not measured."""
    return f"{value / reference:.0%}" if value is not None and reference else ""


def format_speed(latency_ms: float | None, reference_ms: float | None, reference: str) -> str:
    """Return in words how fast something is beside a reference; empty where either was not measured."""
    if not latency_ms or not reference_ms:
        return ""
    times = reference_ms / latency_ms
    if f"{times:.1f}" == "1.0":
        return f"as fast as {reference}"
    return f"{times:.1f} times as fast as {reference}" if times > 1 else f"{1 / times:.1f} times as slow as {reference}"
