"""A recorded request gives the events that the gateway would publish."""

from dataclasses import replace
from pathlib import Path

import pytest

from providers.base import PayloadError
from providers.testing import recorded
from tests.support.cases.base import NOW
from tests.support.recorded import Recording, recordings

SETTINGS = {"square": {"notification_url": "https://example.org/webhooks"}}
"""Settings without a default in sources.toml."""

FORMS = "braintree"
"""Sent as a form, which cannot be parsed without its signature."""

RECORDINGS = [each for each in recordings() if each.provider != FORMS and "fetched" not in each.content]


@pytest.mark.parametrize("recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS])
def test_a_recorded_request_gives_the_gateways_events(recording: Recording) -> None:
    content = recording.content
    settings = SETTINGS.get(recording.provider, {}) | content.get("settings", {})
    events = recorded(
        recording.provider,
        recording.body,
        headers=content.get("headers"),
        target=content.get("target", "/webhooks/a"),
        received_at=NOW,
        **settings,
    )
    assert events[content.get("item", 0)] == recording.event()


def test_a_file_and_json_give_the_same_event(tmp_path: Path) -> None:
    body = {"transaction_id": "order-1", "status": "COMPLETED", "amount": "19.99", "currency": "EUR"}
    file = tmp_path / "event.json"
    file.write_text('{"transaction_id": "order-1", "status": "COMPLETED", "amount": "19.99", "currency": "EUR"}')
    (from_json,) = recorded("hmac", body, source="shop", namespace="acme", received_at=NOW, signed="fields")
    (from_file,) = recorded("hmac", file, received_at=NOW)
    assert (from_json.event_id, from_json.source, from_json.namespace) == ("order-1:COMPLETED", "shop", "acme")
    assert from_file == replace(from_json, source="hmac", namespace="hmac", signed="body")


def test_a_body_that_the_gateway_answers_400_is_refused() -> None:
    with pytest.raises(PayloadError):
        recorded("stripe", b"{}")
