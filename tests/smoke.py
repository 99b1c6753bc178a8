"""The probe of the image: run by its own Python beside it. Waits for health, places two orders, sees the trade."""

import http.client
import json
import sys
import time

began = time.monotonic()


def ask(method: str, path: str, body: object = None) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


while True:
    try:
        if ask("GET", "/health")[0] == 200:
            break
    except OSError:
        pass
    if time.monotonic() - began > 30:
        sys.exit("the service was not healthy within 30 s")
    time.sleep(0.02)
print(f"          healthy after {time.monotonic() - began:.2f} s")
order = {"symbol": "CIFT-USD", "price": "100.25", "quantity": "2"}
for side in ("sell", "buy"):
    status, placed = ask("POST", "/v1/orders", {**order, "side": side})
    if status != 201:
        sys.exit(f"order refused: {status} {placed}")
status, trades = ask("GET", "/v1/trades/CIFT-USD")
if not trades or trades[0]["price"] != "100.25":
    sys.exit(f"the trade is not on the tape: {trades}")
for path in ("/x", "/usr/x", "/app/x", "/etc/x"):
    try:
        open(path, "w")  # noqa: SIM115
    except OSError:
        continue
    sys.exit(f"{path} could be written")
print("          an order was placed and traded; the root is read-only")
