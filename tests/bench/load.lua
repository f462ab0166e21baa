-- wrk's script: the request, and for an open loop the mean pause, come from the environment.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
for line in os.getenv("BENCH_HEADERS"):gmatch("[^\n]+") do
  local name, value = line:match("^([^:]+): (.*)$")
  wrk.headers[name] = value
end

local pause_ms = tonumber(os.getenv("BENCH_PAUSE_MS"))
local callers = {}
good, refused, late = 0, 0, 0

function setup(thread)
  table.insert(callers, thread)
end

if pause_ms then
  math.randomseed(1)
  -- Exponential pauses of many callers add up to Poisson arrivals.
  function delay()
    return -pause_ms * math.log(1 - math.random())
  end

  function response(status)
    if status == 200 then
      good = good + 1
    elseif status == 429 then
      refused = refused + 1
    elseif status == 504 then
      late = late + 1
    end
  end
end

function done(summary, latency)
  local e, caller = summary.errors, callers[1]
  local good, refused, late = caller:get("good"), caller:get("refused"), caller:get("late")
  local failed = e.connect + e.read + e.write + e.status + e.timeout - refused - late
  -- No more of the good answers than of all can have taken longer than this.
  local most = math.max(0, 100 - good / math.max(1, summary.requests))
  io.write(string.format(
    '\nRESULT {"requests": %d, "seconds": %f, "p50_us": %f, "p99_us": %f, "failed": %d, ' ..
    '"good": %d, "refused": %d, "late": %d, "p99_good_us": %f}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    failed, good, refused, late, latency:percentile(most)))
end
