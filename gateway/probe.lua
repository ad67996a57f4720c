#!lua
-- Runs every kind of command that publisher.lua runs, with the same rights and keys, and changes nothing. What refuses
-- an event (a right, a wrong kind of key, another server's slot) refuses this too.
--
-- KEYS  1 the stream · 2 the epoch · 3 a marker of no event · 4 the account
-- ARGV  1 the first number of this partition's ids, "0" in the partition whose ids Redis makes
-- Returns "OK", or the error that publishing would meet.
if ARGV[1] ~= '0' then
  redis.call('TIME')
  local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
  if info.err and not string.find(info.err, 'no such key') then
    return info
  end
end
redis.call('EXISTS', KEYS[1], KEYS[2])
redis.call('XLEN', KEYS[1])
redis.call('XRANGE', KEYS[1], '-', '-')
redis.call('GET', KEYS[3])
redis.call('HGET', KEYS[4], 'restores')
redis.call('SET', KEYS[3], '', 'XX')
-- No entry may have the id 0-0, so that an allowed XADD fails by that, after the rights and before anything is added.
local added = redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', '0-0', 'v', '')
if string.find(added.err, '^ERR The ID') then
  return 'OK'
end
return added
