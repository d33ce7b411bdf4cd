-- Sends the requests of a file in turn and prints one line of figures.
-- The file: requests, each preceded by a line with its length in bytes.
local requests, turn = {}, 0

function init(words)
  local file = assert(io.open(words[1], "rb"))
  while true do
    local length = file:read("*n", "*l")
    if not length then break end
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format("FIGURES %d %.6f %d %d %d %d %d", summary.requests,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write, e.timeout))
end
