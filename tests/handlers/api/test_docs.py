"""The page that shows the document, in a real browser that reaches no host but this one."""

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from handlers.api.app import create_app
from handlers.api.service import Service
from tests.handlers.api.gateway import Gateway, rest_event
from tests.servers.browser import Page, open_page

CHROMIUM = shutil.which("chromium")
KEY = "an-example-and-not-a-key"
FILES = ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "page.js", "page.css"]


class Keyed:
    """What API Gateway does before the function: what describes the models needs a key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = dict(scope["headers"])
        if scope["path"].startswith(("/keyed/openapi", "/keyed/v")) and named.get(b"x-api-key") != KEY.encode():
            await Response(b'{"error": "no key"}', 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@pytest.fixture(scope="module", params=["prod", "keyed"])
def site(request: pytest.FixtureRequest, service: Service, gateway: Gateway) -> Iterator[str]:  # noqa: ARG001
    """The URL of the service below a path, as a stage puts it; `keyed` wants a key."""
    app = create_app(service, base_path=f"/{request.param}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(Keyed(app), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{request.param}"
        server.should_exit = True
        thread.join()


NEEDS_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here, expected one to show the page in")
KEY_IS_ASKED_FOR = "!document.getElementById('key').hidden"
OPERATION = "#operations-affine-infer_affine"


@pytest.fixture
def page(site: str, tmp_path: Path) -> Iterator[Page]:
    with open_page(str(CHROMIUM), tmp_path, f"{site}/docs") as page:
        yield page


def give_key(page: Page, key: str) -> None:
    page.wait_for(KEY_IS_ASKED_FOR)
    page.evaluate(f"document.getElementById('key-text').value = {key!r}")
    page.evaluate("document.querySelector('#key button').click()")


@NEEDS_BROWSER
def test_without_a_network_it_shows_every_model_and_sends_what_is_tried(page: Page, site: str) -> None:
    if site.endswith("keyed"):
        give_key(page, KEY)

    page.wait_for(f"document.querySelector('{OPERATION}')")

    shown = page.evaluate("document.body.innerText").replace("\u200b", "")
    for path in ("/v2/models/affine/infer", "/v1/models/pair:predict", "/v2/health/live"):
        assert path in shown
    assert not page.evaluate(KEY_IS_ASKED_FOR)
    for button in ("button.opblock-summary-control", "button.try-out__btn", "button.execute"):
        page.wait_for(f"document.querySelector('{OPERATION} {button}')")
        page.evaluate(f"document.querySelector('{OPERATION} {button}').click()")
    page.wait_for(f"document.querySelector('{OPERATION} .live-responses-table .response')")
    answer = page.evaluate(f"document.querySelector('{OPERATION} .live-responses-table').innerText")
    assert answer.split("\n")[1].startswith("200")
    assert '"model_name": "affine"' in answer
    request = page.evaluate(f"document.querySelector('{OPERATION} .curl').innerText")
    assert f"{site}/v2/models/affine/infer" in request
    assert (f"x-api-key: {KEY}" in request) == site.endswith("keyed")
    assert [complaint for complaint in page.complaints if "403" not in complaint] == []


@NEEDS_BROWSER
@pytest.mark.parametrize("site", ["keyed"], indirect=True)
def test_it_says_where_the_key_is_unknown(page: Page) -> None:
    give_key(page, "another")

    page.wait_for("document.getElementById('message').innerText == 'The API does not know this key.'")
    assert page.evaluate(KEY_IS_ASKED_FOR)


def test_the_page_names_no_other_host_and_no_absolute_path(gateway: Gateway) -> None:
    page = gateway.invoke(rest_event("GET", "/docs"))

    assert page["statusCode"] == 200
    assert page["headers"]["content-type"] == "text/html; charset=utf-8"
    links = re.findall(r'(?:src|href)="([^"]*)"', page["body"])
    assert [re.fullmatch(r"docs/([a-z0-9.-]+)\?[0-9a-f]{16}", link) is not None for link in links] == [True] * 5
    policy = dict(part.split(" ", 1) for part in page["headers"]["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert page["headers"]["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", FILES)
def test_its_files_are_there_to_be_kept(gateway: Gateway, name: str) -> None:
    page = gateway.invoke(rest_event("GET", "/docs"))["body"]
    (link,) = re.findall(rf'"(docs/{name}\?[0-9a-f]+)"', page)

    answer = gateway.invoke(rest_event("GET", f"/{link}", headers={"Accept-Encoding": "gzip"}))

    assert answer["statusCode"] == 200
    assert "immutable" in answer["headers"]["cache-control"]
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert len(answer["body"]) < 1_000_000  # as Lambda sends it, of the 6 MB that an answer may take


@pytest.mark.parametrize("name", ["page.html", "..%2Fapp.py", "__init__.py", "swagger-ui.css.map"])
def test_nothing_else_is_served(gateway: Gateway, name: str) -> None:
    event = rest_event("GET", "/docs/x")
    event["path"] = f"/docs/{name}"

    assert gateway.invoke(event)["statusCode"] == 404
