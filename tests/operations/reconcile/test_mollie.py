"""Mollie's lists compared with the books: what nobody posted is found, added once, and then nothing differs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from providers import api_client
from providers.mollie.api import MollieApi
from tests.support import asking_mollie
from tests.support.consuming import Workers
from tests.support.reconciling import NOW, Reconciler
from tests.support.stand_ins.listing import Listing
from tests.support.stand_ins.mollie import MollieStandIn, authorized_first, part, payment

TRANSFERS = "SELECT movement FROM transfers ORDER BY movement"
AT = (NOW - timedelta(hours=1)).isoformat()


@dataclass
class Shop(Reconciler):
    """An operator who compares a source of classic webhooks."""

    server: MollieStandIn | None = None

    def api(self) -> MollieApi:
        assert self.server is not None
        return asking_mollie.access(api_url=self.server.url)


@pytest.fixture
async def shop(workers: Workers, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setattr(api_client, "BACKOFF_S", 0.001)
    async with MollieStandIn().serving() as server:
        yield Shop(workers, listing, server=server)


async def test_what_nobody_posted_is_added_once(shop: Shop) -> None:
    assert shop.server is not None
    shop.server.add(
        payment("tr_1", AT), authorized_first("tr_2", AT), part("cpt_1", "tr_2", "20.00", "succeeded", AT),
        part("re_1", "tr_1", "5.00", "refunded", AT), part("re_2", "tr_1", "1.00", "queued", AT),
        part("chb_1", "tr_1", "10.00", None, AT),
    )  # fmt: skip
    report = await shop.run(repair=True)
    assert (report.counts.missing, report.counts.repaired, report.counts.different) == (4, 4, 0)
    await shop.drain()
    booked = ["capture:cpt_1", "capture:tr_1", "dispute:chb_1", "refund:re_1"]
    assert [row[0] for row in await shop.workers.rows(TRANSFERS)] == booked
    assert not (await shop.run(repair=True)).counts.differs
    shop.server.add(part("cpt_2", "tr_2", "9.95", "succeeded", AT))
    assert (await shop.run(repair=True)).counts.repaired == 1
    await shop.drain()
    assert [row[0] for row in await shop.workers.rows(TRANSFERS)] == sorted([*booked, "capture:cpt_2"])
    await shop.workers.assert_all_acked()
