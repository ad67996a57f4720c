"""The wheel works in an environment of its own, and so do handlers that live in another repository."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from runtime.version import version
from tests.support.events import STRIPE_SECRET, signed_stripe, stripe_event
from tests.support.load import deliver
from tests.support.processes import Programs
from tests.support.servers import ValkeyServer
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "docs" / "examples" / "shop"
TIMEOUT_S = 300

PROJECT = ("pyproject.toml", "README.md", "LICENSE")
ROOMS = ("contract", "runtime", "providers", "gateway", "consumers", "ledger", "operations", "sql", "stack")
DATA = (".sql", ".lua", ".html", ".css", ".js", ".svg", ".LICENSE", ".pem", ".typed")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of a fresh environment with the wheel in it; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PROJECT:
        shutil.copy(ROOT / name, source)
    for name in ROOMS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _pip("wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv")
    interpreter = folder / "venv" / "bin" / "python"
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _pip("--python", str(interpreter), "install", "--no-deps", "--no-index", str(wheel))
    return str(interpreter)


@pytest.fixture
def installed(python: str, tmp_path: Path) -> Iterator[Programs]:
    """The programs of the wheel, started in an empty folder."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    with Programs(tmp_path / "empty", root=nowhere, python=python) as programs:
        yield programs


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A team's repository: its handlers, their test, and its endpoints."""
    return shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__"))


def test_the_wheel_holds_every_room_and_what_the_code_reads(python: str) -> None:
    [installed] = Path(python).parents[1].glob("lib/python*/site-packages")
    for room in ROOMS:
        needed = [path.relative_to(ROOT) for path in (ROOT / room).rglob("*") if path.suffix in {".py", *DATA}]
        assert needed
        assert not [path for path in needed if not (installed / path).exists()]
    assert list(installed.glob(f"payment_webhooks-{version()}.dist-info"))
    assert not (installed / "tests").exists()


async def test_an_event_becomes_a_row_and_reaches_the_teams_handlers(
    installed: Programs, shop: Path, valkey: ValkeyServer, empty_database_url: str, key_prefix: str
) -> None:
    database = {"DATABASE_URL": empty_database_url}
    assert (await installed.run("sql", database, "migrate"))[0] == 0
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute((shop / "shipments.sql").read_text())
        sources_toml = (shop / "sources.toml").read_text()
        secret = {"STRIPE_WEBHOOK_SECRET": STRIPE_SECRET}
        gateway = await installed.gateway(valkey.url, key_prefix, secret, sources_toml=sources_toml)
        handlers = {"HANDLERS": "shop_handlers:handlers", "HANDLERS_FOLDER": str(shop)}
        sources = {"SOURCES_FILE": str(shop / "sources.toml")}
        await installed.consumers(valkey.url, empty_database_url, key_prefix, env=handlers | sources)
        async with aiohttp.ClientSession() as session:
            answer = await deliver(session, gateway.url, signed_stripe(stripe_event("evt_1", "pi_1")))
            async with session.get(f"{gateway.url}/openapi.json") as page:
                assert (await page.json())["info"]["version"] == version()
        assert answer.status == 202
        shipments = "SELECT count(*) FROM shipments WHERE payment_id = 'pi_1'"
        await until(lambda: connection.fetchval(shipments), what="the payment is shipped")
        assert await connection.fetchval("SELECT count(*) FROM events") == 1
    finally:
        await connection.close()
    server = {"REDIS_URL": valkey.url, "KEY_PREFIX": key_prefix, "CONSUMERS_METRICS_PORT": "0"}
    code, output, errors = await installed.run("operations", database | server, "status")
    assert code == 0, errors
    assert "worker-1" in output


def test_the_teams_tests_pass_in_its_own_repository(python: str, shop: Path, database_url: str) -> None:
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider"], cwd=shop, capture_output=True, text=True, check=False,
        timeout=TIMEOUT_S, env={"PATH": "/usr/bin:/bin", "TEST_DATABASE_URL": database_url},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_teams_handlers_are_checked_against_the_types_of_the_wheel(python: str, shop: Path) -> None:
    done = subprocess.run(
        [python, "-m", "mypy", "--strict", "--cache-dir", str(shop / "cache"), "shop_handlers.py"], cwd=shop,
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
