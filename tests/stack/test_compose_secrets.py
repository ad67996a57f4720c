"""Containers get secrets as files, each service its own, and a check changes nothing for what runs."""

import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from runtime.setting_names import SECRET_SETTINGS
from stack.base import StackError
from stack.compose import Compose
from stack.compose_secrets import PASSWORDS, secrets_of, write_names, write_secrets, written_for_checks
from stack.settings import Settings
from stack.valkey import Valkey
from tests.support.servers import ValkeyServer
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OURS = [name for name, service in SERVICES.items() if service.get("profiles", []) in ([], ["reconciler"])]
AWKWARD = "p@ss wörd'\"\\%/?#$x"
ENVIRON = {
    "STRIPE_WEBHOOK_SECRET": "of stripe", "UNUSED_SECRET": "of nobody", "NOTIFY_URL": "https://hooks.example/hush",
    "DATABASE_READ_URL": "postgresql://replica/payments",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    Path("sources.toml").write_text('[stripe]\nprovider = "stripe"\nsecrets = ["${STRIPE_WEBHOOK_SECRET}"]\n')
    passwords = {name.lower(): SecretStr(f"{name} {AWKWARD}") for name in PASSWORDS}
    return Settings(data_dir=tmp_path / "data").model_copy(update=passwords)


def test_each_service_gets_what_it_needs_and_no_other_secret(settings: Settings) -> None:
    given = {service: set(files) for service, files in secrets_of(settings, ENVIRON).items()}
    assert given == {
        "valkey": {"valkey.conf", "REDIS_PASSWORD"},
        "postgres": {"POSTGRES_PASSWORD"},
        "migrate": {"MIGRATE_DATABASE_URL", "DATABASE_URL"},
        "gateway": {"REDIS_URL", "STRIPE_WEBHOOK_SECRET"},
        "consumers": {"REDIS_URL", "DATABASE_URL"},
        "console": {"REDIS_URL", "DATABASE_URL", "DATABASE_READ_URL", "NOTIFY_URL"},
        "reconciler": {"REDIS_URL", "DATABASE_URL"},
    }


def test_a_folder_of_this_host_is_read_too(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "STRIPE_WEBHOOK_SECRET").write_text("of the folder\n")
    monkeypatch.setenv("SECRETS_FOLDER", str(tmp_path / "own"))
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET", raising=False)
    assert secrets_of(settings, {})["gateway"]["STRIPE_WEBHOOK_SECRET"] == "of the folder"
    assert secrets_of(settings, ENVIRON)["gateway"]["STRIPE_WEBHOOK_SECRET"] == "of stripe"


@pytest.mark.parametrize(
    ("service", "name", "user", "password"),
    [
        ("gateway", "REDIS_URL", "gateway", "GATEWAY_REDIS_PASSWORD"),
        ("consumers", "REDIS_URL", "workers", "WORKERS_REDIS_PASSWORD"),
        ("consumers", "DATABASE_URL", "payments_worker", "WORKERS_POSTGRES_PASSWORD"),
        ("migrate", "MIGRATE_DATABASE_URL", "payments", "POSTGRES_PASSWORD"),
    ],
)
def test_any_password_becomes_part_of_an_address(
    settings: Settings, service: str, name: str, user: str, password: str
) -> None:
    address = urlsplit(secrets_of(settings, ENVIRON)[service][name])
    assert (address.username, unquote(address.password or "")) == (user, f"{password} {AWKWARD}")


async def test_the_file_for_valkey_makes_users_with_these_passwords_and_rights(
    settings: Settings, tmp_path: Path
) -> None:
    server = ValkeyServer(tmp_path / "server")
    text = secrets_of(settings, ENVIRON)["valkey"]["valkey.conf"]
    (tmp_path / "valkey.conf").write_text(text)
    port = ["--port", str(server.port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    binary = Valkey(tmp_path / "unused", 1, "p").command()[0]
    server.child.launch([binary, str(tmp_path / "valkey.conf"), *port])
    try:
        async with Redis(port=server.port, password=f"REDIS_PASSWORD {AWKWARD}") as owner:
            await until(lambda: answers(owner), what="it answers")
            await owner.set("payments:{0}:epoch", "1")
        password = f"GATEWAY_REDIS_PASSWORD {AWKWARD}"
        async with Redis(port=server.port, username="gateway", password=password) as gateway:
            assert await gateway.get("payments:{0}:epoch") == b"1"
            with pytest.raises(NoPermissionError):
                await gateway.delete("payments:{0}:epoch")
    finally:
        server.kill()


async def answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except RedisConnectionError:
        return False


def test_only_this_user_can_enter_the_folder_and_the_containers_user_can_read_its_part(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "secrets"
    write_secrets(folder, secrets_of(settings, ENVIRON))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(place.stat().st_mode) for place in folder.iterdir()} == {0o755}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*/*")} == {0o444}


def test_what_is_not_wanted_any_more_is_removed(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "former").mkdir(parents=True)
    write_secrets(folder, secrets_of(settings, ENVIRON))
    write_secrets(folder, secrets_of(settings, {}))
    assert {file.name for file in (folder / "gateway").iterdir()} == {"REDIS_URL"}
    assert not (folder / "former").exists()


def test_a_check_sees_the_new_secrets_and_what_runs_keeps_its_own(settings: Settings) -> None:
    folder = settings.data_dir / "secrets"
    write_secrets(folder, secrets_of(settings, ENVIRON))
    changed = secrets_of(settings, ENVIRON | {"STRIPE_WEBHOOK_SECRET": "new"})
    with written_for_checks(settings.data_dir, changed) as checked:
        assert (checked / "gateway" / "STRIPE_WEBHOOK_SECRET").read_text() == "new"
        assert (folder / "gateway" / "STRIPE_WEBHOOK_SECRET").read_text() == "of stripe"
    assert not checked.exists()


def test_a_changed_secret_changes_the_digest_of_the_services_that_have_it(settings: Settings) -> None:
    stack = Compose(settings, ENVIRON)
    folder = settings.data_dir / "secrets"

    def digests() -> dict[str, str]:
        return {name: value for name, value in stack._compose_environment().items() if name.endswith("_DIGEST")}

    write_secrets(folder, secrets_of(settings, ENVIRON))
    before = digests()
    write_secrets(folder, secrets_of(settings, ENVIRON | {"STRIPE_WEBHOOK_SECRET": "new"}))
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"GATEWAY_SETTINGS_DIGEST"}
    for service in OURS:
        digest = f"${{{service.upper()}_SETTINGS_DIGEST:-}}"
        assert (digest in str(SERVICES[service]["environment"])) == (f"{service.upper()}_SETTINGS_DIGEST" in before)


def test_a_password_that_is_not_set_stops_everything(settings: Settings) -> None:
    without = settings.model_copy(update={"redis_password": SecretStr("")})
    with pytest.raises(StackError, match=r"REDIS_PASSWORD: not set; `make up` writes passwords to \.env"):
        secrets_of(without, ENVIRON)


def test_variables_are_the_names_in_dotenv_without_secrets_and_values(settings: Settings) -> None:
    names = ["SHOP_COLOUR", "EMPTY", "BATCH_SIZE", "STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET", *SECRET_SETTINGS]
    Path(".env").write_text("".join(f"{name}=a$b\n" for name in names))
    write_names(Path("names"), Path(".env"))
    assert Path("names").read_text() == "BATCH_SIZE\nEMPTY\nSHOP_COLOUR\n"
    settings.data_dir.mkdir()
    stack = Compose(settings, {"SHOP_COLOUR": "a$b"})
    assert stack._compose_environment()["SHOP_COLOUR"] == "a$b"


@pytest.mark.parametrize("service", OURS)
def test_each_service_has_its_own_folder_mounted_and_its_secrets_in_no_variable(service: str) -> None:
    mounts = [mount for mount in SERVICES[service]["volumes"] if "secrets" in str(mount)]
    assert mounts == [{
        "type": "bind", "source": f"${{CONTAINER_SECRETS:-./.data/secrets}}/{service}", "target": "/run/secrets",
        "read_only": True, "bind": {"create_host_path": False},
    }]  # fmt: skip
    given = SERVICES[service]["environment"]
    assert not [name for name in SECRET_SETTINGS & given.keys() if given[name]]
    if service in ("migrate", "gateway", "consumers", "reconciler"):
        # Also by hand, where .env is read as it is.
        assert given.keys() >= SECRET_SETTINGS
    if service not in ("valkey", "postgres"):
        assert given["SECRETS_FOLDER"] == "/run/secrets"


def test_health_checks_and_commands_show_no_password() -> None:
    shown = " ".join(f"{service.get('command')} {service['healthcheck']}" for service in SERVICES.values())
    assert not re.search(r"\$\$?\{?\w*PASSWORD", shown)
