"""`python -m gateway check SOURCE --file request.http`: say why a recorded request does not verify.

It prints no secret and no signature, neither the received one nor the right one.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract.text import escaped
from gateway.check.diagnostics import (
    Hypothesis,
    body_variants,
    header_variants,
    secret_variants,
    url_variants,
)
from gateway.check.http_file import RECORDING_BYTES_MAX, Recording, RecordingError, read_recording
from providers.base import PayloadError, Proof, Provider, Request, SignatureError, UnavailableError

GENUINE = 0
NOT_GENUINE = 1
NOT_CHECKED = 2
NOT_NOW = 3

EPILOG = """\
The file holds the request as it came: the request line, the headers, an empty line, the body byte for byte.
exit status: 0 it verifies and is accepted, 1 it is refused, 2 it could not be checked,
3 it cannot be checked now, because a key cannot be fetched"""

COVERS = {
    "body": "The signature covers the whole body.",
    "fields": "The signature covers only some fields of the body.",
    "weak": "The signature covers only a checksum of the body, which anyone can forge.",
    "reference": "The signature does not cover the body: fetch the object it names from the provider.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser, `python -m gateway check`."""
    parser.description = "Say why a recorded request does not verify. Prints nothing secret."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", nargs="?", help="its name in sources.toml; left out: check all settings and sources")
    parser.add_argument("--file", default="-", help="the recorded request; - (the default) reads it from a pipe")
    parser.add_argument("--at", type=_time, help="when it was received (ISO 8601); now if left out")


def run(asked: argparse.Namespace, sources: Mapping[str, Provider]) -> int:
    """Run the command and return its exit code."""
    if asked.source not in sources:
        return _not_checked(f"No source is named {asked.source!r}; there are: {', '.join(sorted(sources))}.")
    piped = asked.file == "-"
    place = "What was piped in" if piped else asked.file
    try:
        content = b"" if piped and sys.stdin.isatty() else _read(asked.file)
        if piped and not content:
            return _not_checked(
                "No recorded request was named or piped in: make check SOURCE=… FILE=request.http, where the file has "
                "the request line, the headers, an empty line and the body."
            )
        recording = read_recording(content, asked.at or datetime.now(UTC))
    except OSError as error:
        return _not_checked(f"{place} cannot be read: {error.strerror}.")
    except RecordingError as error:
        return _not_checked(f"{place} cannot be read as an HTTP request: {error}.")
    code, lines = asyncio.run(check(sources, asked.source, recording))
    sys.stdout.write(escaped("\n".join(lines)) + "\n")
    return code


async def check(sources: Mapping[str, Provider], source: str, recording: Recording) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print."""
    provider, request = sources[source], recording.request
    about = f"{request.method} with {len(request.body)} bytes of body, for source {source} (provider {provider.name})"
    lines = [about, *recording.notes]
    try:
        proof = await provider.authenticate(request)
    except UnavailableError as error:
        return NOT_NOW, [*lines, f"CANNOT BE CHECKED NOW: {error}."]
    except SignatureError as error:
        return NOT_GENUINE, [*lines, *await _explain(sources, source, recording, error)]
    lines.append(f"GENUINE. {_which(provider, proof)} {COVERS[proof.signed]}")
    return _events(provider, request, lines)


def _events(provider: Provider, request: Request, lines: list[str]) -> tuple[int, list[str]]:
    try:
        drafts = provider.parse(request)
    except PayloadError as error:
        return NOT_GENUINE, [*lines, f"But the body is not as documented, so the answer is 400: {error}."]
    for draft in drafts:
        names = (json.dumps(each) for each in (draft.event_id, draft.type, draft.resource))
        lines.append("Event {} of type {}, about {}".format(*names) + f", occurred {draft.occurred_at or 'unknown'}.")
    return GENUINE, [*lines, "There is no event in it."] if not drafts else lines


async def _explain(
    sources: Mapping[str, Provider], source: str, recording: Recording, error: SignatureError
) -> list[str]:
    """Return the lines that explain the refusal: the clock alone, or the changes that make it verify."""
    provider = sources[source]
    if error.age_s is not None:
        proof = await _proof(provider, recording.request)
        if proof is not None:
            when = recording.request.received_at.isoformat()
            hint = f"It was taken as received at {when}; if it was received in time, say when with --at."
            return [f"GENUINE, BUT REFUSED by the clock: {error}. {_which(provider, proof)}", hint]
    lines = [f"NOT GENUINE ({error.reason}): {error}."]
    if error.reason == "missing":
        names = sorted({name.decode("ascii", errors="replace") for name, _ in recording.raw_headers})
        lines.append(f"The recording has these headers: {', '.join(names) or 'none'}.")
    found = [text async for text in _changes_that_verify(sources, source, recording)]
    return lines + (found or [_no_hypothesis_holds(provider)])


def _no_hypothesis_holds(provider: Provider) -> str:
    count = len(provider.settings.secrets)
    tried = f" with any of the {count} secrets" if count else ""
    return (
        f"No known change of body, headers, secrets or URL makes it verify{tried}. So the secret is wrong, or the "
        "content was changed, or it was not sent by this provider."
    )


async def _changes_that_verify(
    sources: Mapping[str, Provider], source: str, recording: Recording
) -> AsyncIterator[str]:
    """Yield a sentence for each kind of change that makes it verify, about the first of its kind."""
    provider, request = sources[source], recording.request
    for kind in _hypotheses(provider, recording):
        for hypothesis, tried, changed in kind:
            proof = await _proof(tried, changed)
            if proof is not None:
                yield f"It verifies if {hypothesis.condition} ({hypothesis.meaning}). {_which(tried, proof)}"
                break
    for name, other in sources.items():
        if name != source and await _proof(other, request) is not None:
            yield f"It verifies for source {name} (provider {other.name}): it was meant for that one."


def _hypotheses(provider: Provider, recording: Recording) -> Iterator[Iterator[tuple[Hypothesis, Provider, Request]]]:
    request = recording.request
    yield ((each, provider, replace(request, body=body)) for each, body in body_variants(request.body))
    yield (
        (each, provider, replace(request, headers=changed)) for each, changed in header_variants(recording.raw_headers)
    )
    yield ((each, changed, request) for each, changed in secret_variants(provider))
    yield ((each, changed, request) for each, changed in url_variants(provider, request))


async def _proof(provider: Provider, request: Request) -> Proof | None:
    """Return the proof, ignoring the age of the signature; None where it does not verify."""
    try:
        return await provider.authenticate(request)
    except UnavailableError:
        return None
    except SignatureError as error:
        age_s = error.age_s
    if age_s is None:
        return None
    try:
        signed_at = request.received_at - timedelta(seconds=age_s)
        return await provider.authenticate(replace(request, received_at=signed_at))
    except (SignatureError, UnavailableError, OverflowError):
        return None


def _which(provider: Provider, proof: Proof) -> str:
    return f"Secret number {proof.secret_number} of source {provider.settings.source} matches."


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _read(place: str) -> bytes:
    if place == "-":
        return _limited(sys.stdin.buffer.read(RECORDING_BYTES_MAX + 1))
    with Path(place).open("rb") as file:
        return _limited(file.read(RECORDING_BYTES_MAX + 1))


def _limited(data: bytes) -> bytes:
    if len(data) > RECORDING_BYTES_MAX:
        raise RecordingError(f"it has more than {RECORDING_BYTES_MAX} bytes")
    return data


def _not_checked(text: str) -> int:
    sys.stderr.write(f"{text} Nothing was checked.\n")
    return NOT_CHECKED
