"""From a manifest to a session that has answered its goldens: which variant, from which files, opened how."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from handlers.errors import (
    ArtifactError,
    InsufficientMemory,
    LambdaserveError,
    ModelNotReady,
    RuntimeFailure,
    StoreError,
)
from handlers.memory import release_memory
from handlers.registry.download import Download
from handlers.registry.manifest import Manifest, Variant
from handlers.registry.packing import Packing, Scratch
from handlers.settings import Settings
from handlers.timeline import Timeline

if TYPE_CHECKING:
    from handlers.runtime.session import Session
    from handlers.tasks.task import Task

__all__ = ["Opening", "Reserve", "VariantObserver"]

Reserve = Callable[[int], None]
"""Sets that many bytes aside for a model, in place of what it had set aside before, or raises InsufficientMemory."""

_WORTH_DEFERRING_BYTES = 32 * 1024 * 1024
"""Of weights: packing 23 MB takes 9 ms, 109 MB 73, and 435 MB 290."""


class VariantObserver(Protocol):
    """Who wants to know which variants cannot be used."""

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        """Take note that a variant cannot be used on this machine; the next one is tried."""


@dataclass(frozen=True)
class Opening:
    """What opening the variants of a version shares: its files, on their way into a folder."""

    manifest: Manifest
    scratch: Scratch
    download: Download
    timeline: Timeline
    settings: Settings

    def first_right_variant(self, observer: VariantObserver, reserve: Reserve) -> tuple[Variant, "Session"]:
        """Return the first variant that answers right here, and its session. Raises as `load_version` does."""
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
        with self.timeline.span("runtime_import"):
            # not before: numpy and onnxruntime take as long to import as most models take to arrive
            from handlers.runtime.goldens import check_goldens, read_goldens
            from handlers.runtime.session import Session
        self.download.wait(beside)
        goldens = read_goldens(self._path(manifest.goldens.file), manifest)
        _ = self.task  # while the weights are still on their way
        self.download.wait(variant.files)
        with self.timeline.span("session"):
            packed = not self._defers_packing(variant)
            session = Session(self._path(variant.file), threads=self.settings.threads, packed=packed)
            session.check_signature(manifest.inputs, manifest.outputs)
        with self.timeline.span("goldens"):
            check_goldens(session, goldens, manifest.goldens, variant)
        return session

    @cached_property
    def task(self) -> "Task":
        """What stands between users and tensors. Its tokenizer must have arrived."""
        manifest = self.manifest
        with self.timeline.span("task"):
            from handlers.tasks.opening import open_task  # not before numpy is imported

            tokenizer = self._path(manifest.tokenizer) if manifest.tokenizer else None
            return open_task(manifest.task, manifest.inputs, manifest.outputs, tokenizer)

    def packing_of(self, variant: Variant, session: "Session", observer: VariantObserver) -> Packing | None:
        """Return what is left to do for a session whose weights are not packed; the files stay until it is done."""
        if session.packed:
            return None
        from handlers.runtime.goldens import read_goldens

        manifest, path = self.manifest, self._path(variant.file)
        # read now, while they are what was hashed: the proof must not depend on what lies there later
        goldens = read_goldens(self._path(manifest.goldens.file), manifest)

        def pack() -> None:
            from handlers.runtime.goldens import check_goldens
            from handlers.runtime.session import Session

            try:
                packed = Session(path, threads=self.settings.threads)
                check_goldens(packed, goldens, manifest.goldens, variant)  # other kernels compute from packed weights
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the session stays as it is
                problem = error if isinstance(error, LambdaserveError) else RuntimeFailure(f"{type(error).__name__}")
                observer.variant_passed_over(manifest.model, str(manifest.version), f"{variant.name}, packed", problem)
            else:
                session.replace(packed)

        self.scratch.keep()
        return Packing(pack, self.scratch)

    def _path(self, file: str) -> Path:
        return self.scratch.folder / file

    def _defers_packing(self, variant: Variant) -> bool:
        """Tell whether packing is worth it to wait, and there is room for what that takes."""
        weights_bytes = self.manifest.files[variant.data].size if variant.data else 0
        memory_bytes = self.settings.model_memory_bytes
        return (
            self.settings.defers_packing
            and weights_bytes >= _WORTH_DEFERRING_BYTES
            and self.scratch.free_bytes >= weights_bytes  # the files stay, and others are to find room beside them
            and (memory_bytes is None or 2 * variant.peak_memory_bytes <= memory_bytes)  # for both, for a while
        )
