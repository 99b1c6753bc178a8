"""The probe of the image: run by its own Python beside it. Waits for health, trades, retries, reads everything back."""

import http.client
import json
import sys
import time
import uuid

began = time.monotonic()


def ask(method: str, path: str, body: object = None) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if "json" in (answer.getheader("content-type") or "") else data.decode()


while True:
    try:
        if ask("GET", "/health")[0] == 200:
            break
    except OSError:
        pass
    if time.monotonic() - began > 120:
        sys.exit("the service was not healthy within 120 s")
    time.sleep(0.02)
print(f"          healthy after {time.monotonic() - began:.2f} s")
status, ready = ask("GET", "/ready")
if status != 200:
    sys.exit(f"the service is not ready: {ready}")
order = {"symbol": "CIFT-USD", "price": "100.25", "quantity": "2"}
placed = {}
for side in ("sell", "buy"):
    name = f"smoke-{uuid.uuid4().hex[:12]}"
    for expected in (201, 200):
        status, placed = ask("POST", "/v1/orders", {**order, "side": side, "client_order_id": name})
        if status != expected:
            sys.exit(f"order {name}: {status} where {expected} was expected: {placed}")
if placed["status"] != "filled":
    sys.exit(f"the order did not trade: {placed}")
status, tape = ask("GET", "/v1/trades/CIFT-USD")
if status != 200 or tape["trades"][0]["price"] != "100.25" or len(tape["trades"]) != 1:
    sys.exit(f"the trade is not on the tape, once: {tape}")
for path, expected in {
    "/": "<!doctype html>",
    "/metrics": "cift_requests_total",
    "/openapi.json": "CIFT Markets",
}.items():
    status, text = ask("GET", path)
    if status != 200 or expected not in str(text):
        sys.exit(f"{path}: {status} {str(text)[:200]}")
for path in ("/x", "/usr/x", "/app/x", "/etc/x"):
    try:
        open(path, "w")  # noqa: SIM115
    except OSError:
        continue
    sys.exit(f"{path} could be written")
print("          orders were placed, retried and traded; the root is read-only")
