"""The commands that speak to a venue, and what each says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from cift.commands.bench import percentile
from tests.cift.conftest import HERE, Service, free_port

VERBS = ("serve", "simulate", "replay", "verify-journal", "keys", "openapi", "bench")


def _cift(*words: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cift", *words],
        cwd=HERE,
        env=environ or dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_command_and_each_command_explains_itself() -> None:
    first = _cift("--help")
    assert first.returncode == 0 and all(verb in first.stdout for verb in VERBS)
    for verb in VERBS:
        assert len(_cift(verb, "--help").stdout) > 80, verb


def test_the_configuration_is_printed_without_its_secrets() -> None:
    secret = {"CIFT_MASTER_KEY": "m" * 40, "DATABASE_URL": "postgresql://u:hunter2@h:1/d?password=hunter3"}
    shown = _cift("serve", "--print", environ={**os.environ, **secret})
    assert "hunter" not in shown.stdout and "mmmm" not in shown.stdout
    assert "postgresql://u:***@h:1/d" in json.loads(shown.stdout)["database"]


@pytest.mark.parametrize("verb", ["simulate", "bench"])
def test_without_a_venue_there_is_one_line_that_says_what_to_do(verb: str) -> None:
    done = _cift(verb, "--url", f"http://127.0.0.1:{free_port()}", "--seconds", "1")
    assert done.returncode == 1 and "cift serve" in done.stderr and len(done.stderr.splitlines()) == 1
    assert _cift(verb, "--url", "ftp://x").returncode == 1
    assert _cift(verb, "--seconds", "-1").returncode == 2


def test_the_simulator_makes_a_market_and_takes_its_orders_back(launch: Callable[..., Service]) -> None:
    service = launch()
    done = _cift("simulate", "--url", service.address, "--seconds", "4", "--rate", "200", "--seed", "7")
    assert done.returncode == 0, done.stderr
    for symbol in ("CIFT-USD", "BTC-USD", "ETH-USD"):
        assert service.get(f"/v1/trades/{symbol}")["trades"], done.stderr
        book = service.get(f"/v1/book/{symbol}")
        assert book["bids"] == book["asks"] == []


def test_the_bench_tells_what_its_clients_met(launch: Callable[..., Service]) -> None:
    service = launch()
    words = ("--url", service.address, "--clients", "4", "--seconds", "2", "--websockets", "6", "--json")
    done = _cift("bench", *words)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["orders_acknowledged"] > 20 and figures["messages_received"] > 20
    assert figures["refused"] == {} and figures["websockets_closed"] == {} and figures["connections_broken"] == 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["p99.9_ms"]
    trades = service.get("/v1/trades/CIFT-USD", limit=1000)["trades"]
    assert len(trades) >= figures["orders_acknowledged"] // 2 - 4 or len(trades) == 1000


def test_a_percentile_is_the_value_of_its_rank() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2 and percentile([], 0.5) == 0 and percentile([1.0], 0.999) == 1


def test_what_cannot_be_run_as_it_is_configured_is_one_line() -> None:
    for wrong, word in (({"CIFT_RATE": "many"}, "CIFT_RATE"), ({"CIFT_DATA": "/proc/none"}, "/proc/none")):
        for words in (["cift.uvicorn", "cift.api.main:app", "--port", "1"], ["cift", "serve"]):
            done = subprocess.run(
                [sys.executable, "-m", *words],
                cwd=HERE,
                env={**os.environ, **wrong},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 1 and word in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
