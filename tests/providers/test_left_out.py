"""Whatever a sender leaves out of an event that the gateway accepts, the worker can read the event all the same."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contract.facts import Fact
from providers import FACT_EXTRACTORS
from providers.base import PayloadError, Provider
from providers.facts import IncompleteError
from tests.providers.test_facts import changed, places
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings

RECORDINGS = [recording for recording in recordings() if "body" in recording.content]
every_recording = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS]
)


def members(body: object) -> Iterator[tuple[tuple[Any, ...], Any, object]]:
    """Yield each member of an object in the body: its path, its value, and the body without it."""
    for path in places(body):
        owner: Any = body
        for name in path[:-1]:
            owner = owner[name]
        if path and isinstance(owner, dict):
            rest = {name: value for name, value in owner.items() if name != path[-1]}
            yield path, owner[path[-1]], changed(body, path[:-1], rest)


def with_less(body: object) -> Iterator[object]:
    """Yield the body with each of its parts left out in turn: removed, null, or an empty array for an object."""
    for path, value, without in members(body):
        yield without
        yield changed(body, path, None)
        if isinstance(value, dict):
            yield changed(body, path, [])


def source_of(recording: Recording) -> Provider:
    return CASES[recording.provider].source(**recording.content.get("settings", {}))


@every_recording
def test_a_part_that_is_left_out_is_no_dead_letter(recording: Recording) -> None:
    source = source_of(recording)
    genuine = recording.request()
    for body in with_less(recording.content["body"]):
        request = replace(genuine, body=json.dumps(body).encode())
        with contextlib.suppress(PayloadError, IncompleteError):
            for parsed in source.parse(request):
                facts = FACT_EXTRACTORS[recording.provider](source.to_event(request, "body", parsed))
                assert all(isinstance(fact, Fact) for fact in facts)


def facts_of(recording: Recording, source: Provider, body: object) -> list[Fact] | None:
    """Return the facts of the recorded event with another body; None where it is refused or incomplete."""
    request = replace(recording.request(), body=json.dumps(body).encode())
    try:
        parsed = source.parse(request)[recording.content.get("item", 0)]
        return list(FACT_EXTRACTORS[recording.provider](source.to_event(request, "body", parsed)))
    except (PayloadError, IncompleteError, IndexError):
        return None


@every_recording
def test_a_part_that_is_not_needed_may_be_null_or_empty_too(recording: Recording) -> None:
    """Where an event gives facts without an object or an array, null and either empty one give the same facts."""
    body, source = recording.content["body"], source_of(recording)
    empties: list[object] = [None] if recording.provider == "adyen" else [None, [], {}]  # Adyen signs its amount
    for path, value, without in members(body):
        facts = facts_of(recording, source, without) if isinstance(value, dict | list) else None
        for empty in empties if facts else []:
            assert facts_of(recording, source, changed(body, path, empty)) == facts, (path, empty)
