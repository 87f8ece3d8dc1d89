"""Prepares a model for quantising: with fused operators, if it has some that pay."""

from pathlib import Path

import onnx

from export.candidates import Bench
from export.quantize.graph import Prepared, prepare
from export.search import ErrorMeter
from handlers.runtime.session import Session

__all__ = ["prepare_best"]

_SAME_ERROR = 1e-6  # squared, relative: what fused operators may differ by from PyTorch
_SAME_TIME = 1.05  # factor that fused operators may take longer by noise
_QUICK_S = 0.5


def prepare_best(fp32: Path, bench: Bench, meter: ErrorMeter) -> tuple[Prepared, str]:
    """Return the model in `fp32`, prepared, and what was fused, in words to be added to a description.

    Operators are fused only if that answers as PyTorch does and is no slower, both as measured.

    Raises:
        Exception: Whatever onnxruntime raises on graphs that it cannot take.
    """
    try:
        fused = prepare(fp32, fuse=True)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - rewriting is not worth failing for: the plain graph is always there
        return prepare(fp32, fuse=False), ""
    if not fused.fused:
        return fused, ""
    plain = prepare(fp32, fuse=False)
    if meter.measure(lambda path: onnx.save(fused.model, path)) > _SAME_ERROR:
        return plain, ""
    sessions = {name: _opened(it, fp32, bench.threads) for name, it in (("fused", fused), ("plain", plain))}
    times = bench.latencies_ms(sessions, _QUICK_S)
    if times["fused"] > _SAME_TIME * times["plain"]:
        return plain, ""
    return fused, f"; fused: {fused.described}"


def _opened(prepared: Prepared, beside: Path, threads: int) -> Session:
    path = beside.with_name("trial.onnx")
    try:
        onnx.save(prepared.model, path)
        return Session(path, threads=threads)
    finally:
        path.unlink(missing_ok=True)
