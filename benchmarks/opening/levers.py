"""The ways to open a session, and the files that they open.

Settings are those of onnxruntime 1.32. One is left out: a model in the format `.ort` given as bytes with
`session.use_ort_model_bytes_directly` crashes, since the Python binding hands on a copy that is gone afterwards.
"""

from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnxruntime

from handlers.runtime.session import DISABLED_OPTIMIZERS

__all__ = ["LEVERS", "WEIGHTS", "Lever", "prepare"]

WHOLE, AHEAD, EXTERNAL, PREPACKED, ORT = "whole.onnx", "ahead.onnx", "external.onnx", "prepacked.onnx", "ahead.ort"

WEIGHTS = {EXTERNAL: "external.data", PREPACKED: "prepacked.data"}
"""The file of weights beside each model that has one."""

_LEAST_EXTERNAL_BYTES = "1024"
_PARALLEL = {"session.prepack.enable_parallel": "1"}
_UNPACKED = {"session.disable_prepacking": "1"}
_MAPPED = {"session.use_memory_mapped_ort_model": "1", "session.use_ort_model_bytes_for_initializers": "1"}
_BORROWED = {"session.use_external_initializer_file_buffers_directly": "1"}


@dataclass(frozen=True)
class Lever:
    """One way to open a session.

    Attributes:
        name: In the table.
        model: The file, of those that `prepare` makes.
        config: Entries of the session's configuration.
        optimises: Whether the graph is optimised when it is opened.
        from_memory: Whether model and weights are given as buffers, or by path.
    """

    name: str
    model: str
    config: dict[str, str] = field(default_factory=dict)
    optimises: bool = False
    from_memory: bool = False


LEVERS = (
    Lever("one file", WHOLE, optimises=True),
    Lever("one file, as bytes", WHOLE, optimises=True, from_memory=True),
    Lever("one file, parallel prepacking", WHOLE, _PARALLEL, optimises=True),
    Lever("one file, no prepacking", WHOLE, _UNPACKED, optimises=True),
    Lever("optimised ahead", AHEAD),
    Lever("optimised ahead, no prepacking", AHEAD, _UNPACKED),
    Lever(".ort", ORT),
    Lever(".ort, no prepacking", ORT, _UNPACKED),
    Lever(".ort, mapped", ORT, _MAPPED),
    Lever(".ort, mapped, no prepacking", ORT, _MAPPED | _UNPACKED),
    Lever("weights in a file", EXTERNAL),
    Lever("weights in a file, parallel prepacking", EXTERNAL, _PARALLEL),
    Lever("weights in a file, no prepacking", EXTERNAL, _UNPACKED),
    Lever("weights in a file, with prepacked ones", PREPACKED),
    Lever("weights in a buffer, copied", EXTERNAL, from_memory=True),
    Lever("weights in a buffer, borrowed", EXTERNAL, _BORROWED, from_memory=True),
    Lever("weights in a buffer, borrowed, no prepacking", EXTERNAL, _BORROWED | _UNPACKED, from_memory=True),
    Lever("weights in a buffer, borrowed, with prepacked ones", PREPACKED, _BORROWED, from_memory=True),
)
"""All but the first ones are optimised ahead of time."""


def prepare(model: Path, folder: Path) -> None:
    """Write into `folder`, which is empty, what the levers open."""
    whole = folder / WHOLE
    onnx.save(onnx.load(model), whole)  # artifacts keep large weights in a file beside the graph
    _save(whole, folder / AHEAD, {})
    _save(whole, folder / ORT, {"session.save_model_format": "ORT"})
    _save(whole, folder / EXTERNAL, _in_a_file(EXTERNAL))
    # onnxruntime keeps prepacked only what it finds in a file of its own
    prepacked = {"session.save_external_prepacked_constant_initializers": "1"}
    _save(folder / EXTERNAL, folder / PREPACKED, _in_a_file(PREPACKED) | prepacked)


def _in_a_file(model: str) -> dict[str, str]:
    return {
        "session.optimized_model_external_initializers_file_name": WEIGHTS[model],
        "session.optimized_model_external_initializers_min_size_in_bytes": _LEAST_EXTERNAL_BYTES,
    }


def _save(model: Path, path: Path, config: dict[str, str]) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED_OPTIMIZERS
    )
