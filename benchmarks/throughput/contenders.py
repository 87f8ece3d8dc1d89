"""The servers that are loaded: ours, the bare application, and the peers that are installed, all on the same file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import __version__ as fastapi_version

from benchmarks.peers.catalogue import Peer, installed_peers
from benchmarks.peers.processes import ServerProcess, free_ports, running
from benchmarks.throughput.goldens import AskedGoldens
from export.progress import Progress
from export.publish import publish
from handlers import __version__
from handlers.registry.stores import open_store

__all__ = ["BARE", "OURS", "Contender", "contenders"]

OURS = "lambdaserve serve"
BARE = "bare FastAPI, orjson, onnxruntime"
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Contender:
    """A server to be loaded: what it is called, which version, and how to start it."""

    name: str
    version: str
    start: AbstractContextManager[ServerProcess]


def contenders(asked: AskedGoldens, folder: Path, threads: int, cpus: Sequence[int]) -> list[Contender]:
    """Return all contenders, ours and the bare application first; says on stderr which peers are not installed.

    Args:
        asked: The artifact that ours serves, and the variant of it that all others do.
        folder: Empty; for the store that ours serves from.
        threads: Of one run of the model.
        cpus: Which all processes of a server may use.
    """
    model, model_file = asked.manifest.model, asked.artifact / asked.variant.file
    found = [
        Contender(OURS, __version__, _serve(asked.artifact, folder, threads, cpus)),
        Contender(BARE, f"FastAPI {fastapi_version}, uvicorn {uvicorn.__version__}",
                  _bare(model_file, model, threads, cpus)),
    ]  # fmt: skip
    return found + [_peer(peer, model_file, model, threads, cpus) for peer in installed_peers()]


def _peer(peer: Peer, model_file: Path, model: str, threads: int, cpus: Sequence[int]) -> Contender:
    return Contender(peer.name, peer.version, peer.serving(model_file, model, threads, cpus))


@contextmanager
def _serve(artifact: Path, folder: Path, threads: int, cpus: Sequence[int]) -> Iterator[ServerProcess]:
    store = (folder / "store").as_uri()
    publish(artifact, open_store(store), "live", Progress())
    [port] = free_ports(1)
    command = ["-m", "export", "serve", "--store", store, "--port", str(port), "--threads", str(threads)]
    with _running(command, {}, port, cpus) as server:
        yield server


@contextmanager
def _bare(model_file: Path, model: str, threads: int, cpus: Sequence[int]) -> Iterator[ServerProcess]:
    [port] = free_ports(1)
    environ = {
        "MODEL_FILE": str(model_file.resolve()),
        "THREADS": str(threads),
        "PORT": str(port),
        "INFER_PATH": f"/v2/models/{model}/infer",
    }
    with _running(["-m", "benchmarks.throughput.bare_app"], environ, port, cpus) as server:
        yield server


def _running(
    arguments: Sequence[str], environ: Mapping[str, str], port: int, cpus: Sequence[int]
) -> AbstractContextManager[ServerProcess]:
    return running([sys.executable, *arguments], {"PYTHONPATH": str(_ROOT), **environ}, port, cpus)
