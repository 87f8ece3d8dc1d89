"""How it stands with models, and how clients are told."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from handlers.errors import (
    InsufficientMemory,
    LambdaserveError,
    ModelNotFound,
    ModelNotReady,
    StillLoading,
    StoreError,
)

__all__ = ["ModelState", "not_served", "public_reason", "still_loading", "why_not_ready"]


@dataclass(frozen=True)
class ModelState:
    """How it stands with one of the models that are served."""

    name: str
    version: str | None
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str = ""


def not_served(name: str, served: Iterable[str]) -> ModelNotFound:
    """Return what to tell whoever asks for a model that is not among those that are served."""
    return ModelNotFound(f"model {name[:80]!r}: not served here, expected one of: {', '.join(served) or 'none'}")


def why_not_ready(name: str, problem: LambdaserveError | None, *, unloaded: bool) -> LambdaserveError:
    """Return what to tell whoever asks for a model that is served and not there.

    Args:
        name: Of the model.
        problem: What went wrong when it was loaded last.
        unloaded: Whether it was unloaded by hand.
    """
    if unloaded:
        return ModelNotReady(f"model {name!r}: unloaded, expected a model that is loaded; load it again")
    if isinstance(problem, InsufficientMemory):
        return InsufficientMemory(str(problem))
    return ModelNotReady(public_reason(name, problem) if problem else f"model {name!r}: gone meanwhile; try again")


def still_loading(timeout_s: float) -> StillLoading:
    """Return what to tell whoever has waited so long."""
    return StillLoading(f"models: still loading after {timeout_s:.1f} s, expected them sooner; try again")


def public_reason(name: str, problem: LambdaserveError) -> str:
    """Return what a client may know: what a store says of itself names accounts and roles, and stays in the log."""
    if not isinstance(problem, StoreError):
        return str(problem)
    subject = f"model {name!r}" if name else "store"
    return f"{subject}: {problem.code}, expected an answer of the store; the log says more"
