"""Mollie's classic webhooks: an id, a token in the address, and money only from the API."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.sources import SourcesError, load_sources
from providers.base import PayloadError, SignatureError, UnavailableError
from tests.support.cases.base import NOW, Signed
from tests.support.cases.mollie_classic import MollieClassicCase

CASE = MollieClassicCase()
TOKEN = CASE.secrets[0]


async def test_each_post_of_an_id_is_an_event_because_each_may_mean_a_new_state() -> None:
    source = CASE.source()
    (first,) = await source.verify(CASE.deliver("id=tr_1").request())
    (again,) = await source.verify(CASE.deliver("id=tr_1").request(NOW + timedelta(microseconds=1)))
    assert first.event.resource == again.event.resource == "tr_1"
    assert first.event.event_id != again.event.event_id
    assert (first.event.type, first.event.body, first.event.mode) == ("payment", b"id=tr_1", None)


@pytest.mark.parametrize(
    ("body", "type_", "resource"),
    [
        (b"id=ord_kEn1PlbGa", "order", "ord_kEn1PlbGa"), (b"id=sub_1", "other", "sub_1"),
        (b"a=1&id=tr_2", "payment", "tr_2"), (b"id=tr_2&id2=tr_3", "payment", "tr_2"),
    ],
)  # fmt: skip
async def test_the_kind_of_an_id(body: bytes, type_: str, resource: str) -> None:
    (delivery,) = await CASE.source().verify(CASE.deliver_bytes(body).request())
    assert (delivery.event.type, delivery.event.resource) == (type_, resource)


@pytest.mark.parametrize(
    "body",
    [b"", b"id=", b"id", b"tr_1", b"id=tr_1&id=tr_2", b"id=tr_", b"id=tr_1/../x", b"id=tr_%31", b"id=tr_1\n",
     b"id=\xff", b"ID=tr_1", b'{"id":"tr_1"}', b"id=tr_" + b"1" * 101, b"a=1&" * 30 + b"id=tr_1"],
)  # fmt: skip
async def test_what_is_no_id_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        await CASE.source().verify(CASE.deliver_bytes(body).request())


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "missing"), ("token=", "missing"), ("Token=" + TOKEN, "missing"), ("token=" + TOKEN.upper(), "mismatch"),
        (f"token={TOKEN}&token={TOKEN}", "malformed"), (f"token=x&token={TOKEN}", "malformed"),
        ("token=short", "malformed"), (f"token={TOKEN}%20", "malformed"), (f"token={TOKEN}x", "mismatch"),
        (f"token=%66{TOKEN[1:]}", "malformed"), ("&".join(["a=b"] * 30) + f"&token={TOKEN}", "malformed"),
    ],
)  # fmt: skip
async def test_only_the_token_itself_once_is_accepted(query: str, reason: str) -> None:
    signed = Signed([], b"id=tr_1", target=f"/webhooks/a?{query}")
    with pytest.raises(SignatureError) as refused:
        await CASE.source().verify(signed.request())
    assert refused.value.reason == reason
    assert TOKEN not in str(refused.value)


async def test_posts_with_the_token_are_limited_over_time_and_others_cost_nothing_of_it() -> None:
    """Once the address has leaked: 503, so that Mollie comes again."""
    source = CASE.source(posts_per_s_max=2)
    forged, genuine = CASE.deliver("id=tr_1", CASE.secrets[1]), CASE.deliver("id=tr_1")
    for _ in range(10):
        with pytest.raises(SignatureError):
            await source.verify(forged.request())
    for _ in range(2):
        await source.verify(genuine.request())
    with pytest.raises(UnavailableError):
        await source.verify(genuine.request())
    with pytest.raises(UnavailableError):
        await source.verify(genuine.request(NOW - timedelta(hours=1)))
    await source.verify(genuine.request(NOW + timedelta(seconds=0.5)))


SOURCE = """
[m]
provider = "mollie_classic"
"""


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (
            "secrets = ['${TOKEN}']",
            ['confirm: a classic webhook is an id that nobody signed; it needs confirm = "api"'],
        ),
        ("secrets = ['${TOKEN}']\nconfirm = 'api'", ["api_key: needed to ask"]),
        ("secrets = ['${TOKEN}']\nconfirm = 'api'\napi_key = 'k'\ntrust = 'all'", ["every event is believed"]),
        ("secrets = []\nconfirm = 'api'\napi_key = 'k'", ["secrets: the list is empty"]),
        ("confirm = 'api'\napi_key = 'k'", ["secrets: Field required"]),
        ("secrets = ['guessable']\nconfirm = 'api'\napi_key = 'k'", ["at least 22 characters"]),
    ],
)
def test_what_would_let_strangers_in_or_book_nothing_stops_the_start(
    tmp_path: Path, settings: str, sentences: list[str]
) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(SOURCE + settings)
    with pytest.raises(SourcesError) as refused:
        load_sources(path, {"TOKEN": TOKEN})
    assert all(any(sentence in problem for problem in refused.value.problems) for sentence in sentences)
    assert "guessable" not in str(refused.value)


def test_a_source_that_asks_starts(tmp_path: Path) -> None:
    """The gateway does not read the key: it need not even be there."""
    path = tmp_path / "sources.toml"
    path.write_text(SOURCE + "secrets = ['${TOKEN}']\nconfirm = 'api'\napi_key = '${MOLLIE_API_KEY}'")
    assert set(load_sources(path, {"TOKEN": TOKEN})) == {"m"}
