-- Gives back what a call holds of limits. KEYS: sorted sets of calls. ARGV: the call.
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
return 1
