"""Operators see the events that moved no money because they are of the other mode than their source."""

from tests.support.events import contract_event
from tests.support.operator_commands import Operator


async def test_operators_see_test_money(operator: Operator) -> None:
    await operator.apply(contract_event("evt_test", "pi_test", mode="test", account="acct_7"))
    shown = (await operator.say("conflicts")).text
    assert "stripe: 1 test events were recorded and moved no money" in " ".join(shown.split())
    (listed,) = (await operator.say("conflicts", "--json")).json["other_mode"]
    assert (listed["source"], listed["mode"], listed["events"]) == ("stripe", "test", 1)
    assert (await operator.say("status", "--json")).json["postgres"]["other_mode"] == {"stripe": 1}
    assert "of the other mode, stripe" in (await operator.say("status")).text
    why = " ".join((await operator.say("why", "evt_test")).text.split())
    assert "recorded only: it is a test event, and source stripe is not of that mode" in why
    assert 'mode = "test" below [stripe]' in why
    (event,) = (await operator.say("why", "evt_test", "--json")).json["events"]
    assert (event["mode"], event["account"], event["is_of_other_mode"]) == ("test", "acct_7", True)
    assert event["facts"] == []
