"""Reports for tests, as a build could have written them."""

import math
from typing import Any

import numpy as np

from export.report import (
    Confusion,
    FloatNode,
    OutputError,
    Report,
    Search,
    Trial,
)
from handlers.registry.manifest import Calibration, Gate

PYTORCH_SCORE = 0.9885


def gate(score: float, allowed: float = 0.01) -> Gate:
    loss = math.inf if math.isnan(score) else (PYTORCH_SCORE - score) / PYTORCH_SCORE
    return Gate("accuracy", PYTORCH_SCORE, score, loss, allowed, loss <= allowed, samples=2000, held_out=True)


def trial(name: str, size_bytes: int, latency_ms: float, score: float = PYTORCH_SCORE, **changes: Any) -> Trial:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {
        "verdict": "packaged",
        "why": f"why {name}",
        "how": f"how {name}",
        "gate": gate(score),
        "open_ms": latency_ms * 30,
        "errors": [OutputError("logits", cosine=0.999 * score, largest=2.5, relative=0.0125)],
    }
    return Trial(name=name, size_bytes=size_bytes, latency_ms=latency_ms, **(fields | changes))


def float_nodes(count: int) -> list[FloatNode]:
    """Nodes of falling sensitivity, in the order of the graph and not of their errors."""
    random = np.random.default_rng(0)
    errors = 0.08 / (1 + np.arange(count)) ** 1.3
    random.shuffle(errors)
    kinds = ("Conv", "MatMul", "Gemm", "Add")
    return [
        FloatNode(
            f"/features/features.{i // 3}/block/{i % 3}/{kinds[i % 4]}",
            kinds[i % 4],
            float(error),
            1 + 3 * (i % 5 == 0),
            ("fp16", "fp32", "fp16", "none")[i % 4],
        )
        for i, error in enumerate(errors)
    ]


def confusion(classes: int, samples: int, wrong: float = 0.02) -> Confusion:
    random = np.random.default_rng(1)
    right = random.integers(classes, size=samples)
    pytorch, chosen = right.copy(), right.copy()
    missed = random.random(samples) < wrong
    pytorch[missed] = random.integers(classes, size=missed.sum())
    chosen[:] = pytorch
    moved = random.random(samples) < wrong / 4
    chosen[moved] = random.integers(classes, size=moved.sum())
    matrices = []
    for answers in (pytorch, chosen):
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (right, answers), 1)
        matrices.append(matrix.tolist())
    return Confusion(*matrices)


def report(**changes: Any) -> Report:  # noqa: ANN401 - any field
    """A build of which int8-static was chosen; `changes` replace fields."""
    fields: dict[str, Any] = {
        "model": "mnist-cnn",
        "chosen": "int8-static",
        "prefer": "size",
        "max_loss": 0.01,
        "cpu": "x86_64-vnni",
        "machine": "AMD EPYC 9R14, 2 cores",
        "threads": 2,
        "metric": "accuracy",
        "pytorch_score": PYTORCH_SCORE,
        "pytorch_latency_ms": 0.153,
        "samples": 2000,
        "pytorch_size_bytes": 390_000,
        "classes": ["logits"],
        "held_out": True,
        "calibration": Calibration(512, "calibration"),
        "search": Search(budget_s=60, taken_s=41.2, measurements=138, judgements=4),
        "warnings": [],
        "trials": [
            trial("int8-static", 114_900, 0.049, 0.9875, verdict="chosen"),
            trial("int8-dynamic", 112_300, 0.262, 0.9880, verdict="rejected"),
            trial("fp32", 391_600, 0.098),
        ],
    }
    return Report(**(fields | changes))
