-- Puts a call back that was lost. KEYS: the run's key, its calls.
-- ARGV: the call's id, the call, its step, number and attempt, what it takes of the budget, for how many ms the calls of a
-- run are kept that is not there.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
local newest = redis.call('HGET', KEYS[2], '@' .. ARGV[3])
local count, attempt, id = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[1]
if newest then
  local number, last, other = string.match(newest, '^(%d+)|(%d+)|(.*)$')
  -- What counts is the one call that may be open, else the last one.
  local is_open = string.sub(redis.call('HGET', KEYS[2], other), 1, 1) ~= 'c'
  if is_open or (string.sub(ARGV[2], 1, 1) == 'c' and tonumber(number) > count) then id = other end
  count, attempt = math.max(count, tonumber(number)), math.max(attempt, tonumber(last))
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2], '@' .. ARGV[3], string.format('%d|%d|', count, attempt) .. id)
redis.call('HINCRBY', KEYS[2], 'spent', ARGV[6])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('PEXPIRE', KEYS[2], ARGV[7]) end
return 1
