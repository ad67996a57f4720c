"""`why` about events and money that wait for a person."""

from pathlib import Path

from consumers.handlers import Handlers, Reject
from consumers.handlers.payments import HANDLERS, builtin
from consumers.settings import Settings
from contract.accounts import PostingRules
from contract.event import Event
from tests.support.asking_why import apply, ask_why, only_event, refund, stuck, succeeded, whats
from tests.support.consuming import Workers
from tests.support.stream_states import Stream, say


async def rejected(workers: Workers) -> int:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def refuse(_: object, __: Event) -> None:
        raise Reject("no such order")

    await apply(workers, succeeded("evt_1"), handlers=handlers)
    return int(await workers.connection.fetchval("SELECT id FROM dead_letters"))


async def test_an_event_in_the_dead_letters(workers: Workers) -> None:
    number = await rejected(workers)
    sentence, step = await stuck(workers.settings)
    assert sentence == f"in the dead letters as number {number}, after 1 attempt: no such order"
    assert step == f"once the cause is gone: make replay ID={number}; to give it up: make discard ID={number}"
    document = await ask_why(workers.settings, "pi_1")
    assert whats(document) == ["accepted", "dead"]
    assert only_event(document)["dead_letters"][0]["attempts"] == 1
    assert only_event(document)["marker"] == {"state": "none", "entry_id": None}


async def test_an_event_that_was_replayed(workers: Workers) -> None:
    number = await rejected(workers)
    assert (await say(workers.settings, "replay", str(number))).code == 0
    assert only_event(await ask_why(workers.settings, "evt_1"))["state"] == "unread"
    await apply(workers)
    document = await ask_why(workers.settings, "evt_1")
    assert only_event(document)["state"] == "applied"
    assert only_event(document)["dead_letters"][0]["state"] == "replayed"
    assert [what for what in whats(document) if what in ("dead", "replayed", "committed")] == [
        "dead", "replayed", "committed",
    ]  # fmt: skip


async def test_an_event_that_was_discarded(workers: Workers) -> None:
    await say(workers.settings, "discard", str(await rejected(workers)))
    document = await ask_why(workers.settings, "evt_1")
    assert (only_event(document)["state"], document["stuck"]) == ("discarded", [])


async def test_money_that_is_stopped_by_a_conflict(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1", 700))
    await apply(workers, succeeded("evt_2", 800))
    await apply(workers, refund("evt_3"))
    number = await workers.connection.fetchval("SELECT id FROM conflicts")
    sentence = f"money stopped by conflict {number}: of capture:pi_1 7.00 EUR is booked, and evt_2 reports 8.00 EUR"
    for id_ in ("pi_1", "evt_2", "re_1"):
        assert await stuck(workers.settings, id_) == (
            sentence,
            f"make resolve ID={number} KEEP=booked, or KEEP=reported",
        )
    document = await ask_why(workers.settings, "pi_1")
    assert document["payments"][0]["conflicts"][0]["reported"] == document["payments"][0]["conflicts"][0]["told"]
    assert document["payments"][0]["conflicts"][0]["told"] == {"amount": "8.00", "amount_minor": 800, "currency": "EUR"}
    assert document["payments"][0]["conflicts"][0]["booked"]["amount"] == "7.00"
    assert {"conflict", "held_back"} <= set(whats(document))
    (held,) = [fact for event in document["events"] for fact in event["facts"] if fact["held_back"]]
    assert (held["kind"], held["object"], held["held_back"]) == ("refunded", "re_1", "conflict")


async def test_facts_held_back_because_no_signature_covers_them(workers: Workers) -> None:
    await apply(workers, succeeded("evt_1", signed="weak"))
    sentence, step = await stuck(workers.settings)
    assert sentence.startswith(
        "held back, because the signature of source stripe does not cover these facts: authorized"
    )
    step_expected = (
        'if they can be trusted: trust = "all" below [stripe] in sources.toml, then make release SOURCE=stripe'
    )
    assert step == step_expected
    document = await ask_why(workers.settings, "pi_1")
    assert {fact["held_back"] for fact in only_event(document)["facts"]} == {"unsigned"}
    assert document["payments"][0]["state"] is None
    await apply(
        workers, succeeded("evt_2", signed="weak", resource="pi_2"), handlers=builtin({"stripe": PostingRules("all")})
    )
    assert (await ask_why(workers.settings, "evt_2"))["stuck"] == []


async def test_an_event_whose_entry_was_deleted(settings: Settings, stream: Stream) -> None:
    entry_id = await stream.publish(succeeded("evt_1"))
    await stream.redis.xdel(stream.keys.events, entry_id)
    settings = settings.model_copy(update={"sources_file": Path("sources.toml")})
    sentence, step = await stuck(settings)
    assert sentence.startswith(f"accepted as entry {entry_id}, which is neither in the stream nor recorded")
    assert step
    assert "make audit" in step
