-- Takes a step into a worker's hands.
-- KEYS: the run's key, its claims. ARGV: the step, the claim, for how many ms the claims of an ended run are kept, the
-- attempt.
-- Gives the token: the time in microseconds, made different from the last one of the step.
local time = redis.call('TIME')
local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
local times = 1
local last = redis.call('HGET', KEYS[2], ARGV[1])
if last then
  local given, attempt, before = string.match(last, '^(%d+)|(%d+)|(%d+)|')
  if given and tonumber(given) >= token then token = tonumber(given) + 1 end
  if attempt == ARGV[4] then times = tonumber(before) + 1 end
end
token = string.format('%.0f', token)
redis.call('HSET', KEYS[2], ARGV[1], token .. '|' .. ARGV[4] .. '|' .. string.format('%d', times) .. '|' .. ARGV[2])
-- The commit that ends a run forgets its claims; nothing would ever forget one that comes after it.
if redis.call('HGET', KEYS[1], 'live') == '1' then
  redis.call('PERSIST', KEYS[2])
else
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return token
