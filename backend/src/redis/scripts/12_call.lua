-- Puts what became of a call in the place of what was read of it.
-- KEYS: the run's key, its calls. ARGV: the call's id, what was read, what is to be, by how much the run costs more, the
-- field of a cancelled run, that of a step which was called off.
-- Gives 1 if it is so, now or by an earlier try of the same write; the call as it is; 1 if the run is cancelled or the step
-- called off.
local stored = redis.call('HGET', KEYS[2], ARGV[1])
local done = 0
if stored == ARGV[3] then
  done = 1
elseif stored == ARGV[2] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('HINCRBY', KEYS[2], 'spent', ARGV[4])
  stored, done = ARGV[3], 1
end
local cancelled = redis.call('HEXISTS', KEYS[1], ARGV[5])
if cancelled == 0 then
  cancelled = redis.call('HEXISTS', KEYS[1], ARGV[6])
end
return {done, stored, cancelled}
