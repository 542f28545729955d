-- Writes a call down before it is made, if it may be.
-- KEYS: the run's key, its claims, its calls.
-- ARGV: the step, the token, the attempt, the field of a cancelled run, that of a dropped step, the price, what the run may
--       cost or '', the number of the call, its id, for how many ms it may be sent, a number that tells this write from
--       others, the call.
-- Gives a word, and with `granted` and `open` the call, with `over` what the run has cost, with `again` the number that the
-- call would have.
local run = redis.call('HMGET', KEYS[1], 'live', ARGV[4], ARGV[5])
if run[1] ~= '1' then return {'ended', ''} end
if run[2] then return {'cancelled', ''} end
if run[3] then return {'stale', ''} end
local claim = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local token, attempt = string.match(claim, '^(%d+)|(%d+)|')
if token ~= ARGV[2] or attempt ~= ARGV[3] then return {'stale', ''} end

local number = 0
local newest = redis.call('HGET', KEYS[3], '@' .. ARGV[1])
if newest then
  local count, last, id = string.match(newest, '^(%d+)|(%d+)|(.*)$')
  if tonumber(last) > tonumber(ARGV[3]) then return {'stale', ''} end
  local call = redis.call('HGET', KEYS[3], id)
  local kind, writer = string.match(call, '^(%a)|(%d+)|')
  -- Of this very token: the answer to the same intent was lost.
  if kind == 'i' and writer == token then return {'granted', call} end
  if kind ~= 'c' then return {'open', call} end
  number = tonumber(count)
end
local spent = redis.call('HGET', KEYS[3], 'spent') or '0'
if ARGV[7] ~= '' and tonumber(spent) + tonumber(ARGV[6]) > tonumber(ARGV[7]) then return {'over', spent} end
if number + 1 ~= tonumber(ARGV[8]) then return {'again', string.format('%d', number + 1)} end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local call = string.format('i|%s|%.0f|%.0f|%s|', token, now, now + tonumber(ARGV[10]), ARGV[11]) .. ARGV[12]
redis.call('HSET', KEYS[3], ARGV[9], call, '@' .. ARGV[1], ARGV[8] .. '|' .. ARGV[3] .. '|' .. ARGV[9])
redis.call('HINCRBY', KEYS[3], 'spent', ARGV[6])
redis.call('PERSIST', KEYS[3])
return {'granted', call}
