"""Models of text without a network in them, so that what they must answer can be said beforehand."""

from collections.abc import Iterator

import numpy as np
import pytest

from handlers.api.app import create_app
from handlers.settings import Settings
from handlers.tasks.definitions import (
    EmbeddingTask,
    FillMaskTask,
    TextClassificationTask,
    TokenClassificationTask,
    Tokenization,
)
from tests.artifacts import publish_graphs
from tests.graphs import affine, mean_of_rows, rows
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway
from tests.words import SPECIAL, word_tokenizer

WORDS = ("good", "bad", "film", "paris", "texas")
LABELS = ("O", "B-PLACE", "I-PLACE")
MAX_TOKENS = 8
TOKENS = len(SPECIAL) + len(WORDS)


@pytest.fixture(scope="session")
def store_of_texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store with a model for each task of text, and `affine`, which takes tensors.

    `embedder` answers how much of a text each token is; `judge` is for the first word, good; `places` knows two.
    """
    folder = tmp_path_factory.mktemp("texts")
    url, tokenizer = (folder / "store").as_uri(), folder / "tokenizer.json"
    word_tokenizer(WORDS).save(str(tokenizer))
    ids = {"ids": np.array([[2, 5, 3]])}
    masked = ids | {"mask": np.ones((1, 3), np.int64)}
    both = Tokenization(inputs={"ids": "ids", "mask": "mask"}, max_tokens=MAX_TOKENS)
    only = Tokenization(inputs={"ids": "ids"}, max_tokens=MAX_TOKENS)
    opinions = np.zeros((TOKENS, 2), np.float32)
    opinions[5], opinions[6] = (0, 8), (8, 0)
    places = np.zeros((TOKENS, 3), np.float32)
    places[:, 0], places[8], places[9] = 1, (0, 5, 0), (0, 0, 5)
    publish_graphs(
        url, "embedder", {"fp32": mean_of_rows(np.eye(TOKENS, dtype=np.float32))}, [masked],
        task=EmbeddingTask(tokenization=both, output="mean"), tokenizer=tokenizer,
    )  # fmt: skip
    publish_graphs(
        url, "judge", {"fp32": mean_of_rows(opinions)}, [masked],
        task=TextClassificationTask(tokenization=both, output="mean", labels=("bad", "good")), tokenizer=tokenizer,
    )  # fmt: skip
    publish_graphs(
        url, "places", {"fp32": rows(places)}, [ids],
        task=TokenClassificationTask(tokenization=only, output="logits", labels=LABELS), tokenizer=tokenizer,
    )  # fmt: skip
    publish_graphs(
        url, "gaps", {"fp32": rows(np.tile(np.arange(TOKENS, dtype=np.float32), (TOKENS, 1)))}, [ids],
        task=FillMaskTask(tokenization=only, output="logits", mask_token="[MASK]", top_k=2), tokenizer=tokenizer,  # noqa: S106
    )  # fmt: skip
    publish_graphs(url, "affine", {"fp32": affine()}, [{"x": np.zeros((1, 3), np.float32)}])
    return url


@pytest.fixture(scope="session")
def texts(store_of_texts: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The application over these models, behind Mangum."""
    service = make_service(Settings(store_url=store_of_texts, scratch_dir=tmp_path_factory.mktemp("scratch")))
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    yield gateway
    gateway.close()
