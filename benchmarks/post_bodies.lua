-- wrk script: POST the lines of BODY_FILE one after the other; prints one JSON line at the end.
local requests, n, i = {}, 0, 0

function init(args)
  for line in io.lines(os.getenv("BODY_FILE")) do
    n = n + 1
    requests[n] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, line)
  end
end

function request()
  i = i % n + 1
  return requests[i]
end

function done(summary, latency, _)
  local e = summary.errors
  print(string.format('RESULT {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": %d}', summary.requests,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
