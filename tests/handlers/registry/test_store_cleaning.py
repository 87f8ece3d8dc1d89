"""What cleaning up asks of stores: what an object is without reading it, and what writers that died left behind."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from handlers.errors import InvalidName, ObjectNotFound
from handlers.registry.stores import Described, Store, open_store
from handlers.registry.stores.folder import FolderStore
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["file", "s3", "boto3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "file":
        return open_store((tmp_path / "store").as_uri())
    request.getfixturevalue("s3_environment")
    if request.param == "boto3":
        monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "false")  # changes nothing, but that is for boto3 to know
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/{uuid4().hex}/prefix")


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore.from_url((tmp_path / "store").as_uri())


def test_an_object_is_described_by_its_size(store: Store) -> None:
    store.create("a/b", b"12345")
    store.create("a/empty", b"")

    assert store.describe("a/b") == Described(5, None)
    assert store.describe("a/empty").size == 0
    for key in ("a", "a/c", "a/b/c"):
        with pytest.raises(ObjectNotFound):
            store.describe(key)
    with pytest.raises(InvalidName):
        store.describe("../a")


def test_s3_describes_an_object_by_the_hash_that_was_sent_with_it(s3_environment: S3Server, s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}/{uuid4().hex}")
    sha256 = hashlib.sha256(b"12345")
    s3_environment.client().put_object(
        Bucket=s3_bucket,
        Key=f"{urlsplit(store.url).path[1:]}/a",
        Body=b"12345",
        ChecksumSHA256=base64.b64encode(sha256.digest()).decode(),
    )

    assert store.describe("a") == Described(5, sha256.hexdigest())


def test_there_is_nothing_to_sweep_where_nobody_died(store: Store) -> None:
    store.create("a/b", b"12345")

    assert store.sweep("", remove=True) == store.sweep("none/", remove=True) == []
    assert store.read("a/b").data == b"12345"
    with pytest.raises(InvalidName):
        store.sweep("a", remove=True)


CREATE_AND_STOP = """
import sys, time
from pathlib import Path
from handlers.registry.stores import open_store
def progress(size_bytes):
    print("writing", flush=True)
    sys.stdin.readline()
open_store(sys.argv[1]).create("a/b/large", Path(sys.argv[2]), progress)
print("done", flush=True)
"""


def test_what_a_killed_writer_left_is_swept_and_what_another_writes_is_not(folder: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", CREATE_AND_STOP, folder.url, str(tmp_path / "large")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "writing"
    assert folder.sweep("", remove=True) == []
    killed.kill()
    killed.communicate()

    [left] = folder.sweep("a/", remove=False)
    assert left.key.startswith("a/b/.")
    assert left.size >= 1 << 20
    assert folder.sweep("other/", remove=True) == []
    assert folder.sweep("a/", remove=True) == [left]
    assert folder.sweep("a/", remove=True) == []
    assert "done" in living.communicate("\n" * 10)[0]

    assert folder.read("a/b/large").data == (tmp_path / "large").read_bytes()
    assert [path.name for path in (folder.root / "a/b").iterdir()] == ["large"]


def test_hidden_files_that_are_not_the_stores_own_are_left(folder: FolderStore) -> None:
    folder.create("a/b", b"x")
    for name in (".lock", ".nfs000000000000000000000001", ".hidden", "." + "A" * 32):
        (folder.root / "a" / name).touch()

    assert folder.sweep("", remove=True) == []
    assert len(list((folder.root / "a").iterdir())) == 5


def test_writers_lose_nothing_to_sweepers_without_pause(folder: FolderStore) -> None:
    folder.create("counter", b"0")
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            folder.sweep("", remove=True)

    def write(writer: int) -> None:
        for number in range(60):
            folder.create(f"w{writer}/{number}", b"%d" % number)
            present = folder.read(f"w{writer}/{number}")
            folder.replace(f"w{writer}/{number}", b"%d again" % number, present.etag)

    with ThreadPoolExecutor(6) as pool:
        sweepers = [pool.submit(sweep) for _ in range(2)]
        writers = [pool.submit(write, writer) for writer in range(4)]
        try:
            for each in writers:
                each.result()
        finally:
            stop.set()
        for each in sweepers:
            each.result()

    assert all(folder.read(f"w{writer}/{n}").data == b"%d again" % n for writer in range(4) for n in range(60))
    assert [path.name for path in folder.root.rglob(".*")] == [".lock"]
