"""From a version to a session that has answered its goldens."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from handlers.errors import CorruptFile, LambdaserveError, ObjectNotFound, VersionNotFound
from handlers.pace import Pace
from handlers.registry.download import Download
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest, TensorSpec, Variant
from handlers.registry.opening import Opening, Reserve, VariantObserver
from handlers.registry.packing import Packing, Scratch
from handlers.registry.stores import Store
from handlers.settings import Settings
from handlers.tasks.tensor import served_specs
from handlers.timeline import Timeline

if TYPE_CHECKING:
    from handlers.runtime.session import Session
    from handlers.tasks.task import Task

__all__ = ["LoadObserver", "LoadedModel", "load_version"]


@dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer. `phases_ms` are the times of loading, `pace` learns those of its runs.

    `packing` is what is left to do beside its second request, None where that is nothing.
    """

    name: str
    version: str
    manifest: Manifest
    variant: Variant
    session: "Session"
    task: "Task"
    phases_ms: dict[str, float]
    packing: Packing | None = None
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


class LoadObserver(VariantObserver, Protocol):
    """Who wants to know how loading goes."""

    def model_loaded(self, model: LoadedModel) -> None:
        """Take note that a model is ready."""

    def load_failed(self, model: str, error: LambdaserveError) -> None:
        """Take note that a model is not ready, and why; `model` is empty where the store could not be listed."""

    def model_dropped(self, model: str, version: str) -> None:
        """Take note that a version is loaded no more: others needed its memory, it was replaced, or unloaded."""

    def alias_moved(self, model: str, alias: str, before: str, after: str) -> None:
        """Take note that requests by an alias get what it names by now, no more what it named before."""

    def alias_check_failed(self, model: str, error: LambdaserveError) -> None:
        """Take note that nobody knows whether a model's aliases have moved; what they named goes on answering."""


def load_version(  # noqa: PLR0913, PLR0917 - what loading takes, each from whoever has it
    store: Store,
    name: str,
    version: str,
    settings: Settings,
    observer: LoadObserver,
    reserve: Reserve,
    timeline: Timeline,
) -> LoadedModel:
    """Load a version of the model `name`.

    The chosen variant for this CPU is fetched, checked, opened and asked its goldens; where it does not fit into
    memory, does not open or does not answer right, the next variant is taken, fp32 at last.

    Args:
        store: Where it is.
        name: Of the model.
        version: Of the model.
        settings: Scratch folder and threads.
        observer: Who is told of variants that are passed over.
        reserve: Sets that many bytes aside before a variant is opened, in place of what it set aside before; raises
            InsufficientMemory where that cannot be.
        timeline: Where the phases are noted.

    Raises:
        VersionNotFound: There is no such version.
        ArtifactError: Files are missing or altered, or the manifest is of a newer schema.
        InsufficientMemory: No variant that answers right fits into memory.
        ModelNotReady: No variant answers its goldens on this machine.
        StoreUnavailable: The store could not be asked.
    """
    with timeline.span("manifest"):
        manifest = _manifest_of(store, name, version)
    with Scratch(settings.scratch_dir) as scratch, Download(store, manifest, scratch.folder, timeline) as download:
        opening = Opening(manifest, scratch, download, timeline, settings)
        variant, session = opening.first_right_variant(observer, reserve)
        packing = opening.packing_of(variant, session, observer)
        task = opening.task
    pace = Pace(count_elements(manifest), variant.latency_ms / 1000)
    return LoadedModel(name, version, manifest, variant, session, task, timeline.phases_ms, packing, pace)


def _manifest_of(store: Store, name: str, version: str) -> Manifest:
    try:
        return fetch_manifest(store, name, version)
    except CorruptFile as error:
        if isinstance(error.__cause__, ObjectNotFound):  # whether that is a fault depends on who named it
            raise VersionNotFound(str(error)) from error
        raise


def count_elements(manifest: Manifest) -> int:
    """Return how many elements the example inputs have; 0 where their shapes are not known."""
    return sum(math.prod(shape) for shape in manifest.example_shapes.values())
