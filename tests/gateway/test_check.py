"""`python -m gateway check`: it says what was done to a request of any provider, and never a secret."""

import base64
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.check.command import GENUINE, NOT_CHECKED, NOT_GENUINE, NOT_NOW, check
from gateway.check.http_file import Recording, RecordingError, join_chunks, read_recording
from providers.base import Provider
from tests.support.cases.base import NOW, Case, Signed
from tests.support.cases.public_keys import PayPalCase, serving
from tests.support.cases.stripe import StripeCase
from tests.support.processes import Programs
from tests.support.provider_cases import CASES

every_provider = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
TIMED = [case for case in CASES.values() if case.timed]
every_json_provider = pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if case.covers == "body" and case.write({}) == "{}"],
    ids=[name for name, case in CASES.items() if case.covers == "body" and case.write({}) == "{}"],
)


def written(signed: Signed, *, line_end: bytes = b"\r\n") -> bytes:
    """The request as a file has it."""
    headers, body = signed.sent()
    lines = [f"POST {signed.target} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers)]
    return line_end.join([*lines, b"", body])


async def explained(
    signed: Signed, provider: Provider, *, others: dict[str, Provider] | None = None, late_s: float = 0
) -> tuple[int, str]:
    recording = read_recording(written(signed), NOW + timedelta(seconds=late_s))
    code, lines = await check({"a": provider, **(others or {})}, "a", recording)
    return code, "\n".join(lines)


@every_provider
@pytest.mark.parametrize("number", [1, 2])
async def test_of_a_genuine_request_it_says_which_secret_matches(case: Case, number: int) -> None:
    code, text = await explained(case.signed(case.secrets[number - 1]), case.source(*case.secrets))
    assert code == GENUINE, text
    assert f"GENUINE. Secret number {number} of source a matches." in text
    assert "Event " in text


@every_provider
async def test_of_a_wrong_secret_it_says_so_and_tells_nothing(case: Case) -> None:
    signed = case.signed(case.secrets[1])
    code, text = await explained(signed, case.source(case.secrets[0]))
    assert code == NOT_GENUINE
    assert "NOT GENUINE (mismatch)" in text
    assert "the secret is wrong, or the content was changed" in text
    genuine = case.signed(case.secrets[0])
    sent = [dict(each.headers).get(case.signature, b"\x00").decode() for each in (signed, genuine)]
    assert not any(hidden in text for hidden in (*case.secrets, *sent, *(each[-20:] for each in sent)))


@every_provider
async def test_of_a_missing_header_it_says_which(case: Case) -> None:
    signed = case.signed()
    for name, _ in signed.headers:
        code, text = await explained(signed.without_header(name), case.source())
        assert code == NOT_GENUINE
        assert "NOT GENUINE (missing)" in text


@every_provider
async def test_it_finds_the_source_a_request_was_meant_for(case: Case) -> None:
    signed = case.signed(case.secrets[1])
    _, text = await explained(signed, case.source(), others={"b": case.source(case.secrets[1])})
    assert f"It verifies for source b (provider {case.provider})" in text


def reindented(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode()


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a line end": (lambda body: body + b"\n", "the body ends without a line end"),
    "white space": (lambda body: b" " + body + b" \n", "the body has no white space at its ends"),
    "a byte order mark": (lambda body: b"\xef\xbb\xbf" + body, "the body has no byte order mark"),
    "base64": (base64.b64encode, "the body is decoded from base64"),
    "gzip": (gzip.compress, "the body is unzipped"),
    "a JSON text": (lambda body: json.dumps(body.decode()).encode(), "the body is taken out of the JSON text it is in"),
    "indentation": (reindented, "is JSON written with spaces after commas and colons, letters beyond ASCII as \\u"),
    "chunks": (lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "the body has its chunks joined"),
}


@every_json_provider
@pytest.mark.parametrize("change", CHANGES)
async def test_of_a_changed_body_it_says_how(case: Case, change: str) -> None:
    made, condition = CHANGES[change]
    signed = case.signed()
    code, text = await explained(signed.with_body(made(signed.body)), case.source())
    assert code == NOT_GENUINE
    assert f"It verifies if {condition}" in text or f"It verifies if the body {condition}" in text, text
    assert "Secret number 1 of source a matches." in text


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        ('{"a": 10.50, "b": 1e3, "c": "é/"}', '{"a":10.50,"b":1e3,"c":"é/"}'),
        ('{"a":"\\u00e9","b":"x\\/y"}', '{"a": "é", "b": "x/y"}'),
        ('{\n    "b": 1,\n    "a": 2\n}', '{"b":1,"a":2}'),
        ('{"a":1,"b":2}', '{"b": 2, "a": 1}'),
        ("{}\r\n", "{}"),
        ("{\r\n}", "{\n}"),
        ('{"a":"é"}', '{"a":"Ã©"}'),
    ],
)
async def test_it_sees_through_what_json_writers_do(sent: str, came: str) -> None:
    case = StripeCase()
    signed = case.deliver(sent).with_body(came.encode())
    _, text = await explained(signed, case.source())
    assert "It verifies if the body " in text


