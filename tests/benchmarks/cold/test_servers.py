"""Servers that people use in place of ours answer as PyTorch does, be weights in the model's file or beside it."""

import os
from pathlib import Path

import onnx
import pytest

from benchmarks.cold.cases import Case, WrongAnswer
from benchmarks.cold.cpus import Cpus
from benchmarks.cold.servers import server_contenders
from benchmarks.peers.catalogue import PEERS, Peer

ALL = frozenset(os.sched_getaffinity(0))
CPUS = Cpus(frozenset([min(ALL)]), ALL)


@pytest.fixture
def case_in_two_files(case: Case, tmp_path: Path) -> Case:
    """The case, with the weights of its variant in a file of their own."""
    for file in ("manifest.json", case.manifest.goldens.file):
        (tmp_path / file).write_bytes((case.artifact / file).read_bytes())
    name = case.variant.file
    onnx.save(
        onnx.load(case.artifact / name),
        tmp_path / name,
        save_as_external_data=True,
        location=f"{name}.data",
        size_threshold=0,
    )
    return Case(tmp_path)


@pytest.mark.parametrize("peer", PEERS, ids=[peer.package for peer in PEERS])
def test_a_server_answers_as_pytorch_does(peer: Peer, case_in_two_files: Case) -> None:
    if peer.missing:
        pytest.skip(peer.missing)
    [contender] = server_contenders(CPUS, [peer])

    answer = contender.start(case_in_two_files)

    case_in_two_files.check(contender.name, answer.outputs)
    assert contender.name == f"(c) {peer.name} {peer.version}"
    assert answer.seconds > 0
    assert (answer.cpu_seconds, answer.peak_bytes, answer.fetched_bytes) == (None, None, None)


def test_a_server_with_other_weights_is_wrong(case_in_two_files: Case) -> None:
    peer = next((peer for peer in PEERS if not peer.missing), None)
    if peer is None:
        pytest.skip("none of the peers is installed, expected one; `make peers`")
    [weights] = case_in_two_files.artifact.glob("*.data")
    weights.write_bytes(bytes(weights.stat().st_size))
    [contender] = server_contenders(CPUS, [peer])

    answer = contender.start(case_in_two_files)

    with pytest.raises(WrongAnswer, match=f"{peer.name}.*expected PyTorch's"):
        case_in_two_files.check(contender.name, answer.outputs)
