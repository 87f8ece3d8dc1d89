"""`lambdaserve models` as an operator has it: what each command says, to people and to machines, and its exit codes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from export.identity import who
from handlers.registry.aliases import read_aliases
from handlers.registry.names import file_key
from handlers.registry.stores import open_store
from handlers.versions.aliasing import retire
from tests.aliases import point_alias
from tests.artifacts import make_artifact, publish_graphs
from tests.export.command import lambdaserve
from tests.graphs import affine, identity
from tests.published import ada

X, WIDE = {"x": np.array([[0, 1, 2]], np.float32)}, {"x": np.zeros((1, 4), np.float32)}


@dataclass(frozen=True)
class Operator:
    """Somebody with a store in which `m` has versions 1 and 2 that are right, 3 that does not fit, and 4 that is wrong.

    Version 1 is live.
    """

    store: str

    def run(self, command: str, *arguments: str) -> CompletedProcess[str]:
        return lambdaserve("models", command, *arguments, "--store", self.store)

    def result(self, command: str, *arguments: str) -> object:
        """What a command says to machines."""
        done = self.run(command, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def named(self, alias: str = "live") -> str:
        return str(read_aliases(open_store(self.store), "m")[0].aliases[alias])


@pytest.fixture
def operator(store_url: str) -> Operator:
    return stocked(store_url)


@pytest.fixture
def at_home(tmp_path: Path) -> Operator:
    """With a store in a folder, where it makes no difference."""
    return stocked((tmp_path / "store").as_uri())


def stocked(url: str) -> Operator:
    for graph, alias in ((affine(), "live"), (affine(3), None)):
        publish_graphs(url, "m", {"int8-static": graph, "fp32": graph}, [X], alias=alias)
    publish_graphs(url, "m", {"fp32": identity("FP32", ["batch", 4])}, [WIDE], alias=None)
    publish_graphs(url, "m", {"fp32": affine(5)}, [X], proven=affine(), alias=None)
    return Operator(url)


def test_a_models_way_from_canary_to_rollback(operator: Operator) -> None:
    steps = [
        (("canary", "m", "2", "--weight", "10"), "m: canary live: 1 -> 1 and 10 % 2"),
        (("promote", "m", "2", "--reason", "better"), "m: promote live: 1 and 10 % 2 -> 2"),
        (("pin", "m"), "m: pin live: 2 -> 2, pinned"),
        (("pin", "m", "--off"), "m: unpin live: 2, pinned -> 2"),
        (("rollback", "m"), "m: rollback live: 2 -> 1"),
        (("promote", "m", "2", "--alias", "next"), "m: promote next: nothing -> 2"),
        (("unalias", "m", "next"), "m: remove next: 2 -> nothing"),
    ]
    for arguments, said in steps:
        done = operator.run(*arguments)
        first, operation = done.stdout.splitlines()
        assert (done.returncode, first) == (0, said), done.stderr
        assert re.fullmatch("operation [0-9a-f]{32}", operation)

    changes = read_aliases(open_store(operator.store), "m")[0].history[1:]
    assert [change.action for change in changes] == [
        *("canary", "promote", "pin", "unpin", "rollback", "promote", "remove")
    ]
    assert {change.by for change in changes} == {who()}
    assert changes[1].reason == "better"


def test_a_refusal_has_a_line_for_each_objection_and_changes_nothing(operator: Operator) -> None:
    for arguments in (("promote", "m", "3"), ("canary", "m", "3", "--weight", "5")):
        done = operator.run(*arguments)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "Checking m version 3 ...",
            "lambdaserve: alias 'live' of 'm': version 3 is objected to, expected no objection, or to be forced",
            "- input 'x': FP32 [-1, 4], expected what fits in the place of FP32 [-1, 3]; axis 1 took 3",
            "- output 'y': FP32 [-1, 4], expected what fits in the place of FP32 [-1, 3]; axis 1 had 3 elements",
        ]
        assert operator.named() == "1"


def test_what_was_forced_is_said_and_kept(operator: Operator) -> None:
    done = operator.run("promote", "m", "4", "--force")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "m: promote live: 1 -> 4\nforced, in spite of:\n- variant 'fp32': passed over on this"
    )
    last = operator.result("history", "m")
    assert isinstance(last, list)
    assert last[0]["forced"][0].startswith("variant 'fp32': passed over on this CPU")


def test_an_operation_with_an_id_is_done_once(operator: Operator) -> None:
    asked = ("promote", "m", "2", "--operation", "deploy-42")
    first = operator.result(*asked)
    assert operator.run("rollback", "m").returncode == 0

    assert operator.result(*asked) == first
    assert isinstance(first, dict)
    assert (first["id"], first["before"], first["after"]) == ("deploy-42", {"version": "1"}, {"version": "2"})
    assert operator.named() == "1"
    other = operator.run("promote", "m", "4", "--operation", "deploy-42")
    assert (other.returncode, other.stdout) == (1, "")
    assert "operation 'deploy-42': " in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", "m", "9"), "model 'm': no version '9' that is complete, expected one"),
        (("promote", "m", "1"), "alias 'live' of 'm': names 1 already"),
        (("promote", "nobody", "1"), "model 'nobody': no version '1' that is complete"),
        (("promote", "m", "latest"), "version: 'latest', expected a positive integer"),
        (("promote", "m", "5"), "model 'm': version 5 retired"),
        (("promote", "m", "2", "--alias", "12"), "alias: '12', expected"),
        (("canary", "m", "2", "--weight", "10", "--alias", "none"), "model 'm': no alias 'none'"),
        (("rollback", "m"), "named nothing before 1 that still exists"),
        (("pin", "m", "--off"), "alias 'live' of 'm': not pinned"),
        (("unalias", "m", "none"), "model 'm': no alias 'none', expected one of: live"),
        (("show", "m", "none"), "model 'm': no alias 'none', expected one of: live"),
        (("show", "m", "9"), "no version '9' in .*, expected one of: 1, 2, 3, 4"),
        (("diff", "m", "1", "9"), "no version '9'"),
        (("history", "nobody"), "model 'nobody': not in .*, expected one of: m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_exits_1_and_changes_nothing(
    arguments: tuple[str, ...], message: str, at_home: Operator
) -> None:
    retire(open_store(at_home.store), "m", "5", ada())
    before = read_aliases(open_store(at_home.store), "m")

    done = at_home.run(*arguments)

    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert read_aliases(open_store(at_home.store), "m") == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote", "m"),
        ("canary", "m", "2"),
        ("canary", "m", "2", "--weight", "0"),
        ("canary", "m", "2", "--weight", "100"),
        ("promote", "m", "2", "--operation", "short"),
        ("promote", "m", "2", "--operation", "with spaces"),
        ("diff", "m", "1"),
        ("unalias", "m"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    done = lambdaserve("models", *arguments, "--store", "file:///nowhere")

    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_a_setting_that_makes_no_sense_is_refused(at_home: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDASERVE_THREADS", "many")

    done = at_home.run("promote", "m", "2")

    assert (done.returncode, done.stdout) == (1, "")
    assert "LAMBDASERVE_THREADS: 'many', expected a positive integer" in done.stderr


def test_a_model_is_shown_with_aliases_versions_and_changes_beside_what_is_live(operator: Operator) -> None:
    assert operator.run("canary", "m", "2", "--weight", "10", "--reason", "try").returncode == 0

    shown = operator.result("show", "m")
    said = operator.run("show", "m").stdout

    assert isinstance(shown, dict)
    assert (shown["model"], shown["version"], shown["variants"][0]["name"]) == ("m", "1", "int8-static")
    assert shown["aliases"] == {"live": {"version": "1", "canary": "2", "weight": 10}}
    assert [(found["version"], found["state"]) for found in shown["versions"]] == [(n, "complete") for n in "1234"]
    assert [change["action"] for change in shown["changes"]] == ["canary", "promote"]
    for expected in ("m: live -> 1 and 10 % 2", "m version 1, tensor, built", "last changes of m, newest first", "try"):
        assert expected in said


def test_a_model_of_which_nothing_is_live_is_shown_without_a_manifest(at_home: Operator) -> None:
    assert at_home.run("unalias", "m", "live").returncode == 0

    shown = at_home.result("show", "m")

    assert isinstance(shown, dict)
    assert (shown["aliases"], len(shown["versions"]), "variants" in shown) == ({}, 4, False)
    assert "m: no alias" in at_home.run("show", "m").stdout


def test_a_model_whose_live_version_cannot_be_read_is_shown_with_the_problem(operator: Operator) -> None:
    key = file_key("m", "1", "manifest.json")
    open_store(operator.store).delete(key)

    shown = operator.result("show", "m")
    said = operator.run("show", "m")

    assert isinstance(shown, dict)
    assert (shown["problem"].partition(":")[0], shown["aliases"]) == (key, {"live": {"version": "1"}})
    assert shown["versions"][0]["state"] == "unfinished"
    assert said.returncode == 0
    assert f"lambdaserve: {key}: missing" in said.stderr
    assert "m: live -> 1" in said.stdout


def test_a_version_is_shown_by_number_and_by_alias(at_home: Operator) -> None:
    point_alias(open_store(at_home.store), "m", "next", "3")

    for name, version in (("2", "2"), ("next", "3")):
        shown = at_home.result("show", "m", name)
        assert isinstance(shown, dict)
        assert shown["version"] == version
        assert f"m version {version}, tensor" in at_home.run("show", "m", name).stdout


def test_history_is_newest_first_with_who_when_what_and_why(at_home: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert at_home.run("promote", "m", "2", "--reason", "[red]faster[/red]").returncode == 0

    newest, oldest = read_aliases(open_store(at_home.store), "m")[0].history[::-1]
    found = at_home.result("history", "m")
    said = " ".join(at_home.run("history", "m").stdout.split())

    assert isinstance(found, list)
    assert [change["id"] for change in found] == [newest.id, oldest.id]
    assert (found[0]["by"], found[0]["reason"]) == (who(), "[red]faster[/red]")
    assert "[red]faster[/red]" in said  # what operators write is no markup
    assert said.index("faster") < said.index("tester@host")


def test_diff_says_whether_one_version_may_take_the_place_of_another_and_compares_all_figures(
    operator: Operator,
) -> None:
    fits, does_not = operator.result("diff", "m", "live", "2"), operator.result("diff", "m", "1", "3")
    said = operator.run("diff", "m", "live", "3").stdout

    assert isinstance(fits, dict)
    assert isinstance(does_not, dict)
    assert (fits["before"], fits["after"], fits["compatible"], fits["differences"]) == ("1", "2", True, [])
    assert {file["name"] for file in fits["files"]} == {"goldens.npz", "fp32.onnx", "int8-static.onnx"}
    assert does_not["compatible"] is False
    assert does_not["differences"][0]["problem"] == "axis 1 took 3"
    assert [(pair["name"], pair["after"] is None) for pair in does_not["variants"]] == [
        ("fp32", False),
        ("int8-static", True),
    ]
    for expected in ("version 3 beside version 1, does not fit", "fp32: accuracy", "fp32: peak memory", "arm64"):
        assert expected in said


def test_publishing_with_an_alias_goes_through_the_same_gate(operator: Operator, tmp_path: Path) -> None:
    make_artifact(tmp_path / "artifact", "m", {"fp32": affine(5)}, [X], proven=affine())
    command = ("publish", tmp_path / "artifact", "--store", operator.store, "--alias", "live")

    refused = lambdaserve(*command)
    forced = lambdaserve(*command, "--force")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "version 5 is published all the same, only the alias 'live' does not name it: alias 'live'" in refused.stderr
    assert "\n- variant 'fp32': passed over on this CPU" in refused.stderr
    assert (forced.returncode, operator.named()) == (0, "6")
    shown = operator.result("list")
    assert isinstance(shown, list)
    assert shown[0]["versions"] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("path", [("--help",), ("models", "--help"), ("serve", "--help")], ids=" ".join)
def test_examples_in_help_texts_keep_their_lines(path: tuple[str, ...]) -> None:
    done = lambdaserve(*path)

    assert "\\b" not in done.stdout
    assert re.search(r"^    (lambdaserve|curl) ", done.stdout, re.MULTILINE)
