"""The service as it is run: uvicorn with several workers, on the wheel that the pipeline built."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).resolve().parents[2]
pytest.importorskip("cift_core", reason="the Rust core is not installed: run make build, then make test")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes(data: Path, module: str) -> list[int]:
    """The processes of this service that run a module."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in words and f"CIFT_DATA={data}".encode() in environ:
                found.append(int(entry.name))
    return found


@dataclass
class Service:
    address: str
    data: Path
    process: subprocess.Popen[bytes]
    environ: dict[str, str]
    log: Path

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.address, timeout=20)

    def order(self, **changes: object) -> httpx.Response:
        body = {"symbol": "CIFT-USD", "side": "buy", "price": "10.00", "quantity": "1", **changes}
        return self.http.post("/v1/orders", json={k: v for k, v in body.items() if v is not None})

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def matcher(self) -> int:
        (pid,) = processes(self.data, "cift.adapters.matcher")
        return pid

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = []
        for child in children:
            with suppress(FileNotFoundError, ProcessLookupError):  # it may have gone meanwhile
                if b"cift.uvicorn" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def stop(self) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def ended(self) -> bool:
        """Wait until its matcher and projector have gone too."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            modules = ("cift.adapters.matcher", "cift.adapters.projector")
            if not any(processes(self.data, module) for module in modules):
                return True
            time.sleep(0.1)
        return False


def start(data: Path, workers: int = 2, wrapped: Sequence[str] = (), **environment: str) -> Service:
    """A service that answers; ``wrapped`` are words that start it, by exec."""
    port = free_port()
    environ = {**os.environ, "CIFT_DATA": str(data), "CIFT_RATE": "0", "PYTHONPATH": str(HERE), **environment}
    data.mkdir(parents=True, exist_ok=True)
    words = [
        *wrapped,
        sys.executable,
        "-m",
        "cift.uvicorn",
        "cift.api.main:app",
        "--port",
        str(port),
        "--no-access-log",
    ]
    log = data.parent / f"{data.name}-{port}.log"
    with log.open("wb") as errors:
        running = subprocess.Popen(
            [*words, "--workers", str(workers)], cwd=HERE, env=environ, stdout=errors, stderr=subprocess.STDOUT
        )
    service = Service(f"http://127.0.0.1:{port}", data, running, environ, log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if service.http.get("/ready").status_code in (200, 503):
                return service
        except httpx.TransportError:
            time.sleep(0.05)
    running.kill()
    raise AssertionError(f"the service did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that leave their own symbols' books as they were, or use accounts of their own."""
    service = start(tmp_path_factory.mktemp("shared") / "data")
    yield service
    service.stop()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services that a test may kill; what is left of them is ended after it."""
    running: list[Service] = []

    def one(workers: int = 2, wrapped: Sequence[str] = (), **environment: str) -> Service:
        running.append(start(tmp_path / "data", workers, wrapped, **environment))
        return running[-1]

    yield one
    for service in running:
        service.http.close()
        if service.process.poll() is None:
            service.process.terminate()
            service.process.wait(20)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert (
        body["status"] == status and body["detail"] and body["title"] and body["type"].startswith("urn:cift:problem:")
    )
    return body
