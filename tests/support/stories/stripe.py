"""Stripe's way of telling: the intent and its charge tell of one capture, refunds are told one by one and as a sum.

Shapes: docs.stripe.com/api (payment intents, charges, refunds, disputes), reduced to what tells something.
"""

from typing import Any

from hypothesis import strategies as st

from contract.event import Event
from tests.support.ledger_model import Capture, Dispute, Life, Refund
from tests.support.stories.base import AMOUNTS, Retold, Story, parts, published

DECIMALS = {"EUR": 1, "JPY": 1, "KWD": 1, "ISK": 100}
"""By currency, what Stripe multiplies the minor units of ISO 4217 with."""

CREATED_S = 1_767_323_045


class Teller:
    """One payment intent, or one charge made without an intent."""

    def __init__(self, draw: st.DrawFn, number: int) -> None:
        self.draw = draw
        self.story = Story("stripe")
        self.has_intent = draw(st.booleans()) or draw(st.booleans())
        self.intent, self.charge = f"pi_{number}", f"ch_{number}"
        self.number = number
        amount = draw(st.one_of(AMOUNTS, st.just(0)))
        self.life = Life(
            self.intent if self.has_intent else self.charge, draw(st.sampled_from(sorted(DECIMALS))), amount
        )
        self.story.lives.append(self.life)
        self.sums_are_told, self.life.refunds_are_named = draw(
            st.sampled_from([(True, True), (True, False), (False, True)])
        )

    def tell(self, type_: str, object_: dict[str, Any]) -> None:
        if type_.startswith("payment_intent.") and not self.has_intent:
            return
        self.story.tell(self.event(type_, object_, len(self.story.events)))

    def event(self, type_: str, object_: dict[str, Any], number: object) -> dict[str, Any]:
        return {"id": f"evt_{self.number}_{number}", "object": "event", "type": type_, "data": {"object": object_},
                "created": CREATED_S + len(self.story.events)}  # fmt: skip

    def sum(self, amount: int, currency: str | None = None) -> int:
        return amount * DECIMALS[currency or self.life.currency]

    def money(self, amount: int, currency: str | None = None) -> dict[str, Any]:
        return {"amount": self.sum(amount, currency), "currency": (currency or self.life.currency).lower()}

    def belongs(self) -> dict[str, Any]:
        return {"charge": self.charge, "payment_intent": self.intent if self.has_intent else None}

    def intent_object(self, received: int = 0) -> dict[str, Any]:
        return {"id": self.intent, "object": "payment_intent", "amount_received": self.sum(received)} | self.money(
            self.life.amount
        )

    def charge_object(self, taken: int, given_back: int = 0, **more: Any) -> dict[str, Any]:
        captured = bool(taken) or not self.life.amount
        return {"id": self.charge, "object": "charge", "amount_captured": self.sum(taken), "captured": captured,
                "amount_refunded": self.sum(given_back), "payment_intent": self.belongs()["payment_intent"],
                } | self.money(self.life.amount) | more  # fmt: skip

    def refund_object(self, refund: Refund, status: str, currency: str | None = None) -> dict[str, Any]:
        return {"id": refund.id, "object": "refund", "status": status, "balance_transaction": f"txn_{refund.id}",
                } | self.belongs() | self.money(refund.amount, currency)  # fmt: skip

    def attempts(self) -> None:
        """Tried, and refused, perhaps more than once."""
        self.tell("payment_intent.created", self.intent_object())
        for attempt in range(self.draw(st.integers(0, 2))):
            refused = f"ch_{self.number}_refused_{attempt}"
            if self.has_intent:
                self.life.refused = True
            else:  # then the next attempt is another payment
                self.story.lives.append(Life(refused, self.life.currency, self.life.amount, refused=True))
            self.tell("charge.failed", self.charge_object(0) | {"id": refused, "captured": False})
            self.tell("payment_intent.payment_failed", self.intent_object())
        if not self.has_intent or self.draw(st.booleans()):
            self.tell("payment_intent.processing", self.intent_object())
            self.tell("charge.pending", self.charge_object(0))

    def hold(self) -> None:
        self.life.authorized = True
        self.tell("charge.succeeded", self.charge_object(0) | {"captured": False})
        self.tell("payment_intent.amount_capturable_updated", self.intent_object())

    def give_back_the_hold(self, amount: int) -> None:
        """Stripe calls it a refund, which moves nothing."""
        hold = Refund(f"re_{self.number}_hold", amount)
        self.tell("refund.created", self.refund_object(hold, "succeeded") | {"balance_transaction": None})

    def release(self) -> None:
        """What is held is not taken: canceled, or expired."""
        self.life.canceled = True
        if self.draw(st.booleans()):
            self.give_back_the_hold(self.life.amount)
            self.tell("charge.refunded", self.charge_object(0, self.life.amount) | {"captured": False})
        else:
            self.tell("charge.expired", self.charge_object(0) | {"captured": False})
        self.tell("payment_intent.canceled", self.intent_object())

    def capture(self, taken: int, *, at_once: bool) -> None:
        self.life.authorized = True
        capture = Capture(self.life.payment_id, taken)
        self.life.captures.append(capture)
        released = self.life.amount - taken
        self.tell("charge.succeeded" if at_once else "charge.captured", self.charge_object(taken, released))
        self.tell("payment_intent.succeeded", self.intent_object(taken))
        if released:
            self.give_back_the_hold(released)
        if taken:
            self.story.retold.append(Retold(self.life, "capture", capture.id, taken, self._retell_capture))

    def _retell_capture(self, amount: int, currency: str) -> Event:
        told = self.charge_object(0) | {"captured": True, "amount_captured": self.sum(amount, currency)}
        told |= self.money(self.life.amount, currency)
        return published("stripe", self.event("charge.succeeded", told, "again"))

    def capture_in_parts(self) -> None:
        """https://docs.stripe.com/payments/multicapture: the intent alone tells the sum, once no more can come."""
        taken = parts(self.draw, self.life.amount, 3)
        card = {"card": {"multicapture": {"status": "available"}}}
        for number in range(len(taken)):
            self.tell("charge.captured", self.charge_object(sum(taken[: number + 1]), payment_method_details=card))
        if taken:
            self.life.captures.append(Capture(self.intent, sum(taken)))
            self.tell("payment_intent.succeeded", self.intent_object(sum(taken)))

    def refunds(self) -> None:
        released, given_back = self.life.amount - self.life.captured, 0
        for number, amount in enumerate(parts(self.draw, self.life.captured, 3)):
            fails = self.life.refunds_are_named and self.draw(st.booleans())
            refund = Refund(f"re_{self.number}_{number}", amount, fails)
            self.life.refunds.append(refund)
            if self.sums_are_told:
                self.tell("charge.refunded", self.charge_object(self.life.captured, released + given_back + amount))
            if self.life.refunds_are_named:
                self.tell_of(refund)
            given_back += 0 if fails else amount

    def tell_of(self, refund: Refund) -> None:
        self.tell("refund.created", self.refund_object(refund, self.draw(st.sampled_from(["pending", "succeeded"]))))
        if refund.failed:
            self.tell("charge.refund.updated", self.refund_object(refund, "failed"))
            self.tell("refund.failed", self.refund_object(refund, "failed"))
        elif self.draw(st.booleans()):
            self.tell("refund.updated", self.refund_object(refund, "succeeded"))
        if not refund.failed:
            self.can_be_retold(refund)

    def can_be_retold(self, refund: Refund) -> None:
        def retell(amount: int, currency: str) -> Event:
            other = self.refund_object(Refund(refund.id, amount), "succeeded", currency)
            return published("stripe", self.event("refund.updated", other, f"{refund.id}_again"))

        self.story.retold.append(Retold(self.life, "refund", refund.id, refund.amount, retell))

    def disputes(self) -> None:
        for number, amount in enumerate(parts(self.draw, self.life.captured, 2)):
            end = self.draw(st.sampled_from(["open", "won", "lost", "inquiry"]))
            id_ = f"dp_{self.number}_{number}"
            told = {"id": id_, "object": "dispute", "status": "needs_response"} | self.belongs() | self.money(amount)
            if end == "inquiry":
                self.life.disputes.append(Dispute(id_, amount, "won"))
                self.tell("charge.dispute.created", told | {"status": "warning_needs_response"})
                self.tell("charge.dispute.closed", told | {"status": "warning_closed"})
                continue
            self.life.disputes.append(Dispute(id_, amount, end, 1, 1 if end == "won" else 0))  # type: ignore[arg-type]
            self.tell("charge.dispute.created", told)
            self.tell("charge.dispute.funds_withdrawn", told)
            if end != "open":
                self.tell("charge.dispute.closed", told | {"status": end})
            if end == "won":
                self.tell("charge.dispute.funds_reinstated", told | {"status": end})

    def noise(self) -> None:
        """Types that nobody here knows, and types that tell nothing of money."""
        self.tell("charge.updated", self.charge_object(0))
        self.story.tell(self.event("radar.early_fraud_warning.created", {"id": "issfr_1"} | self.belongs(), "fraud"))


@st.composite
def stories(draw: st.DrawFn, number: int = 1) -> Story:
    """One payment's story."""
    teller = Teller(draw, number)
    teller.attempts()
    amount = teller.life.amount
    ways = ["left", "taken at once", "held", "released", "taken later", "taken in parts"]
    way = draw(st.sampled_from(ways if amount else ways[:2]))
    if way == "taken at once":
        teller.capture(amount, at_once=True)
    elif way in {"held", "released", "taken later"}:
        teller.hold()
    elif way == "taken in parts" and teller.has_intent:
        teller.hold()
        teller.capture_in_parts()
    if way == "released":
        teller.release()
    elif way == "taken later":
        teller.capture(draw(st.one_of(st.just(amount), st.integers(1, amount))), at_once=False)
    teller.refunds()
    teller.disputes()
    teller.noise()
    return teller.story
