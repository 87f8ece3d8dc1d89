"""Servers that people use in place of ours, from the start of their processes to their first answer."""

import json
from collections.abc import Sequence

from benchmarks.cold.cases import Case
from benchmarks.cold.contenders import Contender, FirstAnswer, to_outputs
from benchmarks.cold.cpus import Cpus
from benchmarks.peers.answering import first_answer_s
from benchmarks.peers.catalogue import Peer
from benchmarks.warm.invocation import Request

__all__ = ["server_contenders"]


def server_contenders(cpus: Cpus, peers: Sequence[Peer]) -> list[Contender]:
    """Return the peers as contenders: each opens the variant where it lies, in the artifact's folder.

    Args:
        cpus: All processes of a server are kept to the function's.
        peers: Installed ones.
    """
    return [_contender(peer, cpus) for peer in peers]


def _contender(peer: Peer, cpus: Cpus) -> Contender:
    def start(case: Case) -> FirstAnswer:
        request = Request(case.event["path"], {"Content-Type": "application/json"}, json.dumps(case.request).encode())
        model_file = case.artifact / case.variant.file  # weights in a file of their own are found beside it
        seconds, answer = first_answer_s(peer, model_file, request, cpus.count, sorted(cpus.function))
        return FirstAnswer(seconds, None, to_outputs(answer), None, None)

    return Contender(f"(c) {peer.name} {peer.version}", start)
