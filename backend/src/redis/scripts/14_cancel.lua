-- Flags a run as cancelled, if it has not ended. KEYS: the run's key. ARGV: the field.
if redis.call('HGET', KEYS[1], 'live') ~= '1' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '1')
return 1
