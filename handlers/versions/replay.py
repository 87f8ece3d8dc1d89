"""Opens a version as it is served, on this machine, and says what would go wrong."""

from functools import partial

from handlers.errors import ArtifactError, InsufficientMemory, LambdaserveError, ModelNotReady
from handlers.memory import release_memory
from handlers.registry.download import Download
from handlers.registry.manifest import Manifest
from handlers.registry.opening import Opening
from handlers.registry.packing import Scratch
from handlers.registry.stores import Store
from handlers.settings import Settings
from handlers.timeline import Timeline

__all__ = ["replay_objections"]

_MB = 1024 * 1024


def replay_objections(store: Store, manifest: Manifest, settings: Settings) -> list[str]:
    """Return what goes wrong where a version is fetched, opened and asked its goldens; nothing where all is right.

    It is right where the variant that was chosen for this kind of CPU answers. That others stand in for it where it
    does not is for CPUs that nobody foresaw, not for a version that can be looked at first.

    Raises:
        StoreUnavailable: The store could not be asked, or there is no room for the files.
    """
    from handlers.runtime.cpu import cpu_kind

    chosen = manifest.variants_for(cpu_kind())[0].name
    passed_over = _PassedOver()
    timeline = Timeline()
    found: list[str] = []
    with Scratch(settings.scratch_dir) as scratch, Download(store, manifest, scratch.folder, timeline) as download:
        opening = Opening(manifest, scratch, download, timeline, settings)
        try:
            opening.first_right_variant(passed_over, partial(_check_room, manifest, settings.model_memory_bytes))
        except (ArtifactError, InsufficientMemory, ModelNotReady) as error:
            found.append(str(error))
    release_memory()  # the session went with this
    if (why := passed_over.errors.get(chosen)) is not None:
        found.insert(0, f"variant {chosen!r}: passed over on this CPU ({why}), expected the chosen one to be served")
    return found


def _check_room(manifest: Manifest, limit_bytes: int | None, size_bytes: int) -> None:
    """Implement `handlers.registry.opening.Reserve`, as if it were the only model."""
    if limit_bytes is not None and size_bytes > limit_bytes:
        msg = (
            f"model {manifest.model!r} version {manifest.version}: {size_bytes / _MB:,.0f} MB, expected at most "
            f"{limit_bytes / _MB:,.0f} MB, which models may take here"
        )
        raise InsufficientMemory(msg)


class _PassedOver:
    """Implements `handlers.registry.opening.VariantObserver`."""

    def __init__(self) -> None:
        self.errors: dict[str, LambdaserveError] = {}

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:  # noqa: ARG002
        self.errors[variant] = error
