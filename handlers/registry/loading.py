"""From an alias to a session that has answered its goldens."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from handlers.clock import PhaseClock
from handlers.errors import LambdaserveError, ModelNotReady
from handlers.registry.aliases import resolve_alias
from handlers.registry.fetch import fetch_files, fetch_manifest
from handlers.registry.manifest import Manifest, Variant
from handlers.registry.stores import Store
from handlers.settings import Settings

if TYPE_CHECKING:
    from handlers.runtime.session import Session
    from handlers.tasks.task import Task

__all__ = ["LoadObserver", "LoadedModel", "load_model"]


@dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer. `phases_ms` says how long each step of loading took."""

    name: str
    version: str
    manifest: Manifest
    variant: Variant
    session: "Session"
    task: "Task"
    phases_ms: dict[str, float]


class LoadObserver(Protocol):
    """Who wants to know how loading goes."""

    def model_loaded(self, model: LoadedModel) -> None:
        """Take note that a model is ready."""

    def load_failed(self, model: str, error: LambdaserveError) -> None:
        """Take note that a model is not ready, and why; `model` is empty where the store could not be listed."""

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        """Take note that a variant cannot be used on this machine; the next one is tried."""


def load_model(store: Store, name: str, settings: Settings, observer: LoadObserver) -> LoadedModel:
    """Load the version of the model `name` that the alias of the settings names.

    The chosen variant for this CPU is fetched, checked, opened and asked its goldens; where it does not open or does
    not answer right, the next variant is taken, fp32 at last.

    Raises:
        ModelNotFound: There is no such model or alias.
        ArtifactError: Files are missing or altered, or the manifest is of a newer schema.
        ModelNotReady: No variant answers its goldens on this machine.
        StoreUnavailable: The store could not be asked.
    """
    clock = PhaseClock()
    with clock.phase("alias"):
        version = resolve_alias(store, name, settings.alias)
    with clock.phase("manifest"):
        manifest = fetch_manifest(store, name, version)
    with tempfile.TemporaryDirectory(prefix="lambdaserve-", dir=settings.scratch_dir) as folder:
        variant, session = _open_first_right_variant(store, manifest, Path(folder), clock, settings.threads, observer)
        with clock.phase("task"):
            task = _open_task(manifest, Path(folder))
    return LoadedModel(name, version, manifest, variant, session, task, clock.phases_ms)


def _open_first_right_variant(  # noqa: PLR0913, PLR0917 - private, one call site
    store: Store, manifest: Manifest, folder: Path, clock: PhaseClock, threads: int, observer: LoadObserver
) -> tuple[Variant, "Session"]:
    from handlers.runtime.cpu import cpu_kind

    candidates = manifest.variants_for(cpu_kind())
    with clock.phase("fetch"):
        tokenizer = [manifest.tokenizer] if manifest.tokenizer else []
        fetch_files(store, manifest, [manifest.goldens.file, *tokenizer, *candidates[0].files], folder)
    with clock.phase("runtime_import"):
        # not before: while numpy and onnxruntime are imported, which takes longer than most fetches, others may fetch
        from handlers.runtime.goldens import check_goldens, read_goldens
        from handlers.runtime.session import Session
    goldens = read_goldens(folder / manifest.goldens.file, manifest)
    for variant in candidates:
        path = folder / variant.file
        if not path.exists():
            with clock.phase("fetch"):
                fetch_files(store, manifest, variant.files, folder)
        try:
            with clock.phase("session"):
                session = Session(path, threads=threads)
                session.check_signature(manifest.inputs, manifest.outputs)
            with clock.phase("goldens"):
                check_goldens(session, goldens, manifest.goldens, variant)
        except LambdaserveError as error:
            observer.variant_passed_over(manifest.model, str(manifest.version), variant.name, error)
        else:
            return variant, session
        finally:
            for file in variant.files:
                (folder / file).unlink()
    msg = (
        f"model {manifest.model!r} version {manifest.version}: none of the variants "
        f"{', '.join(variant.name for variant in candidates)} answers its goldens on this machine, expected at least "
        "fp32 to; build the model on such a machine to see why"
    )
    raise ModelNotReady(msg)


def _open_task(manifest: Manifest, folder: Path) -> "Task":
    from handlers.tasks.opening import open_task  # not before numpy is imported, which the session has seen to

    tokenizer = folder / manifest.tokenizer if manifest.tokenizer else None
    return open_task(manifest.task, manifest.inputs, manifest.outputs, tokenizer)
