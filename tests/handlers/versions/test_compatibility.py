"""What may take the place of what: the rules of docs/versions.md, a line each."""

from pathlib import Path

import msgspec
import pytest

from handlers.registry.manifest import MANIFEST_FILE, Batching, Datatype, Manifest, TensorSpec, decode_manifest
from handlers.tasks.definitions import (
    CategoricalColumn,
    Column,
    EmbeddingTask,
    FillMaskTask,
    ImageClassificationTask,
    NumericColumn,
    TabularTask,
    TaskDefinition,
    TensorTask,
    TextClassificationTask,
    TokenClassificationTask,
    Tokenization,
)
from handlers.versions.compatibility import find_differences, incompatibilities

Shape = tuple[int, ...]


@pytest.fixture(scope="session")
def manifest(artifact: Path) -> Manifest:
    return decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact")


def spec(name: str, shape: Shape, datatype: Datatype = "FP32") -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


def with_input(manifest: Manifest, *inputs: TensorSpec, batching: Batching | None = None) -> Manifest:
    return msgspec.structs.replace(manifest, inputs=inputs, batching=batching)


def with_output(manifest: Manifest, *outputs: TensorSpec, task: TaskDefinition | None = None) -> Manifest:
    return msgspec.structs.replace(manifest, outputs=outputs, task=task or TensorTask())


X, Y = spec("x", (-1, 3)), spec("y", (-1, 3))


@pytest.mark.parametrize(
    ("present", "new", "problem"),
    [
        ((X,), (X,), None),
        ((spec("x", (1, 3)),), (X,), None),  # any length takes one
        ((spec("x", (3, -1)),), (spec("x", (-1, -1)),), None),
        ((X, spec("z", (1,))), (spec("z", (1,)), X), None),  # another order
        ((X,), (spec("x", (1, 3)),), "axis 0 took any length"),
        ((X,), (spec("x", (-1, 4)),), "axis 1 took 3"),
        ((X,), (spec("x", (-1, 3, 1)),), "it had 2 axes"),
        ((X,), (spec("x", (-1, 3), "FP16"),), "its datatype was FP32"),
        ((X,), (spec("pixels", (-1, 3)),), "requests that send it are refused"),
        ((X,), (X, spec("mask", (-1, 3))), "requests do not send it"),
        ((spec("x", ()),), (spec("x", ()),), None),
    ],
)
def test_an_input_takes_all_that_it_took(
    present: tuple[TensorSpec, ...], new: tuple[TensorSpec, ...], problem: str | None, manifest: Manifest
) -> None:
    found = incompatibilities(with_input(manifest, *present), with_input(manifest, *new))

    assert [sentence.rpartition("; ")[2] for sentence in found][:1] == ([] if problem is None else [problem])


def test_batches_that_are_cut_make_an_axis_of_any_length(manifest: Manifest) -> None:
    cut = with_input(manifest, spec("x", (1, 3)), batching=Batching(length=1))

    assert incompatibilities(with_input(manifest, X, batching=Batching()), cut) == ()
    assert incompatibilities(cut, with_input(manifest, spec("x", (1, 3)))) == (
        "input 'x': FP32 [1, 3], expected what fits in the place of FP32 [-1, 3]; axis 0 took any length",
    )


@pytest.mark.parametrize(
    ("present", "new", "problem"),
    [
        ((Y,), (Y,), None),
        ((Y,), (spec("y", (1, 3)),), None),  # who reads any length reads one
        ((Y, spec("z", (1,))), (Y, spec("z", (1,)), spec("w", (1,))), None),
        ((spec("y", (1, 3)),), (Y,), "axis 0 had 1 elements"),
        ((Y,), (spec("y", (-1, 4)),), "axis 1 had 3 elements"),
        ((Y,), (spec("y", (-1,)),), "it had 2 axes"),
        ((Y,), (spec("y", (-1, 3), "INT64"),), "its datatype was FP32"),
        ((Y, spec("z", (1,))), (Y,), "requests that ask for it are refused"),
        ((Y,), (Y, spec("z", (1,))), "predictions become objects, where lists are expected"),
    ],
)
def test_an_output_is_what_it_was(
    present: tuple[TensorSpec, ...], new: tuple[TensorSpec, ...], problem: str | None, manifest: Manifest
) -> None:
    found = incompatibilities(with_output(manifest, *present), with_output(manifest, *new))

    assert [sentence.rpartition("; ")[2] for sentence in found] == ([] if problem is None else [problem])


TOKENS = Tokenization(inputs={"x": "ids"}, max_tokens=8)
ABC = ("a", "b", "c")
OTHER = "instances and predictions are other ones"


def labelled(kind: str, labels: tuple[str, ...]) -> TaskDefinition:
    match kind:
        case "image":
            return ImageClassificationTask(input="x", output="y", labels=labels)
        case "text":
            return TextClassificationTask(tokenization=TOKENS, output="y", labels=labels)
        case "tokens":
            return TokenClassificationTask(tokenization=TOKENS, output="y", labels=labels)
    return TabularTask(columns=(NumericColumn(name="n", input="x"),), output="y", labels=labels)


