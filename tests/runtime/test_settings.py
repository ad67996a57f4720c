"""How programs find their settings, and what they say about wrong and misspelt ones."""

import importlib
import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AliasChoices, Field

from runtime.setting_names import OTHER_NAMES, SETTING_NAMES, misspelt_names
from runtime.settings import (
    LogLevel,
    PostgresUrl,
    ProgramSettings,
    RedisUrl,
    SettingsError,
    load_settings,
    read_env_files,
)
from stack.settings import Settings as StackSettings
from tests.support.processes import Programs

ROOT = Path(__file__).parents[2]
ROOMS_WITH_SETTINGS = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for room in ROOT.glob("*/__init__.py")
    for path in room.parent.rglob("settings.py")
    if path.parent.name != "runtime" and room.parent.name != "providers"  # of sources, not of programs
)
SOURCES = '[a]\nprovider = "hmac"\nsecrets = ["${SHOP_EU_SECRET}", "${SHOP_US_SECRET}"]\n'


class Example(ProgramSettings):
    redis_url: RedisUrl
    database_url: PostgresUrl
    batch_size: Annotated[int, Field(ge=1, le=10)] = 5
    """Entries of one transaction."""
    busy_delay: Annotated[float, Field(gt=0)] = 1.5
    is_quick: bool = False
    log_level: LogLevel = "INFO"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and no setting in the environment, but the two that an Example needs."""
    monkeypatch.chdir(tmp_path)
    for name in SETTING_NAMES | {"BUSY_DELAY", "IS_QUICK"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://:hush@host/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hush@host/db")
    return tmp_path


def names_of(kind: type[ProgramSettings]) -> set[str]:
    """Return the names of its fields in the environment."""
    names: set[str] = set()
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        names |= {str(choice).upper() for choice in choices}
    return names


def settings_of(room: str) -> type[ProgramSettings]:
    kind: type[ProgramSettings] = importlib.import_module(f"{room}.settings").Settings
    assert issubclass(kind, ProgramSettings)
    return kind


def test_the_list_of_names_has_every_setting_of_every_program() -> None:
    assert len(ROOMS_WITH_SETTINGS) >= 4
    assert set().union(*(names_of(settings_of(room)) for room in ROOMS_WITH_SETTINGS)) == SETTING_NAMES
    assert not SETTING_NAMES & OTHER_NAMES


@pytest.mark.parametrize("room", ROOMS_WITH_SETTINGS)
def test_every_setting_has_a_help_text_and_it_is_the_one_in_the_example(room: str) -> None:
    text = (ROOT / ".env.example").read_text()
    example = {
        name: comment.replace("\n# ", " ") for comment, name in re.findall(r"\n# (.+(?:\n# .+)*)\n#(\w+)=", text)
    }
    for field in settings_of(room).model_fields.values():
        assert field.description in example.values()


def test_the_environment_wins_over_dotenv_which_wins_over_the_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data").mkdir()
    (folder / "data/stack.env").write_text("BATCH_SIZE=1\nBUSY_DELAY=1\nIS_QUICK=true\nGATEWAY_URL=http://here\n")
    (folder / ".env").write_text("DATA_DIR=data\nBATCH_SIZE=2\nBUSY_DELAY=2\nSHOP_SECRET=x\n")
    monkeypatch.setenv("BATCH_SIZE", "3")
    settings = load_settings(Example)
    assert (settings.batch_size, settings.busy_delay, settings.is_quick) == (3, 2, True)
    assert read_env_files()["GATEWAY_URL"] == "http://here"
    assert read_env_files()["BATCH_SIZE"] == "2"
    assert load_settings(Example, [Path(".env")]).is_quick is False


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SIZE", "")
    assert load_settings(Example).batch_size == 5


def test_every_problem_is_one_plain_sentence_without_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"REDIS_URL": "http://:hush@host", "BATCH_SIZE": "11", "BUSY_DELAY": "soon-hush", "IS_QUICK": "hush",
             "LOG_LEVEL": "LOUD-hush"}  # fmt: skip
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(SettingsError) as raised:
        load_settings(Example)
    assert str(raised.value).splitlines() == [
        "The settings cannot be used, so nothing was done:",
        (
            "  - REDIS_URL: it does not begin with redis://, rediss://, unix://, redis+sentinel://, "
            "rediss+sentinel://, redis+cluster:// or rediss+cluster://"
        ),
        "  - DATABASE_URL: it is not set, and no running stack has set it: `make up` starts one",
        "  - BATCH_SIZE: it is more than 10",
        "  - BUSY_DELAY: it is not a number",
        "  - IS_QUICK: it is neither true nor false",
        "  - LOG_LEVEL: it is not one of 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
    ]
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("value", "problem"), [("0", "it is less than 1"), ("2.5", "it is not a whole number"), ("x", "not a whole number")]
)
def test_a_number_says_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch, value: str, problem: str) -> None:
    monkeypatch.setenv("BATCH_SIZE", value)
    with pytest.raises(SettingsError, match=f"BATCH_SIZE: .*{problem}"):
        load_settings(Example)


def test_no_password_is_shown() -> None:
    assert "hush" not in repr(load_settings(Example))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("GATEWAY_PROT", "GATEWAY_PORT"),
        ("gateway_prot", "GATEWAY_PORT"),
        ("REDIS_ULR", "REDIS_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("HANDLER", "HANDLERS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("BATCHSIZE", "BATCH_SIZE"),
        ("LOCK_TTL_S", "LOCK_TTL_MS"),
        ("DURABILITY_TIMEOUT", "DURABILITY_TIMEOUT_S"),
        ("CONSUMERS_METRIC_PORT", "CONSUMERS_METRICS_PORT"),
        ("STRIPE_WEBHOK_SECRET", "STRIPE_WEBHOOK_SECRET"),
        ("SHOP_EU_SECRETS", "SHOP_EU_SECRET"),
    ],
)
def test_a_misspelt_name_in_dotenv_is_an_error_with_a_suggestion(folder: Path, wrong: str, meant: str) -> None:
    (folder / "sources.toml").write_text(SOURCES)
    (folder / ".env").write_text(f"{wrong}=1\n")
    with pytest.raises(SettingsError) as raised:
        load_settings(Example)
    assert f"  - {wrong.upper()} is not a setting; did you mean {meant}?" in str(raised.value).splitlines()


@pytest.mark.parametrize(
    "name",
    [
        "GATEWAY_PORT", "gateway_port", "WEBHOOK_SECRET", "REDIS_PORT",
        "STRIPE_WEBHOOK_SECRET_OLD", "WEBHOOK_SECRET2", "STRIPE_WEBHOOK_SECRET_2026", "OLD_STRIPE_WEBHOOK_SECRET",
        "SQUARE_WEBHOOK_SECRET", "ADYEN_HMAC_KEY", "STRIPE_API_KEY", "STRIPE_SECRET_KEY", "PADDLE_WEBHOOK_SECRET",
        "POSTGRES_USER", "POSTGRES_DB", "PGPASSWORD", "REDIS_HOST", "DATABASE_NAME", "COMPOSE_PROJECT_NAME",
        "AWS_SECRET_ACCESS_KEY", "SENTRY_DSN", "TZ", "LOG_FORMAT", "NODE_ENV", "DEBUG",
        *sorted(SETTING_NAMES | OTHER_NAMES),
    ],
)  # fmt: skip
def test_other_names_in_dotenv_are_left_alone(name: str) -> None:
    assert misspelt_names({name: "1"}, {"SHOP_SECRET"}) == []


def test_a_command_that_must_work_gets_the_problems_and_the_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("REDIS_ULR=1\nBUSY_DELAY=2\n")
    monkeypatch.setenv("BATCH_SIZE", "11")
    warnings: list[SettingsError] = []
    settings = load_settings(Example, warn=warnings.append)
    assert (settings.batch_size, settings.busy_delay) == (5, 2)
    assert [str(warning).splitlines() for warning in warnings] == [[
        "Some settings cannot be used and are ignored:",
        "  - REDIS_ULR is not a setting; did you mean REDIS_URL?",
        "  - BATCH_SIZE: it is more than 10",
    ]]  # fmt: skip
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(SettingsError, match=r"so nothing was done:.*\n.*\n  - DATABASE_URL: it is not set"):
        load_settings(Example, warn=warnings.append)


def test_a_secret_with_a_name_like_that_of_another_is_left_alone() -> None:
    secrets = {"SHOP_EU_SECRET", "SHOP_UK_SECRET"}
    assert misspelt_names({"SHOP_EU_SECRET": "1", "SHOP_UK_SECRET": "1", "SHOP_US_SECRET": "1"}, secrets) == []


def test_the_sources_file_is_looked_for_where_the_settings_say(folder: Path) -> None:
    (folder / "shops.toml").write_text(SOURCES)
    (folder / ".env").write_text("SOURCES_FILE=shops.toml\nSHOP_EU_SECRTE=1\n")
    with pytest.raises(SettingsError, match="SHOP_EU_SECRTE is not a setting; did you mean SHOP_EU_SECRET"):
        load_settings(Example)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("gateway", []), ("consumers", []), ("operations", ["dead"]), ("sql", ["status"]), ("stack", ["scale", "2"])],
    ids=str,
)
async def test_every_program_refuses_a_misspelt_setting(programs: Programs, module: str, arguments: list[str]) -> None:
    """Also one that only another program reads."""
    (programs.folder / ".env").write_text("CONSUMERS_METRIC_PORT=0\nAUDIT_TIMEOUTS=1\n")
    code, output, errors = await programs.run(module, {}, *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("The settings cannot be used, so nothing was done:\n")
    assert "CONSUMERS_METRIC_PORT is not a setting; did you mean CONSUMERS_METRICS_PORT?" in errors
    assert "AUDIT_TIMEOUTS is not a setting; did you mean AUDIT_TIMEOUT_S?" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("name", "url", "problem"),
    [
        ("REDIS_URL", "redis://a:1,b:2", "it names several servers; this scheme names one"),
        ("REDIS_URL", "redis://a/0?bogus=1", "it has options that a connection does not have: bogus"),
        (
            "REDIS_URL",
            "redis+sentinel://a:1/m/0?ssl_ca_certs=x&sentinel_password=p",
            "it has options that a connection does not have: ssl_ca_certs; those of TLS need rediss",
        ),
        ("REDIS_URL", "redis://a/0?db=x", "it has an option whose value cannot be used: Invalid value for 'db'"),
        ("REDIS_URL", "redis://:p@a:99999/0", "its port is not a whole number from 1 to 65535"),
        ("REDIS_URL", "redis://a:port", "its port is not a whole number from 1 to 65535"),
        ("REDIS_URL", "redis://[::1", "it is not an address: a [ without a ] in it, or the like"),
        ("DATABASE_URL", "postgresql://u:secret@a:x/db", "its port is not a whole number from 1 to 65535"),
        ("DATABASE_URL", f"postgresql://u:secret@{'a' * 64}/db", "its host name is too long, or has an empty part"),
        ("DATABASE_URL", f"postgresql://b,{'a.' * 150}a:5432/db", "its host name is too long, or has an empty part"),
        ("REDIS_URL", "redis://:p@a..b:6379", "its host name is too long, or has an empty part"),
        (
            "REDIS_URL",
            "redis+sentinel://:p@a,b:7",
            "it names no master: the path begins with the name that the sentinels know, as in /mymaster/0",
        ),
        ("REDIS_URL", "redis+sentinel://:p@a,,b/m", "it has a server without a host"),
        ("REDIS_URL", "redis+cluster://:p@a,b,", "it has a server without a host"),
        ("REDIS_URL", "redis+cluster://:p@a,b/3", "it names a database, and a cluster has only one"),
        (
            "REDIS_URL",
            "redis+sentinel://:p@a/m/hush",
            "what follows the master's name in it is not the number of a database",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_text(
    name: str, url: str, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, url)
    with pytest.raises(SettingsError) as caught:
        load_settings(StackSettings)
    assert f"{caught.value}".splitlines()[1:] == [f"  - {name}: {problem}"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("REDIS_URL", "redis://:p%2C@[::1]:6379/0"), ("REDIS_URL", "rediss://a"), ("REDIS_URL", "unix:///run/a,b:c"),
        ("REDIS_URL", "redis+sentinel://u:p%2C@a,[::1]:26379/m"), ("REDIS_URL", "rediss+sentinel://a:1/m/3?ssl_cert_reqs=none"),
        ("REDIS_URL", "redis+cluster://u:p@a,[::1]:7/0"), ("REDIS_URL", "rediss+cluster://a:1,b"),
        ("DATABASE_URL", "postgresql://u:p@a:1,b:2/db"), ("DATABASE_URL", "postgresql:///db?host=/run"),
    ],
)  # fmt: skip
def test_addresses_of_the_usual_kinds_are_accepted(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, url)
    load_settings(StackSettings)


def test_a_dotenv_file_that_is_no_text_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read: line 1 is not UTF-8 text"):
        load_settings(StackSettings)
