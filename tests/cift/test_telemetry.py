"""Logs with request ids, and traces that are exported where the environment says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cift.conftest import HERE, Service


def test_each_line_of_the_log_is_json_and_names_the_request(launch: Callable[..., Service]) -> None:
    service = launch(CIFT_LOG_LEVEL="debug")
    answer = service.http.get("/v1/symbols", headers={"X-Request-ID": "my-request-7"})
    assert answer.headers["x-request-id"] == "my-request-7"
    assert service.http.get("/v1/symbols", headers={"X-Request-ID": "a b;c"}).headers["x-request-id"] != "a b;c"
    service.stop()
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    (mine,) = [line for line in lines if line.get("request_id") == "my-request-7"]
    assert (mine["path"], mine["status"], mine["method"]) == ("/v1/symbols", 200, "GET")


def test_traces_are_exported_when_an_endpoint_is_configured(launch: Callable[..., Service]) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    service = launch(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="200", OTEL_SERVICE_NAME="cift-test")
    try:
        assert service.order(price="1.00").status_code == 201
        deadline = time.monotonic() + 20
        while not any(
            path == "/v1/traces" and b"cift-test" in body and b"/v1/orders" in body for path, body in received
        ):
            assert time.monotonic() < deadline, [path for path, _ in received]
            time.sleep(0.1)
    finally:
        service.stop()
        collector.shutdown()
        collector.server_close()


def test_the_service_that_exports_traces_is_the_same_with_more_in_it() -> None:
    def pins(name: str) -> set[str]:
        lines = (HERE / "requirements" / name).read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line}

    assert pins("service.txt") < pins("telemetry.txt")
    assert any(pin.startswith("opentelemetry-exporter-otlp-proto-http==") for pin in pins("telemetry.txt"))
