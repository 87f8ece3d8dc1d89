"""From an alias to a session that has answered its goldens."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from handlers.clock import PhaseClock
from handlers.errors import ArtifactError, InsufficientMemory, LambdaserveError, ModelNotReady, StoreError
from handlers.memory import release_memory
from handlers.pace import Pace
from handlers.registry.aliases import resolve_alias
from handlers.registry.download import Download
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest, TensorSpec, Variant
from handlers.registry.stores import Store
from handlers.settings import Settings
from handlers.tasks.tensor import served_specs

if TYPE_CHECKING:
    from handlers.runtime.session import Session
    from handlers.tasks.task import Task

__all__ = ["LoadObserver", "LoadedModel", "load_model"]

Reserve = Callable[[int], None]


@dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer. `phases_ms` are the times of loading, `pace` learns those of its runs."""

    name: str
    version: str
    manifest: Manifest
    variant: Variant
    session: "Session"
    task: "Task"
    phases_ms: dict[str, float]
    pace: Pace = field(default_factory=Pace)

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes: as the manifest says, but axis 0 may vary where batches are cut to what the model takes."""
        return served_specs(self.manifest.inputs, self.manifest.batching)

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it returns, likewise."""
        return served_specs(self.manifest.outputs, self.manifest.batching)

    @cached_property
    def example_elements(self) -> int:
        """How many elements the example inputs have, with which time and memory were measured; 0: not known."""
        return count_elements(self.manifest)

    @cached_property
    def example_samples(self) -> int:
        """How many samples the example inputs are, where axis 0 counts samples."""
        return next((shape[0] for shape in self.manifest.example_shapes.values() if shape), 1)


class LoadObserver(Protocol):
    """Who wants to know how loading goes."""

    def model_loaded(self, model: LoadedModel) -> None:
        """Take note that a model is ready."""

    def load_failed(self, model: str, error: LambdaserveError) -> None:
        """Take note that a model is not ready, and why; `model` is empty where the store could not be listed."""

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        """Take note that a variant cannot be used on this machine; the next one is tried."""

    def model_dropped(self, model: str, version: str) -> None:
        """Take note that a model is loaded no more: others needed its memory, or it was unloaded."""


def load_model(store: Store, name: str, settings: Settings, observer: LoadObserver, reserve: Reserve) -> LoadedModel:
    """Load the version of the model `name` that the alias of the settings names.

    The chosen variant for this CPU is fetched, checked, opened and asked its goldens; where it does not fit into
    memory, does not open or does not answer right, the next variant is taken, fp32 at last.

    Args:
        store: Where it is.
        name: Of the model.
        settings: Alias, scratch folder and threads.
        observer: Who is told of variants that are passed over.
        reserve: Sets that many bytes aside before a variant is opened, in place of what it set aside before; raises
            InsufficientMemory where that cannot be.

    Raises:
        ModelNotFound: There is no such model or alias.
        ArtifactError: Files are missing or altered, or the manifest is of a newer schema.
        InsufficientMemory: No variant that answers right fits into memory.
        ModelNotReady: No variant answers its goldens on this machine.
        StoreUnavailable: The store could not be asked.
    """
    clock = PhaseClock()
    with clock.phase("alias"):
        version = resolve_alias(store, name, settings.alias)
    with clock.phase("manifest"):
        manifest = fetch_manifest(store, name, version)
    with (
        tempfile.TemporaryDirectory(prefix="lambdaserve-", dir=settings.scratch_dir) as scratch,
        Download(store, manifest, Path(scratch)) as download,
    ):
        opening = _Opening(manifest, Path(scratch), download, clock, settings.threads)
        variant, session = opening.first_right_variant(observer, reserve)
        task = opening.task
    pace = Pace(count_elements(manifest), variant.latency_ms / 1000)
    return LoadedModel(name, version, manifest, variant, session, task, clock.phases_ms, pace)


@dataclass(frozen=True)
class _Opening:
    """What opening the variants of a version shares."""

    manifest: Manifest
    folder: Path
    download: Download
    clock: PhaseClock
    threads: int

    def first_right_variant(self, observer: LoadObserver, reserve: Reserve) -> tuple[Variant, "Session"]:
        from handlers.runtime.cpu import cpu_kind

        manifest = self.manifest
        candidates = manifest.variants_for(cpu_kind())
        too_large: InsufficientMemory | None = None
        for variant in candidates:
            try:
                reserve(variant.peak_memory_bytes)
                return variant, self._right_session(variant)
            except (ArtifactError, StoreError):  # of the store's making: another variant is not what is wanted
                raise
            except LambdaserveError as error:
                observer.variant_passed_over(manifest.model, str(manifest.version), variant.name, error)
                if isinstance(error, InsufficientMemory):
                    too_large = too_large or InsufficientMemory(str(error))
            finally:
                self.download.remove(variant.files)
            release_memory()  # the next one may take the room of this one's session, which went with the error
        if too_large is not None:
            raise too_large
        msg = (
            f"model {manifest.model!r} version {manifest.version}: none of the variants "
            f"{', '.join(variant.name for variant in candidates)} answers its goldens on this machine, expected at "
            "least fp32 to; build the model on such a machine to see why"
        )
        raise ModelNotReady(msg)

    def _right_session(self, variant: Variant) -> "Session":
        manifest = self.manifest
        beside = [manifest.goldens.file, *([manifest.tokenizer] if manifest.tokenizer else [])]
        self.download.begin([*beside, *variant.files])
        with self.clock.phase("runtime_import"):
            # not before: numpy and onnxruntime take as long to import as most models take to arrive
            from handlers.runtime.goldens import check_goldens, read_goldens
            from handlers.runtime.session import Session
        with self.clock.phase("fetch"):
            self.download.wait(beside)
        goldens = read_goldens(self.folder / manifest.goldens.file, manifest)
        _ = self.task  # while the weights are still on their way
        with self.clock.phase("fetch"):
            self.download.wait(variant.files)
        with self.clock.phase("session"):
            session = Session(self.folder / variant.file, threads=self.threads)
            session.check_signature(manifest.inputs, manifest.outputs)
        with self.clock.phase("goldens"):
            check_goldens(session, goldens, manifest.goldens, variant)
        return session

    @cached_property
    def task(self) -> "Task":
        """What stands between users and tensors. Its tokenizer must have arrived."""
        manifest = self.manifest
        with self.clock.phase("task"):
            from handlers.tasks.opening import open_task  # not before numpy is imported

            tokenizer = self.folder / manifest.tokenizer if manifest.tokenizer else None
            return open_task(manifest.task, manifest.inputs, manifest.outputs, tokenizer)


def count_elements(manifest: Manifest) -> int:
    """Return how many elements the example inputs have; 0 where their shapes are not known."""
    return sum(math.prod(shape) for shape in manifest.example_shapes.values())
