-- Applies commits of different runs of one shard, each for itself.
-- KEYS: owner, dirty, active, timers, inbox, then the key of each run.
-- ARGV: `|` and the epoch, then for each run: version, the version after it, id of the commit, created at, due or '',
--       `1` if unfinished, `1` if it has effects, number of events, the events, then three numbers of arguments and
--       those arguments: of HSET, of HDEL, of HDEL of the inbox.
-- Gives for each run 1 or, where the version is another one, that version; or, to who is not the owner, the owner.
local owner = redis.call('GET', KEYS[1]) or ''
local epoch = ARGV[1]
if string.sub(owner, -#epoch) ~= epoch then return owner end

-- Nothing is rolled back, so everything is looked at before anything is written.
local outcomes, seqs, lives = {}, {}, {}
local at = 2
for n = 6, #KEYS do
  local stored = redis.call('HMGET', KEYS[n], 'v', 'id', 'seq', 'live')
  if stored[1] == ARGV[at] then
    seqs[n] = tonumber(stored[3]) + tonumber(ARGV[at + 7])
    lives[n] = stored[4]
    outcomes[n - 5] = 1
  elseif stored[1] == ARGV[at + 1] and stored[2] == ARGV[at + 2] then
    outcomes[n - 5] = 1
  else
    outcomes[n - 5] = stored[1] or '0'
  end
  at = at + 12 + tonumber(ARGV[at + 9]) + tonumber(ARGV[at + 10]) + tonumber(ARGV[at + 11])
end

local dirty, clean, active, ended, timers, timeless = {}, {}, {}, {}, {}, {}
at = 2
for n = 6, #KEYS do
  local set = at + 12
  local del = set + tonumber(ARGV[at + 9])
  local commands = del + tonumber(ARGV[at + 10])
  local next = commands + tonumber(ARGV[at + 11])
  if seqs[n] then
    local run = KEYS[n]
    local member = string.sub(run, -32)
    local seq = string.format('%d', seqs[n])
    local live = ARGV[at + 5]
    redis.call('HSET', run, 'v', ARGV[at + 1], 'id', ARGV[at + 2], 'seq', seq, 'live', live,
      unpack(ARGV, set, math.min(set + 3999, del - 1)))
    for from = set + 4000, del - 1, 4000 do
      redis.call('HSET', run, unpack(ARGV, from, math.min(from + 3999, del - 1)))
    end
    for from = del, commands - 1, 4000 do
      redis.call('HDEL', run, unpack(ARGV, from, math.min(from + 3999, commands - 1)))
    end
    for from = commands, next - 1, 4000 do
      redis.call('HDEL', KEYS[5], unpack(ARGV, from, math.min(from + 3999, next - 1)))
    end
    if ARGV[at + 7] ~= '0' then redis.call('XADD', run .. ':events', seq .. '-0', 'e', ARGV[at + 8]) end
    if live ~= lives[n] then
      if live == '1' then
        active[#active + 1] = ARGV[at + 3]
        active[#active + 1] = member
      else
        ended[#ended + 1] = member
        redis.call('UNLINK', run .. ':claims')
      end
    end
    if ARGV[at + 6] == '1' then dirty[#dirty + 1] = member else clean[#clean + 1] = member end
    if ARGV[at + 4] ~= '' then
      timers[#timers + 1] = ARGV[at + 4]
      timers[#timers + 1] = member
    else
      timeless[#timeless + 1] = member
    end
  end
  at = next
end
if #dirty > 0 then redis.call('SADD', KEYS[2], unpack(dirty)) end
if #clean > 0 then redis.call('SREM', KEYS[2], unpack(clean)) end
if #active > 0 then redis.call('ZADD', KEYS[3], unpack(active)) end
if #ended > 0 then redis.call('ZREM', KEYS[3], unpack(ended)) end
if #timers > 0 then redis.call('ZADD', KEYS[4], unpack(timers)) end
if #timeless > 0 then redis.call('ZREM', KEYS[4], unpack(timeless)) end
return outcomes
