"""Stories of Stripe: the intent and its charge report one capture; refunds are reported one by one and as a total.

Shapes: docs.stripe.com/api (payment intents, charges, refunds, disputes), reduced to the fields that are read.
"""

from typing import Any

from hypothesis import strategies as st

from contract.event import Event
from tests.support.ledger_model import Capture, Dispute, Life, Refund
from tests.support.stories.base import AMOUNTS, Contradiction, Story, parts, published

DECIMALS = {"EUR": 1, "JPY": 1, "KWD": 1, "ISK": 100}
"""By currency, the factor between the minor units of ISO 4217 and Stripe's amounts."""

CREATED_S = 1_767_323_045


class Sender:
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
        self.sends_totals, self.life.refunds_are_named = draw(
            st.sampled_from([(True, True), (True, False), (False, True)])
        )

    def send(self, type_: str, object_: dict[str, Any]) -> None:
        if type_.startswith("payment_intent.") and not self.has_intent:
            return
        self.story.send(self.event(type_, object_, len(self.story.events)))

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
        """Send attempts that are refused, perhaps several."""
        self.send("payment_intent.created", self.intent_object())
        for attempt in range(self.draw(st.integers(0, 2))):
            refused = f"ch_{self.number}_refused_{attempt}"
            if self.has_intent:
                self.life.refused = True
            else:  # then the next attempt is another payment
                self.story.lives.append(Life(refused, self.life.currency, self.life.amount, refused=True))
            self.send("charge.failed", self.charge_object(0) | {"id": refused, "captured": False})
            self.send("payment_intent.payment_failed", self.intent_object())
        if not self.has_intent or self.draw(st.booleans()):
            self.send("payment_intent.processing", self.intent_object())
            self.send("charge.pending", self.charge_object(0))

    def hold(self) -> None:
        self.life.authorized = True
        self.send("charge.succeeded", self.charge_object(0) | {"captured": False})
        self.send("payment_intent.amount_capturable_updated", self.intent_object())

    def give_back_the_hold(self, amount: int) -> None:
        """Send what Stripe calls a refund, which moves no money."""
        hold = Refund(f"re_{self.number}_hold", amount)
        self.send("refund.created", self.refund_object(hold, "succeeded") | {"balance_transaction": None})

    def release(self) -> None:
        """Release the authorized amount: it is canceled, or it expired."""
        self.life.canceled = True
        if self.draw(st.booleans()):
            self.give_back_the_hold(self.life.amount)
            self.send("charge.refunded", self.charge_object(0, self.life.amount) | {"captured": False})
        else:
            self.send("charge.expired", self.charge_object(0) | {"captured": False})
        self.send("payment_intent.canceled", self.intent_object())

    def capture(self, taken: int, *, at_once: bool) -> None:
        self.life.authorized = True
        capture = Capture(self.life.payment_id, taken)
        self.life.captures.append(capture)
        released = self.life.amount - taken
        self.send("charge.succeeded" if at_once else "charge.captured", self.charge_object(taken, released))
        self.send("payment_intent.succeeded", self.intent_object(taken))
        if released:
            self.give_back_the_hold(released)
        if taken:
            self.story.contradictions.append(
                Contradiction(self.life, "capture", capture.id, taken, self._contradict_capture)
            )

    def _contradict_capture(self, amount: int, currency: str) -> Event:
        charge = self.charge_object(0) | {"captured": True, "amount_captured": self.sum(amount, currency)}
        charge |= self.money(self.life.amount, currency)
        return published("stripe", self.event("charge.succeeded", charge, "again"))

    def capture_in_parts(self) -> None:
        """Capture several times: only the intent reports the sum, at the end.

        https://docs.stripe.com/payments/multicapture
        """
        taken = parts(self.draw, self.life.amount, 3)
        card = {"card": {"multicapture": {"status": "available"}}}
        for number in range(len(taken)):
            self.send("charge.captured", self.charge_object(sum(taken[: number + 1]), payment_method_details=card))
        if taken:
            self.life.captures.append(Capture(self.intent, sum(taken)))
            self.send("payment_intent.succeeded", self.intent_object(sum(taken)))

    def refunds(self) -> None:
        released, given_back = self.life.amount - self.life.captured, 0
        for number, amount in enumerate(parts(self.draw, self.life.captured, 3)):
            fails = self.life.refunds_are_named and self.draw(st.booleans())
            refund = Refund(f"re_{self.number}_{number}", amount, fails)
            self.life.refunds.append(refund)
            if self.sends_totals:
                self.send("charge.refunded", self.charge_object(self.life.captured, released + given_back + amount))
            if self.life.refunds_are_named:
                self.send_refund(refund)
            given_back += 0 if fails else amount

    def send_refund(self, refund: Refund) -> None:
        self.send("refund.created", self.refund_object(refund, self.draw(st.sampled_from(["pending", "succeeded"]))))
        if refund.failed:
            self.send("charge.refund.updated", self.refund_object(refund, "failed"))
            self.send("refund.failed", self.refund_object(refund, "failed"))
        elif self.draw(st.booleans()):
            self.send("refund.updated", self.refund_object(refund, "succeeded"))
        if not refund.failed:
            self.add_contradiction(refund)

    def add_contradiction(self, refund: Refund) -> None:
        def contradict(amount: int, currency: str) -> Event:
            other = self.refund_object(Refund(refund.id, amount), "succeeded", currency)
            return published("stripe", self.event("refund.updated", other, f"{refund.id}_again"))

        self.story.contradictions.append(Contradiction(self.life, "refund", refund.id, refund.amount, contradict))

    def disputes(self) -> None:
        for number, amount in enumerate(parts(self.draw, self.life.captured, 2)):
            end = self.draw(st.sampled_from(["open", "won", "lost", "inquiry"]))
            id_ = f"dp_{self.number}_{number}"
            dispute = {"id": id_, "object": "dispute", "status": "needs_response"} | self.belongs() | self.money(amount)
            if end == "inquiry":
                self.life.disputes.append(Dispute(id_, amount, "won"))
                self.send("charge.dispute.created", dispute | {"status": "warning_needs_response"})
                self.send("charge.dispute.closed", dispute | {"status": "warning_closed"})
                continue
            self.life.disputes.append(Dispute(id_, amount, end, 1, 1 if end == "won" else 0))  # type: ignore[arg-type]
            self.send("charge.dispute.created", dispute)
            self.send("charge.dispute.funds_withdrawn", dispute)
            if end != "open":
                self.send("charge.dispute.closed", dispute | {"status": end})
            if end == "won":
                self.send("charge.dispute.funds_reinstated", dispute | {"status": end})

    def noise(self) -> None:
        """Send events of unknown types, and of types that report no money."""
        self.send("charge.updated", self.charge_object(0))
        self.story.send(self.event("radar.early_fraud_warning.created", {"id": "issfr_1"} | self.belongs(), "fraud"))


@st.composite
def stories(draw: st.DrawFn, number: int = 1) -> Story:
    """Draw the story of one payment."""
    sender = Sender(draw, number)
    sender.attempts()
    amount = sender.life.amount
    ways = ["left", "taken at once", "held", "released", "taken later", "taken in parts"]
    way = draw(st.sampled_from(ways if amount else ways[:2]))
    if way == "taken at once":
        sender.capture(amount, at_once=True)
    elif way in {"held", "released", "taken later"}:
        sender.hold()
    elif way == "taken in parts" and sender.has_intent:
        sender.hold()
        sender.capture_in_parts()
    if way == "released":
        sender.release()
    elif way == "taken later":
        sender.capture(draw(st.one_of(st.just(amount), st.integers(1, amount))), at_once=False)
    sender.refunds()
    sender.disputes()
    sender.noise()
    return sender.story
