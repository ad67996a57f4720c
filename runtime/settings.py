"""How every program finds its settings, and how it reports those that cannot be used.

A setting is an environment variable, else a line of `.env`, else a line of `stack.env`, which the running stack wrote,
else a file in SECRETS_FOLDER.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.env_file import find_problems, read_env_file, reading_problem
from runtime.redis_address import (
    CLUSTER_SCHEMES,
    SCHEMES,
    SENTINEL_SCHEMES,
    TLS_OPTIONS,
    check_values,
    list_unknown_options,
)
from runtime.secrets_folder import read_secrets, secrets_problems
from runtime.setting_names import misspelt_names

ENV_FILE = Path(".env")

PORT_MAX = 65_535
HOST_CHARS_MAX, LABEL_CHARS_MAX = 253, 63

SETTINGS_EXIT_CODE = 2
"""The exit code of every program whose settings cannot be used."""

HEADING = "The settings cannot be used, so nothing was done:"
WARNING_HEADING = "Some settings cannot be used and are ignored:"

_REFERENCE = re.compile(r"\$\{(\w+)\}")


class ProgramSettings(BaseSettings):
    """Base of every program's settings. The docstring of a field is its help text; its unit ends its name."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class SettingsError(Exception):
    """The settings cannot be used. The message has a line for each problem, and no value, which may be a secret."""

    def __init__(self, problems: Sequence[str], heading: str = HEADING) -> None:
        lines = (f"  - {problem}" for problem in problems)
        super().__init__("\n".join([heading, *lines]))


Program = TypeVar("Program", bound=ProgramSettings)


def load_settings(
    kind: type[Program], files: Sequence[Path] | None = None, warn: Callable[[SettingsError], None] | None = None
) -> Program:
    """Return a program's settings. `files` are read where the environment has no value; later ones win.

    Raises SettingsError, with every problem at once: wrong values, and names in `.env` that are misspelt. A command
    that must work nevertheless passes `warn`, which gets the problems; the settings in question have their defaults.
    """
    files = env_files() if files is None else files
    problems = [*find_problems(ENV_FILE), *filter(None, map(reading_problem, set(files) - {ENV_FILE}))]
    problems += misspelt_names(read_env_file(ENV_FILE), names_in_sources_file())
    files = _readable(files)
    secrets = _secrets_folder(files)
    if secrets and (wrong := secrets_problems(secrets)):
        problems, secrets = problems + wrong, None
    try:
        settings = kind(_env_file=files, _secrets_dir=secrets)  # type: ignore[call-arg]
    except ValidationError as error:
        problems += describe_problems(error)
        usable = _with_defaults(kind, files, secrets, error) if warn else None
        if usable is None:
            raise SettingsError(problems) from None
        settings = usable
    if problems:
        if warn is None:
            raise SettingsError(problems)
        warn(SettingsError(problems, WARNING_HEADING))
    return settings


def _readable(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if not reading_problem(file)]


def _with_defaults(
    kind: type[Program], files: Sequence[Path], secrets: Path | None, error: ValidationError
) -> Program | None:
    """Return the settings with the default in place of each wrong value; None if one has no default."""
    wrong = {str(each["loc"][0]) for each in error.errors() if each["loc"]} & set(kind.model_fields)
    defaults = {name: kind.model_fields[name].get_default() for name in wrong}
    try:
        return kind(_env_file=files, _secrets_dir=secrets, **defaults)  # type: ignore[call-arg]
    except ValidationError:
        return None


class _Places(ProgramSettings):
    """Where other files with settings are."""

    data_dir: Path = Path(".data")
    sources_file: Path = Path("sources.toml")
    secrets_folder: Path | None = None


def env_files() -> tuple[Path, Path]:
    """Return the files with settings: what the running stack wrote, then `.env`, which wins over it."""
    return _Places(_env_file=_readable([ENV_FILE])).data_dir / "stack.env", ENV_FILE  # type: ignore[call-arg]


def read_env_files() -> dict[str, str]:
    """Return all names and values of those files, and of SECRETS_FOLDER, for `${NAME}` in sources.toml."""
    files = env_files()
    folder = _secrets_folder(_readable(files))
    found = read_secrets(folder) if folder and not secrets_problems(folder) else {}
    for file in files:
        found |= {name: value for name, value in read_env_file(file).items() if value}
    return found


def _secrets_folder(files: Sequence[Path]) -> Path | None:
    return _Places(_env_file=files).secrets_folder  # type: ignore[call-arg]


