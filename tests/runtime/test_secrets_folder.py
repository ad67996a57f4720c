"""SECRETS_FOLDER: each file is the value of the setting, or of the variable in sources.toml, that it is named as."""

from pathlib import Path

import pytest

from runtime.secrets_folder import FILE_BYTES_MAX
from runtime.settings import PostgresUrl, ProgramSettings, RedisUrl, SettingsError, load_settings, read_env_files


class Example(ProgramSettings):
    redis_url: RedisUrl
    database_url: PostgresUrl | None = None
    retries: int = 3


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "DATABASE_URL", "RETRIES", "SHOP_SECRET"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SECRETS_FOLDER", str(folder))
    return folder


def test_a_file_is_the_value_of_the_setting_that_it_is_named_as(secrets: Path) -> None:
    (secrets / "REDIS_URL").write_text("redis://:hush@host/0\n")
    settings = load_settings(Example)
    assert settings.redis_url.get_secret_value() == "redis://:hush@host/0"
    assert "hush" not in repr(settings)


def test_a_file_is_the_value_of_a_variable_in_sources_toml(secrets: Path, tmp_path: Path) -> None:
    (secrets / "SHOP_SECRET").write_text(" a$b c \r\n")
    assert read_env_files() == {"SHOP_SECRET": " a$b c "}
    (tmp_path / ".env").write_text("SHOP_SECRET=another\n")
    assert read_env_files()["SHOP_SECRET"] == "another"


def test_environment_and_dotenv_win_over_the_folder(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REDIS_URL", "DATABASE_URL"):
        (secrets / name).write_text("of the folder")
    monkeypatch.setenv("REDIS_URL", "redis://of-the-environment/0")
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://of-dotenv/db\n")
    settings = load_settings(Example)
    assert settings.redis_url.get_secret_value() == "redis://of-the-environment/0"
    assert settings.database_url
    assert settings.database_url.get_secret_value() == "postgresql://of-dotenv/db"


def test_the_folder_may_be_named_in_dotenv(secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRETS_FOLDER")
    (tmp_path / ".env").write_text(f"SECRETS_FOLDER={secrets}\n")
    (secrets / "REDIS_URL").write_text("redis://host/0")
    assert load_settings(Example).redis_url.get_secret_value() == "redis://host/0"


def test_what_kubernetes_keeps_in_the_folder_is_left_alone(secrets: Path) -> None:
    (secrets / "..2026_01_02").mkdir()
    (secrets / "..2026_01_02" / "REDIS_URL").write_text("redis://host/0")
    (secrets / "..data").symlink_to("..2026_01_02")
    (secrets / "REDIS_URL").symlink_to("..data/REDIS_URL")
    assert load_settings(Example).redis_url.get_secret_value() == "redis://host/0"
    assert set(read_env_files()) == {"REDIS_URL"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff", "is not UTF-8 text"),
        (b"a\0b", "has a NUL character"),
        (b"x" * (FILE_BYTES_MAX + 1), f"has more than {FILE_BYTES_MAX} bytes"),
        (None, "is no file"),
    ],
)
def test_a_file_that_is_no_secret_stops_the_start(secrets: Path, content: bytes | None, problem: str) -> None:
    file = secrets / "RETRIES"
    if content is None:
        file.symlink_to("nowhere")
    else:
        file.write_bytes(content)
    (secrets / "REDIS_URL").write_text("hush")
    with pytest.raises(SettingsError) as raised:
        load_settings(Example)
    assert f"  - SECRETS_FOLDER: {file} {problem}" in str(raised.value).splitlines()
    assert "hush" not in str(raised.value)


def test_a_folder_that_is_missing_stops_the_start(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_FOLDER", str(secrets / "nowhere"))
    monkeypatch.setenv("REDIS_URL", "redis://host/0")
    with pytest.raises(SettingsError, match=r"SECRETS_FOLDER: .*nowhere cannot be read: No such file or directory"):
        load_settings(Example)
    assert read_env_files() == {}


def test_a_wrong_value_in_a_file_is_named_as_any_other_and_not_shown(secrets: Path) -> None:
    (secrets / "REDIS_URL").write_text("http://:hush@host")
    with pytest.raises(SettingsError) as raised:
        load_settings(Example)
    assert "REDIS_URL: it does not begin with redis://" in str(raised.value)
    assert "hush" not in str(raised.value)
