"""The page in a real browser: it shows the venue live, and orders are placed and cancelled by keyboard alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.cift.conftest import Service
from tests.parts import browser

LIVE = "document.getElementById('state').textContent === 'live'"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("browser")) as found:
        yield found


def _rows(table: str) -> str:
    return f"[...document.querySelectorAll('#{table} tr')].map((r) => [...r.cells].map((c) => c.textContent).join(' ')).join('|')"


def test_book_tape_and_candles_are_live_and_nothing_is_complained_of(
    launch: Callable[..., Service], page: browser.Page
) -> None:
    service = launch()
    service.order(price="10.00", quantity="2")
    service.order(side="sell", price="11.00", quantity="3")
    page.open(service.address + "/")
    page.until(LIVE)
    page.until(f"{_rows('bids')} === '10.00 2.000 1' && {_rows('asks')} === '11.00 3.000 1'")
    service.order(price="11.00", quantity="1")
    page.until(f"{_rows('asks')} === '11.00 2.000 1' && {_rows('trades')}.startsWith('11.00 1.000 ')")
    assert page.value("document.getElementById('last').textContent") == "11.00"
    painted = "(id) => document.getElementById(id).getContext('2d').getImageData(0, 0, 2000, 200).data.some((v) => v)"
    page.until(f"['depth', 'candles'].every({painted})")
    backgrounds = []
    for scheme in ("light", "dark"):
        page.open(service.address + "/", scheme)
        page.until(LIVE)
        backgrounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert len(set(backgrounds)) == 2
    page.open(service.address + "/", "dark", 400, 800)
    page.until(LIVE)
    assert page.value("document.documentElement.scrollWidth") <= 400
    assert page.complaints == []


def test_an_order_is_placed_and_all_are_cancelled_by_keyboard_alone(
    launch: Callable[..., Service], page: browser.Page
) -> None:
    service = launch()
    page.open(service.address + "/")
    page.until(LIVE)
    page.key("s")
    page.key("p")
    assert page.value("document.activeElement.name") == "price"
    page.type("12.34")
    page.key("Enter")
    page.until(f"{_rows('asks')} === '12.34 1.000 1'")
    page.until("document.getElementById('answer').textContent.includes('open')")
    assert service.get("/v1/book/CIFT-USD")["asks"] == [{"price": "12.34", "quantity": "1.000", "orders": 1}]
    page.key("Tab")
    page.key("Tab")
    page.value("document.activeElement.blur()")
    page.key("x")
    page.until(f"{_rows('asks')} === '' && {_rows('orders')} === ''")
    assert service.get("/v1/book/CIFT-USD")["asks"] == []


def test_a_refusal_is_shown_in_words_and_nothing_from_elsewhere_is_allowed(
    launch: Callable[..., Service], page: browser.Page
) -> None:
    service = launch()
    page.open(service.address + "/")
    page.until(LIVE)
    page.key("p")
    page.type("1.001")
    page.key("Enter")
    page.until("document.getElementById('answer').textContent.includes('finer than the step')")
    policy = service.http.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_page_is_live_again_after_its_worker_was_killed(launch: Callable[..., Service], page: browser.Page) -> None:
    service = launch()
    page.open(service.address + "/")
    page.until(LIVE)
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
    page.until(f"!({LIVE})")
    page.until(LIVE)
    service.http.close()
