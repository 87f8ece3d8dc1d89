"""What the document says of single models: found by running each once, while it is held, and kept."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.api.openapi import kserve, oip
from handlers.api.openapi.instances import describe_instances
from handlers.api.openapi.operations import Json
from handlers.tasks.definitions import EmbeddingTask, task_kind

if TYPE_CHECKING:
    from handlers.registry.loading import LoadedModel
    from handlers.registry.manifest import TensorSpec
    from handlers.registry.models import Models

__all__ = ["DescribedModel", "Descriptions"]

_MODEL_PATHS = (kserve.model_paths, oip.model_paths)
"""By protocol: the paths of one model."""


@dataclass(frozen=True)
class DescribedModel:
    """A version of a model as the document has it. Does not keep the model itself in memory.

    Attributes:
        name: Of the model.
        version: Of the model.
        text: What it is, for people.
        paths: Its own, with examples.
        media_types: Other than JSON that its task takes.
        embeds: What it embeds in an example; None: it embeds nothing.
    """

    name: str
    version: str
    text: str
    paths: Json
    media_types: tuple[str, ...]
    embeds: object


class Descriptions:
    """Descriptions of the models that are loaded. Safe to use from several threads; one of them describes at a time."""

    def __init__(self, models: "Models") -> None:
        """Know none yet."""
        self._models = models
        self._one_at_a_time = threading.Lock()
        self._known: dict[str, DescribedModel] = {}

    def read(self) -> list[DescribedModel]:
        """Return those of the models that are ready, sorted by name. Runs each model that was not described before.

        Of several versions that is the one that answers whoever names none.
        """
        ready = self._models.defaults
        with self._one_at_a_time:
            for name, version in ready:
                known = self._known.get(name)
                if known is None or known.version != version:
                    self._describe(name)
            return [self._known[name] for name, _ in ready if name in self._known]

    def _describe(self, name: str) -> None:
        model = self._models.hold(name)
        if model is None:  # gone meanwhile
            self._known.pop(name, None)
            return
        version = model.version
        try:
            self._known[name] = _describe_model(model)
        finally:
            del model  # else dropping it would free nothing
            self._models.release(name, version)


def _describe_model(model: "LoadedModel") -> DescribedModel:
    form = describe_instances(model)
    paths: Json = {}
    for describe in _MODEL_PATHS:
        paths |= describe(model, form)
    task = model.manifest.task
    embeds = model.task.example if isinstance(task, EmbeddingTask) else None
    return DescribedModel(model.name, model.version, _text(model), paths, tuple(model.task.media_types), embeds)


def _text(model: "LoadedModel") -> str:
    task = task_kind(model.manifest.task)
    takes, returns = (", ".join(map(_tensor, specs)) for specs in (model.inputs, model.outputs))
    return f"Version {model.version}, {task}, variant {model.variant.name}. Takes {takes}; returns {returns}."


def _tensor(spec: "TensorSpec") -> str:
    return f"`{spec.name}` {spec.datatype} {list(spec.shape)}"
