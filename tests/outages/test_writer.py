"""What publishers and operators meet while the store fails: it is done, or it is reported; nothing half done shows."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from export.progress import Progress
from export.publish import Published, publish
from handlers.errors import CorruptFile, LambdaserveError, ObjectExists, StoreUnavailable
from handlers.registry.aliases import read_aliases
from handlers.registry.manifest import MANIFEST_FILE
from handlers.registry.names import file_key
from handlers.versions.aliasing import promote
from handlers.versions.changes import Operation
from handlers.versions.removal import delete_version
from tests.artifacts import make_artifact
from tests.graphs import affine
from tests.life.checks import leftovers, problems_of, visible_versions
from tests.life.operations import collect_all
from tests.outages.conftest import Behind, Client
from tests.servers.faults import FAULTS, Fault, FaultKind, scripted

WRITES = ("claim", "fp32.onnx", "manifest.json", "aliases.json")
HARMLESS: tuple[FaultKind, ...] = ("delay", "trickle", "truncated answer", "flipped answer", "truncated head")
"""What a write gets over each time: the answer to it has no body, and where its head breaks off, S3 is asked."""

RETRIED: tuple[FaultKind, ...] = ("silence", "dropped request", "lost answer", "500", "503 SlowDown", "409")
UNCERTAIN: tuple[FaultKind, ...] = ("silence", "lost answer")
"""What leaves it open whether a write was done."""

LASTING: tuple[FaultKind, ...] = (*RETRIED, "flipped request")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    make_artifact(tmp_path / "artifact", "m", {"fp32": affine()}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    return tmp_path / "artifact"


def published(behind: Behind, artifact: Path) -> Published:
    return publish(artifact, behind.store, "live", Progress(Console(file=io.StringIO())))


def live(behind: Behind) -> str | None:
    """Return what is live, after all has been checked that must be true in any case."""
    assert problems_of(behind.direct, "m") == []
    alias = read_aliases(behind.direct, "m")[0].aliases.get("live")
    return None if alias is None else alias.version


def visible(behind: Behind) -> list[str]:
    return sorted(visible_versions(behind.direct, "m")[0])


@pytest.mark.parametrize("key", WRITES)
@pytest.mark.parametrize("kind", [*HARMLESS, *RETRIED])
def test_a_publication_gets_over_what_passes(behind: Behind, artifact: Path, kind: FaultKind, key: str) -> None:
    behind.proxy.arm(Fault(kind, "PUT", key))

    assert published(behind, artifact).version == "1"

    assert behind.proxy.hits == 1
    assert (live(behind), visible(behind)) == ("1", ["1"])


@pytest.mark.parametrize("kind", HARMLESS)
def test_a_publication_gets_over_what_does_no_harm(behind: Behind, artifact: Path, kind: FaultKind) -> None:
    behind.proxy.arm(Fault(kind, "PUT", times=None))

    assert published(behind, artifact).version == "1"
    assert live(behind) == "1"


@pytest.mark.parametrize("key", WRITES)
@pytest.mark.parametrize("kind", LASTING)
def test_a_publication_that_fails_shows_nothing_half_done_and_can_be_repeated(
    behind: Behind, artifact: Path, kind: FaultKind, key: str
) -> None:
    behind.proxy.arm(Fault(kind, "PUT", key, times=None))
    if kind in UNCERTAIN and key in {"manifest.json", "aliases.json"}:  # what was written is found
        assert published(behind, artifact).version == "1"
        assert (live(behind), visible(behind)) == ("1", ["1"])
    else:
        with pytest.raises(StoreUnavailable, match="expected "):
            published(behind, artifact)
        assert (live(behind), visible(behind)) == (None, ["1"] if key == "aliases.json" else [])
    behind.proxy.heal()

    again = published(behind, artifact).version

    assert live(behind) == again


def test_a_manifest_that_may_have_been_written_is_said_to(behind: Behind, artifact: Path) -> None:
    behind.proxy.arm(
        Fault("lost answer", "PUT", MANIFEST_FILE, times=None), Fault("500", "GET", MANIFEST_FILE, times=None)
    )

    with pytest.raises(StoreUnavailable, match="version 1 may be published all the same"):
        published(behind, artifact)

    assert visible(behind) == ["1"]


@pytest.mark.parametrize(
    ("key", "version"), [("claim", "2"), ("fp32.onnx", None), ("manifest.json", None), ("aliases.json", "1")]
)
def test_a_412_is_believed(behind: Behind, artifact: Path, key: str, version: str | None) -> None:
    behind.proxy.arm(Fault("412", "PUT", key))
    if version is None:
        with pytest.raises((ObjectExists, CorruptFile)):
            published(behind, artifact)
        assert visible(behind) == []
    else:
        assert published(behind, artifact).version == version
    assert live(behind) == version


@pytest.mark.parametrize("client", ["light client", "boto3"])
def test_an_answer_without_an_etag_is_no_object(behind: Behind, client: Client) -> None:
    behind.direct.create("a", b"x")
    behind.proxy.arm(Fault("scripted", "GET", times=None, answer=scripted(200, "x")))

    store = behind.open(client)
    with pytest.raises(StoreUnavailable, match="without ETag"):
        store.read("a")
    with pytest.raises(StoreUnavailable, match="without ETag"):
        store.read_if_changed("a", "etag")


@pytest.mark.parametrize("client", ["light client", "boto3"])
def test_a_list_or_a_description_that_breaks_off_is_none(behind: Behind, client: Client) -> None:
    behind.direct.create("a/b", b"x")
    store = behind.open(client)
    behind.proxy.arm(Fault("truncated head", "GET", times=None))
    with pytest.raises(StoreUnavailable):
        store.list_folders("")
    with pytest.raises(StoreUnavailable):
        store.list_objects("")
    behind.proxy.heal()
    behind.proxy.arm(Fault("truncated head", "HEAD", times=None))
    with pytest.raises(StoreUnavailable):
        store.describe("a/b")
    behind.proxy.heal()

    assert list(store.list_folders("")) == ["a"]
    assert [info.key for info in store.list_objects("")] == ["a/b"]


def test_a_write_that_nobody_can_tell_of_is_uncertain(behind: Behind) -> None:
    behind.proxy.arm(Fault("truncated head", times=None))

    with pytest.raises(StoreUnavailable, match="breaks off"):
        behind.store.create("a", b"x")
    behind.proxy.heal()
    behind.proxy.arm(
        Fault("truncated head", "PUT", meanwhile=lambda: behind.direct.replace("a", b"z", behind.direct.read("a").etag))
    )
    with pytest.raises(StoreUnavailable, match="and then another write"):
        behind.store.replace("a", b"y", behind.direct.read("a").etag)


@pytest.fixture
def promotion(behind: Behind, artifact: Path) -> Callable[[], list[str]]:
    """Two versions, the first of which is live; asks for the second, always as the same operation."""
    for _ in range(2):
        published(behind, artifact)
    store, operation = behind.store, Operation("ada@host", id="b" * 32)
    promote(behind.direct, "m", "live", "1", Operation("ada@host", id="a" * 32))

    def ask() -> list[str]:
        promote(store, "m", "live", "2", operation)
        return [change.id for change in read_aliases(behind.direct, "m")[0].history[2:]]

    return ask


ONCE = ["a" * 32, "b" * 32]


@pytest.mark.parametrize("kind", [*HARMLESS, *RETRIED, "412"])
def test_a_promotion_gets_over_what_passes(behind: Behind, promotion: Callable[[], list[str]], kind: FaultKind) -> None:
    behind.proxy.arm(Fault(kind, "PUT", "aliases.json"))

    assert promotion() == promotion() == ONCE
    assert live(behind) == "2"


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_a_promotion_whose_answer_is_lost_is_found_in_the_history(
    behind: Behind, promotion: Callable[[], list[str]], kind: FaultKind
) -> None:
    behind.proxy.arm(Fault(kind, "PUT", times=None))

    assert promotion() == ONCE
    assert live(behind) == "2"


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_a_promotion_that_nobody_can_tell_of_is_asked_for_again_with_its_id(
    behind: Behind, promotion: Callable[[], list[str]], kind: FaultKind
) -> None:
    # the first GET is who decides, all later ones are who wants to find out
    behind.proxy.arm(Fault(kind, "PUT", times=None), Fault("500", "GET", nth=2, times=None))
    with pytest.raises(StoreUnavailable, match=f"operation {'b' * 32} may have happened; ask again with this id"):
        promotion()
    behind.proxy.heal()

    assert promotion() == ONCE
    assert live(behind) == "2"


@pytest.mark.parametrize("kind", [kind for kind in LASTING if kind not in UNCERTAIN])
def test_a_promotion_that_did_not_happen_says_so(
    behind: Behind, promotion: Callable[[], list[str]], kind: FaultKind
) -> None:
    behind.proxy.arm(Fault(kind, "PUT", times=None))
    with pytest.raises(StoreUnavailable, match=f"operation {'b' * 32} has not happened so far; ask again with this id"):
        promotion()
    assert live(behind) == "1"
    behind.proxy.heal()

    assert promotion() == ONCE
    assert live(behind) == "2"


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind not in {"delay", "trickle", "flipped request"}])
def test_a_promotion_that_cannot_read_changes_nothing(
    behind: Behind, promotion: Callable[[], list[str]], kind: FaultKind
) -> None:
    behind.proxy.arm(Fault(kind, "GET", times=None))
    with pytest.raises((StoreUnavailable, CorruptFile), match="expected "):
        promotion()
    behind.proxy.heal()

    assert live(behind) == "1"
    assert promotion() == ONCE


@pytest.fixture
def deletable(behind: Behind, artifact: Path) -> Behind:
    """Two versions, the second of which is live."""
    for _ in range(2):
        published(behind, artifact)
    return behind


def what_is_left_of_the_first(behind: Behind) -> list[str]:
    assert (live(behind), visible(behind)) == ("2", ["2"])
    return [info.key.rpartition("/")[2] for info in behind.direct.list_objects(file_key("m", "1", ""))]


STEPS = [("PUT", "aliases.json"), ("PUT", "manifest.json"), ("DELETE", "")]
"""Of a deletion: retired, buried, its files removed. None of them can be refused for a conflict but the first two."""


@pytest.mark.parametrize(("method", "key"), STEPS)
@pytest.mark.parametrize("kind", [*HARMLESS, *RETRIED, "412"])
def test_a_deletion_gets_over_what_passes(deletable: Behind, kind: FaultKind, method: str, key: str) -> None:
    if method == "DELETE" and kind in {"409", "412"}:
        pytest.skip("S3 refuses no removal so")
    deletable.proxy.arm(Fault(kind, method, key))

    delete_version(deletable.store, "m", "1", Operation("ada@host"))

    assert deletable.proxy.hits == 1
    assert what_is_left_of_the_first(deletable) == ["claim", "manifest.json"]


@pytest.mark.parametrize(("method", "key"), STEPS)
@pytest.mark.parametrize("kind", [*RETRIED, "flipped request"])
def test_a_deletion_that_fails_is_brought_to_its_end_by_whoever_asks_again(
    deletable: Behind, kind: FaultKind, method: str, key: str
) -> None:
    deletable.proxy.arm(Fault(kind, method, key, times=None))
    with contextlib.suppress(StoreUnavailable):
        delete_version(deletable.store, "m", "1", Operation("ada@host"))
    assert problems_of(deletable.direct, "m") == []
    deletable.proxy.heal()

    delete_version(deletable.store, "m", "1", Operation("bob@host"))

    assert what_is_left_of_the_first(deletable) == ["claim", "manifest.json"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("kind", [*RETRIED, "412", "truncated head"])
def test_a_collection_that_fails_is_brought_to_its_end_by_the_next(
    deletable: Behind, artifact: Path, kind: FaultKind, method: str
) -> None:
    published(deletable, artifact)  # 3, which would be rolled back to 2
    deletable.direct.create(file_key("m", "4", "claim"), b"{}")
    deletable.direct.create(file_key("m", "4", "fp32.onnx"), b"given up")
    deletable.proxy.arm(Fault(kind, method, nth=2, times=3))
    with contextlib.suppress(LambdaserveError):
        collect_all(deletable.store, Operation("ada@host"), keep=0)
    assert problems_of(deletable.direct, "m") == []
    deletable.proxy.heal()

    collect_all(deletable.store, Operation("bob@host"), keep=0)

    assert (live(deletable), visible(deletable)) == ("3", ["2", "3"])
    assert list(leftovers(deletable.direct, "m")) == []
