"""The task as the service calls it: forms, limits, answers, and definitions that do not fit."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from jsonschema import validate  # type: ignore[import-untyped]

from handlers.errors import InvalidInput, RuntimeFailure, UnsupportedManifest
from handlers.tasks.definitions import Resize
from handlers.tasks.images.classification import MAX_PIXELS_AT_ONCE
from tests.handlers.tasks.images.definitions import task
from tests.handlers.tasks.images.files import encoded, noise

FILE = encoded(noise(20, 20))
TEXT = base64.b64encode(FILE).decode()


@pytest.mark.parametrize("instance", [TEXT, {"b64": TEXT}, f"data:image/png;base64,{TEXT}"])
def test_an_image_in_text_is_the_image_itself(instance: object) -> None:
    tested = task()
    validate(instance, tested.instance_schema)

    found, expected = (tested.collate(tested.prepare([given]))["image"] for given in (instance, FILE))

    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (7, 'int, expected an image file in base64, or {"b64": <base64>}'),
        ({"b64": 7}, "an object with ['b64'], expected an image file in base64"),
        ({"b65": TEXT}, "an object with ['b65'], expected an image file in base64"),
        (None, "NoneType, expected an image file in base64"),
        ("no base64!", "no base64 ("),
        (TEXT[:100] + "\n" + TEXT[100:], "expected the base64 of an image file, without line breaks"),
        ("schön", "no base64 ("),
        ("data:image/png,abc", "the data URL 'data:image/png', expected data:image/png;base64,<base64>"),
        ("data:image/png;base64", "the data URL 'data:image/png;base64', expected"),
        ("", "an empty file, expected a JPEG, PNG or WebP"),
        ("aGVsbG8=", "bytes that begin with 68 65 6c 6c 6f, expected a JPEG, PNG or WebP"),
    ],
)
def test_what_is_no_image_is_refused_by_its_number(instance: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^instances\\[1\\]: .*{re.escape(message)}"):
        task().prepare([TEXT, instance])


def test_a_long_strip_is_refused_before_it_is_resized() -> None:
    strip = encoded(noise(1, 20_000))
    tested = task(-1, 3, 200, 200, resize=Resize(height=200, width=200, keep_aspect=True), crop=(200, 200))

    with pytest.raises(InvalidInput, match="1 x 20000 pixels, 200 x 4000000 once resized, expected at most 25000000"):
        tested.prepare([strip])


def test_the_pixels_of_a_request_are_counted_before_any_is_decoded() -> None:
    broken = bytearray(encoded(noise(10, 10)))
    broken[60:] = b""
    tested = task(-1, 3, 4_000, 4_000, resize=Resize(height=4_000, width=4_000))
    files = [bytes(broken), *[FILE] * (MAX_PIXELS_AT_ONCE // 16_000_000)]

    with pytest.raises(InvalidInput, match=r"instances\[3\]: more than 50000000 pixels with those before it"):
        tested.prepare(files)


def test_even_the_smallest_images_are_not_endless() -> None:
    with pytest.raises(InvalidInput, match=r"instances\[2000\]: more than"):
        task().prepare([encoded(noise(1, 1))] * 2_500)


def test_an_image_of_another_size_than_the_models_is_refused_where_nothing_resizes_it() -> None:
    tested = task(-1, 3, 20, -1, resize=None)

    assert tested.collate(tested.prepare([FILE]))["image"].shape == (1, 3, 20, 20)
    with pytest.raises(InvalidInput, match=r"instances\[0\]: 20 x 10 pixels, expected any x 20"):
        tested.prepare([encoded(noise(20, 10))])


def test_images_of_different_sizes_are_no_batch() -> None:
    tested = task(-1, 3, -1, -1, resize=None)

    with pytest.raises(InvalidInput, match=r"images of different sizes .*, expected one size in a request"):
        tested.collate(tested.prepare([FILE, encoded(noise(20, 10))]))


def test_what_an_image_takes_is_known_by_its_header() -> None:
    tested = task(-1, 3, 100, 100, resize=Resize(height=100, width=100))
    small, large = noise(10, 10), noise(300, 200)

    assert tested.memory_bytes([encoded(large, "JPEG")]) == 300 * 200 * 8 + 100 * 100 * (8 + 3)
    assert tested.memory_bytes([encoded(large, "WEBP")]) == 300 * 200 * 16 + 100 * 100 * (8 + 3)
    assert tested.memory_bytes([encoded(small), encoded(large)]) == 300 * 200 * 8 + 100 * 100 * (8 + 2 * 3)
    assert task(-1, 3, -1, -1, resize=None).memory_bytes([encoded(large)]) == 300 * 200 * (8 + 3)


def test_the_best_labels_answer() -> None:
    tested = task(top_k=2)
    logits = np.log(np.array([[0.25, 0.25, 0.5], [0.125, 0.75, 0.125]], np.float32))

    answer = tested.answer(tested.prepare([FILE, FILE]), {"logits": logits}, tested.check_options({}))

    assert json.loads(json.dumps(answer)) == [
        [{"label": "bird", "score": pytest.approx(0.5)}, {"label": "cat", "score": pytest.approx(0.25)}],
        [{"label": "dog", "score": pytest.approx(0.75)}, {"label": "cat", "score": pytest.approx(0.125)}],
    ]
    validate(answer[0], tested.prediction_schema)


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (3, 3), (9, 3)])
def test_a_request_may_ask_for_more_labels_or_fewer(top_k: int, count: int) -> None:
    tested = task()
    validate({"top_k": top_k}, tested.options_schema)

    [answer] = tested.answer(
        tested.prepare([FILE]), {"logits": np.zeros((1, 3), np.float32)}, tested.check_options({"top_k": top_k})
    )

    assert isinstance(answer, list)
    assert len(answer) == count


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": "3"}, {"top": 3}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=r"^parameters: .*, expected some of: top_k$"):
        task().check_options(options)


def test_a_model_with_another_number_of_scores_than_labels_is_a_fault_of_ours() -> None:
    tested = task(scores=(-1, -1))

    with pytest.raises(RuntimeFailure, match=r"output 'logits': shape \[1, 4\], expected \[1, 3\]"):
        tested.answer(tested.prepare([FILE]), {"logits": np.zeros((1, 4), np.float32)}, tested.check_options({}))


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ((-1, 3, 8, 6), {}),
        ((-1, 1, 8, 6), {"color": "L", "mean": (0.5,), "std": (0.5,)}),
        ((-1, 3, 20, 20), {"resize": None}),
        ((-1, 3, -1, -1), {"resize": None}),
        ((-1, -1, -1, -1), {"resize": None, "crop": (7, 9)}),
        ((-1, 40, 30, 3), {"resize": None, "crop": (40, 30), "layout": "NHWC"}),
    ],
)
def test_the_example_can_be_answered(shape: tuple[int, ...], changes: dict[str, Any]) -> None:
    tested = task(*shape, **changes)
    validate(tested.example, tested.instance_schema)

    found = tested.collate(tested.prepare([tested.example]))["image"]

    assert all(expected in (-1, length) for length, expected in zip(found.shape, shape, strict=True))


@pytest.mark.parametrize(
    ("shape", "scores", "changes", "message"),
    [
        ((), (), {"input": "x"}, "input 'x', expected the model's only one: ['image']"),
        ((), (), {"output": "y"}, "output 'y', expected one of ['logits']"),
        ((-1, 3, 8), (), {}, "input 'image' is FP32 [-1, 3, 8], expected floats, NCHW"),
        ((-1, 1, 8, 6), (), {}, "input 'image' has 1 channels, expected 3 for color 'RGB'"),
        ((-1, 3, 8, 6), (), {"layout": "NHWC"}, "input 'image' has 6 channels, expected 3 for color 'RGB'"),
        ((), (), {"mean": (0.5,)}, "1 numbers in `mean`, 3 in `std`, expected 3, one for each channel"),
        ((), (), {"std": (1.0, 0.0, 1.0)}, "std [1.0, 0.0, 1.0], expected no 0"),
        ((), (-1, 4), {}, "3 labels for output 'logits' of shape [-1, 4], expected [batch, 3]"),
        ((), (-1, 3, 3), {}, "3 labels for output 'logits' of shape [-1, 3, 3], expected [batch, 3]"),
        ((), (-1, -1), {"labels": ()}, "no labels, expected at least one"),
        ((-1, 3, 6, 8), (), {}, "images of height 8 and width 6, expected 6 and 8"),
        (
            (-1, 3, 8, 8),
            (),
            {"resize": Resize(height=8, width=8, keep_aspect=True)},
            "images of any shape for an input of 8 x 8, expected a `crop` after the `resize`",
        ),
    ],
)
def test_a_definition_that_does_not_fit_its_model_is_refused(
    shape: tuple[int, ...], scores: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsupportedManifest, match=f"^task: {re.escape(message)}$"):
        task(*shape, scores=scores or (-1, 3), **changes)