@pytest.mark.parametrize("kind", ["image", "text", "tokens", "tabular"])
@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (("a", "b", "c"), None),
        (("a", "b", "c", "d"), None),  # the output grows with it
        (("a", "b"), "predictions with it are expected"),
        (("a", "b", "d"), "predictions with it are expected"),
        (("b", "a", "c"), "they stood in another order"),
        (("d", "a", "b", "c"), "they stood in another order"),
    ],
)
def test_labels_stay_where_they_are(
    kind: str, labels: tuple[str, ...], problem: str | None, manifest: Manifest
) -> None:
    present = with_output(manifest, spec("y", (-1, 3)), task=labelled(kind, ABC))
    new = with_output(manifest, spec("y", (-1, len(labels))), task=labelled(kind, labels))

    found = [sentence for sentence in incompatibilities(present, new) if sentence.startswith("labels")]

    assert [sentence.rpartition("; ")[2] for sentence in found] == ([] if problem is None else [problem])
    if problem is None:
        assert incompatibilities(present, new) == ()


def test_added_labels_are_named_among_the_differences(manifest: Manifest) -> None:
    present = with_output(manifest, spec("y", (-1, 3)), task=labelled("text", ABC))
    new = with_output(manifest, spec("y", (-1, 5)), task=labelled("text", (*ABC, "d", "e")))

    output, labels = find_differences(present, new)

    assert (output.before, output.after, output.problem) == ("FP32 [-1, 3]", "FP32 [-1, 5]", None)
    assert (labels.before, labels.after, labels.problem) == ("3 labels", "5 labels (new: 'd', 'e')", None)


def test_an_output_grows_by_what_the_labels_do_and_by_no_more(manifest: Manifest) -> None:
    present = with_output(manifest, spec("y", (-1, 3)), task=labelled("text", ABC))
    new = with_output(manifest, spec("y", (-1, 5)), task=labelled("text", (*ABC, "d")))

    assert incompatibilities(present, new) == (
        "output 'y': FP32 [-1, 5], expected what fits in the place of FP32 [-1, 3]; axis 1 had 3 elements",
    )


def number(name: str = "n", missing: float | None = None, least: float | None = None) -> NumericColumn:
    return NumericColumn(name=name, input="x", missing=missing, minimum=least)


def word(*categories: str, missing: str | None = None, unknown: str | None = None) -> CategoricalColumn:
    return CategoricalColumn(name="w", input="x", categories=categories, missing=missing, unknown=unknown)


@pytest.mark.parametrize(
    ("present", "new", "problem"),
    [
        (number(), NumericColumn(name="n", input="z", offset=1, scale=2), None),  # the model's business
        (number(), number(missing=0), None),
        (number(least=1), number(least=0), None),
        (number(), number(least=0), "it took more numbers"),
        (number(missing=0), number(), "rows that lack it are refused"),
        (number(), number("m"), "rows that have it are refused"),
        (word("a", "b"), word("b", "a", "c"), None),
        (word("a", "b"), word("a", unknown="a"), None),
        (word("a", "b"), word("a"), "it took 'b'"),
        (word("a", unknown="a"), word("a"), "it took any word"),
        (number("w"), word("a"), "its values were of another type"),
    ],
)
def test_a_column_takes_all_that_it_took(present: Column, new: Column, problem: str | None, manifest: Manifest) -> None:
    before, after = (TabularTask(columns=(column,), output="y") for column in (present, new))

    found = incompatibilities(with_output(manifest, Y, task=before), with_output(manifest, Y, task=after))

    assert [sentence.rpartition("; ")[2] for sentence in found][:1] == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (TabularTask(columns=(number(),), output="y", ignored=("old",)), None),
        (TabularTask(columns=(number(), number("old")), output="y"), "rows that lack it are refused"),
        (TabularTask(columns=(number(), number("old", missing=0)), output="y"), None),
        (TabularTask(columns=(number(),), output="y"), "rows that have it are refused"),
        (TabularTask(columns=(number("o"),), output="y", ignored=("n", "old")), "rows that lack it are refused"),
        (TabularTask(columns=(number("o", missing=0),), output="y", ignored=("n", "old")), None),
    ],
)
def test_rows_that_were_taken_are_taken(new: TabularTask, problem: str | None, manifest: Manifest) -> None:
    present = TabularTask(columns=(number(),), output="y", ignored=("old",))

    found = incompatibilities(with_output(manifest, Y, task=present), with_output(manifest, Y, task=new))

    assert [sentence.rpartition("; ")[2] for sentence in found] == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("present", "new", "sentence"),
    [
        (
            TensorTask(),
            labelled("image", ABC),
            "task 'kind': image-classification, expected what fits in the place of tensor; " + OTHER,
        ),
        (
            FillMaskTask(tokenization=TOKENS, output="y", mask_token="[MASK]"),  # noqa: S106 - a mask is no password
            FillMaskTask(tokenization=TOKENS, output="y", mask_token="<mask>"),  # noqa: S106 - as above
            "task 'mask_token': '<mask>', expected what fits in the place of '[MASK]'; texts hold another mask",
        ),
        (EmbeddingTask(tokenization=TOKENS, output="y"), EmbeddingTask(tokenization=TOKENS, output="z"), None),
    ],
)
def test_tasks_are_of_the_same_kind(
    present: TaskDefinition, new: TaskDefinition, sentence: str | None, manifest: Manifest
) -> None:
    found = incompatibilities(with_output(manifest, Y, task=present), with_output(manifest, Y, task=new))

    assert found == (() if sentence is None else (sentence,))
