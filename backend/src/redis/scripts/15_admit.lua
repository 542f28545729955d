-- Lets a call in by all of its limits, or by none.
-- KEYS: for each limit: who is in, by when that ends; who waits for a place, by when they came; who waits for anything, by
--       when that lapses; whose turn it is when; its rate.
-- ARGV: the call, for how many ms it is let in, for how many ms a turn is kept for it, then for each limit: how many may be
--       in or '', how many may begin or '', in how many ms.
-- Gives 0, or the number of the limit that is in the way; and when to come back.
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = micros / 1000
local call, hold, slack = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function keep(key, ms)
  ms = math.ceil(math.max(ms, 0)) + 1000
  redis.call('PEXPIRE', key, ms, 'NX')
  redis.call('PEXPIRE', key, ms, 'GT')
end

local limits, is_in = {}, true
for n = 1, #KEYS / 5 do
  local limit = {n = n, places = tonumber(ARGV[3 * n + 1]), burst = tonumber(ARGV[3 * n + 2]),
    span = tonumber(ARGV[3 * n + 3])}
  limit.held, limit.queue, limit.lapse, limit.turns, limit.rate = unpack(KEYS, 5 * n - 4, 5 * n)
  redis.call('ZREMRANGEBYSCORE', limit.held, '-inf', now)
  local lapsed = redis.call('ZRANGE', limit.lapse, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
  if #lapsed > 0 then
    redis.call('ZREM', limit.queue, unpack(lapsed))
    redis.call('ZREM', limit.turns, unpack(lapsed))
    redis.call('ZREM', limit.lapse, unpack(lapsed))
  end
  limit.is_in = redis.call('ZSCORE', limit.held, call) ~= false
  limit.turn = tonumber(redis.call('ZSCORE', limit.turns, call) or nil)
  is_in = is_in and limit.is_in
  limits[n] = limit
end

local at, in_the_way = 0, 0
local function later(limit, time)
  if time > at then at, in_the_way = time, limit.n end
end

if not is_in then
  -- Places: those who came before have the first ones.
  for _, limit in ipairs(limits) do
    if limit.places and not limit.is_in then
      local free = limit.places - redis.call('ZCARD', limit.held)
      local ahead = redis.call('ZRANK', limit.queue, call) or redis.call('ZCARD', limit.queue)
      if ahead >= free then
        limit.is_full = true
        later(limit, now + math.max(250, math.min(hold / 4, 250 * (ahead + 1), 10000)))
      end
    end
    if limit.turn and limit.turn > now and not limit.is_in then later(limit, limit.turn) end
  end
  if in_the_way > 0 then
    for _, limit in ipairs(limits) do
      if limit.is_full then
        redis.call('ZADD', limit.queue, 'NX', micros, call)
        keep(limit.queue, at - now + slack)
      end
    end
  else
    -- Rates: `used` is moved on by who begins, `given` by who is promised a turn as well.
    for _, limit in ipairs(limits) do
      if limit.burst and not limit.is_in then
        local stored = redis.call('HMGET', limit.rate, 'given', 'used')
        limit.used = tonumber(stored[2] or nil) or 0
        limit.given = math.max(tonumber(stored[1] or nil) or 0, limit.used)
        if limit.burst > 0 then
          limit.interval = limit.span / limit.burst
          local earliest = (limit.turn and limit.used or limit.given) - (limit.span - limit.interval)
          limit.is_early = earliest > now
          if limit.is_early then later(limit, earliest) end
        else
          later(limit, now + 10000)
        end
      end
    end
    for _, limit in ipairs(limits) do
      if in_the_way > 0 then
        -- Who waits for a turn is not to keep others from a place.
        redis.call('ZREM', limit.queue, call)
      end
      if limit.interval and not limit.turn and (limit.is_early or in_the_way == 0) then
        limit.given = math.max(limit.given, now) + limit.interval
        limit.turn = at
      end
      if limit.interval and in_the_way == 0 then limit.used = math.max(limit.used, now) + limit.interval end
      if limit.interval then
        redis.call('HSET', limit.rate, 'given', string.format('%.3f', limit.given), 'used',
          string.format('%.3f', limit.used))
        keep(limit.rate, math.max(limit.given, limit.used) - now + limit.span)
      end
    end
  end
end

for _, limit in ipairs(limits) do
  if in_the_way == 0 then
    redis.call('ZADD', limit.held, now + hold, call)
    keep(limit.held, hold)
    redis.call('ZREM', limit.queue, call)
    redis.call('ZREM', limit.turns, call)
    redis.call('ZREM', limit.lapse, call)
  else
    if limit.turn and not limit.is_in then
      redis.call('ZADD', limit.turns, math.max(limit.turn, at), call)
      keep(limit.turns, at - now + slack)
    end
    redis.call('ZADD', limit.lapse, at + slack, call)
    keep(limit.lapse, at - now + slack)
  end
end
return {in_the_way, string.format('%.0f', math.ceil(at))}
