"""Each peer that is installed serves an ONNX file and answers right, and nothing of it is left afterwards."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.peers.answering import first_answer_s
from benchmarks.peers.catalogue import LITSERVE, PEERS, Peer, installed_peers
from benchmarks.peers.processes import free_ports, running
from benchmarks.warm.invocation import json_request
from tests.graphs import affine

CPUS = sorted(os.sched_getaffinity(0))


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    file = tmp_path / "affine.onnx"
    onnx.save(affine(scale=2.0, offset=1.0), file)
    return file


@pytest.mark.parametrize("peer", PEERS, ids=[peer.package for peer in PEERS])
def test_a_peer_answers_right(peer: Peer, model_file: Path) -> None:
    if peer.missing:
        pytest.skip(peer.missing)
    request = json_request("affine", "x", np.array([[0.0, 1.5, -1.0]], np.float32))

    seconds, answer = first_answer_s(peer, model_file, request, threads=1, cpus=CPUS)

    [output] = answer["outputs"]
    assert output["data"] == [1.0, 4.0, -1.0]
    assert output["shape"] == [1, 3]
    assert seconds > 0


def test_a_peer_that_is_not_installed_is_left_out_and_told_with_the_way_to_get_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert installed_peers([replace(LITSERVE, name="Absent", package="no-such-peer")]) == []
    told = "bench: Absent: nothing in .venv-peers/no-such-peer, expected an environment; `make peers`\n"
    assert capsys.readouterr().err == told


def test_a_process_that_leaves_its_session_is_killed_with_the_server() -> None:
    [port] = free_ports(1)
    # setsid: no signal to the group reaches the sleep, and its parent is gone
    with running(["sh", "-c", "setsid sleep 600 & exec sleep 600"], {}, port, CPUS) as server:
        while len(found := server.send(signal.SIGCONT)) < 2:
            server.check()

    assert not [process for process in found if is_running(process)]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and whoever inherited it has not looked yet


def test_a_server_that_ends_says_what_it_printed() -> None:
    with running(["sh", "-c", "echo no such model; exit 3"], {}, 0, CPUS) as server:
        server.process.wait()
        with pytest.raises(RuntimeError, match=r"ended with 3, expected a server\nno such model"):
            server.check()
