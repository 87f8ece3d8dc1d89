"""Settings of the serving side. The only module that looks at the environment's variables."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from handlers.errors import InvalidSetting, LambdaserveError
from handlers.memory import machine_memory_bytes
from handlers.registry.names import check_alias, check_model_name
from handlers.registry.stores.s3_access import S3Access
from handlers.registry.stores.s3_url import split_s3_url

__all__ = ["Settings", "default_model_memory_mb", "default_threads", "find_s3_access", "largest_payload_bytes"]

T = TypeVar("T")

_MB_PER_VCPU = 1769  # Lambda: one full vCPU for each 1,769 MB (developer guide, "Configure Lambda function memory")
_LAMBDA_BODY_BYTES = 6 * 1024 * 1024  # Lambda: synchronous payload, request and response each
_PAYLOAD_BYTES = 256 * 1024 * 1024
_LARGEST_UPLOAD_BYTES = 5 * 1024**3  # S3: in one PUT
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.-]+(:[0-9]{1,5})?")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ENVELOPE_BYTES = 16 * 1024  # of an answer's payload: what is not its body, headers foremost
_ALIAS_CHECKS = {"strict": 0.0, "never": float("inf")}
_MB = 1024 * 1024
_DIGITS = 20  # hold any size there is; int() refuses thousands of them
_PROCESS_MB = 200
"""What Lambda's memory must hold beside models: interpreter and imports (103 MB resident, measured with Python 3.11 on
x86-64, S3 client, Pillow and tokenizers included), a request of 6 MB in its forms, and its answer."""


@dataclass(frozen=True)
class Settings:
    """What an operator decides.

    Attributes:
        store_url: LAMBDASERVE_STORE, `file:///folder` or `s3://bucket/prefix`; required.
        models: LAMBDASERVE_MODELS, comma-separated; empty: every model in the store that has the alias.
        alias: LAMBDASERVE_ALIAS, the alias through which versions are found.
        max_body_bytes: LAMBDASERVE_MAX_BODY_BYTES, a larger request gets 413.
        payloads_url: LAMBDASERVE_PAYLOADS, `s3://bucket/prefix`, a bucket of their own for tensors beyond Lambda's
            limit; empty: there is none.
        max_payload_bytes: LAMBDASERVE_MAX_PAYLOAD_BYTES, of one payload and of all in a request; on Lambda a quarter of
            the function's memory at most.
        scratch_dir: LAMBDASERVE_SCRATCH_DIR, where model files are on their way to a session, or mapped by one.
        threads: LAMBDASERVE_THREADS, of one session; by default what Lambda's memory size buys, elsewhere all cores.
        log_level: LAMBDASERVE_LOG_LEVEL.
        pinned: LAMBDASERVE_PINNED, comma-separated; models that are loaded at the start and stay.
        model_memory_bytes: LAMBDASERVE_MODEL_MEMORY_MB, what all models together may take; None: no limit.
        max_answer_bytes: LAMBDASERVE_MAX_ANSWER_BYTES, of an answer's body as it travels, in base64 where it is binary;
            a larger one is replaced by 413. None: no limit.
        init_wait_s: LAMBDASERVE_INIT_WAIT_S, how long the init phase lasts at most; what is not loaded by then goes on
            in the first invocation. Lambda grants 10 s, of which starting the interpreter takes its part. After a
            restore from a snapshot, for which Lambda grants as much, it is how long the aliases are waited for.
        cors_origins: LAMBDASERVE_CORS_ORIGINS, comma-separated origins whose pages may call the service, or `*`; empty:
            none.
        base_path: LAMBDASERVE_BASE_PATH, what a custom domain or a proxy puts before the paths.
        snap_start: Whether Lambda takes a snapshot of this process after its init (AWS_LAMBDA_INITIALIZATION_TYPE).
        defers_packing: Whether a model's first answer does not wait for its weights to be packed: in environments that
            Lambda starts because a request waits for them, not where it takes a snapshot or starts them beforehand.
        alias_check_s: LAMBDASERVE_ALIAS_CHECK, how long after the last look a request begins another, beside its
            inference, at whether aliases have moved; 0 (`strict`): before it; infinity (`never`): none does.
        problems: What the environment held that makes no sense, a sentence each.
    """

    store_url: str
    models: tuple[str, ...] = ()
    alias: str = "live"
    max_body_bytes: int = _LAMBDA_BODY_BYTES
    scratch_dir: Path = Path(tempfile.gettempdir())
    threads: int = 1
    log_level: str = "INFO"
    init_wait_s: float = 7.0
    payloads_url: str = ""
    max_payload_bytes: int = _PAYLOAD_BYTES
    cors_origins: tuple[str, ...] = ()
    base_path: str = ""
    pinned: tuple[str, ...] = ()
    model_memory_bytes: int | None = None
    max_answer_bytes: int | None = None
    snap_start: bool = False
    defers_packing: bool = False
    alias_check_s: float = 30.0
    problems: tuple[str, ...] = ()

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str] = os.environ, given: Mapping[str, str] | None = None
    ) -> "Settings":
        """Read the settings; what makes no sense is listed in `problems`, its default taken.

        Args:
            environ: Names and values.
            given: What goes before them, from a command line for example.
        """
        environ = {**environ, **(given or {})}
        problems: list[str] = []

        def read(name: str, parse: Callable[[str], T], default: T) -> T:
            text = environ.get(name, "").strip()
            if not text:
                return default
            try:
                return parse(text)
            except (ValueError, LambdaserveError) as error:
                problems.append(f"{name}: {error}")
                return default

        store_url = read("LAMBDASERVE_STORE", _store_url, "")
        if not store_url and not problems:
            problems.append("LAMBDASERVE_STORE: nothing, expected file:///folder or s3://bucket/prefix")
        none: tuple[str, ...] = ()
        models = read("LAMBDASERVE_MODELS", _model_names, none)
        pinned = read("LAMBDASERVE_PINNED", _model_names, none)
        strangers = set(pinned) - set(models)
        if models and strangers:
            problems.append(f"LAMBDASERVE_PINNED: {', '.join(sorted(strangers))}, expected some of LAMBDASERVE_MODELS")
            pinned = none
        return cls(
            store_url=store_url,
            models=models,
            alias=read("LAMBDASERVE_ALIAS", check_alias, "live"),
            alias_check_s=read("LAMBDASERVE_ALIAS_CHECK", _alias_check, 30.0),
            max_body_bytes=read("LAMBDASERVE_MAX_BODY_BYTES", _positive, _LAMBDA_BODY_BYTES),
            scratch_dir=read("LAMBDASERVE_SCRATCH_DIR", _folder, Path(tempfile.gettempdir())),
            threads=read("LAMBDASERVE_THREADS", _positive, default_threads(environ)),
            log_level=read("LAMBDASERVE_LOG_LEVEL", _log_level, "INFO"),
            init_wait_s=read("LAMBDASERVE_INIT_WAIT_S", _seconds, 7.0),
            payloads_url=read("LAMBDASERVE_PAYLOADS", _s3_url, ""),
            max_payload_bytes=min(
                read("LAMBDASERVE_MAX_PAYLOAD_BYTES", _positive, _PAYLOAD_BYTES), largest_payload_bytes(environ)
            ),
            cors_origins=read("LAMBDASERVE_CORS_ORIGINS", _origins, ()),
            base_path=read("LAMBDASERVE_BASE_PATH", _base_path, ""),
            pinned=pinned,
            model_memory_bytes=read("LAMBDASERVE_MODEL_MEMORY_MB", _positive, default_model_memory_mb(environ)) * _MB,
            max_answer_bytes=read("LAMBDASERVE_MAX_ANSWER_BYTES", _natural, _default_max_answer_bytes(environ)) or None,
            snap_start=environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
            defers_packing=environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "on-demand",
            problems=tuple(problems),
        )

    @property
    def at_start(self) -> tuple[str, ...]:
        """The models to load at the start, as far as settings tell: the pinned ones, or the only one."""
        return self.pinned or (self.models if len(self.models) == 1 else ())

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            InvalidSetting: Some do not; the message lists them all.
        """
        if self.problems:
            raise InvalidSetting("; ".join(self.problems))


