"""Folders with a little of each recipe's data, and one thread: on so little work more of them only wait."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from export.recipes.files import SHIPPED, read_bytes
from export.recipes.mnist_data import MnistData, load_mnist
from tests.export.recipes.reduced import MNIST_TEST, MNIST_TRAIN, ROWS, TABLES, write_idx


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first images of MNIST."""
    folder = tmp_path_factory.mktemp("mnist")
    full = load_mnist()
    write_idx(
        folder,
        MnistData(
            full.train_images[:MNIST_TRAIN],
            full.train_labels[:MNIST_TRAIN],
            full.test_images[:MNIST_TEST],
            full.test_labels[:MNIST_TEST],
        ),
    )
    return folder


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first rows of each table, not gzipped."""
    folder = tmp_path_factory.mktemp("tables")
    for name in TABLES:
        lines = read_bytes(SHIPPED / f"{name}.gz").decode().splitlines()
        (folder / name).write_text("\n".join(lines[: 1 + ROWS]) + "\n")
    return folder


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT, its tokenizer, and reviews that their first word decides."""
    pytest.importorskip("transformers", reason="lambdaserve[transformers] is not installed")
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("reviews")
    words = ["[PAD]", "[UNK]", "a", "the", "film", "is", "plot", "good", "bad", "very", "story", "of", "and"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=words[1]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.1,  # the learning rate is one for trained weights
    )
    config.to_json_file(folder / "config.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(BertModel(config).state_dict(), folder / "model.safetensors")
    random = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        good = bool(random.integers(2))
        text = ["good" if good else "bad", *random.choice(words[2:7], random.integers(1, 9))]
        lines.append(f"{2.5 if good else -2.5}\t{' '.join(text)}")
    (folder / "movie-reviews.tsv").write_text("\n".join(lines) + "\n")
    return folder
