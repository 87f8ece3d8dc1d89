"""`lambdaserve profile`: cold starts of the inference function on this machine, each in a fresh process. No torch."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import handlers
from export import cold_start_process
from export.critical_path import Phase, Step, Subject, advise, critical_path
from export.errors import ColdStartError
from export.golden_request import check_answer, headers_of, to_event
from export.progress import Progress
from handlers.registry.aliases import find_alias
from handlers.registry.download import Download
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest
from handlers.registry.names import check_alias, check_model_name
from handlers.registry.stores import open_store
from handlers.runtime.goldens import Golden, read_goldens
from handlers.settings import default_threads
from handlers.timeline import Timeline

__all__ = ["Function", "Profile", "Round", "profile"]

_TIMEOUT_S = 600
_OURS = "LAMBDASERVE_"


@dataclass(frozen=True)
class Function:
    """The function that is to be measured: where its model is, and what it may use.

    `memory_mb` is Lambda's memory size, with the processors, threads and room for models that go with it; None: all of
    this machine. `threads` of a session; None: as the memory or the machine has it.
    """

    store: str
    model: str
    alias: str = "live"
    threads: int | None = None
    memory_mb: int | None = None

    @property
    def cpus(self) -> int:
        """How many processors it gets; 0: all."""
        return (
            0 if self.memory_mb is None else default_threads({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb)})
        )

    @property
    def environ(self) -> dict[str, str]:
        """Its settings, in place of those of this environment; Python and AWS keep theirs."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        path = os.pathsep.join(filter(None, (str(Path(handlers.__file__).parents[1]), inherited.get("PYTHONPATH", ""))))
        settings = {
            "PYTHONPATH": path,
            "LAMBDASERVE_STORE": self.store,
            "LAMBDASERVE_MODELS": self.model,
            "LAMBDASERVE_ALIAS": self.alias,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",  # as where a request waits for the environment
            # a link that is slower than Lambda's takes longer than its init phase may, and is to be seen all the same
            "LAMBDASERVE_INIT_WAIT_S": str(_TIMEOUT_S),
        }
        if self.threads is not None:
            settings["LAMBDASERVE_THREADS"] = str(self.threads)
        if self.memory_mb is not None:
            settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(self.memory_mb)
        return inherited | settings


class Round(msgspec.Struct, frozen=True):
    """One cold start: from the start of the process to its first answer."""

    total_ms: float
    phases: list[Phase]


class Profile(msgspec.Struct, frozen=True):
    """What cold starts took. `phases` and `critical_path` are those of the round whose total is the median."""

    model: str
    version: str
    variant: str
    store: str
    alias: str
    python: str
    cpus: int
    threads: int
    memory_mb: int | None
    fetched_bytes: int
    total_ms: float
    rounds: list[Round]
    phases: list[Phase]
    critical_path: list[Step]
    attack: str
    advice: list[str]
    server_timing: str


def profile(function: Function, rounds: int, progress: Progress) -> Profile:
    """Start the function `rounds` times, ask it for the model's first golden, and find out what took the time.

    Raises:
        LambdaserveError: The store cannot be read, or has no such model.
        ColdStartError: The function did not start, did not answer, or answered wrong.
    """
    check_model_name(function.model)
    check_alias(function.alias)
    with tempfile.TemporaryDirectory(prefix="lambdaserve-profile-") as name:
        folder = Path(name)
        manifest, goldens = _fetch_goldens(function, folder)
        event = folder / "event.json"
        event.write_text(json.dumps(to_event(manifest, goldens[0])), encoding="utf-8")
        with progress.step("Starting cold", rounds) as advance:
            results = []
            for _ in range(rounds):
                results.append(_start_cold(function, event, folder / "result.json"))
                _check(results[-1], manifest, goldens[0])
                advance(1)
    measured = [_to_round(result) for result in results]
    chosen = sorted(range(rounds), key=lambda i: measured[i].total_ms)[(rounds - 1) // 2]
    median, result = measured[chosen], results[chosen]
    [(version, variant)] = result["versions"]
    subject = Subject(manifest, variant)
    path = critical_path(median.phases)
    attack, advice = advise(path, median.phases, subject)
    return Profile(
        model=function.model,
        version=version,
        variant=variant,
        store=function.store,
        alias=function.alias,
        python=sys.version.partition(" ")[0],
        cpus=result["cpus"],
        threads=result["threads"],
        memory_mb=function.memory_mb,
        fetched_bytes=subject.fetched_bytes,
        total_ms=median.total_ms,
        rounds=measured,
        phases=median.phases,
        critical_path=path,
        attack=attack,
        advice=advice,
        server_timing=headers_of(result["answer"])["server-timing"],
    )


def _fetch_goldens(function: Function, folder: Path) -> tuple[Manifest, list[Golden]]:
    store = open_store(function.store)
    manifest = fetch_manifest(store, function.model, find_alias(store, function.model, function.alias).version)
    with Download(store, manifest, folder, Timeline()) as download:
        download.begin([manifest.goldens.file])
        download.wait([manifest.goldens.file])
    return manifest, read_goldens(folder / manifest.goldens.file, manifest)


def _start_cold(function: Function, event: Path, result: Path) -> dict[str, Any]:
    result.unlink(missing_ok=True)
    # -P: the folder of that file, which is a package's, is no place to import from
    command = [sys.executable, "-P", cold_start_process.__file__, str(event), str(result), str(function.cpus)]
    try:
        done = subprocess.run(  # noqa: S603 - our own file, no shell
            command, env=function.environ, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        msg = f"cold start: no answer after {_TIMEOUT_S} s, expected one"
        raise ColdStartError(msg) from error
    if done.returncode != 0 or not result.exists():
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        msg = f"cold start: the function ended with exit code {done.returncode} ({last}), expected an answer"
        raise ColdStartError(msg)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def _check(result: Mapping[str, Any], manifest: Manifest, golden: Golden) -> None:
    answer = result["answer"]
    if answer["statusCode"] != 200:  # noqa: PLR2004 - HTTP's "OK"
        msg = f"cold start: answered {answer['statusCode']} {answer['body']}, expected 200"
        raise ColdStartError(msg)
    [(version, variant)] = result["versions"]
    if version != manifest.version:
        msg = (
            f"model {manifest.model!r}: served version {version} after version {manifest.version}, expected one; "
            "the alias has just moved: try again"
        )
        raise ColdStartError(msg)
    check_answer(answer, manifest, golden, next(each for each in manifest.variants if each.name == variant))


def _to_round(result: Mapping[str, Any]) -> Round:
    phases = [Phase(name, round(start_s * 1000, 2), round(end_s * 1000, 2)) for name, start_s, end_s in result["spans"]]
    return Round(
        max(phase.end_ms for phase in phases), sorted(phases, key=lambda phase: (phase.start_ms, phase.end_ms))
    )