@pytest.mark.parametrize(
    "case", [c for c in CASES.values() if c.timed], ids=[c.provider for c in CASES.values() if c.timed]
)
@pytest.mark.parametrize(("late_s", "word"), [(12_345, "before"), (-12_345, "after")])
async def test_of_a_stale_request_it_says_by_how_much(case: Case, late_s: float, word: str) -> None:
    code, text = await explained(case.signed(), case.source(), late_s=late_s)
    assert code == NOT_GENUINE
    assert f"GENUINE, BUT REFUSED by the clock: signed 12345 s {word} it was received" in text
    assert "Secret number 1 of source a matches." in text


async def test_a_changed_body_is_found_however_old_it_is() -> None:
    case = StripeCase()
    signed = case.signed()
    _, text = await explained(signed.with_body(signed.body + b"\n"), case.source(), late_s=100_000)
    assert "It verifies if the body ends without a line end" in text


async def test_of_another_url_it_says_which() -> None:
    case = CASES["square"]
    url = str(case.settings["notification_url"])
    for wrong in (url.replace("/?", "?"), url.replace("https://", "http://")):
        _, text = await explained(case.signed(), case.source(notification_url=wrong))
        assert f"It verifies if notification_url is {url} " in text


async def test_of_a_secret_that_is_quoted_it_says_so() -> None:
    case = StripeCase()
    _, text = await explained(case.signed(), case.source(f'"{case.secrets[0]}"'))
    assert "It verifies if the secrets have no quotes around them" in text
    assert case.secrets[0] not in text


async def test_headers_that_were_quoted_or_renamed() -> None:
    case = StripeCase()
    signed = case.signed()
    (name, value), *_ = signed.headers
    _, text = await explained(signed.with_headers([(name, b'"' + value + b'"')]), case.source())
    assert "It verifies if header values have no quotes" in text
    _, text = await explained(signed.with_headers([(b"HTTP_STRIPE_SIGNATURE", value)]), case.source())
    assert "It verifies if _ in names of headers is -" in text


async def test_genuine_but_not_as_documented() -> None:
    case = StripeCase()
    code, text = await explained(case.deliver("[]"), case.source())
    assert code == NOT_GENUINE
    assert "the answer is 400" in text


async def test_a_key_that_cannot_be_fetched() -> None:
    case = PayPalCase()
    source = case.source()
    source.keyring.fetch = serving({})  # type: ignore[attr-defined]
    code, text = await explained(case.signed(), source)
    assert code == NOT_NOW
    assert "CANNOT BE CHECKED NOW" in text


@every_provider
@settings(deadline=None, max_examples=10)
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
async def test_no_body_makes_it_fail(case: Case, body: bytes) -> None:
    code, _ = await explained(case.signed().with_body(body), case.source())
    assert code in {GENUINE, NOT_GENUINE}


def test_lines_of_a_recording_may_end_either_way() -> None:
    signed = StripeCase().signed()
    (one, two) = (read_recording(written(signed, line_end=end), NOW) for end in (b"\r\n", b"\n"))
    assert one.raw_headers == two.raw_headers
    assert one.request.body == two.request.body == signed.body


def test_what_an_editor_put_behind_the_body_is_left_off() -> None:
    recording = read_recording(b"POST /a HTTP/1.1\nContent-Length: 2\n\n{}\n", NOW)
    assert recording.request.body == b"{}"
    assert recording.notes
    cut = read_recording(b"POST /a HTTP/1.1\nContent-Length: 3\n\n{}", NOW)
    assert "says 3 bytes, but the recording has 2" in cut.notes[0]


def test_chunks_are_joined_where_the_headers_say_so() -> None:
    recording = read_recording(b"POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n", NOW)
    assert recording.request.body == b"{}"
    assert join_chunks(b"5\r\nab") is None


def test_lost_bytes_and_compression_are_noticed() -> None:
    notes = read_recording("POST /a HTTP/1.1\nContent-Encoding: gzip\n\n\ufffd".encode(), NOW).notes
    assert "415" in notes[0]
    assert "U+FFFD" in notes[1]


@pytest.mark.parametrize("data", [b"", b"{}", b"\n\n", b"POST\n\n", b"POST /a HTTP/1.1\nno colon\n\n", b"\xff\n\n"])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(RecordingError):
        read_recording(data, NOW)


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_no_recording_makes_it_fail(data: bytes) -> None:
    try:
        assert isinstance(read_recording(data, NOW), Recording)
    except RecordingError:
        return


async def test_the_command(programs: Programs, tmp_path: Path) -> None:
    case = StripeCase()
    (sources := tmp_path / "sources.toml").write_text(f'[a]\nprovider = "stripe"\nsecrets = ["{case.secrets[0]}"]\n')
    (recorded := tmp_path / "request.http").write_bytes(written(case.signed()))
    env = {"SOURCES_FILE": str(sources)}
    at = NOW.isoformat()
    code, output, _ = await programs.run("gateway", env, "check", "a", "--file", str(recorded), "--at", at)
    assert (code, "GENUINE. Secret number 1 of source a matches." in output) == (GENUINE, True), output
    code, output, errors = await programs.run("gateway", env, "check", "b", "--file", str(recorded))
    assert (code, output) == (NOT_CHECKED, "")
    assert "No source is named 'b'; there are: a." in errors
    code, _, errors = await programs.run("gateway", env, "check", "a", "--file", str(tmp_path / "none"))
    assert code == NOT_CHECKED
    assert "Traceback" not in errors
