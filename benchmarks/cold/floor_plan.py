"""What the floor is told: which bytes to fetch, already signed, and the settings with which a session opens fastest."""

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import onnxruntime

from benchmarks.cold.cases import Case
from benchmarks.cold.packages import CACHE
from benchmarks.cold.shelf import Shelf
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import PART_BYTES
from handlers.runtime.session import DISABLED_OPTIMIZERS

__all__ = ["FASTEST", "FloorSettings", "write_plan"]

_SMALLEST_RANGE = 256 * 1024


@dataclass(frozen=True)
class FloorSettings:
    """How the floor gets and opens its model.

    Attributes:
        format: "published": the variant's file as it is; "onnx", "ort": its graph optimised ahead of time, on this
            machine, in that format.
        level: Name of the GraphOptimizationLevel with which it opens.
        entries: Session configuration entries.
        disabled_optimizers: Optimisers that are left out, ahead of time and when it opens.
        connections: How many ranges a file is fetched in, at most.
    """

    format: str = "ort"
    level: str = "ORT_DISABLE_ALL"
    entries: dict[str, str] = field(
        default_factory=lambda: {
            "session.intra_op.allow_spinning": "0",
            "session.disable_prepacking": "1",  # packing pays after some ten runs: a floor has two
            "session.load_model_format": "ORT",  # its path has no suffix to tell by
            "session.use_memory_mapped_ort_model": "1",
            "session.use_ort_model_bytes_for_initializers": "1",
        }
    )
    disabled_optimizers: tuple[str, ...] = tuple(DISABLED_OPTIMIZERS)
    connections: int = 8


FASTEST = FloorSettings()
"""The fastest found so far: the one place to try others in."""


def write_plan(folder: Path, case: Case, shelf: Shelf, threads: int, settings: FloorSettings = FASTEST) -> Path:
    """Put the floor's model into the store, if it is one of its own, and write the plan for `programs/floor.py`.

    Args:
        folder: Where the plan goes.
        case: Of which model.
        shelf: Where it is.
        threads: Of the session.
        settings: How to get and open it.

    Raises:
        ValueError: The published variant is two files, and the floor opens one.
    """
    manifest = case.manifest
    if settings.format == "published":
        if case.variant.data:
            msg = f"{case.name}: weights in a file of their own, expected them in the model's; take another format"
            raise ValueError(msg)
        model, key = case.artifact / case.variant.file, shelf.key(case, case.variant.file)
    else:
        model = _optimised(case, settings)
        key = f"floor/{case.name}/{model.name}"
        shelf.put(key, model)
    goldens = manifest.goldens.file
    files = [_file(shelf, model, key, settings.connections)]
    files.append(_file(shelf, case.artifact / goldens, shelf.key(case, goldens), settings.connections))
    address = urlsplit(shelf.link.endpoint)
    plan = {
        "host": address.hostname,
        "port": address.port,
        "files": files,
        "inputs": [spec.name for spec in manifest.inputs],
        "outputs": [spec.name for spec in manifest.outputs],
        "count": manifest.goldens.count,
        "stride": manifest.goldens.output_stride,
        "tolerances": [case.variant.golden_tolerance.get(spec.name, 0.0) for spec in manifest.outputs],
        "threads": threads,
        "settings": asdict(settings),
    }
    path = folder / f"plan-{case.name}.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


def _file(shelf: Shelf, path: Path, key: str, connections: int) -> dict[str, Any]:
    entry = describe_file(path)
    url = urlsplit(shelf.signed_url(key))
    count = max(1, min(connections, entry.size // _SMALLEST_RANGE))
    bounds = [entry.size * i // count for i in range(count + 1)]
    return {
        "name": path.name,
        "size": entry.size,
        "part_bytes": PART_BYTES,
        "parts": entry.parts,
        "request": f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n",
        "ranges": list(pairwise(bounds)),
    }


def _optimised(case: Case, settings: FloorSettings) -> Path:
    """Return the variant's graph, optimised for this machine."""
    folder = CACHE / "floor-models" / case.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.variant.name}.{settings.format}"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # it warns that the file is for this machine: so it is
    options.add_session_config_entry("session.save_model_format", settings.format.upper())
    onnxruntime.InferenceSession(
        case.artifact / case.variant.file,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(settings.disabled_optimizers),
    )
    return path
