"""Processes that publish, promote, roll back, delete and collect at random, and one that is killed each second."""

import random
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

import msgspec
import numpy as np

from handlers.registry.aliases import read_aliases
from handlers.registry.stores import open_store
from handlers.versions.changes import Operation
from tests.artifacts import make_artifact
from tests.graphs import affine
from tests.life.checks import leftovers, problems_of
from tests.life.explained import unexplained
from tests.life.journal import Entry, read_journals
from tests.life.operations import MODEL, collect_all
from tests.life.processes import Watched, change, watch

__all__ = ["Life", "live"]

KILL_EVERY_S = 1.0
ENDING_S = 120.0
"""What a process may take for the last of its operations, on a machine where others are at work."""


@dataclass(frozen=True)
class Life:
    """What happened, and what was wrong afterwards: best nothing."""

    entries: list[Entry]
    killed: int
    took_s: float
    changes: int
    watched: Watched
    problems: list[str]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many operations of each kind had each outcome; those of the killed have none."""
        outcomes = {entry.id: (entry.kind, entry.outcome) for entry in self.entries}  # the last line counts
        return Counter((kind, "killed" if outcome == "tried" else outcome) for kind, outcome in outcomes.values())

    @property
    def finished(self) -> int:
        """How many operations came to an end, well or not."""
        return sum(entry.outcome != "tried" for entry in self.entries)


def live(store_url: str, folder: Path, processes: int, duration_s: float, seed: int = 0) -> Life:
    """Let `processes` change a model for so long, one being killed and replaced each second; then check all."""
    artifacts = [_artifact(folder / f"artifact-{scale}", scale) for scale in (2, 3, 4)]
    crowd = _Crowd(store_url, folder, artifacts, seed, time.time() + duration_s)
    begin = time.monotonic()
    watcher = crowd.start_watching()
    killed = crowd.run(processes)
    late = crowd.join(watcher)
    took_s = time.monotonic() - begin
    store = open_store(store_url)
    last = Operation("life", "the last one")
    collect_all(store, last, keep=0)
    entries = [*read_journals(folder), Entry(last.id, "collect")]
    watched = msgspec.json.decode((folder / "watched.json").read_bytes(), type=Watched)
    problems = [*late, *watched.problems, *problems_of(store, MODEL), *unexplained(store, MODEL, entries)]
    problems += leftovers(store, MODEL)
    return Life(entries, killed, took_s, len(read_aliases(store, MODEL)[0].history), watched, problems)


class _Crowd:
    """The processes. Each has a number of its own, which makes its choices and names its journal."""

    def __init__(self, store_url: str, folder: Path, artifacts: list[Path], seed: int, end: float) -> None:
        self._store_url, self._folder, self._artifacts, self._end = store_url, folder, artifacts, end
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._started = 0
        self._alive: list[SpawnProcess] = []
        self._context = get_context("spawn")  # as from a shell: nothing is shared but the store

    def start_watching(self) -> SpawnProcess:
        watcher = self._context.Process(target=watch, args=(self._store_url, self._folder / "watched.json", self._end))
        watcher.start()
        return watcher

    def run(self, processes: int) -> int:
        """Start them, kill one after the other until the end, and return how many were killed."""
        killed = 0
        for _ in range(processes):
            self._start()
        while (left_s := self._end - time.time()) > 0:
            time.sleep(min(left_s, KILL_EVERY_S))
            if left_s > KILL_EVERY_S:
                victim = self._alive.pop(self._chance.randrange(len(self._alive)))
                victim.kill()
                victim.join()
                killed += 1
                self._start()
        return killed

    def join(self, watcher: SpawnProcess) -> list[str]:
        """Wait for the last operation of each, and say which did not come to an end, or to a bad one."""
        problems = []
        for process in (watcher, *self._alive):
            process.join(ENDING_S)
            if process.exitcode != 0:
                problems.append(f"{process.name}: exit code {process.exitcode}, expected 0")
                process.kill()
        return problems

    def _start(self) -> None:
        number = self._started
        self._started += 1
        journal = self._folder / f"{number:04d}.journal"
        arguments = (self._store_url, self._artifacts, journal, 10_000 * self._seed + number, self._end)
        self._alive.append(self._context.Process(target=change, args=arguments))
        self._alive[-1].start()


def _artifact(folder: Path, scale: float) -> Path:
    make_artifact(folder, MODEL, {"fp32": affine(scale)}, [{"x": np.array([[0, 1, 2]], np.float32)}])
    return folder
