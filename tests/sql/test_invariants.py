"""Every invariant finds what it is there to find: one broken database for each, and nothing in a sound one."""

from dataclasses import dataclass

import asyncpg
import pytest

from sql.audit import INVARIANTS, audit
from tests.support.batches import Row, claim, keep_payloads, record_duplicates

DEAD = """
INSERT INTO dead_letters (
    entry_id, namespace, event_id, reason, traceback, attempts, died_at, field_names, field_values
)
VALUES ('{}', 'stripe', '{}', 'r', 't', 1, now() - interval '1 day', '{{}}', '{{}}')
"""
PAYMENT = """
WITH captured AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id
    )
    SELECT 'stripe', 'capture:' || payment, payment, 'from', 'to', amount, 'EUR', 'evt_1'
    FROM (VALUES ('{0}', {2})) AS reported (payment, amount)
    WHERE amount > 0
)
INSERT INTO payments (
    namespace, payment_id, provider, currency, amount, captured, refunds_total, succeeded, contradicted
)
VALUES ('stripe', '{0}', 'stripe', 'EUR', {1}, {2}, {3}, true, {4})
"""
CONFLICT = """
INSERT INTO conflicts (namespace, payment_id, movement, reported_amount, reported_currency, event_id)
VALUES ('stripe', 'pi_1', 'capture:pi_1', 9, 'EUR', 'evt_1')
"""
HELD_BACK = """
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement
)
VALUES ('stripe', 'evt_1', 'pi_1', 'stripe', 'conflict', 'refunded', 're_1', 9, 'EUR', 'refund:re_1')
"""
TRANSFER = """
INSERT INTO transfers VALUES ('stripe', '{}', 'pi_1', 'from', 'to', 9, 'EUR', '{}')
"""
EVENTS_OF_MORE_PAYMENTS = """
INSERT INTO events
SELECT namespace, payment, source, provider, '7-' || n, type, payment, signed, NULL, received_at
FROM events, unnest(ARRAY['pi_2', 'pi_3']) WITH ORDINALITY AS more (payment, n)
"""
DISPUTE = """
INSERT INTO disputes (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated, withdrawn_amount,
    money_currency
)
VALUES ('stripe', 'dp_1', 'pi_1', 'EUR', 9, true, false, true, true, false, {}, 'EUR')
"""
WITHDRAWAL = """
INSERT INTO transfers (
    namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id, dispute_id
)
VALUES ('stripe', 'dispute:txn_1', 'pi_1', 'disputes', 'provider', {}, 'EUR', 'evt_1', 'dp_1')
"""
DISPUTED = "UPDATE payments SET disputed = {}, disputed_currency = 'EUR', charged_back = true"
OTHER_MODE = "INSERT INTO events_of_other_mode VALUES ('stripe', 'evt_1', 'stripe', 'test')"
ACTS = """
INSERT INTO operations (actor, face, action, subject, reason, touched, details)
SELECT 'ada', 'command', 'discard', 'dead_letter:' || n, '', 1, '{}' FROM generate_series(1, 3) AS n
"""
BY_HAND = "ALTER TABLE operations DISABLE TRIGGER operations_are_append_only"
IN_THE_ARCHIVE = """
INSERT INTO events_archive (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
SELECT namespace, event_id, source, provider, '9-0', type, resource, signed, received_at FROM events
"""
MOVED = "WITH moved AS (DELETE FROM ONLY events RETURNING *) INSERT INTO events_archive TABLE moved"
ARCHIVED_PAYMENT = """
INSERT INTO payments_archive (namespace, payment_id, provider, currency) VALUES ('stripe', '{}', 'stripe', 'EUR')
"""
ARCHIVED_TRANSFER = "INSERT INTO transfers_archive SELECT * FROM ONLY transfers"
UNSIGNED = """
INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency, released_at)
VALUES ('stripe', 'evt_1', 'pi_1', 'stripe', 'unsigned', 'refunded', 're_1', 9, 'EUR', {})
"""
CONFIRMATION = """
INSERT INTO confirmations (namespace, event_id, source, payment_id, state, decided_at)
VALUES ('stripe', '{}', 'stripe', 'pi_1', '{}', {})
"""
PAYLOAD = "INSERT INTO payloads VALUES ('stripe', '{}', '{}', '{{}}', '')"


@dataclass(frozen=True, slots=True)
class Broken:
    """Statements that break one invariant of a sound database (event evt_1 of pi_1 in entry 1-0), and how many rows the
    invariant then finds.
    """

    statements: tuple[str, ...]
    rows: int = 1


