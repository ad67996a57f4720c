"""An API that does not answer, or refuses the credentials, holds its own source's money back and nothing else."""

from typing import Any

import pytest

from consumers.confirmation.access import Access
from providers.api_access import KeyAccess
from tests.support.confirming import Asking
from tests.support.events import contract_event
from tests.support.operator_commands import captured, refunded, unsigned
from tests.support.stand_ins.objects import ObjectsApi
from tests.support.stand_ins.stand_in import hang_up, status
from tests.support.wait import until

(PAID,) = unsigned(captured(700, "evt_1"))
(REFUND,) = unsigned(refunded(200, "evt_r1"))


@pytest.mark.parametrize("mishap", [status(503), status(429, Retry_After="0"), status(500), hang_up])
async def test_an_outage_is_waited_out_and_counts_nothing(
    asking: Asking, mishap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.confirmation.decisions.AGAIN_S_MIN", 0.02)
    monkeypatch.setattr("consumers.confirmation.pause.PAUSE_S_MIN", 0.02)
    asking.api.has(PAID, REFUND)
    asking.api.mishaps.extend([mishap] * 8)
    await asking.publish(PAID, REFUND)
    async with asking.working(confirm_not_found_s=0, confirm_lag_s=0) as running:
        await asking.decided(evt_1="confirmed", evt_r1="confirmed")
        assert running.counted("confirmation_no_answer_total{") > 3  # aiohttp itself asks twice where a connection ends
    assert await asking.workers.rows("SELECT DISTINCT tries FROM confirmations") == [(1,)]
    await asking.assert_sound()


async def test_refused_credentials_hold_everything_back_and_no_money_is_lost(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("consumers.confirmation.pause.REFUSED_S", 0.2)
    monkeypatch.setattr("consumers.confirmation.decisions.AGAIN_S_MIN", 0.02)
    asking.api.has(PAID)
    asking.api.mishaps.extend([status(401)] * 3)
    await asking.publish(PAID)
    async with asking.working(confirm_not_found_s=0) as running:
        await until(lambda: running.counted("confirmation_no_answer_total{") > 1, what="it is refused twice")
        assert await asking.states() == {"evt_1": "due"}
        await asking.decided(evt_1="confirmed")
    assert capsys.readouterr().out.count("an API refuses the credentials") == 1


async def test_a_source_whose_api_does_not_answer_stops_no_other_source(asking: Asking) -> None:
    settings = {"source": "dead", "namespace": "dead", "api_key": "k", "api_url": "http://127.0.0.1:1"}
    access = Access({**asking.access.apis, "dead": ObjectsApi(KeyAccess.model_validate(settings))})
    both = Asking(asking.workers, asking.settings, access, asking.api)
    dead = [
        contract_event(f"evt_d{number}", f"pi_d{number}", source="dead", namespace="dead", signed="weak")
        for number in range(40)
    ]
    both.api.has(PAID)
    await both.publish(*dead, PAID)
    async with both.working():
        await until(lambda: both.api.requests, what="the other source is asked")
        await until(lambda: _is(both, "evt_1", "confirmed"), what="its event is confirmed")
    assert {state for name, state in (await both.states()).items() if name != "evt_1"} == {"due"}


async def _is(asking: Asking, event_id: str, state: str) -> bool:
    return (await asking.states()).get(event_id) == state
