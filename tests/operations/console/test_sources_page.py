"""The page of the sources, with the gateway's figures or without them."""

import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from consumers.settings import Settings
from contract.keys import Keys
from operations import gateway_metrics
from operations.gateway_metrics import MetricsError, parse_metrics, read_gateway_metrics
from tests.support import gateway
from tests.support.console import running_console
from tests.support.events import STRIPE_SECRET, Signed, signed_stripe, stripe_event
from tests.support.hostile_texts import HOSTILE, assert_harmless
from tests.support.paypal_2019 import SENT, SENT_AT, SENT_BODY, paypal
from tests.support.servers import ValkeyServer
from tests.support.wait import until

SOURCES = """
[stripe]
provider = "stripe"
namespace = "acme"
secrets = ["whsec_one_hush", "whsec_two_hush"]
trust = "all"

[paypal]
provider = "paypal"
webhook_id = "hush"
mode = "test"
"""

METRICS = """
# TYPE webhook_gateway_verified_total counter
webhook_gateway_verified_total{secret="2",source="stripe"} 7.0
webhook_gateway_rejected_total{reason="wrong signature",source="stripe"} 3.0
webhook_gateway_requests_total{source="stripe",status="202"} 7.0
webhook_gateway_last_accepted_timestamp_seconds{source="stripe"} 1.7e9
webhook_gateway_certificate_expiry_timestamp_seconds{source="paypal"} 1.7e9
other_metric{source="stripe"} 1
"""


@pytest.fixture
def with_sources(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "sources.toml").write_text(SOURCES)
    return settings.model_copy(update={"sources_file": tmp_path / "sources.toml"})


@dataclass
class OperatorsPort:
    """A gateway's operators' port that answers what a test sets."""

    url: str = ""
    text: str = METRICS
    status: int = 200

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self.text, status=self.status)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[OperatorsPort]:
    running, app = OperatorsPort(), web.Application()
    app.router.add_get("/metrics", running.answer)
    async with TestServer(app) as server:
        running.url = str(server.make_url("")).rstrip("/")
        yield running


async def test_each_source_is_shown_with_the_gateways_figures_and_no_secret(
    with_sources: Settings, port: OperatorsPort
) -> None:
    async with running_console(with_sources, gateway_operators_url=port.url) as console:
        page = await console.viewer.get("/sources")
    assert page.status == 200
    for text in ("stripe", "acme", "all genuine events move money", "test", "signed events move money",
                 "3 wrong signature", "number 2 of 2, for 7 requests", "2023-11-14 22:13:20",
                 "expired 2023-11-14"):  # fmt: skip
        assert text in page.text
    assert "hush" not in page.text


async def test_a_gateway_that_cannot_be_reached_is_a_sentence_and_the_sources_are_shown(with_sources: Settings) -> None:
    async with running_console(with_sources, gateway_operators_url="http://127.0.0.1:1") as console:
        page = await console.viewer.get("/sources")
    assert page.status == 200
    assert "operators&#39; port cannot be reached" in page.text
    assert "acme" in page.text
    async with running_console(with_sources) as console:
        assert "GATEWAY_OPERATORS_URL is not set" in (await console.viewer.get("/sources")).text


async def test_whatever_answers_there_is_bounded_and_read_with_care(
    port: OperatorsPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("<html>", 'webhook_gateway_requests_total{source="a"} x', "a{"):
        port.text = text
        with pytest.raises(MetricsError, match="no metrics"):
            await read_gateway_metrics(port.url)
    port.status = 500
    with pytest.raises(MetricsError, match="it answers 500"):
        await read_gateway_metrics(port.url)
    port.status, port.text = 200, "# " + "x" * 1000
    monkeypatch.setattr(gateway_metrics, "BYTES_MAX", 100)
    with pytest.raises(MetricsError, match="more than 100 bytes"):
        await read_gateway_metrics(port.url)


def test_a_certificate_without_an_end_and_a_source_without_events_have_no_time() -> None:
    metrics = parse_metrics('webhook_gateway_last_accepted_timestamp_seconds{source="a"} 0\n')["a"]
    assert metrics.last_accepted_at is None
    with pytest.raises((ValueError, OverflowError)):
        parse_metrics('webhook_gateway_last_accepted_timestamp_seconds{source="a"} 1e300\n')


async def test_a_file_that_cannot_be_read_is_a_sentence(with_sources: Settings) -> None:
    with_sources.sources_file.write_text("[stripe\n")
    async with running_console(with_sources) as console:
        page = await console.viewer.get("/sources")
    assert "sources.toml cannot be read" in page.text


async def test_texts_of_the_file_and_of_the_metrics_are_escaped(with_sources: Settings, port: OperatorsPort) -> None:
    label = HOSTILE.replace('"', '\\"')
    with_sources.sources_file.write_text(f'["{label}"]\nprovider = "{label}"\nnamespace = "{label}"\n')
    port.text = f'webhook_gateway_rejected_total{{reason="{label}",source="{label}"}} 3\n'
    async with running_console(with_sources, gateway_operators_url=port.url) as console:
        assert_harmless((await console.viewer.get("/sources")).text)


async def test_a_real_gateway_says_what_each_source_got(
    with_sources: Settings, valkey: ValkeyServer, keys: Keys
) -> None:
    """Two secrets, the second in use; a forged body; PayPal's certificate, which has expired since 2019."""
    second = "whsec_" + b64encode(b"the second secret of this source").decode()
    providers = {
        "stripe": gateway.provider("stripe", "stripe", STRIPE_SECRET, second),
        "paypal": paypal(source="paypal"),
    }
    good = signed_stripe(stripe_event("evt_1", "pi_1"), secret=second, timestamp=int(SENT_AT.timestamp()))
    genuine = Signed("/webhooks/paypal", SENT_BODY, {k.decode(): v.decode() for k, v in SENT.items()}, "")
    async with (
        gateway.running(
            valkey.url, keys.prefix, providers=providers, clock=lambda: SENT_AT,
            operators=socket.create_server(("127.0.0.1", 0)),
        ) as running,
        running_console(with_sources, gateway_operators_url=running.operators_url) as console,
    ):  # fmt: skip
        answers = [await running.post(each) for each in (good, replace(good, body=b"{}"), genuine)]
        assert [answer.status for answer in answers] == [202, 401, 202], answers
        assert (await running.post(replace(good, path="/webhooks/nobody"))).status == 404

        async def has_all() -> bool:
            return "expired 20" in (await console.viewer.get("/sources")).text

        await until(has_all, what="the certificate is shown")
        page = (await console.viewer.get("/sources")).text
    for text in ("number 2 of 2, for 1 request<", "1 signature_mismatch", "no secret; 1 genuine request", "s ago<",
                 "To addresses of no source: 1 answer 404."):  # fmt: skip
        assert text in page, page[page.index("<tbody") :]
