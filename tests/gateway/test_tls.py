"""HTTPS by setting, the access log, and every mistake in their settings as one sentence."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from gateway.settings import Settings
from gateway.tls import tls_context
from stack.ports import HOST
from tests.support.events import SOURCES_TOML
from tests.support.gateway import payment
from tests.support.processes import Programs
from tests.support.servers import ValkeyServer
from tests.support.tls import write_certificate
from tests.support.wait import until


async def test_https_and_the_access_log(valkey: ValkeyServer, key_prefix: str, programs: Programs) -> None:
    env = write_certificate(programs.folder) | {"GATEWAY_ACCESS_LOG": "true"}
    gateway = await programs.gateway(valkey.url, key_prefix, env, ready=False)
    trusted = ssl.create_default_context(cafile=env["GATEWAY_TLS_CERT"])
    connector = aiohttp.TCPConnector(ssl=trusted)
    signed = payment()
    async with aiohttp.ClientSession(f"https://localhost:{gateway.port}", connector=connector) as session:

        async def is_ready() -> bool:
            assert gateway.is_running, gateway.log
            try:
                async with session.get("/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientConnectorError:
                return False

        await until(is_ready, what="/readyz says 200")
        async with session.post(signed.path + "?secret=1", data=signed.body, headers=signed.headers) as response:
            assert response.status == 202
        async with session.get(f"{gateway.operators_url}/metrics") as response:
            expiry = 'webhook_gateway_certificate_expiry_timestamp_seconds{source="-"} '
            (line,) = [line for line in (await response.text()).splitlines() if line.startswith(expiry)]
    assert float(line.removeprefix(expiry)) == expires_at(env)
    assert gateway.stop() == 0
    lines = [json.loads(line) for line in gateway.log.splitlines() if "request answered" in line]
    (posted,) = [line for line in lines if line["method"] == "POST"]
    assert (posted["path"], posted["status"], posted["client"]) == (signed.path, 202, HOST)
    assert "secret" not in gateway.log


def expires_at(env: Mapping[str, str]) -> float:
    certificate = x509.load_pem_x509_certificate(Path(env["GATEWAY_TLS_CERT"]).read_bytes())
    return certificate.not_valid_after_utc.timestamp()


def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    names = {setting.lower(): path for setting, path in write_certificate(tmp_path).items()}
    context = tls_context(Settings(_env_file=None, **names))  # type: ignore[call-arg,arg-type]
    assert context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_without_the_setting_no_request_is_logged(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, {"LOG_LEVEL": "debug"})
    assert gateway.stop() == 0
    assert "request answered" not in gateway.log


@pytest.mark.parametrize("setting", ["GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"])
async def test_a_certificate_needs_its_key(programs: Programs, setting: str) -> None:
    code, _, errors = await programs.run("gateway", {setting: write_certificate(programs.folder)[setting]})
    assert code == 2
    assert "GATEWAY_TLS_CERT and GATEWAY_TLS_KEY must be set together" in errors


async def test_tls_files_that_cannot_be_used_stop_the_boot(programs: Programs) -> None:
    (programs.folder / "sources.toml").write_text(SOURCES_TOML)
    good = write_certificate(programs.folder)
    other = write_certificate(programs.folder, "other")
    locked = write_certificate(programs.folder, "locked", b"password")
    for env, expected in (
        (good | {"GATEWAY_TLS_KEY": str(programs.folder / "missing")}, "GATEWAY_TLS_KEY: "),
        (good | {"GATEWAY_TLS_CERT": str(programs.folder)}, "GATEWAY_TLS_CERT: "),
        (good | {"GATEWAY_TLS_KEY": other["GATEWAY_TLS_KEY"]}, "cannot be used together"),
        (locked, "without a password"),
    ):
        code, _, errors = await programs.run("gateway", env)
        assert code == 2, errors
        assert expected in errors
        assert "Traceback" not in errors
