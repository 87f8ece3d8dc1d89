"""The servers beside ours, and how each is started on an ONNX file."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.processes import ServerProcess, free_ports, running

__all__ = ["BENTOML", "LITSERVE", "MLSERVER", "PEERS", "Peer", "installed_peers"]

_ROOT = Path(__file__).resolve().parents[2]
_SERVICES = Path(__file__).parent / "services"


@dataclass(frozen=True)
class Start:
    """What a command is made of: programs, the port, the model's name, and an empty folder for settings."""

    bin_folder: Path
    port: int
    model: str
    folder: Path


@dataclass(frozen=True)
class Peer:
    """A server that people use in place of ours.

    Attributes:
        name: As its makers write it.
        package: Its distribution, and the name of its environment below .venv-peers.
        command: What starts its service with one worker.
    """

    name: str
    package: str
    command: Callable[[Start], list[str]]

    @property
    def environment(self) -> Path:
        """Where it is installed."""
        return _ROOT / ".venv-peers" / self.package

    @property
    def missing(self) -> str | None:
        """Why it cannot be started; None: it can."""
        if (self.environment / "installed").exists():
            return None
        return f"{self.name}: nothing in {self.environment.relative_to(_ROOT)}, expected an environment; `make peers`"

    @property
    def version(self) -> str:
        """Which is installed."""
        [folder] = self.environment.glob(f"lib/*/site-packages/{self.package}-*.dist-info")
        return folder.name.removesuffix(".dist-info").partition("-")[2]

    @contextmanager
    def serving(self, model_file: Path, model: str, threads: int, cpus: Sequence[int]) -> Iterator[ServerProcess]:
        """Start it; it does not answer yet.

        Args:
            model_file: An ONNX file.
            model: Its name: requests go to `/v2/models/{model}/infer`.
            threads: Of one run of the model.
            cpus: Which all processes of the server may use.
        """
        [port] = free_ports(1)
        bin_folder = self.environment / "bin"
        environ = {
            "MODEL_FILE": str(model_file.resolve()),
            "THREADS": str(threads),
            "PORT": str(port),
            "INFER_PATH": f"/v2/models/{model}/infer",
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "PYTHONPATH": str(_SERVICES),
            "BENTOML_DO_NOT_TRACK": "True",
        }
        with tempfile.TemporaryDirectory(prefix="peer-") as folder:
            command = self.command(Start(bin_folder, port, model, Path(folder)))
            with running(command, environ, port, cpus) as server:
                yield server


def _start_litserve(start: Start) -> list[str]:
    return [str(start.bin_folder / "python"), str(_SERVICES / "litserve_service.py")]


def _start_bentoml(start: Start) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(start.port), "--working-dir", str(_SERVICES)]
    return [str(start.bin_folder / "bentoml"), "serve", "bentoml_service:Service", *where, "--api-workers", "1"]


def _start_mlserver(start: Start) -> list[str]:
    grpc_port, metrics_port = free_ports(2)
    server = {
        "host": "127.0.0.1",
        "http_port": start.port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "metrics_endpoint": None,
        "debug": False,
        "parallel_workers": 0,  # the model in the server's own process: no other is needed for one
    }
    model = {"name": start.model, "implementation": "mlserver_runtime.Runtime"}
    for name, settings in (("settings.json", server), ("model-settings.json", model)):
        (start.folder / name).write_text(json.dumps(settings), encoding="utf-8")
    return [str(start.bin_folder / "mlserver"), "start", str(start.folder)]


LITSERVE = Peer("LitServe", "litserve", _start_litserve)
BENTOML = Peer("BentoML", "bentoml", _start_bentoml)
MLSERVER = Peer("MLServer", "mlserver", _start_mlserver)
PEERS = (LITSERVE, BENTOML, MLSERVER)


def installed_peers(peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """Return those that can be started; says on stderr which cannot, and how to get them."""
    for peer in peers:
        if peer.missing:
            print(f"bench: {peer.missing}", file=sys.stderr)
    return [peer for peer in peers if not peer.missing]
