-- Stores runs that are not there yet.
-- KEYS: active, timers, then the key of each run.
-- ARGV: for each run: number of the creation, created at, due or '', `1` if unfinished, number of events, the events,
--       how many arguments of HSET, those arguments.
-- Gives 1 for each run that was created, now or by an earlier try of the same creation, else 0.
local outcomes, active, timers = {}, {}, {}
local at = 1
for n = 3, #KEYS do
  local run = KEYS[n]
  local id, created, due, live, count, events = unpack(ARGV, at, at + 5)
  local first = at + 7
  local last = at + 6 + tonumber(ARGV[at + 6])
  at = last + 1
  local stored = redis.call('HMGET', run, 'v', 'id')
  if stored[1] then
    outcomes[n - 2] = (stored[1] == '1' and stored[2] == id) and 1 or 0
  else
    outcomes[n - 2] = 1
    redis.call('HSET', run, 'v', '1', 'id', id, 'seq', count, 'live', live)
    for from = first, last, 4000 do
      redis.call('HSET', run, unpack(ARGV, from, math.min(from + 3999, last)))
    end
    if count ~= '0' then redis.call('XADD', run .. ':events', count .. '-0', 'e', events) end
    local member = string.sub(run, -32)
    if live == '1' then
      active[#active + 1] = created
      active[#active + 1] = member
    end
    if due ~= '' then
      timers[#timers + 1] = due
      timers[#timers + 1] = member
    end
  end
end
if #active > 0 then redis.call('ZADD', KEYS[1], unpack(active)) end
if #timers > 0 then redis.call('ZADD', KEYS[2], unpack(timers)) end
return outcomes
