"""Photographs, asked over HTTP, get the answers that the original PyTorch pipeline gives to them."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.real.carriers import carried_file
from benchmarks.real.efficientnet import network
from benchmarks.real.photos import CALIBRATING, JUDGING
from export import Evaluation, ModelSource
from handlers.tasks.definitions import ImageClassificationTask, Resize
from tests.benchmarks.real.carried import or_skip
from tests.handlers.api.built import serving
from tests.handlers.api.gateway import Gateway
from tests.handlers.tasks.images.definitions import IMAGENET
from tests.handlers.tasks.images.transforms import center_crop, resize, to_tensor

# What the network is given is equal to the bit; PyTorch and onnxruntime add its products in another order.
TOLERANCE = 1e-5
SIDE = 224
PATH = "/v1/models/photographs:predict"
TASK = ImageClassificationTask(
    input="image",
    output="logits",
    labels=tuple(str(number) for number in range(1000)),
    resize=Resize(height=256, width=256, keep_aspect=True, interpolation="bicubic"),
    crop=(SIDE, SIDE),
    mean=IMAGENET[0],
    std=IMAGENET[1],
)


def photograph(name: str) -> Path:
    return carried_file("scikit-image", f"skimage/data/{name}")


@pytest.fixture(scope="module")
def module() -> torch.nn.Module:
    return or_skip(network)


@pytest.fixture(scope="module")
def gateway(module: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    source = ModelSource(
        name="photographs",
        module=module,
        inputs={"image": torch.zeros(1, 3, SIDE, SIDE)},
        outputs=["logits"],
        calibration=[[or_skip(lambda: photograph(CALIBRATING[0]))]],
        evaluation=Evaluation([([photograph(name) for name in JUDGING[:4]], None)]),
        task=TASK,
    )
    with serving(source, tmp_path_factory.mktemp("photographs")) as gateway:
        yield gateway


def probabilities(module: torch.nn.Module, name: str) -> np.ndarray:
    """Return what the pipeline of torchvision's examples says of a photograph: float32 [1000]."""
    with Image.open(photograph(name)) as image:
        pixels = center_crop(resize(image.convert("RGB"), 256, "bicubic"), SIDE, SIDE)
    with torch.inference_mode():
        found: np.ndarray = module(to_tensor(pixels, *IMAGENET)[None]).softmax(1)[0].numpy()
    return found


def check(prediction: Any, expected: np.ndarray) -> None:  # noqa: ANN401 - JSON
    assert [found["label"] for found in prediction[:1]] == [str(expected.argmax())]
    assert len(prediction) == TASK.top_k
    for found in prediction:
        assert found["score"] == pytest.approx(expected[int(found["label"])], abs=TOLERANCE)
    assert [found["score"] for found in prediction] == pytest.approx(np.sort(expected)[:-6:-1], abs=TOLERANCE)


@pytest.mark.parametrize("name", [*CALIBRATING, *JUDGING])
def test_a_photograph_gets_the_answer_of_the_pytorch_pipeline(
    gateway: Gateway, module: torch.nn.Module, name: str
) -> None:
    kind = "image/jpeg" if name.endswith(".jpg") else "image/png"

    answer = gateway.send("POST", PATH, photograph(name).read_bytes(), headers={"Content-Type": kind})

    assert answer.status == 200, answer.body
    check(answer.body["predictions"][0], probabilities(module, name))


def test_photographs_in_a_form_and_in_json_get_the_same(gateway: Gateway, module: torch.nn.Module) -> None:
    names = ("chelsea.png", "coffee.png", "rocket.jpg")
    files = [photograph(name).read_bytes() for name in names]
    request = httpx.Request("POST", f"http://localhost{PATH}", files=[("image", content) for content in files])

    form = gateway.send("POST", PATH, request.read(), headers={"Content-Type": request.headers["content-type"]})
    text = gateway.send("POST", PATH, {"instances": [{"b64": base64.b64encode(content).decode()} for content in files]})

    assert form.status == text.status == 200
    for answer in (form, text):
        for prediction, name in zip(answer.body["predictions"], names, strict=True):
            check(prediction, probabilities(module, name))
    assert [prediction[0]["label"] for prediction in form.body["predictions"][:2]] == ["285", "967"]  # cat, espresso
