"""Aliases moved over the network: by whom, once, on what was seen, and not without the gate."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.registry.aliases import Aliases, read_aliases
from handlers.registry.names import aliases_key
from handlers.registry.stores import StoredObject
from handlers.registry.stores.folder import FolderStore
from handlers.versions.aliasing import pin, retire
from handlers.versions.changes import Operation
from tests.aliases import point_alias, resolve_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine, identity
from tests.handlers.api.management.manager import ALICE, BOB, Manager, key

LIVE = "/models/m/aliases/live"
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


def aliases_of(manager: Manager) -> Aliases:
    return read_aliases(manager.store, "m")[0]


def test_a_promotion_moves_the_alias_and_the_history_says_who_when_what_and_why(three_versions: Manager) -> None:
    answer = three_versions.post(f"{LIVE}/promote", {"version": "2", "reason": "better"}, headers=key("a" * 32))

    assert answer.status == 200
    assert resolve_alias(three_versions.store, "m", "live") == "2"
    change = aliases_of(three_versions).history[-1]
    assert (change.by, change.reason, change.id, change.forced) == (ALICE, "better", "a" * 32, ())
    assert answer.body["operation"] == answer.headers["idempotency-key"] == change.id
    assert answer.body["change"]["before"]["version"] == "1"
    assert answer.body["change"]["after"]["version"] == "2"
    assert answer.body["change"]["at"] == change.at


def test_a_canary_gets_its_share_and_a_rollback_ends_it(three_versions: Manager) -> None:
    split = three_versions.post(f"{LIVE}/canary", {"version": "2", "weight": 10})
    assert split.body["change"]["after"] == {"version": "1", "canary": "2", "weight": 10, "pinned": False}

    back = three_versions.post(f"{LIVE}/rollback", {"reason": "slow"}, caller=BOB)

    assert back.body["change"]["after"] == {"version": "1", "canary": None, "weight": 0, "pinned": False}
    assert (aliases_of(three_versions).history[-1].by, aliases_of(three_versions).history[-1].reason) == (BOB, "slow")


def test_a_rollback_needs_no_body_and_goes_to_what_was_live_before(three_versions: Manager) -> None:
    three_versions.post(f"{LIVE}/promote", {"version": "3"})

    assert three_versions.post(f"{LIVE}/rollback").status == 200
    assert resolve_alias(three_versions.store, "m", "live") == "1"
    nothing = three_versions.post(f"{LIVE}/rollback")
    assert (nothing.status, nothing.body["code"]) == (409, "nothing_to_change")


@pytest.mark.parametrize(
    ("action", "body"),
    [("promote", {"version": "2"}), ("canary", {"version": "2", "weight": 5}), ("rollback", {})],
)
def test_an_operation_that_is_asked_for_again_is_not_done_twice(
    three_versions: Manager, action: str, body: dict[str, Any]
) -> None:
    point_alias(three_versions.store, "m", "live", "3")
    header = key()

    first = three_versions.post(f"{LIVE}/{action}", body, headers=header)
    length = len(aliases_of(three_versions).history)
    point_alias(three_versions.store, "m", "live", "1" if action == "canary" else "3")
    again = three_versions.post(f"{LIVE}/{action}", body, headers=header)

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert len(aliases_of(three_versions).history) == length + 1  # that of this test


def test_an_id_that_was_used_for_something_else_is_refused(three_versions: Manager) -> None:
    header = key()
    three_versions.post(f"{LIVE}/promote", {"version": "2"}, headers=header)

    for path, body in (
        (f"{LIVE}/promote", {"version": "3"}),
        (f"{LIVE}/canary", {"version": "2", "weight": 5}),
        ("/models/m/aliases/stable/promote", {"version": "2"}),
    ):
        refused = three_versions.post(path, body, headers=header)
        assert (refused.status, refused.body["code"]) == (409, "operation_reused")
    assert len(aliases_of(three_versions).history) == 2


def test_without_an_id_one_is_made_up_and_returned_whatever_comes_of_it(three_versions: Manager) -> None:
    done = three_versions.post(f"{LIVE}/promote", {"version": "2"})
    refused = three_versions.post(f"{LIVE}/promote", {"version": "2"})

    assert len(done.headers["idempotency-key"]) == 32
    assert refused.status == 409
    assert len(refused.headers["idempotency-key"]) == 32


@pytest.mark.parametrize("operation", ["short", "a" * 65, "with spaces in it", "../../../etc", "ümlaut-and-more"])
def test_an_id_that_is_none_is_refused(three_versions: Manager, operation: str) -> None:
    refused = three_versions.post(f"{LIVE}/promote", {"version": "2"}, headers=key(operation))

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert "Idempotency-Key" in refused.body["error"]
    assert resolve_alias(three_versions.store, "m", "live") == "1"


def test_a_version_that_does_not_fit_is_refused_unless_it_is_forced(three_versions: Manager, store_url: str) -> None:
    row = {"x": np.array([[0, 1]], np.float64)}
    publish_graphs(store_url, "m", {"fp32": identity("FP64", ["rows", "columns"])}, [row], alias=None)

    refused = three_versions.post(f"{LIVE}/promote", {"version": "4"})
    assert (refused.status, refused.body["code"]) == (409, "promotion_refused")
    assert "FP64" in refused.body["error"]
    assert resolve_alias(three_versions.store, "m", "live") == "1"

    forced = three_versions.post(f"{LIVE}/promote", {"version": "4", "force": True})
    assert forced.status == 200
    assert any("FP64" in objection for objection in forced.body["change"]["forced"])
    assert aliases_of(three_versions).history[-1].forced == tuple(forced.body["change"]["forced"])


def test_a_version_whose_goldens_do_not_replay_here_is_refused(three_versions: Manager, store_url: str) -> None:
    publish_graphs(store_url, "m", {"fp32": affine()}, [EXAMPLE], proven=identity("FP32", ["n", 3]), alias=None)

    refused = three_versions.post(f"{LIVE}/canary", {"version": "4", "weight": 1})

    assert (refused.status, refused.body["code"]) == (409, "promotion_refused")
    assert len(aliases_of(three_versions).history) == 1


def test_what_is_pinned_retired_or_absent_is_not_named(three_versions: Manager) -> None:
    retire(three_versions.store, "m", "3", Operation("tester"))
    for body, status, code in (
        ({"version": "3"}, 409, "version_retired"),
        ({"version": "4"}, 404, "version_not_found"),
        ({"version": "1"}, 409, "nothing_to_change"),
    ):
        refused = three_versions.post(f"{LIVE}/promote", body)
        assert (refused.status, refused.body["code"]) == (status, code)
    pin(three_versions.store, "m", "live", Operation("tester"))
    moves: dict[str, Any] = {"promote": {"version": "2"}, "canary": {"version": "2", "weight": 1}, "rollback": {}}
    for action, move in moves.items():
        refused = three_versions.post(f"{LIVE}/{action}", move)
        assert (refused.status, refused.body["code"]) == (409, "alias_pinned")


@pytest.mark.parametrize("action", ["promote", "canary", "rollback"])
def test_a_change_that_rests_on_what_was_seen_is_made_on_that_alone(three_versions: Manager, action: str) -> None:
    body = {"promote": {"version": "3"}, "canary": {"version": "3", "weight": 7}, "rollback": {}}[action]
    point_alias(three_versions.store, "m", "live", "2")
    seen = three_versions.get("/models/m").headers["etag"]
    point_alias(three_versions.store, "m", "stable", "1")

    refused = three_versions.post(f"{LIVE}/{action}", body, headers={"If-Match": seen})
    assert (refused.status, refused.body["code"]) == (412, "precondition_failed")
    assert resolve_alias(three_versions.store, "m", "live") == "2"

    fresh = three_versions.get("/models/m").headers["etag"]
    done = three_versions.post(f"{LIVE}/{action}", body, headers={"If-Match": f'"other", {fresh}'})
    assert done.status == 200


class Meddled(FolderStore):
    """A store in which somebody else moves `live` as soon as its aliases were read."""

    meddled = False

    def read(self, key: str) -> StoredObject:
        found = super().read(key)
        if key == aliases_key("m") and not self.meddled:
            self.meddled = True
            point_alias(FolderStore(self.url, self.root), "m", "live", "2")
        return found


@pytest.mark.parametrize("action", ["promote", "canary", "rollback"])
def test_what_others_do_after_the_etag_was_compared_is_told(tmp_path: Path, action: str) -> None:
    body = {"promote": {"version": "3"}, "canary": {"version": "3", "weight": 7}, "rollback": {}}[action]
    manager = Manager.of((tmp_path / "store").as_uri(), tmp_path)
    for alias in (None, None, "live"):
        publish_graphs(manager.store.url, "m", {"fp32": affine()}, [EXAMPLE], alias=alias)
    point_alias(manager.store, "m", "live", "1")
    seen = manager.get("/models/m").headers["etag"]
    manager.management._store = Meddled.from_url(manager.store.url)  # noqa: SLF001 - a real store, and somebody in it

    refused = manager.post(f"{LIVE}/{action}", body, headers={"If-Match": seen})
    manager.gateway.close()

    assert (refused.status, refused.body["code"]) == (409, "alias_changed")
    assert "tester@host" in refused.body["error"]
    assert resolve_alias(manager.store, "m", "live") == "2"


def test_an_operation_that_happened_is_told_of_although_the_etag_has_moved_on(three_versions: Manager) -> None:
    headers = key() | {"If-Match": three_versions.get("/models/m").headers["etag"]}

    first = three_versions.post(f"{LIVE}/promote", {"version": "2"}, headers=headers)
    again = three_versions.post(f"{LIVE}/promote", {"version": "2"}, headers=headers)

    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body


def test_a_star_matches_whatever_aliases_there_are(manager: Manager, store_url: str) -> None:
    publish_graphs(store_url, "m", {"fp32": affine()}, [EXAMPLE], alias=None)

    none = manager.post(f"{LIVE}/promote", {"version": "1"}, headers={"If-Match": "*"})
    point_alias(manager.store, "m", "stable", "1")
    some = manager.post(f"{LIVE}/promote", {"version": "1"}, headers={"If-Match": "*"})

    assert (none.status, some.status) == (412, 200)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (f"{LIVE}/promote", {}, "version"),
        (f"{LIVE}/promote", b"", "body"),
        (f"{LIVE}/promote", b"{", "body"),
        (f"{LIVE}/promote", b"[]", "body"),
        (f"{LIVE}/promote", b"\xff\xfe", "body"),
        (f"{LIVE}/promote", b"[" * 100_000, "body"),
        (f"{LIVE}/promote", {"version": 2}, "version"),
        (f"{LIVE}/promote", {"version": "live"}, "version"),
        (f"{LIVE}/promote", {"version": "2/../3"}, "version"),
        (f"{LIVE}/promote", {"version": "2", "force": "yes"}, "force"),
        (f"{LIVE}/promote", {"version": "2", "by": "somebody else"}, "by"),
        (f"{LIVE}/promote", {"version": "2", "reason": "r" * 501}, "reason"),
        (f"{LIVE}/canary", {"version": "2"}, "weight"),
        (f"{LIVE}/canary", {"version": "2", "weight": 0}, "weight"),
        (f"{LIVE}/canary", {"version": "2", "weight": 100}, "weight"),
        (f"{LIVE}/canary", {"version": "2", "weight": 1.5}, "weight"),
        (f"{LIVE}/rollback", {"version": "2"}, "version"),
        ("/models/m/aliases/17/promote", {"version": "2"}, "alias"),
        ("/models/m/aliases/..%2Fm/promote", {"version": "2"}, "alias"),
        ("/models/M/aliases/live/promote", {"version": "2"}, "model name"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_changes_nothing(
    three_versions: Manager,
    path: str,
    body: Any,  # noqa: ANN401 - whatever clients send
    named: str,
) -> None:
    before = three_versions.store.read("models/m/aliases.json")

    refused = three_versions.post(path, body)

    assert refused.status in {400, 404}
    assert named in refused.body["error"]
    assert three_versions.store.read("models/m/aliases.json") == before
    assert list(three_versions.store.list_folders("models/")) == ["m"]


def test_of_two_operators_at_once_one_wins_and_the_other_is_told(three_versions: Manager) -> None:
    answers = []

    def promote(manager: Manager, version: str, caller: str) -> None:
        answers.append(manager.post(f"{LIVE}/promote", {"version": version}, caller=caller))
        manager.gateway.close()

    settings = three_versions.management.settings
    threads = [
        threading.Thread(target=promote, args=(Manager(settings), version, caller))
        for version, caller in (("2", ALICE), ("3", BOB))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    changes = aliases_of(three_versions).history[1:]
    done = [answer for answer in answers if answer.status == 200]
    assert {change.id for change in changes} == {answer.body["operation"] for answer in done}
    for answer in answers:
        if answer.status != 200:
            assert (answer.status, answer.body["code"]) == (409, "alias_changed")
            assert changes[0].by in answer.body["error"]