def names_in_sources_file() -> set[str]:
    """Return each `${NAME}` in sources.toml, which is usually a secret; empty where the file cannot be read."""
    file = _Places(_env_file=_readable(env_files())).sources_file  # type: ignore[call-arg]
    try:
        return set(_REFERENCE.findall(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # the gateway, which needs the file, reports it
        return set()


def describe_problems(error: ValidationError) -> list[str]:
    """Return one sentence for each wrong setting. It names the setting, and never its value."""
    details = error.errors(include_url=False, include_input=False)
    # A default that is computed from a wrong setting is no problem of its own.
    return [_sentence(each) for each in details if each["type"] != "default_factory_not_called"]


def settings_digest(settings: ProgramSettings, *others: object) -> str:
    """Return a digest of all settings and of what they refer to. It changes with a secret, and does not show it."""
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump().items()
    }
    return hashlib.sha256(repr((values, *others)).encode()).hexdigest()


def _sentence(detail: ErrorDetails) -> str:
    name = ".".join(map(str, detail["loc"])).upper()
    limits = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            problem = "it is not set, and no running stack has set it: `make up` starts one"
        case "int_parsing" | "int_type" | "int_from_float":
            problem = "it is not a whole number"
        case "float_parsing" | "float_type":
            problem = "it is not a number"
        case "bool_parsing" | "bool_type":
            problem = "it is neither true nor false"
        case "literal_error":
            problem = f"it is not one of {limits['expected']}"
        case "greater_than":
            problem = f"it is not more than {limits['gt']}"
        case "greater_than_equal":
            problem = f"it is less than {limits['ge']}"
        case "less_than_equal":
            problem = f"it is more than {limits['le']}"
        case "string_pattern_mismatch":
            problem = f"it does not match {limits['pattern']}"
        case _:
            problem = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {problem}" if name else problem


def _check_redis_url(url: SecretStr) -> SecretStr:
    _check_scheme(url, *SCHEMES)
    servers = _servers(url)
    if url.get_secret_value().startswith(SENTINEL_SCHEMES):
        _check_sentinels(url, servers)
    elif url.get_secret_value().startswith(CLUSTER_SCHEMES):
        _check_cluster(url, servers)
    elif len(servers) > 1:
        raise ValueError("it names several servers; this scheme names one")
    if unknown := list_unknown_options(url):
        needs_tls = "; those of TLS need rediss" if set(unknown) & set(TLS_OPTIONS) else ""
        raise ValueError(f"it has options that a connection does not have: {', '.join(unknown)}{needs_tls}")
    check_values(url)
    return url


def _check_sentinels(url: SecretStr, servers: list[str]) -> None:
    name, _, database = urlsplit(url.get_secret_value()).path.strip("/").partition("/")
    if not all(servers):
        raise ValueError("it has a server without a host")
    if not name:
        raise ValueError("it names no master: the path begins with the name that the sentinels know, as in /mymaster/0")
    if not re.fullmatch(r"[0-9]*", database):
        raise ValueError("what follows the master's name in it is not the number of a database")


def _check_cluster(url: SecretStr, servers: list[str]) -> None:
    if not all(servers):
        raise ValueError("it has a server without a host")
    if urlsplit(url.get_secret_value()).path.strip("/") not in ("", "0"):
        raise ValueError("it names a database, and a cluster has only one")


def _check_postgres_url(url: SecretStr) -> SecretStr:
    _check_scheme(url, "postgresql://", "postgres://")
    _servers(url)
    return url


def _servers(url: SecretStr) -> list[str]:
    """Return the servers in an address. Raise ValueError, whose text has nothing of it, if they cannot be read."""
    try:
        servers = urlsplit(url.get_secret_value()).netloc.rpartition("@")[2].split(",")
    except ValueError:
        raise ValueError("it is not an address: a [ without a ] in it, or the like") from None
    for server in servers:
        host = re.sub(r":[0-9]*$", "", server)
        is_name = bool(host) and not re.search(r"[\[%]", host)  # else an address, a path
        labels = host.removesuffix(".").split(".")
        if is_name and (len(host) > HOST_CHARS_MAX or not all(0 < len(label) <= LABEL_CHARS_MAX for label in labels)):
            raise ValueError("its host name is too long, or has an empty part")
        port = re.sub(r"^(\[.*\]|[^:]*)", "", server)
        if (port and not re.fullmatch(r":(0*[1-9][0-9]{0,4})?", port)) or (len(port) > 1 and int(port[1:]) > PORT_MAX):
            raise ValueError(f"its port is not a whole number from 1 to {PORT_MAX}")
    return servers


def _check_scheme(url: SecretStr, *schemes: str) -> SecretStr:
    if not url.get_secret_value().startswith(schemes):
        *others, last = schemes
        raise ValueError(f"it does not begin with {', '.join(others)} or {last}")
    return url


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_check_postgres_url)]
KeyPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
