-- A difference of exchange rates is no loss of a dispute; payments that are known to be of the other mode
-- depends: 0008_epochs

-- migrate: apply

-- Which payment an event of the other mode is about. An event that does not say its mode has its payment's.
ALTER TABLE events_of_other_mode ADD COLUMN resource text;

UPDATE events_of_other_mode AS other
SET resource = events.resource
FROM events
WHERE events.namespace = other.namespace AND events.event_id = other.event_id;

CREATE INDEX events_of_other_mode_by_resource ON events_of_other_mode (namespace, resource);

-- converted: the claim, the money and the payment do not all have one currency, so that what comes back may differ from
-- what went by the exchange rate alone. outstanding: how many withdrawals have no return. The defaults leave the rows
-- of before as they are, until another event about the dispute.
ALTER TABLE disputes
    ADD COLUMN converted   boolean NOT NULL DEFAULT false,
    ADD COLUMN outstanding integer NOT NULL DEFAULT 0;

-- As in 0007. New: of a converted dispute, of which each withdrawal has its return, the provider's last word counts.
ALTER TABLE disputes DROP COLUMN disputed, DROP COLUMN status;
ALTER TABLE disputes
    ADD COLUMN disputed bigint NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN converted AND outstanding <= 0 AND won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 0
            WHEN reinstated_amount > 0 THEN greatest(withdrawn_amount - reinstated_amount, 0)
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 0
            WHEN withdrawn_amount > 0 THEN withdrawn_amount
            ELSE amount
        END) STORED,
    ADD COLUMN status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN reinstated_amount > 0 AND reinstated_amount >= withdrawn_amount THEN 'won'
            WHEN converted AND outstanding <= 0 AND won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 'won'
            WHEN reinstated_amount > 0 AND converted AND outstanding > 0
                THEN CASE WHEN lost THEN 'lost' ELSE 'open' END
            WHEN reinstated_amount > 0 AND money_currency = currency AND withdrawn_amount - reinstated_amount >= amount
                THEN CASE WHEN lost THEN 'lost' ELSE 'open' END
            WHEN reinstated_amount > 0 THEN CASE WHEN won OR lost THEN 'partly_lost' ELSE 'open' END
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 'won'
            WHEN lost THEN 'lost'
            ELSE 'open'
        END) STORED;

-- migrate: rollback

ALTER TABLE disputes DROP COLUMN disputed, DROP COLUMN status;
ALTER TABLE disputes
    ADD COLUMN disputed bigint NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN reinstated_amount > 0 THEN greatest(withdrawn_amount - reinstated_amount, 0)
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 0
            WHEN withdrawn_amount > 0 THEN withdrawn_amount
            ELSE amount
        END) STORED,
    ADD COLUMN status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN reinstated_amount > 0 AND reinstated_amount >= withdrawn_amount THEN 'won'
            WHEN reinstated_amount > 0 AND money_currency = currency AND withdrawn_amount - reinstated_amount >= amount
                THEN CASE WHEN lost THEN 'lost' ELSE 'open' END
            WHEN reinstated_amount > 0 THEN CASE WHEN won OR lost THEN 'partly_lost' ELSE 'open' END
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 'won'
            WHEN lost THEN 'lost'
            ELSE 'open'
        END) STORED;
ALTER TABLE disputes DROP COLUMN converted, DROP COLUMN outstanding;
DROP INDEX events_of_other_mode_by_resource;
ALTER TABLE events_of_other_mode DROP COLUMN resource;
