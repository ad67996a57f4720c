#!lua flags=allow-oom
-- Moves the stream's last id forward to an entry that Postgres knows, so that no new entry gets an id that was used
-- before. Does nothing to a stream that is further, or does not exist.
--
-- KEYS     1  the stream
-- ARGV     1  the entry's id
-- Returns  1 if it was moved, else 0.

local function number(id)
    local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(sequence)
end

local info = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'STREAM', KEYS[1]) or {}
for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
        local ms, sequence = number(info[i + 1])
        local known_ms, known_sequence = number(ARGV[1])
        if ms < known_ms or (ms == known_ms and sequence < known_sequence) then
            redis.call('XSETID', KEYS[1], ARGV[1])
            return 1
        end
    end
end
return 0
