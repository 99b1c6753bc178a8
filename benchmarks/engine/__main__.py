"""``make bench-engine``: what an empty session and a step of ``true`` cost, beside their peers in the same run.

The peer of a session is ``import dagger`` alone, which every program on the SDK pays. What the SDK takes for an empty
session by itself is measured, too, against a server that has every answer ready. Where
``_EXPERIMENTAL_DAGGER_RUNNER_HOST`` names a Dagger engine and its ``dagger`` is on PATH, both run on that, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
EMPTY = """
import anyio, dagger
from dagger import dag

async def main():
    async with dagger.connection():
        await dag.version()

anyio.run(main)
"""
STEPS = """
import sys, time, anyio, dagger
from dagger import dag

async def main():
    busybox, count, mark = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    async with dagger.connection():
        box = dag.container().with_file("/bin/busybox", dag.host().file(busybox), permissions=0o755)
        box = box.with_env_variable("PATH", "/bin").with_exec(["/bin/busybox", "--install", "-s", "/bin"])
        await box.with_exec(["true"]).sync()
        began = time.monotonic()
        for number in range(count):
            await box.with_env_variable("N", f"{mark} {number}").with_exec(["true"]).sync()
        print((time.monotonic() - began) / count)

anyio.run(main)
"""


#: Says its port, then answers each request with the file that fits it.
READY = """
import http.server, pathlib, sys

ANSWERS = [pathlib.Path(path).read_bytes() for path in sys.argv[1:]]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["content-length"]))
        answer = ANSWERS[b"__schema" not in asked]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
INTROSPECT = """
import base64, json, os, sys, urllib.request, graphql

for path, query in zip(sys.argv[1:], (graphql.get_introspection_query(), "{version}")):
    token = base64.b64encode(os.environ["DAGGER_SESSION_TOKEN"].encode() + b":").decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {token}"}
    url = f"http://127.0.0.1:{os.environ['DAGGER_SESSION_PORT']}/query"
    asked = urllib.request.Request(url, json.dumps({"query": query}).encode(), headers)
    with urllib.request.urlopen(asked) as answer, open(path, "wb") as file:
        file.write(answer.read())
"""


@contextmanager
def ready(run: list[str]) -> Iterator[dict[str, str]]:
    """The environment of a session whose answers, taken once from an engine, are ready."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/schema", f"{folder}/version"]
        subprocess.run([*run, sys.executable, "-c", INTROSPECT, *paths], cwd=HERE, check=True)
        words = [sys.executable, "-c", READY, *paths]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            yield {"DAGGER_SESSION_PORT": server.stdout.readline().strip(), "DAGGER_SESSION_TOKEN": "none"}
            server.terminate()


def seconds(words: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(words, cwd=HERE, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="sessions of each kind, turn about (default: 10)")
    parser.add_argument("--steps", type=int, default=100, help="different steps in a row (default: 100)")
    parser.add_argument("--json", action="store_true", help="seconds, as JSON")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from pipelines.inputs import seed

    runs = {"embedded": [sys.executable, "-m", "engine", "run", "-q", "--"]}
    if os.environ.get("_EXPERIMENTAL_DAGGER_RUNNER_HOST") and shutil.which("dagger"):
        runs["dagger"] = ["dagger", "run", "-s"]
    kinds = {"import": [sys.executable, "-c", "import dagger"]}
    kinds |= {name: [*run, sys.executable, "-c", EMPTY] for name, run in runs.items()}
    kinds["SDK"] = [sys.executable, "-c", EMPTY]
    with ready(runs["embedded"]) as environment:
        for name, words in kinds.items():
            seconds(words, environment if name == "SDK" else {})
        # Turn about, so that what else the machine does weighs on all alike; the least is what it costs by itself.
        took: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(options.rounds):
            for name, words in kinds.items():
                took[name].append(seconds(words, environment if name == "SDK" else {}))
    figures = {f"{name} {how.__name__}": how(times) for name, times in took.items() for how in (min, statistics.median)}
    for name, run in runs.items():
        words = [*run, sys.executable, "-c", STEPS, str(seed().busybox), str(options.steps), str(time.time_ns())]
        done = subprocess.run(words, cwd=HERE, check=True, text=True, stdout=subprocess.PIPE)
        figures[f"{name} step"] = float(done.stdout)
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{'import dagger alone':34} {figures['import min']:7.3f} s least, {figures['import median']:7.3f} s median")
    for name in ("SDK", *runs):
        least, median = figures[f"{name} min"], figures[f"{name} median"]
        print(
            f"{'empty session, ' + (name if name in runs else 'answers ready'):34} {least:7.3f} s least, {median:7.3f} s median",
            end="",
        )
        print(f"; {least - figures['import min']:+.3f} and {median - figures['import median']:+.3f} s")
    for name in runs:
        print(f"{f'step of true, {name}':34} {1000 * figures[f'{name} step']:7.1f} ms, over {options.steps}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
