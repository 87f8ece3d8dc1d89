"""Load one server after the other, in rounds, and print requests a second and latencies beside the bare application's.

One CPU has the server, another the load. A server that is not loaded is stopped by a signal meanwhile, so that it
takes nothing from the one that is. Exit status 1: a bar is missed, or an answer is wrong.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.peers.answering import await_answer
from benchmarks.peers.processes import ServerProcess
from benchmarks.results import Table, print_tables, write_section
from benchmarks.throughput.contenders import BARE, OURS, Contender, contenders
from benchmarks.throughput.goldens import AskedGoldens, WrongAnswer
from benchmarks.throughput.load import Load, LoadResult
from handlers.registry.manifest import MANIFEST_FILE, decode_manifest
from handlers.runtime.cpu import cpu_kind

_ROOT = Path(__file__).resolve().parents[2]
_ARTIFACTS = [_ROOT / "build" / folder / "artifact" for folder in ("real/mnist-cnn", "demo")]
_SERVER_CPU, _LOAD_CPU = 0, 1
_THREADS = 1  # of a run: the server has one CPU
_CONNECTIONS = 8
_ROUNDS = 9
_WARM_UP_S = 0.3
_DURATION_S = 1.5
_MOST_BUSY = 0.5  # of the load's process: it could send twice as many
_BAR = 0.9  # of the bare application's requests a second; for latencies its inverse


@dataclass(frozen=True)
class Turn:
    """A server under load for a while."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the server for each request: steadier than the others where the machine is shared."""


@dataclass(frozen=True)
class _Figure:
    """One that has a bar: how it is read from a turn, and whether more of it is better."""

    name: str
    of: Callable[[Turn], float]
    more_is_better: bool

    def ratio(self, ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
        """Return ours over theirs, the median of what each round had."""
        return statistics.median(self.of(one) / self.of(other) for one, other in zip(ours, theirs, strict=True))

    def met(self, ratio: float) -> bool:
        """Tell whether ours reaches the bar."""
        return ratio >= _BAR if self.more_is_better else ratio <= 1 / _BAR


_FIGURES = (
    _Figure("requests/s", lambda turn: turn.requests_s, more_is_better=True),
    _Figure("p50", lambda turn: turn.p50_ms, more_is_better=False),
    _Figure("p99", lambda turn: turn.p99_ms, more_is_better=False),
)


def main() -> int:
    """Measure, print, and write the results; return the exit status."""
    artifact = next((folder for folder in _ARTIFACTS if (folder / MANIFEST_FILE).exists()), None)
    if artifact is None:
        print("bench: no MNIST CNN below build/, expected one; make demo", file=sys.stderr)
        return 1
    manifest = decode_manifest((artifact / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
    variant = manifest.variants_for(cpu_kind())[0]
    asked = AskedGoldens.of(artifact, manifest, variant)
    with tempfile.TemporaryDirectory() as folder:
        servers = contenders(asked, Path(folder), _THREADS, [_SERVER_CPU])
        try:
            turns = _measure(servers, asked)
        except WrongAnswer as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    what = f"{manifest.model}, {variant.name}, {asked.requests[0].path}, {_CONNECTIONS} connections, 1 CPU, 1 thread"
    tables = [_contenders_table(what, servers, turns), _bars_table(turns)]
    print_tables(tables)
    write_section("throughput", tables, threads=_THREADS)
    return 0 if all(figure.met(figure.ratio(turns[OURS], turns[BARE])) for figure in _FIGURES) else 1


def _measure(servers: Sequence[Contender], asked: AskedGoldens) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {contender.name: [] for contender in servers}
    with ExitStack() as stack:
        started: dict[str, ServerProcess] = {}
        for contender in servers:
            server = started[contender.name] = stack.enter_context(contender.start)
            await_answer(server, asked.requests[0])
            server.send(signal.SIGSTOP)
        for _ in track(range(_ROUNDS), "load", console=Console(stderr=True)):
            for name, server in started.items():
                server.send(signal.SIGCONT)
                turns[name].append(_load(name, server, asked))
                server.send(signal.SIGSTOP)
    return turns


def _load(name: str, server: ServerProcess, asked: AskedGoldens) -> Turn:
    requests = asked.requests
    bodies = [request.body.decode() for request in requests]
    load = Load(server.port, requests[0].path, bodies, _CONNECTIONS, _WARM_UP_S, _DURATION_S)
    before_s = server.cpu_s()
    done = subprocess.run(
        ["/usr/bin/taskset", "--cpu-list", str(_LOAD_CPU), sys.executable, "-m", "benchmarks.throughput.load"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
        cwd=_ROOT,
    )
    used_s = server.cpu_s() - before_s
    result = msgspec.json.decode(done.stdout, type=LoadResult)
    for number, answers in enumerate(result.answers):
        asked.check(name, number, answers)
    if result.busy > _MOST_BUSY:
        msg = f"load: busy for {result.busy:.0%} of the time with {name}, expected at most {_MOST_BUSY:.0%}"
        raise RuntimeError(msg)
    p50, p99 = np.percentile(result.latencies_ms, [50, 99])
    count = len(result.latencies_ms)
    return Turn(count / result.duration_s, float(p50), float(p99), used_s / result.sent * 1e6)


def _contenders_table(what: str, servers: Sequence[Contender], turns: Mapping[str, Sequence[Turn]]) -> Table:
    rows = []
    for contender in servers:
        own = turns[contender.name]
        rate = _FIGURES[0].ratio(turns[OURS], own)
        rows.append(
            [
                f"{contender.name} ({contender.version})",
                _spread([turn.requests_s for turn in own], "{:.0f}"),
                _spread([turn.p50_ms for turn in own], "{:.2f}"),
                _spread([turn.p99_ms for turn in own], "{:.2f}"),
                _spread([turn.cpu_us for turn in own], "{:.0f}"),
                f"{rate:.2f} times",
            ]
        )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("uvloop", "httptools", "orjson"))
    note = (
        f"{_ROUNDS} rounds of {_DURATION_S} s each, in turns. All processes of a server share one CPU; the load has "
        f"another, and was idle for more than half of the time. All open the same file with the same options. The bare "
        f"application validates nothing, and runs on uvicorn as ours does ({versions}). The peers have one worker, "
        "and, like the bare application, services that validate nothing. All answers were held against PyTorch's."
    )
    columns = ["", "requests/s", "p50 ms", "p99 ms", "CPU us a request", "lambdaserve answers"]
    return Table(what, columns, rows, note)


def _bars_table(turns: Mapping[str, Sequence[Turn]]) -> Table:
    rows = []
    for figure in _FIGURES:
        ratio = figure.ratio(turns[OURS], turns[BARE])
        bar = f"at least {_BAR}" if figure.more_is_better else f"at most {1 / _BAR:.2f}"
        rows.append([figure.name, f"{ratio:.2f}", bar, "met" if figure.met(ratio) else "missed"])
    return Table(
        "lambdaserve serve beside the bare application", ["", "ratio", "bar", ""], rows,
        "Medians of the ratios that each round had.",
    )  # fmt: skip


def _spread(values: Sequence[float], form: str) -> str:
    return f"{form} ({form} to {form})".format(statistics.median(values), min(values), max(values))


if __name__ == "__main__":
    sys.exit(main())
