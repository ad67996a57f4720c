"""An event that leaves out any one part is refused by the gateway, or applied: it is never dead-lettered for that."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from providers import FACT_EXTRACTORS
from providers.base import PayloadError, Request
from providers.facts import IncompleteError
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings

RECORDINGS = [each for each in recordings() if "body" in each.content]
every_recording = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS]
)


def without(value: Any) -> Iterator[Any]:
    """Yield the JSON value without one part: absent, null, or an empty array where an object was."""
    for name in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        child = value[name]
        yield replaced(value, name, None)
        if isinstance(child, dict | list):
            yield replaced(value, name, [])
        if isinstance(value, dict):
            yield {key: other for key, other in value.items() if key != name}
        for smaller in without(child):
            yield replaced(value, name, smaller)


def replaced(value: Any, name: Any, new: object) -> Any:
    if isinstance(value, dict):
        return {**value, name: new}
    return [*value[:name], new, *value[name + 1 :]]


@every_recording
def test_an_event_that_leaves_a_part_out_is_never_dead_lettered(recording: Recording) -> None:
    source = CASES[recording.provider].source(**recording.content.get("settings", {}))
    request = recording.request()
    for body in without(recording.content["body"]):
        smaller = Request(
            request.method, request.target, request.headers, json.dumps(body).encode(), request.received_at
        )
        try:
            parsed = source.parse(smaller)
        except PayloadError:
            continue
        for each in parsed:
            event = source.to_event(smaller, "body", each)
            try:
                FACT_EXTRACTORS[recording.provider](event)
            except IncompleteError:
                continue
