import dataclasses
import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from stack.compose_secrets import digests
from stack.programs import ORDER, Plan, plan, read_program, write_program
from stack.settings import Settings
from stack.state import Ports

PORTS = Ports(redis=1, postgres=2, gateway=3, consumers_metrics=4)
SECRET = "whsec_provider"
PASSWORDS = ("redis", "gateway_redis", "workers_redis", "postgres", "workers_postgres")


def planned(tmp_path: Path, **given: str) -> Plan:
    values: dict[str, Any] = {name: SecretStr(value) for name, value in given.items()}
    values |= {f"{name}_password": SecretStr(f"of-{name}") for name in PASSWORDS}
    settings = Settings.model_construct(data_dir=tmp_path, **values)
    return plan(settings, PORTS, {"STRIPE_WEBHOOK_SECRET": SECRET, "PATH": "/bin"})


def test_programs_are_started_in_order(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    assert [program.name for program in planned(tmp_path).programs()] == list(ORDER)


def test_a_server_that_a_setting_names_is_used_and_none_is_started(tmp_path: Path) -> None:
    theirs = planned(tmp_path, redis_url="rediss://theirs:1/0", database_url="postgresql://theirs/db")
    assert [program.name for program in theirs.programs()] == ["consumers", "gateway", "console", "reconciler"]
    assert theirs.environment["REDIS_URL"] == "rediss://theirs:1/0"
    assert theirs.environment["DATABASE_URL"] == "postgresql://theirs/db"


def test_our_own_url_as_a_setting_still_starts_our_server(tmp_path: Path) -> None:
    ours = planned(tmp_path)
    again = planned(tmp_path, redis_url=ours.redis_url, database_url=ours.database_url)
    assert again.valkey
    assert again.postgres


def test_the_servers_do_not_get_the_providers_secrets(tmp_path: Path) -> None:
    for program in planned(tmp_path).programs():
        assert (SECRET in program.environment.values()) == (program.name in ("gateway", "consumers"))
        assert SECRET not in repr(program)


def test_each_program_gets_the_least_rights(tmp_path: Path) -> None:
    environment = {"POSTGRES_PASSWORD": "of-postgres", "REDIS_PASSWORD": "of-redis"}
    given = dataclasses.replace(planned(tmp_path), environ=environment)
    programs = {program.name: program.environment for program in given.programs()}
    assert "gateway:of-gateway_redis@" in programs["gateway"]["REDIS_URL"]
    assert "workers:of-workers_redis@" in programs["consumers"]["REDIS_URL"]
    assert "payments_worker:of-workers_postgres@" in programs["consumers"]["DATABASE_URL"]
    for name in ("gateway", "consumers", "console", "reconciler"):
        shown = str(programs[name])
        assert "of-postgres" not in shown
        assert ":of-redis" not in shown
    assert "payments:of-postgres@" in given.environment["MIGRATE_DATABASE_URL"]


def test_only_the_console_knows_who_signs_in_and_who_is_notified(tmp_path: Path) -> None:
    of_console = {"CONSOLE_PASSWORD_HASH": "a", "NOTIFY_URL": "b", "NOTIFY_SECRET": "c"}
    proxied = {"CONSOLE_URL": "https://console.example.com"}
    given = dataclasses.replace(planned(tmp_path), environ=of_console | proxied)
    for program in given.programs():
        found = program.environment.items() & of_console.items()
        assert found == (of_console.items() if program.name == "console" else set())
    assert proxied.items() <= given.console().environment.items()


def test_the_programs_get_all_addresses(tmp_path: Path) -> None:
    environment = planned(tmp_path).environment
    assert environment["GATEWAY_URL"] == "http://127.0.0.1:3"
    assert environment["CONSUMERS_METRICS_PORT"] == "4"
    assert environment["DATA_DIR"] == str(tmp_path)


def test_a_change_of_the_code_of_handlers_changes_the_digest_of_their_container(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (tmp_path / "consumers").mkdir()

    def digest(handlers: str) -> str:
        return digests(Settings(handlers_folder=folder, handlers=handlers), tmp_path)["CONSUMERS_SETTINGS_DIGEST"]

    found = {digest("shop_handlers:handlers")}
    (folder / "shop_handlers.py").write_text("handlers = 1\n")
    found.add(digest("shop_handlers:handlers"))
    package = folder / "credits"
    package.mkdir()
    (package / "more.py").write_text("handlers = 1\n")
    found.add(digest("credits.more:handlers"))
    assert len(found) == 3
    (folder / "another.py").write_text("")
    assert digest("credits.more:handlers") in found


def test_a_program_keeps_its_definition_on_the_way_to_the_manager(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    for program in planned(tmp_path).programs():
        assert read_program(json.loads(json.dumps(write_program(program)))) == program
