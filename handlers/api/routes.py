"""Which paths the application answers, and when the code behind them is imported.

Routes are tried in turn. Inference on tensors is what cold starts are for: the other protocols, 15 ms of importing,
wait until a path is none of its.
"""

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Router

from handlers.api.oip import inference

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["add_other_routes", "first_routes"]


def first_routes(router: Router) -> None:
    """Give a router its first routes; it takes the others when a request needs them."""
    router.routes.extend(inference.routes)

    async def find_among_others(scope: "Scope", receive: "Receive", send: "Send") -> None:
        add_other_routes(router)
        await router(scope, receive, send)

    router.default = find_among_others


def add_other_routes(router: Router) -> None:
    """Give a router all routes that it does not have yet. Does nothing where it has them."""
    if router.default == router.not_found:
        return
    router.default = router.not_found
    router.routes.extend(_other_routes())


def _other_routes() -> list[BaseRoute]:
    from handlers.api import kserve, openai, pages, payloads, sagemaker
    from handlers.api.oip import metadata, repository, statistics

    # the statistics of all models come before a model's metadata: /v2/models/stats is theirs
    tensors = [*statistics.routes, *metadata.routes, *repository.routes]
    return [*tensors, *kserve.routes, *openai.routes, *sagemaker.routes, *payloads.routes, *pages.routes]
