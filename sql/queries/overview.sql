-- Since when things wait for a person, for messages; and the dead letters, for the picture on the console's first page.

-- name: read_oldest :one
-- Returns since when each kind waits, of as many as are counted: a message says how old the oldest is.
SELECT
    (SELECT min(died_at) FROM dead_letters WHERE state = 'open') AS dead_letters,
    (SELECT min(found_at) FROM (SELECT found_at FROM conflicts WHERE kept IS NULL LIMIT :limit) AS counted) AS conflicts,
    (
        SELECT min(held_at)
        FROM (
            SELECT held_at FROM held_back WHERE released_at IS NULL AND reason = 'unsigned' LIMIT :limit
        ) AS counted
    ) AS unsigned,
    (
        SELECT min(recorded_at) FROM (SELECT recorded_at FROM events_of_other_mode LIMIT :limit) AS counted
    ) AS other_mode,
    (
        SELECT min(noticed_at)
        FROM restores
        WHERE (key_prefix = :key_prefix OR starts_with(key_prefix, :key_prefix || ':{')) AND acknowledgement IS NULL
    ) AS restores;

-- name: count_dead_letters :one
-- Counts the open dead letters up to a limit, for the picture of the last hour.
SELECT count(*) FROM (SELECT FROM dead_letters WHERE state = 'open' LIMIT :limit) AS counted;
