"""Servers under measurement: started on CPUs of their own, and gone at the end with all that they have started.

Some of them start workers in sessions of their own, so neither a process group nor a parent's death reaches all: every
process of a server is found by a mark in the environment that it inherits.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ServerProcess", "free_ports", "running"]

_MARK = "LAMBDASERVE_BENCH_SERVER"
_LOG_TAIL = 4000


@dataclass(frozen=True)
class ServerProcess:
    """A server that was started; it may not answer yet.

    Attributes:
        process: What was started; there may be others around it.
        port: Where it listens on 127.0.0.1.
        log: What it has printed so far.
        mark: What the environment of all its processes holds.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    mark: str

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            RuntimeError: It does not; the message ends with what it printed.
        """
        if self.process.poll() is not None:
            printed = self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
            msg = f"{self.process.args!r}: ended with {self.process.returncode}, expected a server\n{printed}"
            raise RuntimeError(msg)

    def send(self, number: signal.Signals) -> list[int]:
        """Send a signal to all its processes; return their ids."""
        found = _processes_with(f"{_MARK}={self.mark}")
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return found

    def cpu_s(self) -> float:
        """Return how much CPU time its processes have used so far, in user mode and in the kernel."""
        ticks = 0
        for process in _processes_with(f"{_MARK}={self.mark}"):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
                ticks += int(fields[11]) + int(fields[12])  # utime and stime: proc(5) counts from the process id
        return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], environ: Mapping[str, str], port: int, cpus: Sequence[int]
) -> Iterator[ServerProcess]:
    """Start a server on `cpus`, in an empty folder that is also its home, and kill all of it at the end."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        own = {_MARK: mark, "HOME": folder, "TMPDIR": folder}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                ["/usr/bin/taskset", "--cpu-list", ",".join(map(str, cpus)), *command],
                env={**os.environ, **environ, **own},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = ServerProcess(process, port, log, mark)
        try:
            yield server
        finally:
            while server.send(signal.SIGKILL):  # until none is found: one may have started another meanwhile
                process.poll()
                time.sleep(0.01)
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on; all are held until the last is chosen."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


def _processes_with(setting: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it is gone, or somebody else's
                if setting.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found
