"""What every store promises, asked of a folder and of a real S3 API; and what only one of them can get wrong."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from handlers.errors import (
    InvalidName,
    InvalidSetting,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    StoreUnavailable,
)
from handlers.registry.stores import Store, open_store
from tests.handlers.registry.pieces import Pieces
from tests.servers.faults import Fault, FaultyProxy, refusal, running_proxy, scripted
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parents[3]
RACERS = 16
MIB = 1 << 20


@pytest.fixture(params=["file", "s3", "boto3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As the fixture for everybody, and a third time in S3, read by boto3."""
    if request.param == "file":
        return (tmp_path / "store").as_uri()
    request.getfixturevalue("s3_environment")
    if request.param == "boto3":
        request.getfixturevalue("reading_by_boto3")
    return f"s3://{request.getfixturevalue('s3_bucket')}/{uuid4().hex}/prefix"


@pytest.fixture
def reading_by_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "false")  # changes nothing, but that is for boto3 to know


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


# What every store promises


def test_what_is_created_is_read_back(store: Store) -> None:
    etag = store.create("models/m/versions/1/claim", b"hello")

    stored = store.read("models/m/versions/1/claim")

    assert stored.data == b"hello"
    assert stored.etag == etag


def test_an_empty_object_is_an_object(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    store.create("a", b"")
    store.create("b", tmp_path / "empty")

    assert store.read("a").data == store.read("b").data == b""
    assert store.read_range("a", 0, 10) == b""
    with pytest.raises(ObjectExists):
        store.create("a", b"x")


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 10, b"0123456789"),
        (2, 3, b"234"),
        (9, 1, b"9"),
        (8, 10, b"89"),
        (10, 1, b""),
        (1000, 5, b""),
        (3, 0, b""),
    ],
)
def test_a_range_is_what_is_there_of_it(store: Store, offset: int, length: int, expected: bytes) -> None:
    store.create("a/b", b"0123456789")
    pieces = Pieces()

    assert store.read_range("a/b", offset, length) == expected
    assert store.copy_range("a/b", offset, length, pieces) == len(expected)
    assert pieces.content == expected


def test_what_is_not_there_is_not_found(store: Store) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.read("a/b"),
        lambda: store.read_range("a/b", 0, 1),
        lambda: store.read_range("a", 0, 0),
        lambda: store.copy_range("a/b", 0, 1, Pieces()),
        lambda: store.copy_range("a", 0, 0, Pieces()),
    ]
    for ask in asks:
        with pytest.raises(ObjectNotFound, match="a"):
            ask()
    store.create("a/b", b"")
    with pytest.raises(ObjectNotFound):
        store.read("a")
    with pytest.raises(ObjectNotFound):
        store.read("a/b/c")


def test_nothing_is_created_over_what_is_there(store: Store, tmp_path: Path) -> None:
    etag = store.create("a", b"first")
    (tmp_path / "second").write_bytes(b"second")

    for content in (b"second", b"first", b"", tmp_path / "second"):
        with pytest.raises(ObjectExists, match="a: exists already"):
            store.create("a", content)

    assert store.read("a").data == b"first"
    assert store.read("a").etag == etag


def test_of_threads_that_create_the_same_one_wins(store: Store) -> None:
    contents = [b"%d" % number * 1000 for number in range(RACERS)]
    start = threading.Barrier(RACERS)

    def wins(content: bytes) -> bool:
        start.wait()
        try:
            store.create("a/b/claim", content)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        winners = [content for content, won in zip(contents, pool.map(wins, contents), strict=True) if won]

    assert winners == [store.read("a/b/claim").data]


CLAIM = """
import sys
from handlers.errors import ObjectExists
from handlers.registry.stores import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    store.create("a/b/claim", sys.argv[2].encode() * 1000)
    print("won")
except ObjectExists:
    print("lost")
"""


def test_of_processes_that_create_the_same_one_wins(store_url: str) -> None:
    names = [str(number) for number in range(6)]
    processes = [run_python(CLAIM, store_url, name) for name in names]
    for process in processes:
        assert read_line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [process.communicate()[0].strip() for process in processes]

    assert sorted(outcomes) == ["lost"] * 5 + ["won"]
    winner = names[outcomes.index("won")]
    assert open_store(store_url).read("a/b/claim").data == winner.encode() * 1000


