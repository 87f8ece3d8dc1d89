"""Images over KServe V1, in every form, to a model that says which colour an image has most of."""

import base64
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from export import Evaluation, ModelSource
from handlers.tasks.definitions import ImageClassificationTask, Resize
from tests.handlers.api.built import serving
from tests.handlers.api.gateway import Answer, Gateway
from tests.handlers.tasks.images.files import encoded

COLOURS = ("red", "green", "blue")
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
PATH = "/v1/models/colours:predict"


def picture(colour: str, kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", (40, 30), colour), kind)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    source = ModelSource(
        name="colours",
        module=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        inputs={"image": torch.zeros(1, 3, 16, 16)},
        outputs=["share"],
        evaluation=Evaluation([([picture(colour) for colour in COLOURS * 3], np.arange(9) % 3)]),
        task=ImageClassificationTask(
            input="image",
            output="share",
            labels=COLOURS,
            resize=Resize(height=16, width=16, keep_aspect=True),
            crop=(16, 16),
            top_k=1,
        ),
    )
    with serving(source, tmp_path_factory.mktemp("colours")) as gateway:
        yield gateway


def send_form(gateway: Gateway, files: list[bytes], **fields: str) -> Answer:
    """Send files as a real client encodes them."""
    sent = [("image", (f"{number}.png", content, "image/png")) for number, content in enumerate(files)]
    request = httpx.Request("POST", f"http://localhost{PATH}", files=sent, data=fields)
    return gateway.send("POST", PATH, request.read(), headers={"Content-Type": request.headers["content-type"]})


def labels(answer: Answer) -> list[list[str]]:
    assert answer.status == 200, answer.body
    return [[found["label"] for found in prediction] for prediction in answer.body["predictions"]]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_the_body_may_be_the_image(gateway: Gateway, kind: str, colour: str) -> None:
    answer = gateway.send("POST", PATH, picture(colour, kind), headers={"Content-Type": TYPES[kind]})

    assert labels(answer) == [[colour]]


def test_images_may_be_in_json(gateway: Gateway) -> None:
    texts = [base64.b64encode(picture(colour)).decode() for colour in COLOURS]
    instances = [texts[0], {"b64": texts[1]}, f"data:image/png;base64,{texts[2]}"]

    assert labels(gateway.send("POST", PATH, {"instances": instances})) == [[colour] for colour in COLOURS]


def test_images_may_be_in_a_form(gateway: Gateway) -> None:
    answer = send_form(gateway, [picture(colour, "JPEG") for colour in COLOURS])

    assert labels(answer) == [[colour] for colour in COLOURS]


def test_options_come_with_either(gateway: Gateway) -> None:
    instances = [base64.b64encode(picture("orange")).decode()]
    asked = {"instances": instances, "parameters": {"top_k": 2}}

    assert labels(gateway.send("POST", PATH, asked)) == [["red", "green"]]
    assert labels(send_form(gateway, [picture("orange")], parameters='{"top_k": 3}')) == [["red", "green", "blue"]]


def test_more_images_than_go_into_a_batch_stay_in_their_order(gateway: Gateway) -> None:
    colours = [COLOURS[number * number % 3] for number in range(70)]

    assert labels(send_form(gateway, [picture(colour) for colour in colours])) == [[colour] for colour in colours]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (
            b"hello",
            "image/png",
            400,
            "instances[0]: bytes that begin with 68 65 6c 6c 6f, expected a JPEG, PNG or WebP",
        ),
        (b"", "image/png", 400, "instances[0]: an empty file, expected a JPEG, PNG or WebP"),
        (picture("red")[:50], "image/png", 400, "instances[0]: a PNG that cannot be decoded (image file is truncated)"),
        (b"GIF89a", "image/gif", 415, "content type: 'image/gif', expected one of: application/json, image/jpeg, "),
        (b'{"instances": []}', "application/json", 400, "instances: none, expected at least one"),
        (b'{"instances": [7]}', "application/json", 400, "instances[0]: int, expected an image file in base64"),
        (b"--X--\r\n", "multipart/form-data; boundary=X", 400, "instances: none, expected at least one"),
        (b"", "multipart/form-data", 400, "content type: multipart/form-data without a boundary"),
        (
            b'{"instances": ["%b"], "parameters": {"k": 3}}' % base64.b64encode(picture("red")),
            "application/json",
            400,
            "parameters: Object contains unknown field `k`, expected some of: top_k",
        ),
    ],
)
def test_what_cannot_be_classified_is_refused(
    gateway: Gateway, body: bytes, content_type: str, status: int, message: str
) -> None:
    answer = gateway.send("POST", PATH, body, headers={"Content-Type": content_type})

    assert answer.status == status
    assert answer.body["error"].startswith(message)
