"""Which paths the application answers, and when the code behind them is imported.

Cold starts are for inference, which goes past the routes (`handlers.api.shortcut`): they, and the rarer protocols
behind them, wait until a request needs them. Importing them takes 5 ms.
"""

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Router

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["add_routes", "add_routes_when_needed"]


def add_routes_when_needed(router: Router) -> None:
    """Let a router without routes take all of them when the first request comes by."""

    async def add_and_ask_again(scope: "Scope", receive: "Receive", send: "Send") -> None:
        add_routes(router)
        await router(scope, receive, send)

    router.default = add_and_ask_again


def add_routes(router: Router) -> None:
    """Give a router all routes now. Does nothing where it has them."""
    if router.default != router.not_found:
        router.routes.extend(_routes())
        router.default = router.not_found


def _routes() -> list[BaseRoute]:
    from handlers.api import kserve, openai, pages, payloads, sagemaker
    from handlers.api.oip import inference, metadata, repository, statistics

    # routes are tried in turn; the statistics of all models come before a model's metadata: /v2/models/stats is theirs
    tensors = [*inference.routes, *statistics.routes, *metadata.routes, *repository.routes]
    return [*tensors, *kserve.routes, *openai.routes, *sagemaker.routes, *payloads.routes, *pages.routes]
