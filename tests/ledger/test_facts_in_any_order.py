"""Facts about one payment, in any order, with any repeats and batches: the rows, the transfers and what handlers hear
are the same. Disputes with several withdrawals and currencies, adjusted and undone captures, cash, several accounts.
"""

from collections.abc import Sequence
from itertools import pairwise

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.accounts import Capture
from contract.facts import Fact
from tests.support.posting import Report, applied

MONEY = st.sampled_from([100, 250, 400, 1000])


@st.composite
def dispute_facts(draw: st.DrawFn) -> list[tuple[Fact, int]]:
    """Draw what is said about up to two disputes: claims, outcomes, and money that moved, each in some currency."""
    drawn: list[tuple[Fact, int]] = []
    for dispute in draw(st.lists(st.sampled_from(["d1", "d2"]), unique=True, max_size=2)):
        claim, money = draw(st.sampled_from(["EUR", "USD"])), draw(st.sampled_from(["EUR", "USD"]))
        claimed = draw(MONEY)
        for kind in draw(st.lists(st.sampled_from(["opened", "won", "lost"]), max_size=4)):
            fact = Fact(f"dispute_{kind}", claimed, claim, dispute)  # type: ignore[arg-type]
            drawn.append((fact, draw(st.integers(0, 3))))
        for number in range(draw(st.integers(0, 3))):
            drawn += [(Fact("funds_withdrawn", draw(MONEY), money, f"{dispute}w{number}", dispute), 0)]
        for number in range(draw(st.integers(0, 2))):
            drawn += [(Fact("funds_reinstated", draw(MONEY), money, f"{dispute}r{number}", dispute), 0)]
        if draw(st.booleans()):
            other = Fact("dispute_opened", claimed, claim, f"{dispute}/p2", payment="p2")
            drawn.append((other, 0))
    return drawn


@st.composite
def stories(draw: st.DrawFn) -> tuple[Capture, list[Report]]:
    """Draw the facts of a payment, and spread them over events."""
    capture: Capture = draw(st.sampled_from(["manual", "automatic"]))
    total = draw(MONEY)
    facts: list[tuple[Fact, int]] = [(Fact("authorized", total, "EUR"), 0)] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 2))):
        facts += [(Fact("authorized", draw(MONEY), "EUR", f"j{number}"), draw(st.integers(0, 3)))]
    for number in range(draw(st.integers(0, 2))):
        kinds = draw(st.lists(st.sampled_from(["captured", "capture_failed"]), min_size=1, max_size=2))
        amount = draw(MONEY)
        facts += [(Fact(kind, amount, "EUR", f"c{number}"), 0) for kind in kinds]  # type: ignore[arg-type]
    if draw(st.booleans()):
        facts.append((Fact("canceled", total, "EUR"), draw(st.integers(0, 3))))
    if draw(st.booleans()):
        facts.append((Fact("captured", draw(MONEY), "EUR", "cash", held_by="merchant"), 0))
    facts += draw(dispute_facts())
    reported = [
        Report(number, (fact,), day, draw(st.sampled_from(["", "acct_1"]))) for number, (fact, day) in enumerate(facts)
    ]
    return capture, reported


@st.composite
def ways(draw: st.DrawFn, reported: Sequence[Report]) -> list[list[Report]]:
    """Draw an order, with repeats, in batches."""
    order = draw(st.permutations([*reported, *draw(st.lists(st.sampled_from(reported), max_size=3))]))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(order)), max_size=4))), len(order)]
    return [list(order[start:end]) for start, end in pairwise(cuts) if start < end]


@settings(
    deadline=None, max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
async def test_the_books_are_a_function_of_the_set_of_facts(
    connection: asyncpg.Connection, data: st.DataObject
) -> None:  # fmt: skip
    capture, reported = data.draw(stories().filter(lambda story: len(story[1]) > 0))
    async with applied(connection, data.draw(ways(reported)), capture) as first:
        assert first.findings == []
    async with applied(connection, data.draw(ways(reported)), capture) as second:
        assert second == first
    transfers = [each for each in first.happened if each[0] in {"captured", "capture_failed", "funds_withdrawn"}]
    assert len(set(transfers)) == len(transfers)
