"""Who remembers how loading went."""

from dataclasses import dataclass, field
from threading import Event

from handlers.errors import LambdaserveError
from handlers.registry.loading import LoadedModel

__all__ = ["Gatekeeper", "Recorder"]

WAIT_S = 60.0


@dataclass
class Recorder:
    """A `LoadObserver` that remembers."""

    loaded: list[LoadedModel] = field(default_factory=list)
    failed: list[tuple[str, LambdaserveError]] = field(default_factory=list)
    passed_over: list[tuple[str, str, str, LambdaserveError]] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    moved: list[tuple[str, str, str, str]] = field(default_factory=list)
    checks_failed: list[tuple[str, LambdaserveError]] = field(default_factory=list)

    def model_loaded(self, model: LoadedModel) -> None:
        self.loaded.append(model)

    def load_failed(self, model: str, error: LambdaserveError) -> None:
        self.failed.append((model, error))

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        self.passed_over.append((model, version, variant, error))

    def model_dropped(self, model: str, version: str) -> None:
        self.dropped.append((model, version))

    def alias_moved(self, model: str, alias: str, before: str, after: str) -> None:
        self.moved.append((model, alias, before, after))

    def alias_check_failed(self, model: str, error: LambdaserveError) -> None:
        self.checks_failed.append((model, error))


class Gatekeeper(Recorder):
    """Holds loading up, after a variant was passed over, until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        assert self.gate.wait(WAIT_S)
        super().variant_passed_over(model, version, variant, error)
