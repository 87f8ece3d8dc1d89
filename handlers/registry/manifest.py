"""The contract between export and serving: what a version is made of. docs/manifest.md is its specification."""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from handlers.errors import CorruptFile, InvalidName, UnsupportedManifest
from handlers.registry.names import check_model_name, check_version
from handlers.registry.sealed import check_seal, seal, unseal
from handlers.tasks.definitions import TaskDefinition

__all__ = [
    "MANIFEST_FILE",
    "OLDEST_SCHEMA_VERSION",
    "PART_BYTES",
    "SCHEMA_VERSION",
    "Batching",
    "Calibration",
    "Choice",
    "CpuKind",
    "Datatype",
    "FileEntry",
    "Gate",
    "Goldens",
    "Manifest",
    "Provenance",
    "Publication",
    "TensorSpec",
    "Variant",
    "decode_manifest",
    "encode_manifest",
]

SCHEMA_VERSION = 2
OLDEST_SCHEMA_VERSION = 1
"""Schema version 1 is version 2 without `published`, and knows no tombstones."""
MANIFEST_FILE = "manifest.json"
PART_BYTES = 8 * 1024 * 1024
"""Files are hashed whole and in parts of this size, so that parallel ranges can be checked as they land."""

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64",
    "BYTES",
]  # fmt: skip
CpuKind = Literal["x86_64-vnni", "x86_64", "arm64"]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A piece of the manifest: immutable, and nothing in it that this reader does not know."""


class TensorSpec(_Part, frozen=True):
    """An input or output: its name, OIP datatype, and shape with -1 where an axis is variable."""

    name: Annotated[str, Meta(min_length=1)]
    datatype: Datatype
    shape: tuple[Annotated[int, Meta(ge=-1)], ...]


class FileEntry(_Part, frozen=True):
    """Size in bytes and SHA-256 of a file, whole and for each part of `PART_BYTES`."""

    size: Annotated[int, Meta(ge=0)]
    sha256: Sha256
    parts: tuple[Sha256, ...]


class Batching(_Part, frozen=True):
    """Axis 0 of every input and output counts samples that know nothing of each other.

    `length` is how many samples the model takes, no more and no fewer; None: any number.
    """

    length: Annotated[int, Meta(ge=1)] | None = None


class Gate(_Part, frozen=True):
    """The proof that a variant is good enough.

    `reference` is PyTorch's score and `score` the variant's, on the same `samples` inputs; `loss` is what was lost,
    relative to the reference; `passed` says that it is at most `allowed`. `held_out` is false where the inputs
    that judge are the source's example inputs, for want of others.
    """

    metric: str
    reference: float
    score: float
    loss: float
    allowed: float
    passed: bool
    samples: int
    held_out: bool


class Variant(_Part, frozen=True, kw_only=True):
    """One encoding of the version.

    `data` holds the weights of `file` where they are not in it; both lie in one folder when it is opened.
    `latency_ms` and `latency_fp32_ms` are medians of interleaved runs on the example inputs where it was built;
    `peak_memory_bytes` is what opening and one run added to a process, and `sample_memory_bytes` what one more sample
    like the example's adds to a run, None where axis 0 does not count samples; `golden_tolerance` is, by output, the
    largest absolute difference from the goldens that is still a right answer of this variant.
    """

    name: str
    file: FileName
    data: FileName | None = None
    gate: Gate
    latency_ms: float
    latency_fp32_ms: float
    peak_memory_bytes: Annotated[int, Meta(ge=0)]
    sample_memory_bytes: Annotated[int, Meta(ge=1)] | None = None
    golden_tolerance: dict[str, float]

    @property
    def files(self) -> tuple[str, ...]:
        """All that is needed to open it."""
        return (self.file,) if self.data is None else (self.file, self.data)


class Choice(_Part, frozen=True):
    """The variant that is opened first on one kind of CPU, and whether that was measured there or inferred."""

    variant: str
    basis: Literal["measured", "inferred"]


class Goldens(_Part, frozen=True):
    """A few inputs and PyTorch's outputs for them: an `.npz` file with `{i}.input.{j}` and `{i}.output.{j}`.

    `j` counts the inputs and outputs as the manifest lists them. Of each output, flattened, every `output_stride`-th
    element is kept.
    """

    file: FileName
    count: Annotated[int, Meta(ge=1)]
    output_stride: Annotated[int, Meta(ge=1)]


class Calibration(_Part, frozen=True):
    """What set the ranges of int8 activations and steered the search: how many samples, and where they come from.

    They are those that the source brought for it, a part of its evaluation (that did not judge), or its example inputs.
    """

    samples: Annotated[int, Meta(ge=0)]
    source: Literal["calibration", "evaluation", "example"]


class Provenance(_Part, frozen=True):
    """Where it all came from: hash of the weights, tools, time (RFC 3339, UTC), data, and the machine that measured."""

    weights_sha256: Sha256
    tools: dict[str, str]
    created_at: str
    cpu: CpuKind
    threads: int
    pytorch_latency_ms: float
    calibration: Calibration | None = None


class Publication(_Part, frozen=True):
    """How it got its number: the id of the operation that claimed it, and when it was published (RFC 3339), by whom."""

    id: str
    at: str
    by: str


class Manifest(_Part, frozen=True, kw_only=True):
    """All of a version. `version` and `published` are None until publishing gives it a number.

    `variants` are listed best first and end with fp32: where one cannot be used, the next is tried. `tokenizer` is the
    file that makes ids of text, None where the model takes none. `batching` says how batches may be cut; None: not at
    all. `example_shapes` are, by input, those of the example inputs, with which latency and memory were measured; empty
    where they are not known. `warnings` say what its proof lacks.
    """

    schema_version: int
    model: str
    version: str | None
    task: TaskDefinition
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variants: Annotated[tuple[Variant, ...], Meta(min_length=1)]
    chosen: dict[CpuKind, Choice]
    goldens: Goldens
    tokenizer: FileName | None = None
    batching: Batching | None = None
    example_shapes: dict[str, tuple[Annotated[int, Meta(ge=0)], ...]] = {}
    files: dict[FileName, FileEntry]
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    published: Publication | None = None

    def variants_for(self, cpu: CpuKind) -> list[Variant]:
        """Return the variants in the order in which they are to be tried on `cpu`: the chosen one, then the rest."""
        chosen = self.chosen[cpu].variant if cpu in self.chosen else self.variants[0].name
        return sorted(self.variants, key=lambda variant: variant.name != chosen)


class _Head(msgspec.Struct):
    schema_version: int
    tombstone: object = None


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`."""
    return seal(manifest)


