"""Forms as browsers and curl send them, and forms that are none."""

import logging
import re

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.api.forms import read_form
from handlers.errors import InvalidInput

TYPE = "multipart/form-data; boundary=X"
PART = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
END = b"\r\n--X--\r\n"


def encoded(files: list[bytes], **fields: str) -> tuple[str, bytes]:
    """Return content type and body of a form, as a real client makes it."""
    sent = [("file", (f"{number}.jpg", content, "image/jpeg")) for number, content in enumerate(files)]
    request = httpx.Request("POST", "http://localhost", files=sent, data=fields)
    return request.headers["content-type"], request.read()


@given(files=st.lists(st.binary(max_size=200) | st.just(b"--X\r\n--"), min_size=1, max_size=5))
def test_files_come_out_as_they_went_in(files: list[bytes]) -> None:
    form = read_form(*encoded(files))

    assert form.files == files
    assert form.options == {}


def test_the_part_parameters_holds_options() -> None:
    form = read_form(*encoded([b"one", b"two"], parameters='{"top_k": 3}'))

    assert form.files == [b"one", b"two"]
    assert form.options == {"top_k": 3}


@pytest.mark.parametrize(
    "boundary", ["boundary=X", 'Boundary="X"', "charset=utf-8;boundary=X", "boundary=X; charset=utf-8"]
)
@pytest.mark.parametrize("name", [b'name="file"', b"name=file", b'filename="name=x"; name="file"'])
def test_headers_may_be_written_in_several_ways(boundary: str, name: bytes) -> None:
    body = b"--X\r\ncontent-disposition: form-data; " + name + b"\r\n\r\ncontent" + END

    assert read_form(f"multipart/form-data; {boundary}", body).files == [b"content"]


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("multipart/form-data", PART + END, "content type: multipart/form-data without a boundary"),
        ("multipart/form-data; boundary=" + "X" * 71, b"", "content type: multipart/form-data without a boundary"),
        (TYPE, b"", "body: a form that ends in part 1, expected a last boundary"),
        (TYPE, b"hello", "body: no form ("),
        (TYPE, PART + b"content", "body: a form that ends in part 1, expected a last boundary"),
        (TYPE, PART + b"content\r\n--Y--", "body: a form that ends in part 1, expected a last boundary"),
        (TYPE, b"--X\r\nno header\r\n\r\ncontent" + END, "body: no form ("),
        (TYPE, b"--X\r\nContent-Type: image/png\r\n\r\ncontent" + END, "body: part 1 without a name, expected"),
        (TYPE, b"--X\r\n" + b"a: b\r\n" * 20 + b"\r\ncontent" + END, "body: no form (Maximum header count exceeded)"),
        (TYPE, b"--X\r\na: " + b"b" * 10_000 + b"\r\n\r\n" + END, "body: no form (Maximum header size exceeded)"),
        (
            TYPE,
            PART + b"\r\n--X\r\n" + (PART[5:] + b"\r\n--X\r\n") * 1_001,
            "body: a form of more than 1000 parts",
        ),
        (TYPE, PART.replace(b'"file"', b'"parameters"') + b"[1]" + END, "parameters: Expected `object`, got `array`"),
        (TYPE, PART.replace(b'"file"', b'"parameters"') + b"\xff" + END, "parameters: "),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(message)}"):
        read_form(content_type, body)


def test_nothing_of_a_form_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidInput):
        read_form(TYPE, b"secret")

    read_form(TYPE, PART + b"content" + END + b"secret")
    assert caplog.records == []


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from([PART, END, b"--X", b"\r\n", b"--", b"X", b": ", b"name=", b"a"]) | st.binary(max_size=4)
    )
)
def test_whatever_a_body_is_it_is_read_or_refused(pieces: list[bytes]) -> None:
    try:
        read_form(TYPE, b"".join(pieces))
    except InvalidInput as error:
        assert len(str(error)) < 300  # noqa: PT017 - a property, not an expectation of this error
