"""`retain` does now what workers do daily, says what it removed, and is recorded."""

import json
from datetime import timedelta

import pytest

from operations.cli.command import EXIT_WRONG
from operations.log import list_operations
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stream_states import say

OLD = "UPDATE duplicates SET recorded_at = now() - interval '40 days'"


async def test_it_says_what_it_removed_and_records_it(workers: Workers) -> None:
    for _ in range(3):
        await workers.stream.publish(contract_event("evt_1", "pi_1"))
    async with workers.working():
        await workers.drained()
    await workers.connection.execute(OLD)
    settings = workers.settings.model_copy(update={"duplicates_kept_days": 30})
    said = await say(settings, "retain", "--actor", "ada", "--reason", "the disk")
    assert said.code == 0
    assert said.text.splitlines()[:3] == [
        "payloads: kept for ever", "duplicates: removed 2", "dead_letters: kept for ever",
    ]  # fmt: skip
    (operation,) = await list_operations(workers.connection, before=None, limit=10)
    assert (operation.actor, operation.action, operation.touched) == ("ada", "retain", 2)
    assert operation.details == {"duplicates": 2}
    assert (await say(settings, "retain")).code == 0, "it may be asked for again at any time"
    assert len(await list_operations(workers.connection, before=None, limit=10)) == 1, "nothing was removed"
    await workers.assert_all_acked()


async def test_what_a_worker_does_now_is_left_to_it(workers: Workers) -> None:
    claim = "INSERT INTO maintenance (step, claimed_by, claimed_until) VALUES ('payloads', 'host:1', now() + $1)"
    await workers.connection.execute(claim, timedelta(minutes=1))
    said = await say(workers.settings, "retain", "--json")
    assert said.code == EXIT_WRONG
    assert json.loads(said.text) == {"steps": [], "busy_with": "payloads"}


async def test_a_step_that_fails_is_named_and_the_others_are_done(
    workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    await workers.connection.execute(
        "CREATE OR REPLACE FUNCTION delete_default_payloads(kept_days integer, rows_max integer) RETURNS bigint "
        "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$"
    )
    settings = workers.settings.model_copy(update={"payloads_kept_days": 1})
    said = await say(settings, "retain")
    assert said.code == EXIT_WRONG
    complaint = capsys.readouterr().err
    assert "payloads: " in complaint
    assert "the disk is full" in complaint
    assert "workers try again" in complaint
    assert said.text.splitlines()[0] == "duplicates: kept for ever"
    assert await workers.rows("SELECT step FROM maintenance WHERE failure IS NOT NULL") == [("payloads",)]
    assert await list_operations(workers.connection, before=None, limit=10) == []
