"""What reading without boto3 makes of answers that S3 would not give, or would give on a bad day."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handlers.errors import ObjectNotFound, StoreError, StoreUnavailable
from handlers.registry.stores import StoredObject
from handlers.registry.stores.s3_access import S3Access, S3Place
from handlers.registry.stores.s3_connection import Timeouts
from handlers.registry.stores.s3_reads import NeedsBoto3, S3Reads
from handlers.registry.stores.sigv4 import Credentials
from handlers.registry.stores.tls import trust_amazon
from tests.handlers.registry.pieces import Pieces
from tests.servers.scripted import Saying, ScriptedServer, running_script

CREDENTIALS = Credentials("id", "secret", "token")
HELLO = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 5\r\n\r\nhello'
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello"


def part(headers: str, body: bytes = b"hello") -> bytes:
    return f"HTTP/1.1 206 Partial Content\r\n{headers}\r\n\r\n".encode() + body


def refusal(status: int, code: str, message: str = "so it says", *, chunked: bool = False) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    if not chunked:
        return b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    chunks = b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n" % (30, body[:30], len(body) - 30, body[30:])
    return b"HTTP/1.1 %d No\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (status, chunks)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with running_script() as running:
        yield running


def reads_from(port: int, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> S3Reads:
    access = S3Access(S3Place(host, port, tls is not None, "/bucket/", "us-east-1"), CREDENTIALS)
    return S3Reads(access, "bucket", tls, Timeouts(connect_s=5, read_s=0.3), pause_s=0.001)


@pytest.fixture
def reads(server: ScriptedServer) -> S3Reads:
    return reads_from(server.port)


def read_five(reads: S3Reads) -> bytes:
    pieces = Pieces()
    assert reads.copy_range("a", 0, 5, pieces) == len(pieces.content)
    return pieces.content


def test_one_connection_serves_one_read_after_the_other(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.extend([Saying(HELLO), Saying(PART), Saying(PART)])

    assert reads.read("a") == StoredObject(b"hello", '"e"')
    assert reads.read_range("a", 0, 5) == b"hello"
    assert read_five(reads) == b"hello"
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /bucket/a HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % server.port)
    assert b"\r\nrange: bytes=0-4\r\n" in server.requests[1]
    assert b"\r\nx-amz-security-token: token\r\n" in server.requests[1]


def test_a_connection_that_ends_while_idle_is_replaced_at_once(server: ScriptedServer, reads: S3Reads) -> None:
    for then in ("close", "reset"):
        server.sayings.append(Saying(HELLO, then))
        assert reads.read("a").data == b"hello"
    server.sayings.append(Saying(HELLO))
    assert reads.read("a").data == b"hello"

    assert server.connections == 3
    assert len(server.requests) == 3


def test_a_connection_that_ended_while_idle_costs_no_try(server: ScriptedServer, reads: S3Reads) -> None:
    sick = Saying(refusal(503, "SlowDown"))
    server.sayings.extend([Saying(HELLO, "close"), sick, sick, Saying(HELLO)])

    assert reads.read("a") == reads.read("a")


def test_headers_without_end_are_not_collected(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.extend([Saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000)] * 3)

    with pytest.raises(StoreUnavailable, match="more than 65536 bytes of headers"):
        reads.read("a")


def test_a_connection_that_has_fallen_silent_is_replaced(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.extend([Saying(HELLO), Saying(b"", "be silent"), Saying(HELLO)])

    assert reads.read("a") == reads.read("a")
    assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        Saying(PART.replace(b"HTTP/1.1", b"HTTP/1.0")),
        Saying(PART.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
        Saying(PART + b"and more than was asked for"),
    ],
)
def test_a_connection_that_cannot_go_on_is_not_used_again(
    server: ScriptedServer, reads: S3Reads, first: Saying
) -> None:
    server.sayings.extend([first, Saying(PART)])

    assert read_five(reads) == read_five(reads) == b"hello"
    assert server.connections == 2


PASSING = [
    Saying(b"", "close"),
    Saying(b"", "reset"),
    Saying(b"", "be silent"),
    Saying(b"HTTP/1.1 206", "close"),
    Saying(b"HTTP/1.1 206 Partial", "be silent"),
    Saying(PART[:-2], "close"),
    Saying(PART[:-2], "reset"),
    Saying(PART[:-2], "be silent"),
    Saying(b"garbage, and quite some of it\r\n\r\n"),
    Saying(b"\0" * 100_000, "close"),
    Saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, "be silent"),
    Saying(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    Saying(part("Content-Range: bytes 0-4/9\r\nContent-Length: -5")),
    Saying(part("Content-Range: bytes 0-4/9\r\nContent-Length: " + "9" * 5000)),
    Saying(part("Content-Range: bytes 0-4/9\r\nContent-Length: 5\r\nContent-Length: 6")),
    Saying(part("Content-Range: bytes 0-5/9\r\nContent-Length: 6", b"hello!")),
    Saying(part("Content-Range: bytes 1-5/9\r\nContent-Length: 5")),
    Saying(part("Content-Length: 5")),
    Saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello all"),
    Saying(refusal(500, "InternalError")),
    Saying(refusal(502, "BadGateway"), "close"),
    Saying(refusal(503, "SlowDown", chunked=True)),
    Saying(refusal(503, "SlowDown")[:-9], "be silent"),
    Saying(refusal(504, "GatewayTimeout")),
    Saying(refusal(429, "TooManyRequests")),
    Saying(refusal(400, "RequestTimeout")),
    Saying(b"HTTP/1.1 503 No\r\n\r\n" + b"<html>" * 100_000, "be silent"),
]


@pytest.mark.parametrize("saying", PASSING, ids=lambda saying: repr(saying)[:70])
def test_what_may_pass_is_tried_three_times(server: ScriptedServer, reads: S3Reads, saying: Saying) -> None:
    server.sayings.extend([saying, saying, Saying(PART)])
    assert read_five(reads) == b"hello"

    server.sayings.extend([saying, saying, saying, Saying(PART)])
    with pytest.raises(StoreUnavailable, match=r"^s3://bucket/a: .*, expected .*; try again$"):
        read_five(reads_from(server.port))
    assert len(server.sayings) == 1


NOT_FOUND = "^s3://bucket/a: nothing there, expected an object$"
NO_BUCKET = "^s3://bucket/a: no bucket bucket, expected it to exist; create it or correct the URL$"
DENIED = (
    r"^s3://bucket/a: AccessDenied so <it> says \(HTTP 403\), expected permission for GetObject; S3 also answers 403 "
)
EXPIRED = r"^s3://bucket/a: ExpiredToken so it says \(HTTP 400\), expected GetObject to be done; try again$"
TEAPOT = r"^s3://bucket/a: 418  \(HTTP 418\), expected GetObject to be done; try again$"


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (refusal(404, "NoSuchKey"), ObjectNotFound, NOT_FOUND),
        (refusal(404, "NoSuchKey", chunked=True), ObjectNotFound, NOT_FOUND),
        (refusal(404, "NoSuchBucket"), StoreUnavailable, NO_BUCKET),
        (refusal(403, "AccessDenied", "so &lt;it&gt;\n says"), StoreUnavailable, DENIED),
        (refusal(400, "ExpiredToken"), StoreUnavailable, EXPIRED),
        (b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n", StoreUnavailable, TEAPOT),
        (b"HTTP/1.1 418 I'm a teapot\r\n\r\n" + b"<hr>" * 100_000, StoreUnavailable, TEAPOT),
        (b"HTTP/1.1 418 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n0\r\n\r\n", StoreUnavailable, TEAPOT),
    ],
)
def test_what_is_refused_is_said_in_the_words_of_the_house_at_once(
    server: ScriptedServer, reads: S3Reads, data: bytes, error: type[StoreError], message: str
) -> None:
    asks: list[Callable[[], object]] = [
        lambda: reads.read("a"),
        lambda: reads.read_range("a", 0, 5),
        lambda: read_five(reads),
    ]
    for ask in asks:
        server.sayings.append(Saying(data))
        with pytest.raises(error, match=message) as raised:
            ask()
        assert type(raised.value) is error
    assert len(server.requests) == 3


def test_behind_the_end_there_is_nothing(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.extend([Saying(refusal(416, "InvalidRange"))] * 2)

    assert reads.read_range("a", 9, 5) == b""
    assert read_five(reads) == b""


def test_an_end_before_the_end_of_the_range_is_told(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.append(Saying(part("Content-Range: bytes 7-8/9\r\nContent-Length: 2", b"yz")))
    pieces = Pieces()

    assert reads.copy_range("a", 7, 5, pieces) == 2
    assert pieces.content == b"yz"


@pytest.mark.parametrize(
    "data",
    [
        refusal(301, "PermanentRedirect"),
        refusal(307, "TemporaryRedirect"),
        refusal(400, "AuthorizationHeaderMalformed"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
def test_what_only_boto3_knows_to_deal_with_is_told(server: ScriptedServer, reads: S3Reads, data: bytes) -> None:
    server.sayings.append(Saying(data))

    with pytest.raises(NeedsBoto3):
        reads.read("a")


def page(names: list[str], token: str = "") -> bytes:
    folders = "".join(f"<CommonPrefixes>\n <Prefix>p/{name}/</Prefix></CommonPrefixes>" for name in names)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f"<?xml version='1.0'?><ListBucketResult>{more}{folders}</ListBucketResult>\n".encode()
    middle = len(body) // 2
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (middle, body[:middle], len(body) - middle, body[middle:])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


def test_folders_of_several_pages_are_sorted_by_name(server: ScriptedServer, reads: S3Reads) -> None:
    server.sayings.extend([Saying(page(["a-b", "a"], "1/+=&amp;")), Saying(page(["c", ".hidden", "b&amp;b"]))])

    assert list(reads.list_folders("p/")) == ["a", "a-b", "c"]
    assert server.requests[0].startswith(b"GET /bucket?delimiter=%2F&list-type=2&prefix=p%2F HTTP/1.1\r\n")
    assert server.requests[1].startswith(b"GET /bucket?continuation-token=1%2F%2B%3D%26&delimiter=%2F&")


def test_a_list_that_breaks_off_is_asked_for_again(server: ScriptedServer, reads: S3Reads) -> None:
    whole = page(["a", "b"])
    for broken in (Saying(whole[:-60], "close"), Saying(whole[:-60], "be silent"), Saying(HELLO)):
        server.sayings.extend([broken, broken, Saying(whole)])
        assert list(reads.list_folders("p/")) == ["a", "b"]
    server.sayings.append(Saying(refusal(403, "AccessDenied")))
    with pytest.raises(
        StoreUnavailable, match=r"^s3://bucket/p/: AccessDenied .*, expected permission for ListObjectsV2"
    ):
        reads.list_folders("p/")


def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and not listening
        with pytest.raises(StoreUnavailable, match=r"127.0.0.1:\d+: Connection refused, expected an answer from S3"):
            reads_from(nobody.getsockname()[1]).read("a")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost` and its key, in one file; it is its own authority."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running_script(context) as running:
        yield running


def test_tls_is_spoken_with_whom_the_certificate_names(tls_server: ScriptedServer, certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=str(certificate))
    body = bytes(range(256)) * 1000
    headers = f"Content-Range: bytes 0-{len(body) - 1}/{len(body)}\r\nContent-Length: {len(body)}"
    tls_server.sayings.extend([Saying(part(headers, body)), Saying(part(headers, body)[:-9], "close")] * 2)
    reads = reads_from(tls_server.port, trust, "localhost")

    for _ in range(2):
        pieces = Pieces()
        assert reads.copy_range("a", 0, len(body), pieces) == len(body)
        assert pieces.content == body
    with pytest.raises(NeedsBoto3, match=r"^127\.0\.0\.1: "):
        reads_from(tls_server.port, trust).read("a")


def test_a_certificate_that_is_not_amazons_is_left_to_boto3(tls_server: ScriptedServer) -> None:
    tls_server.sayings.append(Saying(HELLO))

    with pytest.raises(NeedsBoto3, match=r"^localhost: .*self-signed certificate"):
        reads_from(tls_server.port, trust_amazon(), "localhost").read("a")
    assert tls_server.requests == []


def test_amazons_roots_are_all_there() -> None:
    names = {dict(item[0] for item in root["subject"])["commonName"] for root in trust_amazon().get_ca_certs()}  # type: ignore[misc]

    assert names == {
        *(f"Amazon Root CA {number}" for number in (1, 2, 3, 4)),
        "Starfield Services Root Certificate Authority - G2",
    }
