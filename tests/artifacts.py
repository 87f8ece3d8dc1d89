"""Artifacts made of tiny graphs, as `lambdaserve build` makes them of trained models, and published as it publishes."""

import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import ModelProto
from rich.console import Console

from export.progress import Progress
from export.publish import publish
from export.weights_file import split_weights, weights_path
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Batching,
    Choice,
    CpuKind,
    Gate,
    Goldens,
    Manifest,
    Provenance,
    Variant,
    encode_manifest,
)
from handlers.registry.stores import open_store
from handlers.runtime.goldens import write_goldens
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import TaskDefinition, TensorTask
from tests.aliases import point_alias

__all__ = ["make_artifact", "publish_graphs"]

CPU_KINDS: tuple[CpuKind, ...] = ("x86_64-vnni", "x86_64", "arm64")


def make_artifact(  # noqa: PLR0913 - the last three by name only, and rarely
    folder: Path,
    model: str,
    variants: Mapping[str, ModelProto],
    inputs: Sequence[Arrays],
    *,
    proven: ModelProto | None = None,
    task: TaskDefinition | None = None,
    tokenizer: Path | None = None,
    batching: Batching | None = None,
    memory: Mapping[str, tuple[int, int | None]] | None = None,
) -> Manifest:
    """Fill `folder` with an artifact, and return its manifest.

    Args:
        folder: Made if need be.
        model: Its name.
        variants: Graphs by variant, best first, fp32 last; the first is the one chosen on every CPU.
        inputs: Those of the goldens.
        proven: Whose answers are in the goldens, with no tolerance: fp32's by default. A variant that is another
            function fails on them.
        task: What stands before the tensors; None: nothing.
        tokenizer: A tokenizer.json to take along.
        batching: How batches may be cut; None: not at all.
        memory: By variant, what it takes in bytes: at its peak, and for one more sample. Next to nothing by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, graph in variants.items():
        onnx.save(graph, folder / f"{name}.onnx")
        split_weights(folder / f"{name}.onnx")
    onnx.save(proven or variants["fp32"], folder / "proven.tmp")
    session = Session(folder / "proven.tmp", threads=1)
    (folder / "proven.tmp").unlink()
    goldens = [(given, {name: found.reshape(-1) for name, found in session.run(given).items()}) for given in inputs]
    write_goldens(folder / "goldens.npz", goldens, session.inputs, session.outputs)
    if tokenizer is not None:
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
    chosen = Choice(variant=next(iter(variants)), basis="measured")
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        model=model,
        version=None,
        task=task or TensorTask(),
        inputs=session.inputs,
        outputs=session.outputs,
        variants=tuple(_variant(folder, name, *(memory or {}).get(name, (1, None))) for name in variants),
        chosen=dict.fromkeys(CPU_KINDS, chosen),
        goldens=Goldens(file="goldens.npz", count=len(goldens), output_stride=1),
        tokenizer="tokenizer.json" if tokenizer else None,
        batching=batching,
        example_shapes={spec.name: inputs[0][spec.name].shape for spec in session.inputs},
        files={path.name: describe_file(path) for path in sorted(folder.iterdir())},
        provenance=Provenance(
            weights_sha256="0" * 64,
            tools={"onnx": onnx.__version__},
            created_at="2026-01-01T00:00:00Z",
            cpu="x86_64",
            threads=1,
            pytorch_latency_ms=1.0,
        ),
    )
    (folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    return manifest


def publish_graphs(  # noqa: PLR0913 - the last two by name only, and rarely
    store_url: str,
    model: str,
    variants: Mapping[str, ModelProto],
    inputs: Sequence[Arrays],
    *,
    proven: ModelProto | None = None,
    alias: str | None = "live",
    task: TaskDefinition | None = None,
    tokenizer: Path | None = None,
    batching: Batching | None = None,
    memory: Mapping[str, tuple[int, int | None]] | None = None,
) -> str:
    """Publish such an artifact, let the alias name it, right or wrong, and return the version that it got."""
    with tempfile.TemporaryDirectory(prefix="lambdaserve-artifact-") as folder:
        make_artifact(
            Path(folder),
            model,
            variants,
            inputs,
            proven=proven,
            task=task,
            tokenizer=tokenizer,
            batching=batching,
            memory=memory,
        )
        store = open_store(store_url)
        version = publish(Path(folder), store, None, Progress(Console(file=io.StringIO()))).version
    if alias is not None:
        point_alias(store, model, alias, version)  # no gate: faulty ones are to be served, too
    return version


def _variant(folder: Path, name: str, peak_bytes: int, sample_bytes: int | None) -> Variant:
    gate = Gate(
        metric="accuracy", reference=1.0, score=1.0, loss=0.0, allowed=0.01, passed=True, samples=1, held_out=True
    )
    return Variant(
        name=name,
        file=f"{name}.onnx",
        data=data.name if (data := weights_path(folder / f"{name}.onnx")).exists() else None,
        gate=gate,
        latency_ms=1.0,
        latency_fp32_ms=1.0,
        peak_memory_bytes=peak_bytes,
        sample_memory_bytes=sample_bytes,
        golden_tolerance={},
    )
