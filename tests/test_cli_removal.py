"""`lambdaserve models delete` and `gc` as a user has them."""

import contextlib
import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from handlers.registry.aliases import read_aliases
from handlers.registry.stores import Store, open_store
from handlers.versions.aliasing import promote
from handlers.versions.listing import list_versions
from tests.export.command import command, environment, lambdaserve
from tests.published import ada, claimed, make_artifact_of_m, published

EVERYTHING = ("--keep", 0, "--min-age-days", 0)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    make_artifact_of_m(folder)
    return folder


@pytest.fixture
def store(store_url: str, artifact: Path) -> Store:
    """A model with three versions, of which `live` names the second."""
    store = open_store(store_url)
    published(store, artifact, 3)
    promote(store, "m", "live", "2", ada())
    return store


def states(store: Store) -> list[str]:
    return [found.state for found in list_versions(store, "m")]


def gc(store: Store, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return lambdaserve("models", "gc", *arguments, "--store", store.url)


def test_a_damaged_model_is_told_and_keeps_no_other_from_being_cleaned_up(store: Store) -> None:
    store.create("models/damaged/aliases.json", b"{}")

    done = gc(store, "--yes", *EVERYTHING)

    assert done.returncode == 1
    assert "models/damaged/aliases.json" in done.stderr
    assert states(store).count("complete") < 3
    assert gc(store, "damaged", "--yes", *EVERYTHING).returncode == 1


def test_a_version_is_deleted_with_its_reason_and_its_operation(store: Store) -> None:
    for _ in range(2):
        done = lambdaserve(
            *("models", "delete", "m", "1", "--store", store.url),
            *("--reason", "too old", "--operation", "operation-1", "--json"),
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["id"] == "operation-1"

    assert states(store) == ["deleted", "complete", "complete"]
    change = read_aliases(store, "m")[0].history[-1]
    assert (change.version, change.reason, "@" in change.by) == ("1", "too old", True)
    assert len(read_aliases(store, "m")[0].history) == 2


def test_what_an_alias_names_is_not_deleted(store: Store) -> None:
    done = lambdaserve("models", "delete", "m", "2", "--store", store.url)

    assert (done.returncode, done.stdout) == (1, "")
    assert "lambdaserve: model 'm': version 2 named by 'live', expected no alias to name it" in done.stderr
    assert states(store) == ["complete"] * 3


def test_a_deletion_says_what_it_did(store: Store) -> None:
    done = lambdaserve("models", "delete", "m", "3", "--store", store.url)

    assert done.returncode == 0
    assert done.stdout.startswith("deleted m version 3 (operation ")


def test_a_dry_run_shows_what_would_go_and_leaves_it(store: Store) -> None:
    done = gc(store, "--dry-run", *EVERYTHING)
    shown = gc(store, "m", "--dry-run", "--json", *EVERYTHING)

    assert (done.returncode, done.stderr) == (0, "")
    for words in ("version 1 of m", "version 3 of m", "no alias names it", "in all"):
        assert words in done.stdout
    assert "version 2" not in done.stdout
    [plan] = json.loads(shown.stdout)
    assert [removal["version"] for removal in plan["removals"]] == ["1", "3"]
    assert states(store) == ["complete"] * 3


def test_nobody_is_asked_where_nobody_is_and_nothing_goes(store: Store) -> None:
    done = gc(store, *EVERYTHING)

    assert (done.returncode, done.stdout) == (2, "")
    assert "say --yes to remove, or --dry-run to look" in done.stderr
    assert states(store) == ["complete"] * 3


def test_what_is_removed_is_told(store: Store) -> None:
    done = gc(store, "--yes", *EVERYTHING)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("removed version 1 of m\nremoved version 3 of m\n")
    assert done.stderr == "Removing ...\n"
    assert states(store) == ["deleted", "complete", "deleted"]
    again = gc(store, "--yes", *EVERYTHING)
    assert (again.returncode, again.stdout) == (0, "nothing to remove\n")


def test_machines_are_told_too(store: Store) -> None:
    claimed(store)

    done = gc(store, "--yes", "--json", *EVERYTHING)

    [collected] = json.loads(done.stdout)
    assert [removal["version"] for removal in collected["removed"]] == ["1", "3"]
    assert collected["skipped"] == []
    assert states(store)[-1] == "unfinished"  # not for 24 hours yet
    assert json.loads(gc(store, "--yes", "--json", *EVERYTHING).stdout) == []


def test_the_defaults_keep_what_is_new_and_young(store: Store) -> None:
    assert gc(store, "--yes").stdout == "nothing to remove\n"
    assert gc(store, "--yes", "--min-age-days", 0).stdout == "nothing to remove\n"


def test_a_model_that_is_not_there_is_refused(store: Store) -> None:
    done = gc(store, "n", "--dry-run")

    assert (done.returncode, done.stdout) == (1, "")
    assert "model 'n': not in" in done.stderr
    assert "expected one of: m" in done.stderr


def asked(store: Store, answer: bytes | None) -> int:
    """Run it with a terminal to ask on; None: Ctrl-C is the answer. Returns the exit code."""
    ours, theirs = pty.openpty()
    arguments = command("models", "gc", "--store", store.url, *EVERYTHING)
    with subprocess.Popen(
        arguments, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        question = b""
        while not question.endswith(b"[y/N]: ") and (more := os.read(process.stderr.fileno(), 1000)):
            question += more
        if answer is not None:
            os.write(ours, answer)
        while answer is None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # the first may come just before it waits, and Python does not notice
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert question == b"Remove all of it? [y/N]: "
    return process.returncode


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (None, 1), (b"y\n", 0)])
def test_on_a_terminal_it_asks(store: Store, answer: bytes | None, code: int) -> None:
    assert asked(store, answer) == code
    assert states(store) == (["deleted", "complete", "deleted"] if code == 0 else ["complete"] * 3)
