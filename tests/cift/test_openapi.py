"""The OpenAPI document against the real service: schemathesis sends what it describes, and what it does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cift.commands.http import Client, Login
from tests.cift.conftest import HERE, Service, problem

LEFT_OUT = {
    "positive_data_acceptance": "which fields go together (a market order has no price) is beyond JSON Schema",
    "use_after_free": "an order that was cancelled can still be read: its end is part of the record",
    "ensure_resource_availability": "an order that is placed may be gone at once: filled, or cancelled by its own kind",
}


@pytest.mark.parametrize("keys", [False, True], ids=["demo", "signed"])
def test_no_request_gets_a_500_or_an_answer_that_is_not_documented(
    launch: Callable[..., Service], keys: bool, tmp_path: Path
) -> None:
    service = launch(2)
    environ = dict(service.environ)
    if keys:
        create = [sys.executable, "-m", "cift", "keys", "create", "alice"]
        told = subprocess.run(create, cwd=HERE, env=environ, capture_output=True, text=True, check=True).stdout
        words = dict(line.split(": ") for line in told.splitlines())
        environ |= {"CIFT_API_KEY": words["key"], "CIFT_API_SECRET": words["secret"]}
        environ["SCHEMATHESIS_HOOKS"] = "tests.cift.signed"
    words = ["-m", "schemathesis.cli", "run", f"{service.address}/openapi.json", "--seed", "1", "--max-examples", "20"]
    words += ["--checks", "all", "--exclude-checks", ",".join(LEFT_OUT), "--no-color"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Traceback" not in service.log.read_text()
    assert service.get("/ready")["status"] == "ready"
    if keys:
        problem(service.http.get("/v1/orders"), 401)
        signed = Client(service.address, Login(environ["CIFT_API_KEY"], environ["CIFT_API_SECRET"]))
        assert asyncio.run(signed.ask("GET", "/v1/orders")).body["orders"]  # some of what was signed was taken


def test_what_a_path_allows_is_said_with_405(shared: Service) -> None:
    for method, path, allowed in (
        ("PUT", "/v1/orders", "DELETE, GET, POST"),
        ("OPTIONS", "/v1/orders/5", "DELETE, GET, PATCH"),
        ("PATCH", "/v1/orders/batch", "POST"),
        ("POST", "/v1/symbols", "GET"),
    ):
        answer = shared.http.request(method, path)
        problem(answer, 405)
        assert answer.headers["allow"] == allowed, path


def test_no_page_brings_scripts_from_elsewhere(shared: Service) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        problem(shared.http.get(path), 404)
    assert "://" not in shared.http.get("/").text.replace("http://www.w3.org/", "")
