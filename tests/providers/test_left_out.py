"""Whatever a sender leaves out of an event that the gateway accepts, the worker can read the event all the same."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contract.facts import Fact
from providers import FACT_EXTRACTORS
from providers.base import PayloadError
from providers.facts import IncompleteError
from tests.providers.test_facts import changed, places
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings

READERS = ("adyen", "checkout", "hmac", "mercadopago", "mollie")
RECORDINGS = [recording for provider in READERS for recording in recordings(provider) if "body" in recording.content]


def with_less(body: object) -> Iterator[object]:
    """Yield the body with each of its parts left out in turn: removed, null, or an empty array for an object."""
    for path in places(body):
        if not path:
            continue
        *parents, name = path
        owner = body
        for parent in parents:
            owner = owner[parent]  # type: ignore[index] # places() yields only paths that exist
        if isinstance(owner, dict):
            yield changed(body, parents, {key: value for key, value in owner.items() if key != name})
            yield changed(body, path, None)
            if isinstance(owner[name], dict):
                yield changed(body, path, [])


@pytest.mark.parametrize("recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS])
def test_a_part_that_is_left_out_is_no_dead_letter(recording: Recording) -> None:
    source = CASES[recording.provider].source(**recording.content.get("settings", {}))
    genuine = recording.request()
    for body in with_less(recording.content["body"]):
        request = replace(genuine, body=json.dumps(body).encode())
        with contextlib.suppress(PayloadError, IncompleteError):
            for parsed in source.parse(request):
                facts = FACT_EXTRACTORS[recording.provider](source.to_event(request, "body", parsed))
                assert all(isinstance(fact, Fact) for fact in facts)
