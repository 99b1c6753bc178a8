-- Buys and sells at one price by turns, so that the book stays small however long it goes on.
local orders = {}
for i, side in ipairs({"buy", "sell"}) do
  orders[i] = wrk.format("POST", "/v1/orders", {["Content-Type"] = "application/json"},
    '{"symbol": "CIFT-USD", "side": "' .. side .. '", "price": "100.00", "quantity": "1"}')
end
local turn = 0
function request()
  turn = turn + 1
  return orders[turn % 2 + 1]
end
