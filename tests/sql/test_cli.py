"""`python -m sql` as an operator and a script meet it: what it prints, and the code it ends with."""

import json

import asyncpg
import pytest

from sql.audit import INVARIANTS
from sql.migrate import MIGRATIONS
from stack.ports import free_port
from tests.support.batches import Row, keep_payloads
from tests.support.processes import Programs

NAMES = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
ROW = Row("evt_ghost", "1-0")


async def test_migrate_then_status(programs: Programs, empty_database_url: str) -> None:
    env = {"DATABASE_URL": empty_database_url}
    code, output, _ = await programs.run("sql", env, "status", "--json")
    assert (code, json.loads(output)["current"]) == (1, False)
    assert await programs.run("sql", env, "migrate") == (0, f"Applied {', '.join(NAMES)}.\n", "")
    assert await programs.run("sql", env, "migrate") == (0, "The schema is current.\n", "")
    code, output, _ = await programs.run("sql", env, "status", "--json")
    assert (code, [row["name"] for row in json.loads(output)["migrations"]]) == (0, NAMES)
    assert NAMES[-1] in (await programs.run("sql", env, "status"))[1]


async def test_audit_of_a_sound_database(programs: Programs, database_url: str) -> None:
    code, output, _ = await programs.run("sql", {"DATABASE_URL": database_url}, "audit")
    assert code == 0
    assert "invariants hold" in output
    code, output, _ = await programs.run("sql", {"DATABASE_URL": database_url}, "audit", "--json")
    assert (code, json.loads(output)["ok"], json.loads(output)["broken"]) == (0, True, [])


async def test_audit_of_a_broken_database(
    programs: Programs, database_url: str, connection: asyncpg.Connection
) -> None:
    await keep_payloads(connection, [ROW], b"bytes that must not be shown")
    code, output, _ = await programs.run("sql", {"DATABASE_URL": database_url}, "audit")
    assert code == 1
    assert "payload_without_event" in output
    assert "evt_ghost" in output
    assert f"1 of {len(INVARIANTS)} invariants do not hold." in output
    code, output, _ = await programs.run("sql", {"DATABASE_URL": database_url}, "audit", "--json")
    (broken,) = json.loads(output)["broken"]
    assert (code, broken["name"], broken["total"]) == (1, "payload_without_event", 1)
    assert broken["rows"][0]["event_id"] == "evt_ghost"
    assert "bytes that" not in output


@pytest.mark.parametrize(
    ("url", "said"),
    [(None, "not set"), ("", "not set"), ("mysql://me:hidden@h/d", "postgresql://")],
)
async def test_a_missing_or_wrong_url_is_an_error_that_does_not_show_it(
    programs: Programs, url: str | None, said: str
) -> None:
    code, output, errors = await programs.run("sql", {} if url is None else {"DATABASE_URL": url}, "audit")
    assert (code, output) == (2, "")
    assert "\n  - DATABASE_URL: " in errors
    assert said in errors
    assert "hidden" not in errors
    assert "Traceback" not in errors


async def test_every_bad_setting_is_named_at_once(programs: Programs) -> None:
    env = {"DATABASE_URL": "", "AUDIT_TIMEOUT_S": "soon"}
    code, _, errors = await programs.run("sql", env, "audit")
    assert code == 2
    assert "DATABASE_URL" in errors
    assert "AUDIT_TIMEOUT_S" in errors


async def test_an_unknown_command_is_wrong_usage(programs: Programs) -> None:
    assert (await programs.run("sql", {}, "destroy"))[0] == 2


async def test_an_unreachable_database_is_an_error(programs: Programs) -> None:
    url = f"postgresql://me:hidden@127.0.0.1:{free_port()}/none"
    for command in ("migrate", "status", "audit"):
        code, _, errors = await programs.run("sql", {"DATABASE_URL": url, "MIGRATE_WAIT_S": "0"}, command)
        assert code == 3
        assert "does not answer" in errors
        assert "hidden" not in errors


async def test_audit_before_migrate_says_what_to_do(programs: Programs, empty_database_url: str) -> None:
    code, _, errors = await programs.run("sql", {"DATABASE_URL": empty_database_url}, "audit")
    assert code == 2
    assert "python -m sql migrate" in errors


async def test_the_settings_come_from_the_environment_then_dotenv_then_the_stack(
    programs: Programs, database_url: str
) -> None:
    nowhere = f"postgresql://me:x@127.0.0.1:{free_port()}/none"
    write(programs, "data/stack.env", f"DATABASE_URL={database_url}")
    write(programs, ".env", "DATA_DIR=data")
    assert (await programs.run("sql", {}, "audit"))[0] == 0
    write(programs, ".env", f"DATA_DIR=data\nDATABASE_URL={nowhere}")
    assert (await programs.run("sql", {}, "audit"))[0] == 3
    assert (await programs.run("sql", {"DATABASE_URL": database_url}, "audit"))[0] == 0


def write(programs: Programs, name: str, text: str) -> None:
    path = programs.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n")