def default_threads(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many threads one session gets: what Lambda's memory size buys, elsewhere one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if not memory_mb.isdecimal():
        return cores
    return max(1, min(cores, round(int(memory_mb) / _MB_PER_VCPU)))


def find_s3_access(bucket: str, environ: Mapping[str, str] = os.environ) -> S3Access | None:
    """Return how to read from a bucket without boto3; None where only boto3 can tell."""
    return S3Access.from_environ(bucket, environ)


def largest_payload_bytes(environ: Mapping[str, str] = os.environ) -> int:
    """Return what payloads may take: a quarter of Lambda's memory, as input, output and model want room too."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return int(memory_mb) * 1024 * 1024 // 4 if memory_mb.isdecimal() else _LARGEST_UPLOAD_BYTES


def _s3_url(text: str) -> str:
    try:
        split_s3_url(text)
    except LambdaserveError as error:
        msg = f"{text!r}, expected s3://bucket[/prefix]"
        raise ValueError(msg) from error
    return text


def default_model_memory_mb(environ: Mapping[str, str] = os.environ) -> int:
    """Return what models may take: Lambda's memory size less what the process needs, elsewhere half of all memory."""
    memory_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if memory_mb.isdecimal():
        return max(int(memory_mb) - _PROCESS_MB, int(memory_mb) // 4)
    return machine_memory_bytes() // 2 // _MB


def _default_max_answer_bytes(environ: Mapping[str, str]) -> int:
    """Return what fits into the payload of an answer on Lambda; elsewhere 0, no limit."""
    return _LAMBDA_BODY_BYTES - _ENVELOPE_BYTES if environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") else 0


def _store_url(text: str) -> str:
    if not text.startswith(("file://", "s3://")):
        msg = f"{text!r}, expected file:///folder or s3://bucket/prefix"
        raise ValueError(msg)
    return text


def _model_names(text: str) -> tuple[str, ...]:
    return tuple(check_model_name(name.strip()) for name in text.split(",") if name.strip())


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().lower() for origin in text.split(",") if origin.strip())
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            msg = f"{origin!r}, expected origins like https://example.com, separated by commas, or *"
            raise ValueError(msg)
    return origins


def _base_path(text: str) -> str:
    path = "/" + text.strip("/")
    if not _BASE_PATH.fullmatch(path):
        msg = f"{text!r}, expected a path like /ml"
        raise ValueError(msg)
    return path


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r}, expected a positive integer"
        raise ValueError(msg)
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        msg = f"{text[:80]!r}, expected an integer, zero or more"
        raise ValueError(msg)
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        msg = f"{text!r}, expected seconds, zero or more"
        raise ValueError(msg)
    return value


def _alias_check(text: str) -> float:
    if text.lower() in _ALIAS_CHECKS:
        return _ALIAS_CHECKS[text.lower()]
    try:
        value = _seconds(text)
    except ValueError:
        value = 0.0
    if not value:
        msg = f"{text!r}, expected seconds, more than zero, or strict, or never"
        raise ValueError(msg)
    return value


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        msg = f"{text!r}, expected an existing folder"
        raise ValueError(msg)
    return path


def _log_level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        msg = f"{text!r}, expected one of {', '.join(levels)}"
        raise ValueError(msg)
    return text.upper()
