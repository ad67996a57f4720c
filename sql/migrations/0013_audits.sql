-- The result of the last audit, for the workers' metrics
-- depends: 0012_search

-- migrate: apply

-- One row for each installation: `make audit` writes it, workers read it.
CREATE TABLE audits (
    key_prefix text PRIMARY KEY,
    finished_at timestamptz NOT NULL DEFAULT now(),
    -- How many rules were broken, and how many were checked.
    findings integer NOT NULL CHECK (findings >= 0),
    rules integer NOT NULL CHECK (rules > 0)
);

-- migrate: rollback

DROP TABLE audits;