def test_no_update_is_lost(store: Store) -> None:
    store.create("counter", b"0")
    start = threading.Barrier(RACERS)

    def increment(_: int) -> None:
        start.wait()
        while True:
            present = store.read("counter")
            try:
                store.replace("counter", b"%d" % (int(present.data) + 1), present.etag)
            except ObjectChanged:
                continue
            return

    with ThreadPoolExecutor(RACERS) as pool:
        list(pool.map(increment, range(RACERS)))

    assert store.read("counter").data == b"%d" % RACERS


def test_replace_returns_the_etag_for_the_next_replace(store: Store) -> None:
    first = store.create("a/b", b"first")
    second = store.replace("a/b", b"second", first)
    third = store.replace("a/b", b"third", second)

    assert store.read("a/b").data == b"third"
    assert store.read("a/b").etag == third
    assert len({first, second, third}) == 3


def test_a_stale_etag_is_refused(store: Store) -> None:
    first = store.create("a", b"first")
    second = store.replace("a", b"second", first)

    with pytest.raises(ObjectChanged):
        store.replace("a", b"third", first)

    assert store.read("a").data == b"second"
    assert store.read("a").etag == second


def test_what_is_not_there_is_not_replaced(store: Store) -> None:
    with pytest.raises(ObjectChanged):
        store.replace("a", b"x", "0" * 64)
    etag = store.create("b", b"x")
    with pytest.raises(ObjectChanged):
        store.replace("a", b"x", etag)
    with pytest.raises(ObjectNotFound):
        store.read("a")


def test_folders_are_listed_by_name_and_files_are_not(store: Store) -> None:
    assert list(store.list_folders("")) == []
    assert list(store.list_folders("models/")) == []
    for model in ("b", "a-b", "a", "a.b"):
        store.create(f"models/{model}/versions/1/claim", b"")
    store.create("models/file", b"")

    assert list(store.list_folders("")) == ["models"]
    assert list(store.list_folders("models/")) == ["a", "a-b", "a.b", "b"]
    assert list(store.list_folders("models/a/")) == ["versions"]
    assert list(store.list_folders("models/a/versions/1/")) == []
    assert list(store.list_folders("model/")) == []


def test_more_folders_than_a_page_of_s3_are_listed(store: Store) -> None:
    with ThreadPoolExecutor(RACERS) as pool:
        list(pool.map(lambda number: store.create(f"n/{number}/x", b""), range(1100)))

    assert list(store.list_folders("n/")) == sorted(str(number) for number in range(1100))


BAD_KEYS = [
    "", ".", "..", "../x", "a/../x", "/x", "/etc/passwd", "a/", "a//b", "./a", ".hidden", "a/.lock", "a\\b", "..\\x",
    "a\0", "\0", "a b", "a\n", "é", "-a", "_a", "a?b", "a#b", "a%2e", "x" * 256, "a/" * 250 + "a",
]  # fmt: skip


