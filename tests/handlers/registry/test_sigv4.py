"""Signatures: AWS's published examples, and botocore's for anything else."""

import calendar
import time

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import quote
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from handlers.registry.stores.sigv4 import Credentials, sign_get, uri_encode

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
MAY_24 = calendar.timegm((2013, 5, 24, 0, 0, 0))
WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.from_regex(r"x-amz-[a-z]{1,8}(-[a-z]{1,8})?", fullmatch=True).filter(
    lambda name: name not in {"x-amz-date", "x-amz-security-token"}
)


@pytest.mark.parametrize(
    ("target", "headers", "names", "signature"),
    [
        (
            "/test.txt",
            {"range": "bytes=0-9"},
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/?lifecycle=",
            {},
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "/?max-keys=2&prefix=J",
            {},
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_aws_come_out(target: str, headers: dict[str, str], names: str, signature: str) -> None:
    signed = sign_get(target, {"host": HOST} | headers, EXAMPLE, "us-east-1", MAY_24)

    scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert signed["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    )


@given(
    key=TEXTS,
    query=st.dictionaries(TEXTS, TEXTS, max_size=3),
    headers=st.dictionaries(NAMES, WORDS, max_size=3),
    credentials=st.builds(Credentials, WORDS, WORDS, st.one_of(st.just(""), WORDS)),
    region=st.sampled_from(["us-east-1", "eu-west-1", "us-gov-west-1"]),
)
def test_what_botocore_signs_is_signed_alike(
    key: str, query: dict[str, str], headers: dict[str, str], credentials: Credentials, region: str
) -> None:
    target = "/" + uri_encode(key, safe="/")
    if query:
        target += "?" + "&".join(sorted(f"{uri_encode(name)}={uri_encode(value)}" for name, value in query.items()))
    request = AWSRequest("GET", f"https://{HOST}{target}", headers)
    theirs = BotoCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    S3SigV4Auth(theirs, "s3", region).add_auth(request)
    expected = {name.lower(): value for name, value in request.headers.items()}
    time_s = calendar.timegm(time.strptime(expected["x-amz-date"], "%Y%m%dT%H%M%SZ"))

    signed = sign_get(target, {"host": HOST} | headers, credentials, region, time_s)

    assert signed == expected | {"host": HOST}


@given(TEXTS)
def test_text_is_encoded_as_botocore_does(text: str) -> None:
    assert uri_encode(text) == quote(text, safe="-._~")
    assert uri_encode(text, safe="/") == quote(text, safe="/~")