def decode_manifest(data: bytes, subject: str) -> Manifest:
    """Return the manifest in the bytes of `manifest.json`.

    Args:
        data: The whole file.
        subject: What to call it in errors: its key or path.

    Raises:
        CorruptFile: The bytes are not those that were written, or they contradict themselves.
        UnsupportedManifest: It was written by a newer lambdaserve.
        VersionNotFound: This is the tombstone of a version that was deleted, or never finished.
    """
    check_seal(data, subject)
    try:
        head = msgspec.json.decode(data, type=_Head)
    except msgspec.DecodeError as error:
        msg = f"{subject}: {error}, expected a manifest"
        raise CorruptFile(msg) from error
    if not OLDEST_SCHEMA_VERSION <= head.schema_version <= SCHEMA_VERSION:
        newer = "; upgrade lambdaserve to read it" if head.schema_version > SCHEMA_VERSION else ""
        expected = f"{OLDEST_SCHEMA_VERSION} to {SCHEMA_VERSION}"
        msg = f"{subject}: manifest schema version {head.schema_version}, expected {expected}{newer}"
        raise UnsupportedManifest(msg)
    if head.tombstone is not None:
        from handlers.registry.tombstones import decode_tombstone  # few versions have one

        raise decode_tombstone(data, subject).refusal(subject)
    manifest = unseal(data, Manifest, subject)
    _check_consistency(manifest, subject)
    return manifest


def _named_files(manifest: Manifest) -> list[str]:
    variants = [file for variant in manifest.variants for file in variant.files]
    return [*variants, manifest.goldens.file, *([manifest.tokenizer] if manifest.tokenizer else [])]


def _check_consistency(manifest: Manifest, subject: str) -> None:
    try:
        check_model_name(manifest.model)
        if manifest.version is not None:
            check_version(manifest.version)
    except InvalidName as error:
        msg = f"{subject}: {error}"
        raise CorruptFile(msg) from error
    names = [variant.name for variant in manifest.variants]
    problems = [
        (len(set(names)) != len(names), f"variants {names}, expected different names"),
        (names[-1] != "fp32", f"variants {names}, expected fp32 as the last"),
    ]
    problems += [
        (
            bool(manifest.example_shapes) and [*manifest.example_shapes] != [spec.name for spec in manifest.inputs],
            f"example shapes of {[*manifest.example_shapes]}, expected one for each input",
        )
    ]
    problems += [
        (choice.variant not in names, f"{choice.variant!r} chosen for {cpu}, expected one of {names}")
        for cpu, choice in manifest.chosen.items()
    ]
    problems += [
        (file not in manifest.files, f"no entry for file {file!r}, expected one in `files`")
        for file in _named_files(manifest)
    ]
    problems += [
        (
            len(entry.parts) != math.ceil(entry.size / PART_BYTES),
            f"{len(entry.parts)} part hashes for {file} of {entry.size} bytes, expected one for each {PART_BYTES}",
        )
        for file, entry in manifest.files.items()
    ]
    for wrong, problem in problems:
        if wrong:
            msg = f"{subject}: {problem}"
            raise CorruptFile(msg)