def test_a_bad_key_is_refused_before_anything_is_touched(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    asks: list[Callable[[str], object]] = [
        store.read,
        lambda key: store.read_range(key, 0, 1),
        lambda key: store.copy_range(key, 0, 1, Pieces()),
        lambda key: store.create(key, b"x"),
        lambda key: store.create(key, tmp_path / "not there either"),
        lambda key: store.replace(key, b"x", "etag"),
        lambda key: store.list_folders(key + "/"),
    ]

    for key in BAD_KEYS:
        for ask in asks:
            with pytest.raises(InvalidName, match=r"^key: .*, expected at most 500 signs"):
                ask(key)
    with pytest.raises(InvalidName, match=r"^prefix: 'models', expected '' or a / at its end"):
        store.list_folders("models")

    assert list(tmp_path.iterdir()) == []
    assert list(store.list_folders("")) == []


def test_a_large_file_is_written_and_its_progress_adds_up(store: Store, tmp_path: Path) -> None:
    content = os.urandom(MIB) * 40 + b"and a bit"
    (tmp_path / "large").write_bytes(content)
    steps: list[int] = []

    etag = store.create("large", tmp_path / "large", steps.append)

    assert sum(steps) == len(content)
    assert len(steps) > 10
    assert min(steps) > 0
    assert store.read("large").etag == etag
    parts = [store.read_range("large", offset, 8 * MIB) for offset in range(0, len(content), 8 * MIB)]
    assert b"".join(parts) == content


def test_threads_copy_ranges_at_the_same_time(store: Store) -> None:
    content = os.urandom(MIB) * 12 + b"and a bit"
    store.create("large", content)

    def copied(offset: int) -> bytes:
        pieces = Pieces()
        store.copy_range("large", offset, 3 * MIB // 2, pieces)
        return pieces.content

    for _ in range(2):  # the second time over connections that are there
        with ThreadPoolExecutor(8) as pool:
            assert b"".join(pool.map(copied, range(0, len(content), 3 * MIB // 2))) == content


def test_small_content_reports_progress_too(store: Store) -> None:
    steps: list[int] = []

    store.create("a", b"12345", steps.append)

    assert sum(steps) == 5


CREATE_AND_STOP_HALFWAY = f"""
import sys, time
from pathlib import Path
from handlers.registry.stores import open_store
sent = 0
def progress(size_bytes):
    global sent
    sent += size_bytes
    if sent > {16 * MIB}:
        print("halfway", flush=True)
        time.sleep(600)
open_store(sys.argv[1]).create("models/m/versions/1/weights", Path(sys.argv[2]), progress)
print("done", flush=True)
"""


def test_a_killed_writer_leaves_nothing_to_see(store_url: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(32 * MIB))
    process = run_python(CREATE_AND_STOP_HALFWAY, store_url, str(tmp_path / "large"))
    assert read_line(process) == "halfway"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = open_store(store_url)

    with pytest.raises(ObjectNotFound):
        store.read("models/m/versions/1/weights")
    assert list(store.list_folders("")) == []
    store.create("models/m/versions/1/weights", b"by the next one")
    assert store.read("models/m/versions/1/weights").data == b"by the next one"


# What only a folder can get wrong


def test_a_folder_url_is_decoded(tmp_path: Path) -> None:
    folder = tmp_path / "with space, ü, 100% and ?#"

    for url in (folder.as_uri(), folder.as_uri().replace("file:///", "file://localhost/"), folder.as_uri() + "/"):
        store = open_store(url)
        assert store.url == folder.as_uri()
    store.create("a", b"x")

    assert (folder / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "", "/folder", "file:/folder", "file://", "file://folder", "file://host/folder", "file:///a%00b", "file:///a?b",
        "file:///a#b", "http://bucket", "s3:/bucket", "s3://", "s3:///a", "s3://ab", "s3://Bucket", "s3://a..b", "s3://10.0.0.1",
        "s3://-bucket", "s3://bucket-", "s3://bucket//a", "s3://bucket/../a", "s3://bucket/a b", "s3://bucket/a//",
        "s3://bucket?x", "s3://user@bucket", "s3://bucket:80/a", "s3://" + "b" * 64,
    ],
)  # fmt: skip
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^store URL: .*, expected "):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://a.dotted.bucket/x", "s3://bucket", "s3://bucket/", "s3://bucket/a/b.c/"])
def test_a_good_s3_url_is_taken(url: str, s3_environment: S3Server) -> None:
    assert s3_environment.endpoint
    assert open_store(url).url == url.removesuffix("/")


def test_a_folder_holds_files_that_others_can_read_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    etag = store.create("a/b", b"x")
    with pytest.raises(ObjectExists):
        store.create("a/b", b"y")
    store.replace("a/b", b"z", etag)
    umask = os.umask(0)
    os.umask(umask)

    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [".lock", "a", "a/b"]
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o666 & ~umask


def test_hidden_and_empty_folders_are_not_listed(tmp_path: Path) -> None:
    for name in (".hidden/x", "empty/.hidden", "full/x", "deep/er/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()

    assert list(open_store(tmp_path.as_uri()).list_folders("")) == ["deep", "full"]


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = open_store((tmp_path / "file").as_uri())
    with pytest.raises(StoreUnavailable, match=r"file/a/b: cannot be written \(") as raised:
        store.create("a/b", b"x")
    assert isinstance(raised.value.__cause__, OSError)
    store = open_store((tmp_path / ("x" * 300)).as_uri())
    for ask in (lambda: store.read("a"), lambda: store.read_range("a", 0, 1), lambda: store.list_folders("")):
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            ask()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    etag = store.create("a/b", b"x")
    (tmp_path / "a").chmod(0o555)
    try:
        assert store.read("a/b").data == b"x"
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            store.create("a/c", b"x")
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            store.replace("a/b", b"y", etag)
    finally:
        (tmp_path / "a").chmod(0o755)
    assert store.read("a/b").data == b"x"


# What only S3 can get wrong


ASKS: list[Callable[[Store], object]] = [
    lambda store: store.read("a"),
    lambda store: store.read_range("a", 0, 1),
    lambda store: list(store.list_folders("")),
    lambda store: store.create("a", b"x"),
    lambda store: store.replace("a", b"x", "etag"),
]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.usefixtures("s3_environment")
def test_s3_that_is_down_is_unavailable(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Store], object]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and not listening
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match=f"^s3://{s3_bucket}/.*, expected an answer from S3"):
            ask(open_store(f"s3://{s3_bucket}"))


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.usefixtures("s3_environment")
def test_wrong_credentials_are_unavailable(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Store], object]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreUnavailable, match=r"SignatureDoesNotMatch.* \(HTTP 403\), expected permission"):
        ask(open_store(f"s3://{s3_bucket}"))


