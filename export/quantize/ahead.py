"""Optimises a variant's graph ahead of time, where that makes its session open faster."""

from functools import partial
from pathlib import Path

import onnxruntime

from export.measure import interleaved_medians_ms
from handlers.runtime.session import DISABLED_OPTIMIZERS, Session

__all__ = ["optimise_ahead"]

_LARGEST_GROWTH = 1.02  # of the file: weights that are unpacked ahead of time would have to be transferred
_LEAST_GAIN = 0.9  # of the time that opening takes: less is noise, and one more thing that could differ
_BUDGET_S = 1.0


def optimise_ahead(path: Path, threads: int) -> bool:
    """Replace the model in `path` by one that onnxruntime has optimised, if that opens faster; return whether it did.

    Optimisations that depend on the kind of CPU (layouts) are left to where it is opened.
    """
    optimised = path.with_name(f"{path.name}.ahead")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED_OPTIMIZERS
        )
        pays = optimised.stat().st_size <= _LARGEST_GROWTH * path.stat().st_size and _opens_faster(
            optimised, path, threads
        )
        if pays:
            optimised.replace(path)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - it is not worth failing for: the file is there, and is opened as it is
        return False
    else:
        return pays
    finally:
        optimised.unlink(missing_ok=True)


def _opens_faster(optimised: Path, path: Path, threads: int) -> bool:
    opening = {str(file): partial(Session, file, threads=threads) for file in (path, optimised)}
    times = interleaved_medians_ms(opening, budget_s=_BUDGET_S, at_least=3)
    return times[str(optimised)] <= _LEAST_GAIN * times[str(path)]
