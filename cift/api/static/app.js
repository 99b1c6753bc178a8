"use strict";
const $ = (id) => document.getElementById(id);
const ROWS = 8;
let symbol = "", socket = null, sequence = 0;
let book = { bids: new Map(), asks: new Map() }, tape = [], candles = [], orders = new Map();

const json = async (path, options) => { const r = await fetch(path, options); return [r.ok, await r.json()]; };
const cell = (text, kind) => { const td = document.createElement("td"); td.textContent = text; if (kind) td.className = kind; return td; };
const row = (...cells) => { const tr = document.createElement("tr"); tr.append(...cells); return tr; };
const sorted = (side) => [...book[side]].map(([p, l]) => [Number(p), p, ...l]).sort((a, b) => side === "bids" ? b[0] - a[0] : a[0] - b[0]);

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`);
  socket.onopen = () => { $("state").textContent = $("state").className = "live"; listen("subscribe"); socket.send(JSON.stringify({ op: "subscribe", channel: "orders" })); };
  socket.onclose = () => { $("state").textContent = "reconnecting"; $("state").className = ""; setTimeout(connect, 1000); };
  socket.onmessage = (event) => received(JSON.parse(event.data));
}
function listen(op) {
  if (socket?.readyState === WebSocket.OPEN && symbol)
    for (const channel of ["book", "trades"]) socket.send(JSON.stringify({ op, channel, symbol }));
}
function received(m) {
  if (m.symbol && m.symbol !== symbol) return;
  if (m.type === "snapshot") { book = { bids: new Map(), asks: new Map() }; take(m); }
  else if (m.type === "book") {
    if (m.previous !== sequence) { listen("unsubscribe"); listen("subscribe"); return; }
    take(m);
  } else if (m.type === "trades") {
    tape = [...m.trades.slice().reverse(), ...tape].slice(0, 40);
    m.trades.forEach(addTrade);
  } else if (m.type === "order") {
    const o = m.order;
    if (["open", "partially_filled", "waiting"].includes(o.status)) orders.set(o.id, o); else orders.delete(o.id);
  } else return;
  requestAnimationFrame(draw);
}
function take(m) {
  for (const side of ["bids", "asks"]) for (const [price, quantity, count] of m[side]) {
    if (count) book[side].set(price, [quantity, count]); else book[side].delete(price);
  }
  sequence = m.sequence;
}
function addTrade(t) {
  const start = t.time.slice(0, 16), p = Number(t.price), last = candles.at(-1);
  if (last && last.start === start) { last.high = Math.max(last.high, p); last.low = Math.min(last.low, p); last.close = p; }
  else candles.push({ start, open: p, high: p, low: p, close: p });
  candles = candles.slice(-80);
}
function draw() {
  const bids = sorted("bids"), asks = sorted("asks");
  const shown = { buy: bids.slice(0, ROWS), sell: asks.slice(0, ROWS) }, most = Math.max(...[...shown.buy, ...shown.sell].map((l) => Number(l[2])));
  const level = (kind) => (l) => {
    const tr = row(cell(l[1], kind), cell(l[2]), cell(l[3]));
    tr.className = `level ${kind}-bar`; tr.style.setProperty("--share", `${Number(l[2]) / most * 100}%`);
    tr.onclick = () => { $("ticket").price.value = l[1]; };
    return tr;
  };
  $("bids").replaceChildren(...shown.buy.map(level("buy")));
  $("asks").replaceChildren(...shown.sell.reverse().map(level("sell")));
  const between = cell(bids.length && asks.length ? `spread ${(asks[0][0] - bids[0][0]).toFixed(2)}` : "one side is empty");
  between.colSpan = 3; $("spread").replaceChildren(row(between));
  $("trades").replaceChildren(...tape.slice(0, 17).map((t) => row(cell(t.price, t.taker_side), cell(t.quantity), cell(t.time.slice(11, 19)))));
  $("last").textContent = tape.length ? tape[0].price : "–"; $("last").className = tape.length ? tape[0].taker_side : "";
  if (!$("ticket").price.value && (tape.length || bids.length)) $("ticket").price.value = tape.length ? tape[0].price : bids[0][1];
  $("orders").replaceChildren(...[...orders.values()].slice(-12).map((o) => {
    const button = document.createElement("button"); button.textContent = "cancel"; button.onclick = () => fetch(`/v1/orders/${o.id}`, { method: "DELETE" });
    const last = cell(""); last.append(button);
    return row(cell(o.side, o.side), cell(o.symbol), cell(o.price ?? o.type), cell(o.remaining), last);
  }));
  drawDepth(bids, asks); drawCandles();
}
function canvas(id) {
  const c = $(id), scale = devicePixelRatio || 1; c.width = c.clientWidth * scale; c.height = c.clientHeight * scale;
  const g = c.getContext("2d"); g.scale(scale, scale); return [g, c.clientWidth, c.clientHeight];
}
const colour = (kind) => { const probe = document.createElement("i"); probe.className = kind; document.body.append(probe); const c = getComputedStyle(probe).color; probe.remove(); return c; };
function label(g, text, x, y, align) {
  g.fillStyle = colour("quiet"); g.font = "11px system-ui, sans-serif"; g.textAlign = align; g.fillText(text, x, y);
}
function drawDepth(bids, asks) {
  const [g, w, full] = canvas("depth"), h = full - 16;
  if (!bids.length && !asks.length) return;
  // As far on either side as the nearer side's tenth level or so: one order far out must not squeeze the rest.
  const middle = bids.length && asks.length ? (bids[0][0] + asks[0][0]) / 2 : (bids[0] ?? asks[0])[0];
  const reach = Math.max(...[bids, asks].map((s) => s.length ? Math.abs(s[Math.min(s.length, 12) - 1][0] - middle) : 0), middle * 1e-4) * 1.05;
  const near = (side) => { let sum = 0; return side.filter((l) => Math.abs(l[0] - middle) <= reach).map((l) => [l[0], sum += Number(l[2])]); };
  const b = near(bids), a = near(asks), low = middle - reach, high = middle + reach, most = Math.max(...[...b, ...a].map((x) => x[1]));
  const x = (p) => (p - low) / (high - low) * w, y = (q) => h - q / most * (h - 14);
  for (const [p, at, align] of [[low, 0, "left"], [middle, w / 2, "center"], [high, w, "right"]]) label(g, p.toFixed(2), at, full - 3, align);
  for (const [side, kind] of [[b, "buy"], [a, "sell"]]) {
    if (!side.length) continue;
    const path = new Path2D(); path.moveTo(x(side[0][0]), h);
    let at = h; for (const [p, q] of side) { path.lineTo(x(p), at); at = y(q); path.lineTo(x(p), at); }
    path.lineTo(kind === "buy" ? 0 : w, at); path.lineTo(kind === "buy" ? 0 : w, h);
    g.strokeStyle = g.fillStyle = colour(kind); g.globalAlpha = .18; g.fill(path); g.globalAlpha = 1; g.stroke(path);
  }
}
function drawCandles() {
  const [g, wide, h] = canvas("candles"), w = wide - 62; if (!candles.length) return;
  const low = Math.min(...candles.map((c) => c.low)), high = Math.max(...candles.map((c) => c.high)), span = high - low || 1;
  const y = (p) => 10 + (high - p) / span * (h - 24), step = Math.min(14, w / candles.length), up = colour("buy"), down = colour("sell");
  for (const p of [high, (high + low) / 2, low]) {
    g.fillStyle = colour("grid"); g.fillRect(0, Math.round(y(p)), w, 1); label(g, p.toFixed(2), wide, y(p) + 4, "right");
  }
  candles.forEach((c, i) => {
    const x = w - (candles.length - i) * step; g.fillStyle = c.close >= c.open ? up : down;
    g.fillRect(x + step / 2 - .5, y(c.high), 1, Math.max(1, y(c.low) - y(c.high)));
    g.fillRect(x + 1, y(Math.max(c.open, c.close)), step - 2, Math.max(1.5, Math.abs(y(c.open) - y(c.close))));
  });
}
async function choose(name) {
  listen("unsubscribe"); symbol = name; $("ticket").price.value = ""; book = { bids: new Map(), asks: new Map() };
  const [, t] = await json(`/v1/trades/${symbol}?limit=40`), [, k] = await json(`/v1/klines/${symbol}?limit=80`);
  tape = t.trades ?? []; candles = (k.klines ?? []).map((c) => ({ start: c.open_time.slice(0, 16), open: +c.open, high: +c.high, low: +c.low, close: +c.close }));
  listen("subscribe"); draw();
}
$("ticket").onsubmit = async (event) => {
  event.preventDefault();
  const f = new FormData(event.target), order = { symbol, side: f.get("side"), type: f.get("type"), quantity: f.get("quantity"), client_order_id: crypto.randomUUID ? crypto.randomUUID() : `page-${Date.now()}-${Math.floor(Math.random() * 1e9)}` };
  if (order.type === "limit") order.price = f.get("price");
  try {
    const [ok, a] = await json("/v1/orders", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
    $("answer").textContent = ok ? `order ${a.id}: ${a.status.replace("_", " ")}, filled ${a.filled}` : a.detail;
  } catch { $("answer").textContent = "no answer: the order may have been taken; see open orders"; }
};
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=radio]), select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const form = $("ticket");
  if (event.key === "b") form.side.value = "buy"; else if (event.key === "s") form.side.value = "sell";
  else if (event.key === "p") { event.preventDefault(); form.price.focus(); form.price.select(); }
  else if (event.key === "x") fetch(`/v1/orders?symbol=${symbol}`, { method: "DELETE" });
});
$("symbol").onchange = (event) => choose(event.target.value);
addEventListener("resize", draw);
(async () => {
  const [, symbols] = await json("/v1/symbols");
  $("symbol").replaceChildren(...symbols.map((s) => { const o = document.createElement("option"); o.textContent = s.symbol; return o; }));
  const [ok, open] = await json("/v1/orders?status=open&limit=12");
  if (ok) for (const o of open.orders.reverse()) orders.set(o.id, o); else $("answer").textContent = "this venue has API keys: the ticket needs the demo account";
  await choose(symbols[0].symbol); connect();
})();