@pytest.mark.parametrize("ask", ASKS[:-1])
@pytest.mark.usefixtures("s3_environment")
def test_a_missing_bucket_is_named(ask: Callable[[Store], object]) -> None:
    with pytest.raises(StoreUnavailable, match="no bucket no-such-bucket, expected it to exist"):
        ask(open_store("s3://no-such-bucket/prefix"))


def test_a_store_at_the_root_of_a_dotted_bucket_works(s3_environment: S3Server) -> None:
    bucket = f"a.{s3_environment.make_bucket()}"
    s3_environment.client().create_bucket(Bucket=bucket)
    store = open_store(f"s3://{bucket}")
    store.create("a/b", b"x")

    assert store.read("a/b").data == b"x"
    assert list(store.list_folders("")) == ["a"]


@dataclass
class Behind:
    """A store behind a proxy, and the same store without one."""

    store: Store
    direct: Store
    proxy: FaultyProxy


@pytest.fixture(params=["s3", "boto3"])
def behind(
    request: pytest.FixtureRequest, s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Behind]:
    if request.param == "boto3":
        request.getfixturevalue("reading_by_boto3")
    url = f"s3://{s3_bucket}/{uuid4().hex}"
    direct = open_store(url)
    with pytest.raises(ObjectChanged):
        direct.replace("none", b"", "etag")  # boto3 looks at the environment when it is first needed: now
    with running_proxy(s3_environment.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        yield Behind(open_store(url), direct, proxy)


def test_a_create_whose_answer_is_lost_is_done_once(behind: Behind) -> None:
    behind.proxy.arm(Fault("lost answer", "PUT"))

    etag = behind.store.create("a", b"mine")

    assert [method for method, _ in behind.proxy.requests] == ["PUT", "PUT", "HEAD"]
    assert behind.direct.read("a").data == b"mine"
    assert behind.direct.read("a").etag == etag
    with pytest.raises(ObjectExists):
        behind.store.create("a", b"mine")


def test_a_create_that_is_lost_and_overtaken_by_the_same_content_is_refused(behind: Behind) -> None:
    behind.proxy.arm(Fault("dropped request", "PUT", meanwhile=lambda: behind.direct.create("a", b"same")))

    with pytest.raises(ObjectExists):
        behind.store.create("a", b"same")


def test_a_replace_whose_answer_is_lost_is_done_once(behind: Behind) -> None:
    before = behind.direct.create("a", b"before")
    behind.proxy.arm(Fault("lost answer", "PUT"))

    etag = behind.store.replace("a", b"after", before)

    assert [method for method, _ in behind.proxy.requests] == ["PUT", "PUT", "HEAD"]
    assert behind.direct.read("a").data == b"after"
    assert behind.direct.read("a").etag == etag


def test_a_replace_that_may_have_been_overwritten_is_not_called_refused(behind: Behind) -> None:
    before = behind.direct.create("a", b"before")

    def write_another() -> None:
        behind.direct.replace("a", b"another", behind.direct.read("a").etag)

    behind.proxy.arm(Fault("lost answer", "PUT", meanwhile=write_another))

    with pytest.raises(StoreUnavailable, match="no answer and then another write"):
        behind.store.replace("a", b"mine", before)


def test_a_conflict_is_tried_again(behind: Behind) -> None:
    behind.proxy.arm(Fault("409", "PUT", times=2))

    etag = behind.store.create("a", b"x")
    behind.proxy.arm(Fault("409", "PUT"))
    behind.store.replace("a", b"y", etag)

    assert behind.direct.read("a").data == b"y"
    behind.proxy.heal()
    behind.proxy.arm(Fault("409", "PUT", times=None))
    with pytest.raises(StoreUnavailable, match="ConditionalRequestConflict"):
        behind.store.create("b", b"x")
    assert behind.proxy.hits < 10


def test_a_missing_object_to_replace_has_changed(behind: Behind) -> None:
    behind.proxy.arm(Fault("scripted", "PUT", answer=refusal(404, "NoSuchKey")))  # AWS says 404, others 412

    with pytest.raises(ObjectChanged):
        behind.store.replace("a", b"x", "etag")


def test_a_missing_bucket_is_not_taken_for_a_missing_object(behind: Behind) -> None:
    # by hand, because the server of the tests says 412 here
    behind.proxy.arm(Fault("scripted", "PUT", answer=refusal(404, "NoSuchBucket")))

    with pytest.raises(StoreUnavailable, match="no bucket"):
        behind.store.replace("a", b"x", "etag")


def test_a_file_that_is_sent_twice_is_counted_once(behind: Behind, tmp_path: Path) -> None:
    content = os.urandom(3 * MIB)
    (tmp_path / "file").write_bytes(content)
    behind.proxy.arm(Fault("dropped request", "PUT"), Fault("409", "PUT", nth=2))
    steps: list[int] = []

    behind.store.create("a", tmp_path / "file", steps.append)

    assert [method for method, _ in behind.proxy.requests] == ["PUT"] * 3
    assert sum(steps) == len(content)
    assert min(steps) > 0
    assert behind.direct.read("a").data == content


@pytest.mark.usefixtures("s3_environment")
def test_a_file_that_is_not_sent_is_not_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"read to be hashed and signed, twice")
    steps: list[int] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(StoreUnavailable):
            open_store("s3://bucket").create("a", tmp_path / "file", steps.append)

    assert steps == []


