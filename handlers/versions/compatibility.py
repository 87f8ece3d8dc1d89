"""Whether a version can take the place of another one: whoever uses the present one must not notice, but for answers.

| part | compatible | not |
|---|---|---|
| input | an axis of any length (-1) where it was any or fixed | gone; new; other datatype, rank or length of an axis |
| output | new; an axis of fixed length where it was any | gone; other datatype, rank or length of an axis |
| the one output of task `tensor` | | joined by others: predictions become objects where they were lists |
| task | | of another kind |
| labels | new ones behind those there were | some gone; another order, as numbers stand for them in tensors |
| mask of task `fill-mask` | | another one |
| column | gone, if ignored; new, if `missing` stands in | gone; new; another type, fewer words, narrower bounds |

An output may go from any length to a fixed one, because who reads any length reads that one as well; who reads a fixed
one may have set its room aside. The axis that counts the labels grows with the labels that are new: who reads labels
finds them all in their places. Shapes are those that are served: axis 0 takes any length where batches are cut. Tensors
have names in every protocol, so that their order is of no account. How good the answers are is the gate's question.
"""

from collections.abc import Mapping

from handlers.registry.manifest import Manifest, TensorSpec
from handlers.tasks.definitions import TensorTask
from handlers.tasks.tensor import served_specs
from handlers.versions.difference import Difference, Part
from handlers.versions.task_compatibility import added_labels, compare_tasks

__all__ = ["find_differences", "incompatibilities"]

_ANY = -1


def find_differences(present: Manifest, new: Manifest) -> list[Difference]:
    """Return how `new` differs from `present` for those who use it: inputs, outputs and the task."""
    return [
        *_tensors("input", _specs(present, present.inputs), _specs(new, new.inputs)),
        *_outputs(present, new),
        *compare_tasks(present.task, new.task),
    ]


def incompatibilities(present: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return why `new` cannot take the place of `present`, a sentence each; none where it can."""
    return tuple(str(found) for found in find_differences(present, new) if found.problem)


def _specs(manifest: Manifest, specs: tuple[TensorSpec, ...]) -> dict[str, TensorSpec]:
    return {spec.name: spec for spec in served_specs(specs, manifest.batching)}


def _outputs(present: Manifest, new: Manifest) -> list[Difference]:
    before, after = _specs(present, present.outputs), _specs(new, new.outputs)
    grown = added_labels(present.task, new.task)
    found = _tensors("output", before, after, grown)
    if len(before) > 1 or len(after) == 1 or not isinstance(present.task, TensorTask):
        return found
    problem = "predictions become objects, where lists are expected"
    return [
        Difference(each.part, each.name, None, each.after, problem) if each.before is None else each for each in found
    ]


def _tensors(
    part: Part,
    before: Mapping[str, TensorSpec],
    after: Mapping[str, TensorSpec],
    grown: Mapping[str, int] | None = None,
) -> list[Difference]:
    """Return the differences of tensors; `grown` is by how much the last axis of an output may be longer."""
    found: list[Difference] = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            problem = _unpaired(part, gone=new is None)
        elif (old.datatype, old.shape) == (new.datatype, new.shape):
            continue
        else:
            problem = _changed(part, old, new, (grown or {}).get(name, 0))
        found.append(Difference(part, name, _words(old), _words(new), problem))
    return found


def _unpaired(part: Part, *, gone: bool) -> str | None:
    if gone:
        return f"requests that {'send' if part == 'input' else 'ask for'} it are refused"
    return "requests do not send it" if part == "input" else None


def _changed(part: Part, old: TensorSpec, new: TensorSpec, grown: int) -> str | None:
    if old.datatype != new.datatype:
        return f"its datatype was {old.datatype}"
    if len(old.shape) != len(new.shape):
        return f"it had {len(old.shape)} axes"
    for axis, (was, now) in enumerate(zip(old.shape, new.shape, strict=True)):
        if part == "input" and now not in (_ANY, was):
            return f"axis {axis} took {'any length' if was == _ANY else was}"
        last = axis == len(old.shape) - 1
        if part == "output" and was not in (_ANY, now) and not (last and grown and now == was + grown):
            return f"axis {axis} had {was} elements"
    return None


def _words(spec: TensorSpec | None) -> str | None:
    return None if spec is None else f"{spec.datatype} {list(spec.shape)}"
