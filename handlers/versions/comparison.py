"""Two versions of a model side by side: what they take and answer, and what each variant weighs, scores and takes."""

from typing import get_args

import msgspec

from handlers.registry.manifest import CpuKind, Manifest, Variant
from handlers.versions.compatibility import find_differences
from handlers.versions.difference import Difference

__all__ = ["Comparison", "Figures", "Pair", "SizePair", "VariantPair", "compare"]


class Pair(msgspec.Struct, frozen=True):
    """The same thing of both versions, in words; None where one has no such thing."""

    name: str
    before: str | None
    after: str | None


class SizePair(msgspec.Struct, frozen=True):
    """A file of both versions by size, None where one has no such file; `same` tells whether the bytes are the same."""

    name: str
    before: int | None
    after: int | None
    same: bool


class Figures(msgspec.Struct, frozen=True):
    """What was measured of a variant where it was built; the gate as the manifest has it."""

    size_bytes: int
    metric: str
    score: float
    loss: float
    passed: bool
    samples: int
    latency_ms: float
    peak_memory_bytes: int


class VariantPair(msgspec.Struct, frozen=True):
    """A variant of both versions; None where one has no such variant."""

    name: str
    before: Figures | None
    after: Figures | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All in which two versions differ, and the figures of both whether they differ or not.

    `compatible`: `after` may take the place of `before`. `differences` are those of inputs, outputs and task, `files`
    those that are not the same, `chosen` the variants by kind of CPU, `origins` tools, time and weights.
    """

    model: str
    before: str
    after: str
    compatible: bool
    differences: list[Difference]
    variants: list[VariantPair]
    files: list[SizePair]
    chosen: list[Pair]
    origins: list[Pair]


def compare(a: Manifest, b: Manifest) -> Comparison:
    """Return how `b` differs from `a`, as if `b` were to take its place."""
    differences = find_differences(a, b)
    return Comparison(
        model=b.model,
        before=str(a.version),
        after=str(b.version),
        compatible=not any(found.problem for found in differences),
        differences=differences,
        variants=_variants(a, b),
        files=[pair for pair in _files(a, b) if not pair.same],
        chosen=[Pair(cpu, _chosen(a, cpu), _chosen(b, cpu)) for cpu in get_args(CpuKind)],
        origins=_pairs(_origins(a), _origins(b)),
    )


def _variants(a: Manifest, b: Manifest) -> list[VariantPair]:
    before = {variant.name: _figures(a, variant) for variant in a.variants}
    after = {variant.name: _figures(b, variant) for variant in b.variants}
    return [VariantPair(name, before.get(name), after.get(name)) for name in {**after, **before}]


def _figures(manifest: Manifest, variant: Variant) -> Figures:
    gate = variant.gate
    return Figures(
        size_bytes=sum(manifest.files[file].size for file in variant.files),
        metric=gate.metric,
        score=gate.score,
        loss=gate.loss,
        passed=gate.passed,
        samples=gate.samples,
        latency_ms=variant.latency_ms,
        peak_memory_bytes=variant.peak_memory_bytes,
    )


def _files(a: Manifest, b: Manifest) -> list[SizePair]:
    found: list[SizePair] = []
    for name in sorted({*a.files, *b.files}):
        before, after = a.files.get(name), b.files.get(name)
        found.append(
            SizePair(
                name,
                None if before is None else before.size,
                None if after is None else after.size,
                before == after,
            )
        )
    return found


def _chosen(manifest: Manifest, cpu: CpuKind) -> str:
    return manifest.variants_for(cpu)[0].name


def _origins(manifest: Manifest) -> dict[str, str]:
    origin = manifest.provenance
    built = {
        "built": origin.created_at,
        "weights": origin.weights_sha256,
        "cpu": origin.cpu,
        "threads": str(origin.threads),
    }
    return built | origin.tools


def _pairs(before: dict[str, str], after: dict[str, str]) -> list[Pair]:
    return [Pair(name, before.get(name), after.get(name)) for name in {**before, **after}]