BROKEN = {
    "entry_with_two_fates": Broken((DEAD.format("1-0", "evt_other"),)),
    "event_in_two_tables": Broken((IN_THE_ARCHIVE,)),
    "payment_in_two_tables": Broken((PAYMENT.format("pi_1", 9, 0, 0, "false"), ARCHIVED_PAYMENT.format("pi_1"))),
    "transfer_in_two_tables": Broken((TRANSFER.format("dispute:dp_1", "evt_1"), ARCHIVED_TRANSFER)),
    "transfer_apart_from_its_payment": Broken(
        (ARCHIVED_PAYMENT.format("pi_1"), TRANSFER.format("dispute:dp_1", "evt_1"))
    ),
    "archived_without_fingerprint": Broken((MOVED, "UPDATE archive_fingerprints SET fingerprints = ''")),
    "duplicate_without_event": Broken(
        ("INSERT INTO duplicates VALUES ('8-0', 'stripe', 'evt_ghost', 'stripe', '2026-01-01')",)
    ),
    "payload_without_event": Broken((PAYLOAD.format("evt_ghost", "2026-01-01"),)),
    "event_with_two_payloads": Broken((PAYLOAD.format("evt_1", "1999-01-01"),)),
    "payment_without_event": Broken((PAYMENT.format("pi_ghost", 1, 1, 0, "false"),)),
    "conflict_without_decision": Broken((CONFLICT,)),
    "contradiction_without_conflict": Broken((PAYMENT.format("pi_1", 1, 1, 0, "true"),)),
    "payment_unlike_its_transfers": Broken(
        (PAYMENT.format("pi_1", 9, 9, 0, "false"), "UPDATE payments SET refunds_made = 4")
    ),
    "decision_that_is_not_booked": Broken((CONFLICT, "UPDATE conflicts SET kept = 'reported', decided_at = now()")),
    "correction_without_decision": Broken((TRANSFER.format("undone:7", "evt_1"),)),
    "transfer_without_event": Broken((TRANSFER.format("dispute:dp_1", "evt_ghost"),)),
    "fact_held_back_for_no_conflict": Broken((HELD_BACK,)),
    "unconfirmed_money": Broken(
        (
            "UPDATE events SET signed = 'weak'",
            CONFIRMATION.format("evt_1", "disagrees", "now()"),
            TRANSFER.format("dispute:dp_1", "evt_1"),
        )
    ),
    "hold_unlike_its_confirmation": Broken(
        (UNSIGNED.format("now()"), CONFIRMATION.format("evt_1", "due", "NULL")),
    ),
    "confirmation_without_event": Broken((CONFIRMATION.format("evt_ghost", "due", "NULL"),)),
    "payment_with_impossible_amounts": Broken(
        (
            "ALTER TABLE payments DROP CONSTRAINT payments_amount_check",
            PAYMENT.format("pi_1", -1, 0, 0, "false"),
            PAYMENT.format("pi_2", 5, 5, 6, "false"),
            PAYMENT.format("pi_3", 5, 5, 5, "false"),
            EVENTS_OF_MORE_PAYMENTS,
        ),
        rows=2,
    ),
    "dispute_unlike_its_transfers": Broken((WITHDRAWAL.format(9), DISPUTE.format(8))),
    "transfer_for_no_dispute": Broken((WITHDRAWAL.format(9),)),
    "payment_unlike_its_disputes": Broken(
        (WITHDRAWAL.format(9), DISPUTE.format(9), PAYMENT.format("pi_1", 9, 9, 0, "false"), DISPUTED.format(8))
    ),
    "transfer_of_the_other_mode": Broken((OTHER_MODE, TRANSFER.format("capture:pi_1", "evt_1"))),
    "open_dead_letter_of_applied_event": Broken((DEAD.format("0-1", "evt_1"),)),
    "operation_out_of_chain": Broken((ACTS, BY_HAND, "UPDATE operations SET actor = 'bob' WHERE id = 2")),
}


@pytest.fixture
async def sound(connection: asyncpg.Connection) -> asyncpg.Connection:
    """One event with its payload, its duplicate and its payment."""
    row = Row("evt_1", "1-0", "pi_1")
    assert await claim(connection, [row]) == {"1-0"}
    await keep_payloads(connection, [row])
    await record_duplicates(connection, [Row("evt_1", "2-0", "pi_1")])
    return connection


def test_every_invariant_has_its_broken_database() -> None:
    assert set(BROKEN) == set(INVARIANTS)


async def test_a_sound_database_has_no_finding(sound: asyncpg.Connection) -> None:
    await sound.execute(PAYMENT.format("pi_1", 5, 5, 5, "false"))
    await sound.execute(DEAD.format("3-0", "evt_unapplied"))
    await sound.execute(WITHDRAWAL.format(9))
    await sound.execute(DISPUTE.format(9))
    await sound.execute(DISPUTED.format(9))
    await sound.execute("UPDATE payments SET captured = captured + 7, captured_outside = 7")
    assert await audit(sound) == []


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_database_has_exactly_its_finding(sound: asyncpg.Connection, name: str) -> None:
    for statement in BROKEN[name].statements:
        await sound.execute(statement)
    (finding,) = await audit(sound)
    assert (finding.name, finding.total, len(finding.rows)) == (name, BROKEN[name].rows, BROKEN[name].rows)
    assert finding.why.endswith(tuple(".)"))


async def test_all_rows_are_counted_and_the_first_are_shown(sound: asyncpg.Connection) -> None:
    await sound.execute("INSERT INTO payloads SELECT 'a', n::text, now(), '{}', '' FROM generate_series(1, 3000) AS n")
    (finding,) = await audit(sound, rows_shown_max=5)
    assert (finding.total, len(finding.rows)) == (3000, 5)


async def test_the_audit_changes_nothing_and_leaves_no_transaction(sound: asyncpg.Connection) -> None:
    await audit(sound)
    assert not sound.is_in_transaction()
    await sound.execute("DELETE FROM duplicates")
