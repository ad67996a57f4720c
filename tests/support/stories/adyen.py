"""Stories in Adyen's events: each request about a payment has its own PSP reference, and items report its outcome.

Shapes: github.com/Adyen/adyen-openapi, yaml/Webhooks-v1.yaml, reduced to signed and meaningful fields.
"""

from typing import Any

from hypothesis import strategies as st

from contract.event import Event
from tests.support.ledger_model import Capture, Dispute, Life, Refund
from tests.support.stories.base import AMOUNTS, Contradiction, Story, again, parts, published

SCALES = {"EUR": 1.0, "JPY": 1.0, "KWD": 1.0, "CLP": 100.0, "IDR": 0.01}
"""Adyen's factor to the minor units of ISO 4217, by currency."""

COARSEST = {"IDR": 100}
"""Adyen counts whole rupiah."""


class Sender:
    """One payment."""

    def __init__(self, draw: st.DrawFn, number: int) -> None:
        self.draw = draw
        self.story = Story("adyen")
        self.number = number
        currency = draw(st.sampled_from(sorted(SCALES)))
        self.grain = COARSEST.get(currency, 1)
        self.life = Life(f"PSP{number}", currency, draw(st.one_of(AMOUNTS, st.just(0))) * self.grain)

    def send(
        self, code: str, amount: int, reference: str | None = None, *, success: bool = True, did: str = ""
    ) -> None:
        self.story.events.append(self.event(code, amount, reference, success=success, did=did))

    def event(
        self, code: str, amount: int, reference: str | None = None, *, success: bool = True,
        currency: str | None = None, did: str = "",
    ) -> Event:  # fmt: skip
        currency = currency or self.life.currency
        item: dict[str, Any] = {
            "additionalData": {"hmacSignature": "none", "modification.action": did},
            "amount": {"currency": currency, "value": round(amount * SCALES[currency])},
            "eventCode": code,
            "eventDate": "2026-03-02T10:15:42+01:00",
            "merchantAccountCode": "LindenbaumECOM",
            "merchantReference": f"order-{self.number}",
            "pspReference": reference or self.life.payment_id,
            "success": "true" if success else "false",
        }
        if reference:
            item["originalReference"] = self.life.payment_id
        return published("adyen", {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]})

    def part(self, whole: int, count_max: int) -> list[int]:
        return [each * self.grain for each in parts(self.draw, whole // self.grain, count_max)]

    def refused(self) -> None:
        """Add another attempt of the shopper, which is another payment."""
        life, self.life = (
            self.life,
            Life(f"PSP{self.number}REFUSED", self.life.currency, self.life.amount, refused=True),
        )
        self.story.lives.append(self.life)
        self.send("AUTHORISATION", self.life.amount, success=False)
        self.life = life

    def authorized(self) -> None:
        self.story.lives.append(self.life)
        if self.draw(st.booleans()):
            self.send("PENDING", self.life.amount)
        self.life.authorized = True
        self.send("AUTHORISATION", self.life.amount)
        if self.life.amount and self.draw(st.booleans()):
            adjusted = self.draw(AMOUNTS) * self.grain
            self.send("AUTHORISATION_ADJUSTMENT", adjusted, f"ADJ{self.number}")
            self.life.amount = max(self.life.amount, adjusted)

    def captures(self) -> None:
        for number, amount in enumerate(self.part(self.life.amount, 3)):
            capture = Capture(f"CPT{self.number}N{number}", amount, self.draw(st.integers(0, 3)) == 0)
            self.life.captures.append(capture)
            self.send("CAPTURE", amount, capture.id)
            if capture.failed:
                self.send("CAPTURE_FAILED", amount, capture.id)
            else:
                self.add_contradiction("capture", capture.id, amount, "CAPTURE")
        if self.draw(st.booleans()):  # one that Adyen refuses at once
            self.send("CAPTURE", self.life.amount, f"CPT{self.number}REFUSED", success=False)

    def ends(self) -> None:
        """Expire the rest: what was not captured cannot be captured now."""
        code = self.draw(st.sampled_from(["CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE", "CANCEL_OR_REFUND"]))
        self.life.canceled = True
        self.send(code, self.life.amount, f"CNL{self.number}", did="cancel")

    def refunds(self) -> None:
        for number, amount in enumerate(self.part(self.life.captured, 3)):
            refund = Refund(f"RFD{self.number}N{number}", amount, self.draw(st.integers(0, 3)) == 0)
            self.life.refunds.append(refund)
            by_either = self.draw(st.booleans())
            if by_either:
                self.send("CANCEL_OR_REFUND", amount, refund.id, did="refund")
            else:
                self.send("REFUND", amount, refund.id)
            if refund.failed:
                self.send(self.draw(st.sampled_from(["REFUND_FAILED", "REFUNDED_REVERSED"])), amount, refund.id)
            else:
                self.add_contradiction("refund", refund.id, amount, "REFUND_WITH_DATA")
        if self.draw(st.booleans()):
            self.send("REFUND", 1 * self.grain, f"RFD{self.number}REFUSED", success=False)

    def add_contradiction(self, kind: str, id_: str, amount: int, code: str) -> None:
        def contradict(other: int, currency: str) -> Event:
            return again(self.event(code, other, id_, currency=currency))

        self.story.contradictions.append(Contradiction(self.life, kind, id_, amount, contradict))

    def disputes(self) -> None:
        for number, amount in enumerate(self.part(self.life.captured, 2)):
            way = self.draw(st.sampled_from(["notified", "open", "undefended", "won", "lost twice", "arbitration"]))
            id_ = f"DSP{self.number}N{number}"
            self.send("NOTIFICATION_OF_CHARGEBACK", amount, id_)
            if way == "notified":
                self.life.disputes.append(Dispute(id_, amount))
                continue
            self.send("CHARGEBACK", amount, id_)
            if way == "open":
                self.life.disputes.append(Dispute(id_, amount, "open", 1))
            elif way == "undefended":
                self.life.disputes.append(Dispute(id_, amount, "lost", 1))
                self.send("DISPUTE_DEFENSE_PERIOD_ENDED", amount, id_)
            elif way == "won":
                self.life.disputes.append(Dispute(id_, amount, "won", 1, 1))
                self.send("CHARGEBACK_REVERSED", amount, id_)
                if self.draw(st.booleans()):
                    self.send("PREARBITRATION_WON", amount, id_)
            else:
                self.life.disputes.append(Dispute(id_, amount, "lost", 2, 1))
                self.send("CHARGEBACK_REVERSED", amount, id_)
                self.send("SECOND_CHARGEBACK", amount, id_)
                if way == "arbitration":  # the merchant continues, and loses
                    self.send("PREARBITRATION_LOST", amount, id_)

    def noise(self) -> None:
        """Add unknown codes, and codes that report no money."""
        self.send("NOTIFICATION_OF_FRAUD", self.life.amount, f"FRD{self.number}")
        self.send("A_CODE_OF_NEXT_YEAR", self.life.amount, f"NEW{self.number}")


@st.composite
def stories(draw: st.DrawFn, number: int = 1) -> Story:
    """One payment's story."""
    sender = Sender(draw, number)
    if draw(st.booleans()):
        sender.refused()
    sender.authorized()
    sender.captures()
    if draw(st.booleans()):
        sender.ends()
    sender.refunds()
    sender.disputes()
    sender.noise()
    return sender.story
