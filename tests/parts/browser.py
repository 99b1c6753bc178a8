"""Headless Chromium out of Debian's locked packages, driven over its DevTools protocol.

Chromium starts itself again for each of its processes, so it needs its packages as the root: bubblewrap gives it that.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from engine.tools import LOCK as SANDBOX
from tests.parts.toolbox import LOCK, program

_FONTS = "<fontconfig><dir>/usr/share/fonts</dir><cachedir>/tmp/fonts</cachedir></fontconfig>"


class Page:
    """One page: what a test does with it, and what it complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(30))
            if message.get("id") == self._last:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._noticed(message.get("method", ""), message.get("params", {}))

    def _noticed(self, event: str, what: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif event == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")

    def open(self, url: str, scheme: str = "light", width: int = 1280, height: int = 800) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank' && document.readyState === 'complete'")
        self.call("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 20) -> Any:
        """Wait until an expression holds."""
        deadline = time.monotonic() + seconds
        while not (found := self.value(expression)):
            assert time.monotonic() < deadline, (
                f"{expression}; {self.complaints}; {self.value('document.body.innerText')}"
            )
            time.sleep(0.05)
        return found

    def key(self, name: str) -> None:
        """Press and release a key: a character, or Enter or Tab."""
        codes = {"Enter": 13, "Tab": 9}
        text = {"Enter": "\r", "Tab": ""}.get(name, name)
        down: dict[str, Any] = {
            "key": name,
            "windowsVirtualKeyCode": codes.get(name) or (ord(name.upper()) if name.isalnum() else 0),
        }
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **down)

    def type(self, text: str) -> None:
        for character in text:
            self.key(character)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A page of a browser that ends with the context; skips the test where there can be none."""
    usr = Path(program("chromium-headless-shell", LOCK.with_name("browser.lock"))[0]).parents[2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fonts.conf").write_text(_FONTS)
    options = (
        "--unshare-user --unshare-pid --die-with-parent --clearenv --setenv HOME /tmp --setenv FONTCONFIG_FILE /etc/fonts.conf "
        f"--ro-bind {usr} /usr --symlink usr/lib64 /lib64 --symlink usr/lib /lib --proc /proc --dev /dev --tmpfs /tmp "
        f"--ro-bind {folder}/fonts.conf /etc/fonts.conf"
    )
    words = "--no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-port=0 --user-data-dir=/tmp/profile about:blank"
    command = [
        *program("bwrap", SANDBOX),
        *options.split(),
        "/usr/lib/chromium/chromium-headless-shell",
        *words.split(),
    ]
    log = folder / "browser.log"
    with log.open("wb") as errors:
        running = subprocess.Popen(command, stdout=errors, stderr=errors)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"DevTools listening on (ws://\S+)", log.read_text(errors="replace"))):
            if running.poll() is not None and "namespace" in log.read_text(errors="replace"):
                pytest.skip("this machine has no user namespaces for the browser")
            assert running.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)
        with connect(found[1], max_size=None, proxy=None) as browser:
            browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            while "result" not in (message := json.loads(browser.recv(20))):
                pass
            (target,) = [t["targetId"] for t in message["result"]["targetInfos"] if t["type"] == "page"]
        address = re.sub(r"/devtools/.*", f"/devtools/page/{target}", found[1])
        with connect(address, max_size=None, proxy=None) as socket:
            yield Page(socket)
    finally:
        running.kill()
        running.wait(10)
