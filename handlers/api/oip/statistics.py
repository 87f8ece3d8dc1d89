"""The statistics extension: how many calls this process has answered, and how long they took.

Specification: triton-inference-server/server, docs/protocol/extension_statistics.md. Nothing is queued or cached here,
and calls of different batch sizes are not told apart.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.counters import Duration, ModelCounts
from handlers.api.service import model_of, service_of
from handlers.api.statuses import json_response
from handlers.registry.routing import is_version

__all__ = ["routes"]

_SCOPE = "environment"
"""Whose calls are counted: those of this process. Of a Lambda function there may be many, and none knows the others."""


async def _all_stats(request: Request) -> Response:
    service = service_of(request)
    counts = {(found.name, found.version): found for found in service.counters.snapshot()}
    uncalled = {(model.name, model.version): ModelCounts(model.name, model.version) for model in service.models.loaded}
    return _answer([found for _, found in sorted((uncalled | counts).items())])


async def _model_stats(request: Request) -> Response:
    name, version = request.path_params["model"], request.path_params.get("version")
    if version is not None and not is_version(version):
        version = (await model_of(request)).version
    counts = [
        found
        for found in service_of(request).counters.snapshot()
        if found.name == name and version in (None, found.version)
    ]
    if not counts:
        model = await model_of(request)  # says so where there is no such model
        counts = [ModelCounts(model.name, model.version)]
    return _answer(counts)


def _answer(counts: list[ModelCounts]) -> Response:
    return json_response({"model_stats": [_stat(found) for found in counts], "scope": _SCOPE})


def _stat(counts: ModelCounts) -> dict[str, Any]:
    never = Duration()
    return {
        "name": counts.name,
        "version": counts.version,
        "last_inference": counts.last_call_ms,
        "inference_count": counts.samples,
        "execution_count": counts.runs,
        "inference_stats": {
            "success": counts.success,
            "fail": counts.fail,
            "queue": Duration(counts.success.count),
            "compute_input": counts.phases.get("decode", never),
            "compute_infer": counts.phases.get("infer", never),
            "compute_output": counts.phases.get("encode", never),
            "cache_hit": never,
            "cache_miss": never,
        },
        "batch_stats": [],
    }


routes = [
    Route("/v2/models/stats", _all_stats),
    Route("/v2/models/{model}/stats", _model_stats),
    Route("/v2/models/{model}/versions/{version}/stats", _model_stats),
]
