"""The page of one event."""

import json
from html import unescape
from html.parser import HTMLParser

from contract.event import Event
from operations.console.links import body_path, event_path
from operations.masking import MASK
from tests.support.console import RunningConsole
from tests.support.consuming import POISON, Workers, failing
from tests.support.events import contract_event, stripe_event

ODD_IDS = ("a/b", "..", ".", "-", "%2e", "%2e%2e", "?x=1&y", "a b", "#z", "\N{PILE OF POO}", "\u202etxt.exe", "{{7*7}}",
           "a\\b", "é\u00a0", "+", "'\"<x>")  # fmt: skip

HOSTILE = "<script>alert(1)</script>{{7*7}}</pre><img src=x onerror=a()>\u202e&amp;'\""

DISAGREES = """
INSERT INTO confirmations (
    namespace, event_id, source, payment_id, state, decided_at, reason, reported, answered
)
VALUES ('stripe', 'evt_1', 'stripe', 'pi_1', 'disagrees', now(), 'the API has less', $1, $2)
"""

ADA = {"customer_email": "ada@example.org", "name": "Ada Linden", "note": "19.990"}


class Page(HTMLParser):
    """The elements of a page, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def body_of(event_id: str, **fields: object) -> bytes:
    return json.dumps(stripe_event(event_id, "pi_1", fields=fields)).encode()


async def apply(workers: Workers, *events: Event) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working():
        await workers.drained()


async def test_an_applied_event_has_its_timeline_and_its_body(console: RunningConsole, workers: Workers) -> None:
    await apply(workers, contract_event("evt_1", "pi_1", body=body_of("evt_1", **ADA), headers={"live": "true"}))
    page = await console.operator.get(event_path("stripe", "evt_1"))
    assert page.status == 200
    text = " ".join(Page(page.text).texts)
    for expected in ("applied", "accepted", "committed", "booked", "ada@example.org", "live", '"note": "19.990"',
                     "captured", "19.99 EUR", 'curl "$GATEWAY_URL"/webhooks/stripe'):  # fmt: skip
        assert expected in text
    assert 'href="/payments/stripe/pi_1"' in page.text


async def test_a_viewer_sees_no_personal_data(console: RunningConsole, workers: Workers) -> None:
    await apply(workers, contract_event("evt_1", "pi_1", body=body_of("evt_1", **ADA), headers={"x-client-ip": "::1"}))
    address = event_path("stripe", "evt_1")
    for page in (await console.viewer.get(address), await console.viewer.get(body_path("stripe", "evt_1"))):
        assert page.status == 200
        assert MASK in page.text
        assert [each for each in (*ADA.values(), "::1", "As it came") if each in page.text] == []


async def test_any_id_has_an_address(console: RunningConsole, workers: Workers) -> None:
    for event_id in ODD_IDS:
        await workers.stream.publish(contract_event(event_id, event_id, body=body_of(event_id)))
    for event_id in ODD_IDS:
        page = await console.operator.get(event_path("stripe", event_id))
        assert page.status == 200, event_id
        assert "\u202e" not in page.text
        assert f'href="{body_path("stripe", event_id)}"' in unescape(page.text), event_id
        download = await console.operator.get(body_path("stripe", event_id))
        assert download.text.encode() == body_of(event_id), event_id


async def test_a_body_is_downloaded_as_text_that_no_browser_shows(console: RunningConsole, workers: Workers) -> None:
    await apply(workers, contract_event("evt_1", body=b"<script>alert(1)</script>"))
    page = await console.operator.get(body_path("stripe", "evt_1"))
    assert page.text == "<script>alert(1)</script>"
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert page.headers["Content-Disposition"] == 'attachment; filename="body.txt"'
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert (await console.viewer.get(body_path("stripe", "evt_1"))).status == 403


async def test_nothing_that_a_sender_wrote_becomes_markup(console: RunningConsole, workers: Workers) -> None:
    event = contract_event(
        HOSTILE, HOSTILE, type=HOSTILE, account=HOSTILE, headers={HOSTILE: HOSTILE + "\x1b[31m\x00"},
        body=json.dumps({HOSTILE: [HOSTILE, "\x1b[31m\x00"]}).encode() + b"\x1b[2J",
    )  # fmt: skip
    await workers.stream.publish(event)
    for client in (console.operator, console.viewer):
        page = await client.get(event_path("stripe", HOSTILE))
        assert page.status == 200
        parsed = Page(page.text)
        assert "img" not in parsed.tags
        assert parsed.tags.count("script") == 1, "the site's own"
        assert not any(name.startswith("on") for name, _ in parsed.attributes)
        assert [char for char in "\u202e\x1b\x00" if char in page.text] == []
        assert "{{7*7}}" in page.text


async def test_a_dead_letter_can_be_replayed_by_an_operator_only(console: RunningConsole, workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON, "pi_1", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01"))
    async with workers.working(failing(), max_attempts=1):
        await workers.drained()
    page = await console.operator.get(event_path("stripe", POISON))
    for expected in (
        "the moon is in the wrong house",
        "Traceback",
        'action="/dead/replay"',
        "ab" * 16,
        "Discard it",
        'href="/payments/stripe/pi_1"',
    ):
        assert expected in page.text
    seen_by_a_viewer = (await console.viewer.get(event_path("stripe", POISON))).text
    assert 'action="/dead/replay"' not in seen_by_a_viewer
    assert "Traceback" not in seen_by_a_viewer, "it may quote what was sent"


async def test_an_unknown_event_is_not_found(console: RunningConsole) -> None:
    page = await console.viewer.get(event_path("stripe", "<b>"))
    assert page.status == 404
    assert "Nothing is known of the event stripe/&lt;b&gt;" in page.text
    assert (await console.viewer.get("/events/UPPER/evt_1")).status == 404


async def test_an_act_is_a_button_for_those_who_may_and_its_command_is_folded(
    console: RunningConsole, workers: Workers
) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(), max_attempts=1):
        await workers.drained()
    may = (await console.operator.get(event_path("stripe", POISON))).text
    assert "Replay dead letter" in may
    assert may.count("make replay") == 1
    assert "<summary>As a command</summary>" in may
    may_not = (await console.viewer.get(event_path("stripe", POISON))).text
    assert "Replay dead letter" not in may_not
    assert "Somebody with the role operator replays or discards it." in may_not


async def test_what_the_providers_api_says_is_next_to_what_was_delivered(
    console: RunningConsole, workers: Workers
) -> None:
    await apply(workers, contract_event("evt_1", "pi_1"))
    delivered = {"kind": "captured", "object": "pi_1", "amount": 1999, "currency": "EUR"}
    sides = (json.dumps([delivered]), json.dumps([delivered | {"amount": 100}]))
    await workers.connection.execute(DISAGREES, *sides)
    page = await console.operator.get(event_path("stripe", "evt_1"))
    for text in ("disagrees: nothing of it is booked", "the API has less", "19.99 EUR", "1.00 EUR", "The API says"):
        assert text in page.text