def test_folders_are_sorted_by_name_where_s3_sorts_them_with_the_slash(behind: Behind) -> None:
    names = ["a-b", "a.b", "a"]  # the order of AWS: - and . come before /
    prefix = behind.store.url.partition("://")[2].partition("/")[2]
    folders = "".join(f"<CommonPrefixes><Prefix>{prefix}/{name}/</Prefix></CommonPrefixes>" for name in names)
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{folders}</ListBucketResult>"
    behind.proxy.arm(Fault("scripted", "GET", answer=scripted(200, page)))

    assert list(behind.store.list_folders("")) == ["a", "a-b", "a.b"]


def test_a_body_that_breaks_off_is_unavailable(behind: Behind) -> None:
    behind.direct.create("a", b"x" * 100)
    headers = b'ETag: "x"\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/100\r\n\r\n'
    broken = b"HTTP/1.1 206 Partial Content\r\n" + headers + b"x" * 60
    asks: list[Callable[[], object]] = [
        lambda: behind.store.read("a"),
        lambda: behind.store.read_range("a", 0, 100),
        lambda: behind.store.copy_range("a", 0, 100, Pieces()),
    ]

    for ask in asks:
        behind.proxy.arm(Fault("scripted", "GET", times=None, answer=broken))
        with pytest.raises(StoreUnavailable, match=rf"^{behind.store.url}/a: .*, expected an answer from S3"):
            ask()


def test_a_server_error_is_tried_again_and_then_unavailable(behind: Behind) -> None:
    behind.direct.create("a", b"x")
    behind.proxy.arm(Fault("503 SlowDown", "GET"))
    assert behind.store.read("a").data == b"x"

    behind.proxy.arm(Fault("503 SlowDown", "GET", times=None))
    with pytest.raises(StoreUnavailable, match=rf"^{behind.store.url}/a: SlowDown .*\(HTTP 503\)"):
        behind.store.read("a")


def test_an_answer_that_is_not_from_s3_is_unavailable(behind: Behind) -> None:
    behind.proxy.arm(Fault("scripted", "GET", times=None, answer=scripted(200, "<hello>")))

    with pytest.raises(StoreUnavailable, match=rf"^{behind.store.url}/: "):
        behind.store.list_folders("")


def test_a_403_for_a_key_says_that_the_key_may_be_missing(behind: Behind) -> None:
    behind.proxy.arm(Fault("scripted", "GET", answer=refusal(403, "AccessDenied")))

    with pytest.raises(StoreUnavailable, match=r"AccessDenied.*missing key.*s3:ListBucket"):
        behind.store.read("a")


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # our own command, no shell
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
