"""From text to tokens to arrays, with the library `tokenizers` itself."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import CorruptFile, UnsupportedManifest
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.tasks.definitions import EmbeddingTask, FillMaskTask, TaskDefinition, TextClassificationTask, Tokenization
from handlers.tasks.opening import open_task
from handlers.tasks.tokens import Tokenizer
from tests.words import word_tokenizer

KINDS = {"a": "ids", "b": "mask", "c": "types"}


def tokenization(max_tokens: int = 8, **other: object) -> Tokenization:
    return Tokenization(inputs=KINDS, max_tokens=max_tokens, **other)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose own truncation and padding are other ones than the manifest's."""
    made = word_tokenizer(["good", "bad"])
    made.enable_truncation(3)
    made.enable_padding(length=20)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def test_batches_are_padded_to_their_longest_text_as_the_manifest_says(path: Path) -> None:
    tokenizer = Tokenizer(path, tokenization(pad_id=9))
    arrays = tokenizer.collate(tokenizer.encode(["good bad good", "bad", ("good", "bad")]))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "a": [[2, 5, 6, 5, 3], [2, 6, 3, 9, 9], [2, 5, 3, 6, 3]],
        "b": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
        "c": [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]],
    }


def test_a_model_of_one_length_gets_that_length(path: Path) -> None:
    tokenizer = Tokenizer(path, tokenization(pad_to=10))
    assert tokenizer.collate(tokenizer.encode(["good"]))["a"].tolist() == [[2, 5, 3, 0, 0, 0, 0, 0, 0, 0]]


def test_of_a_pair_that_is_too_long_the_longer_text_is_cut_first(path: Path) -> None:
    [tokens] = Tokenizer(path, tokenization()).encode([("good " * 9, "bad")])
    assert tokens.ids.tolist() == [2, 5, 5, 5, 5, 3, 6, 3]


def test_of_a_huge_text_no_more_is_read_than_64_characters_for_each_token(path: Path) -> None:
    tokenizer = Tokenizer(path, tokenization())
    within, beyond = " " * (8 * 64 - 4) + "good", " " * (8 * 64) + "good"
    found = tokenizer.encode([within, beyond, "good " * 1_000_000, (beyond, within), ("good", beyond)])
    assert [tokens.ids.tolist() for tokens in found] == [
        [2, 5, 3],
        [2, 3],
        [2, *[5] * 6, 3],
        [2, 3, 5, 3],
        [2, 5, 3, 3],
    ]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_has_tokens_within_the_limit(path: Path, texts: list[str]) -> None:
    tokenizer = Tokenizer(path, tokenization())
    found = tokenizer.encode(texts)
    assert all(tokens.ids[0] == 2 and tokens.ids[-1] == 3 for tokens in found)
    assert tokenizer.collate(found)["b"].sum(1).tolist() == [tokens.length for tokens in found]
    assert max(tokens.length for tokens in found) <= 8


def test_many_texts_and_long_ones_keep_their_order(path: Path) -> None:
    tokenizer = Tokenizer(path, tokenization(2000))
    texts = [*(f"{'good ' * (i % 3)}bad" for i in range(2500)), *(f"bad {'good ' * 1990}" for _ in range(20)), "good"]
    right = [*([2, *[5] * (i % 3), 6, 3] for i in range(2500)), *[[2, 6, *[5] * 1990, 3]] * 20, [2, 5, 3]]
    assert [tokens.ids.tolist() for tokens in tokenizer.encode(texts)] == right
    assert [tokens.text for tokens in tokenizer.encode(texts, places=True)] == texts


@given(st.text(alphabet="good bad", max_size=30))
def test_ids_of_a_text_are_the_text(path: Path, text: str) -> None:
    tokenizer = Tokenizer(path, tokenization())
    [tokens] = tokenizer.encode([text])
    ids = tokens.ids.tolist()
    assert tokenizer.take_ids(ids).ids.tolist() == ids
    if len(ids) > 2:
        assert tokenizer.take_ids(ids[1:-1]).ids.tolist() == ids


def test_one_tokenizer_serves_many_threads(path: Path) -> None:
    tokenizer = Tokenizer(path, tokenization(64))
    texts = [f"{'good ' * (i % 50)}bad" for i in range(200)]
    right = [[2, *[5] * (i % 50), 6, 3] for i in range(200)]
    found: list[bool] = []

    def encode() -> None:
        found.extend([tokens.ids.tolist() for tokens in tokenizer.encode(texts)] == right for _ in range(5))

    threads = [threading.Thread(target=encode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (tokenization(2), "task: max_tokens 2, expected more than the 2 special tokens of each text"),
        (tokenization(8, pad_to=7), "task: pad_to 7, expected at least max_tokens 8"),
    ],
)
def test_tokenization_that_contradicts_itself_is_refused(path: Path, said: Tokenization, message: str) -> None:
    with pytest.raises(UnsupportedManifest, match=message):
        Tokenizer(path, said)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"model": {"type": "WordLevel"}}'])
def test_a_file_that_is_no_tokenizer_is_corrupt(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CorruptFile, match=r"^tokenizer tokenizer.json: .+, expected a tokenizer.json$"):
        Tokenizer(tmp_path / "tokenizer.json", tokenization())


INPUTS = [TensorSpec(name=name, datatype="INT64", shape=(-1, -1)) for name in KINDS]
OUTPUTS = [TensorSpec(name="logits", datatype="FP32", shape=(-1, 2))]


def third(datatype: Datatype, length: int) -> TensorSpec:
    return TensorSpec(name="c", datatype=datatype, shape=(-1, length))


def labelled(*labels: str) -> TextClassificationTask:
    return TextClassificationTask(tokenization=tokenization(), output="logits", labels=labels)


def masked(word: str) -> FillMaskTask:
    return FillMaskTask(tokenization=tokenization(), output="logits", mask_token=word)


EMBEDDING = EmbeddingTask(tokenization=tokenization(), output="logits")


@pytest.mark.parametrize(
    ("definition", "inputs", "with_tokenizer", "message"),
    [
        (EMBEDDING, INPUTS, "", "task: text without a tokenizer"),
        (EMBEDDING, INPUTS[:2], "yes", "task: inputs a, b, c INT64"),
        (EMBEDDING, [*INPUTS[:2], third("INT32", -1)], "yes", "task: inputs a, b, c INT64"),
        (EMBEDDING, [*INPUTS[:2], third("INT64", 4)], "yes", "task: pad_to None, expected 4"),
        (EmbeddingTask(tokenization=tokenization(), output="y"), INPUTS, "yes", "output 'y', expected one of: logits"),
        (labelled("a", "b", "c"), INPUTS, "yes", "task: 3 labels, expected one for each element of 'logits'"),
        (masked("<mask>"), INPUTS, "yes", "task: mask_token '<mask>', expected"),
    ],
)  # fmt: skip
def test_a_definition_that_does_not_fit_the_model_is_refused(
    definition: TaskDefinition,
    inputs: list[TensorSpec],
    with_tokenizer: str,
    message: str,
    path: Path,
) -> None:
    with pytest.raises(UnsupportedManifest, match=message):
        open_task(definition, inputs, OUTPUTS, path if with_tokenizer else None)
