"""The pages for operators and developers: /healthz, /readyz, /metrics, /openapi.json and /docs."""

import re
import time
from html.parser import HTMLParser

from prometheus_client.parser import text_string_to_metric_families
from pytest_aiohttp import AiohttpClient

from tests.gateway.conftest import PageClient
from tests.support.gateway import Running, payment, request, running, sources
from tests.support.gateway import provider as make_provider
from tests.support.servers import ValkeyServer
from tests.support.wait import TIMEOUT_S

PROMISED = (
    "requests_total", "verified_total", "rejected_total", "duplicates_total", "publish_batch_events_bucket",
    "publish_round_trip_seconds_bucket", "publish_waiting", "durable", "backlog_events", "connections",
    "unverified_bytes",
    "internal_errors_total", "build_info", "verify_seconds_bucket", "request_duration_seconds_bucket",
    "last_accepted_timestamp_seconds",
)  # fmt: skip


async def test_health_and_readiness(pages: PageClient) -> None:
    alive = await pages.get("/healthz")
    assert (alive.status, await alive.json()) == (200, {"alive": True})
    ready = await pages.get("/readyz")
    assert ready.status == 200
    assert await ready.json() == {"ready": True, "reason": None, "durability": "fsync", "proof": "reply"}


async def test_metrics(gateway: Running, operators: PageClient) -> None:
    for status in (202, 200):
        assert (await gateway.post(payment())).status == status
    await gateway.exchange(request("/webhook", b"{}"))
    await gateway.exchange(request("/nowhere", b"{}"))
    answer = await operators.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = {
        sample.name.removeprefix("webhook_gateway_")
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }
    assert names >= set(PROMISED)
    assert gateway.counted("requests_total", source="default", status="202") == 1
    assert gateway.counted("requests_total", source="default", status="401") == 1
    assert gateway.counted("requests_total", source="-", status="404") == 1
    assert gateway.counted("verified_total", source="default", secret="1") == 2
    assert gateway.counted("rejected_total", source="default", reason="signature_missing") == 1
    assert gateway.counted("durable") == 1
    for status_class, requests in (("2xx", 2), ("4xx", 1)):
        labels = {"source": "default", "status_class": status_class}
        assert gateway.counted("request_duration_seconds_count", **labels) == requests
    assert gateway.counted("verify_seconds_count", source="default") == 2
    assert abs(gateway.counted("last_accepted_timestamp_seconds", source="default") - time.time()) < TIMEOUT_S


async def test_head_has_no_body(gateway: Running) -> None:
    async with await gateway.client() as client:
        await client.send(request("/healthz", method="HEAD") + request("/healthz", method="GET"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await client.answer()).json() == {"alive": True}


async def test_openapi_for_operators_has_every_source_and_every_answer(
    valkey: ValkeyServer, key_prefix: str, aiohttp_client: AiohttpClient
) -> None:
    other = make_provider("shop-2", "standard_webhooks", "whsec_" + "YWJj" * 8)
    async with running(valkey.url, key_prefix, providers=sources(**{"shop-2": other})) as gateway:
        client = await aiohttp_client(gateway.gateway.operators_application)
        document = await (await client.get("/openapi.json")).json()
        page = await (await client.get("/docs")).text()
    assert document["openapi"] == "3.1.0"
    webhooks = {"/webhook", "/webhooks/default", "/webhooks/stripe", "/webhooks/shop-2"}
    assert set(document["paths"]) == webhooks | {"/healthz", "/readyz", "/metrics"}
    for path in webhooks:
        answers = set(document["paths"][path]["post"]["responses"])
        assert answers == {"200", "201", "202", "400", "401", "405", "408", "413", "415", "429", "431", "503"}
        assert path in page
    for reference in re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert reference in document["components"]["schemas"]
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


async def test_the_public_port_names_no_source(valkey: ValkeyServer, key_prefix: str) -> None:
    hidden = make_provider("hidden-shop", "standard_webhooks", "whsec_" + "YWJj" * 8)
    async with running(valkey.url, key_prefix, providers={"hidden-shop": hidden}) as gateway:
        for path in ("/docs", "/openapi.json", "/healthz", "/readyz"):
            answer = await gateway.get(path)
            assert answer.status == 200
            assert b"hidden-shop" not in answer.body
            assert b"standard_webhooks" not in answer.body
        assert b"/webhooks/{source}" in (await gateway.get("/openapi.json")).body
        assert (await gateway.get("/metrics")).status == 404


class Page(HTMLParser):
    """Collects every address that a browser would load, and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name == "src" or (tag == "link" and name == "href")]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_loads_nothing_from_other_servers(pages: PageClient) -> None:
    answer = await pages.get("/docs")
    text = await answer.text()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page()
    page.feed(text)
    assert not page.loaded
    assert not page.open
    assert "$" not in re.sub(r"&quot;\$ref&quot;", "", text)
