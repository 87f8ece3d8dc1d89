"""A real browser without a network, driven over a pipe by the Chrome DevTools Protocol.

Protocol: https://chromedevtools.github.io/devtools-protocol/; over a pipe, messages in JSON end with a zero byte.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["Page", "open_page"]

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)


class Page:
    """A page that is open. `complaints` are what the browser has logged: errors, and what a policy has blocked."""

    def __init__(self, commands: BinaryIO, messages: BinaryIO) -> None:
        self._commands = commands
        self._messages = messages
        self._session: str | None = None
        self._last = 0
        self.complaints: list[str] = []

    def open(self, url: str) -> None:
        """Open the page."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Log", "Runtime", "Page"):
            self._send(f"{domain}.enable")
        self._send("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the value of an expression in the page."""
        return self._send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 60.0) -> None:
        """Return when an expression in the page is true.

        Raises:
            TimeoutError: It is still not.
        """
        end = time.monotonic() + timeout_s
        while not self.evaluate(f"Boolean({script})"):
            if time.monotonic() > end:
                msg = f"{script}: false after {timeout_s} s; the page says {self.evaluate('document.body.innerText')!r}"
                raise TimeoutError(msg)
            time.sleep(0.05)

    def _send(self, method: str, **parameters: object) -> dict[str, Any]:
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while (message := self._receive()).get("id") != self._last:
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))
        result: dict[str, Any] = message["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._messages.read(1)) != b"\0":
            if not byte:
                msg = "browser: it has ended, expected a message"
                raise EOFError(msg)
            data += byte
        message: dict[str, Any] = json.loads(data)
        return message


@contextmanager
def open_page(browser: str, profile: Path, url: str) -> Iterator[Page]:
    """Open a page in a browser of its own, which reaches no host but this one.

    Args:
        browser: The program.
        profile: An empty folder.
        url: Of the page.
    """
    commands, to_browser = os.pipe()
    from_browser, messages = os.pipe()
    # the browser reads commands from descriptor 3 and writes to 4; sh knows no descriptors above 9
    start = ["bash", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{messages}', browser]
    with (
        os.fdopen(to_browser, "wb") as sink,
        os.fdopen(from_browser, "rb") as source,
        subprocess.Popen(
            [*start, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(commands, messages),
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        os.close(commands)
        os.close(messages)
        try:
            page = Page(sink, source)
            page.open(url)
            yield page
        finally:
            process.kill()
