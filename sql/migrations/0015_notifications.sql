-- What the receiver at NOTIFY_URL knows about what waits for a person
-- depends: 0014_acts_of_a_subject

-- migrate: apply

-- One row for each kind of thing that can wait. However many programs notify, the one that locks a row sends.
CREATE TABLE notifications (
    key_prefix text NOT NULL,
    kind text NOT NULL,
    -- What the last message said: that it waits, or that nothing waits any more; when it was made, and of how many.
    announced boolean NOT NULL DEFAULT false,
    announced_at timestamptz,
    announced_count bigint NOT NULL DEFAULT 0 CHECK (announced_count >= 0),
    -- Since when it has waited without a break, as far as the programs that notify saw it.
    waiting_since timestamptz,
    -- Since when what is seen differs from what was announced.
    differs_since timestamptz,
    -- A message that is not delivered yet. It is kept before it is sent, so that a crash in between sends the same id.
    message_id text,
    message text,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,
    PRIMARY KEY (key_prefix, kind),
    CHECK ((message_id IS NULL) = (message IS NULL)),
    CHECK ((message_id IS NULL) = (next_attempt_at IS NULL))
);

-- migrate: rollback

DROP TABLE notifications;
