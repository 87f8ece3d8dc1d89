"""`python -m tests.life [PROCESSES] [SECONDS]`: what a crowd does to a model, in a folder and in S3."""

import os
import sys
import tempfile
from pathlib import Path

from tests.life.run import Life, live
from tests.servers.s3 import running_s3

MOST_PROBLEMS = 20


def main(processes: int = 16, duration_s: int = 60) -> int:
    """Print what happened in each store; return 1 if anything was wrong afterwards."""
    with tempfile.TemporaryDirectory(prefix="lambdaserve-life-") as folder, running_s3(Path(folder) / "s3") as server:
        os.environ.update(server.environment)  # for the processes to come, too
        stores = {"a folder": (Path(folder) / "store").as_uri(), "S3": f"s3://{server.make_bucket()}"}
        lives = []
        for number, (name, url) in enumerate(stores.items()):
            work = Path(folder) / f"life-{number}"
            work.mkdir()
            lives.append(live(url, work, processes, duration_s))
            _print(name, processes, lives[-1])
    return 1 if any(life.problems for life in lives) else 0


def _print(name: str, processes: int, life: Life) -> None:
    print(f"{name}: {processes} processes for {life.took_s:.0f} s, {life.killed} killed")
    for kind in sorted({kind for kind, _ in life.counts}):
        outcomes = sorted((outcome, count) for (each, outcome), count in life.counts.items() if each == kind)
        print(f"  {kind:10}", ", ".join(f"{outcome[:40]} {count}" for outcome, count in outcomes))
    print(
        f"  {life.finished} operations, {life.finished / life.took_s:.0f} a second; {life.changes} changes in the "
        f"history; {life.watched.readings} readings of whole versions\n"
        f"  {len(life.problems)} problems",
        flush=True,
    )
    for problem in life.problems[:MOST_PROBLEMS]:
        print(f"  {problem}")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
