"""Types in headers, which nobody signs: what one captured request may become."""

import pytest

from contract.event import Event
from providers.github_events import EVENTS
from providers.shopify_topics import TOPICS
from tests.support.cases.base import Signed
from tests.support.provider_cases import CASES

NAMED_IN_A_HEADER = {
    "shopify": (b"X-Shopify-Topic", ("orders/paid", "orders/updated"), TOPICS),
    "github": (b"X-GitHub-Event", ("sponsorship", "push"), EVENTS),
}


@pytest.mark.parametrize("provider", NAMED_IN_A_HEADER)
async def test_a_captured_body_under_invented_types_is_one_event(provider: str) -> None:
    """The header is not signed. A listed type names the event; any other does not, and is kept for readers."""
    header, listed, documented = NAMED_IN_A_HEADER[provider]
    case, signed = CASES[provider], CASES[provider].signed()

    async def sent(type_: str, *more: tuple[bytes, bytes], **settings: object) -> Event:
        request = Signed(signed.headers, signed.body, ((header, type_.encode()), *more)).request()
        (delivery,) = await case.source(**settings).verify(request)
        return delivery.event

    invented = [await sent(f"invented/{number}", (b"X-Request", b"%d" % number)) for number in range(20)]
    assert len({event.event_id for event in invented}) == 1
    assert {event.type.partition(".")[0] for event in invented} == {"unknown"}
    assert invented[7].headers[header.decode().lower()] == "invented/7"
    assert len({(await sent(type_)).event_id for type_ in sorted(documented)}) == len(documented) < 250
    one, two = [await sent(type_) for type_ in listed]
    assert one.event_id != two.event_id
    assert (await sent(listed[0], (b"X-Retry", b"2"))).event_id == one.event_id
    own = [await sent(type_, types=[listed[0]]) for type_ in (*listed, "invented")]
    assert own[0].event_id == one.event_id
    assert own[1].event_id == own[2].event_id == invented[0].event_id
