-- The stream that Postgres has last seen, so that another one in its place is noticed
-- depends: 0007_whose_money

-- migrate: apply

-- The stream's epoch: the id of its first entry; '' if it has had none. Null before a worker of this release has looked.
ALTER TABLE redis_beats ADD COLUMN epoch text;

-- migrate: rollback

ALTER TABLE redis_beats DROP COLUMN epoch;
