"""Stories of PayPal: each capture is a payment with refunds and disputes of its own, and so is an authorization.

Shapes: developer.paypal.com/docs/api (Payments v1 and v2, Orders v2, Customer Disputes v1), reduced to the fields that
are read.
"""

from typing import Any

from hypothesis import strategies as st

from contract.event import Event
from tests.support.ledger_model import Capture, Dispute, Life, Refund
from tests.support.stories.base import AMOUNTS, Contradiction, Story, parts, published

DECIMALS = {"EUR": 2, "JPY": 0, "HUF": 2}
"""By currency, the digits of ISO 4217."""

COARSEST = {"HUF": 100}
"""PayPal takes no fillér."""

AT = "2026-03-02T09:14:27Z"
WON = ["RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "RESOLVED_WITH_PAYOUT"]


def written(amount: int, currency: str) -> str:
    """Return the amount as PayPal writes it."""
    digits = 0 if currency in COARSEST else DECIMALS[currency]
    units = amount // 10 ** (DECIMALS[currency] - digits)
    return f"{units // 10**digits}.{units % 10**digits:0{digits}}" if digits else str(units)


class Sender:
    """One order and what is paid for it."""

    def __init__(self, draw: st.DrawFn, number: int) -> None:
        self.draw = draw
        self.number = number
        self.story = Story("paypal")
        self.currency = draw(st.sampled_from(sorted(DECIMALS)))
        self.grain = COARSEST.get(self.currency, 1)
        self.order = f"ORDER{number}"

    def send(self, type_: str, resource: dict[str, Any], resource_type: str = "capture") -> None:
        self.story.events.append(self.event(type_, resource, resource_type, str(len(self.story.events))))

    def event(self, type_: str, resource: dict[str, Any], resource_type: str, name: str) -> Event:
        body = {"id": f"WH-{self.number}-{name}", "event_type": type_, "resource_type": resource_type,
                "create_time": AT, "resource": resource}  # fmt: skip
        headers = {"PAYPAL-TRANSMISSION-ID": f"transmission-{self.number}-{name}", "PAYPAL-TRANSMISSION-TIME": AT}
        return published("paypal", body, headers)

    def money(self, amount: int, currency: str | None = None) -> dict[str, str]:
        currency = currency or self.currency
        return {"currency_code": currency, "value": written(amount, currency)}

    def payment(self, id_: str, amount: int, status: str, currency: str | None = None) -> dict[str, Any]:
        return {"id": id_, "amount": self.money(amount, currency), "status": status, "create_time": AT,
                "supplementary_data": {"related_ids": {"order_id": self.order}}}  # fmt: skip

    def order_of(self, captures: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.order, "status": "COMPLETED", "purchase_units": [{"payments": {"captures": captures}}]}

    def authorization(self, amount: int) -> None:
        life = Life(f"AUTH{self.number}", self.currency, amount, authorized=True)
        self.story.lives.append(life)
        if self.draw(st.booleans()):
            self.send(
                "PAYMENT.AUTHORIZATION.CREATED", self.payment(life.payment_id, amount, "PENDING"), "authorization"
            )
        self.send("PAYMENT.AUTHORIZATION.CREATED", self.payment(life.payment_id, amount, "CREATED"), "authorization")

    def void(self, life: Life) -> None:
        life.canceled = True
        self.send("PAYMENT.AUTHORIZATION.VOIDED", self.payment(life.payment_id, life.amount, "VOIDED"), "authorization")

    def capture(self, id_: str, amount: int) -> dict[str, Any]:
        """Send a capture that may wait for a review, and may be denied. Return it as its order lists it."""
        life = Life(id_, self.currency, amount)
        self.story.lives.append(life)
        way = self.draw(st.sampled_from(["at once", "after a while", "denied", "not yet"]))
        if way != "at once":
            self.send("PAYMENT.CAPTURE.PENDING", self.payment(id_, amount, "PENDING"))
        if way == "denied":
            life.refused = True
            self.send("PAYMENT.CAPTURE.DENIED", self.payment(id_, amount, "DECLINED"))
        if way in {"denied", "not yet"}:
            return self.payment(id_, amount, "DECLINED" if life.refused else "PENDING")
        life.captures.append(Capture(id_, amount))
        self.send("PAYMENT.CAPTURE.COMPLETED", self.payment(id_, amount, "COMPLETED"))

        def contradict(other: int, currency: str) -> Event:
            again = self.payment(id_, other, "COMPLETED", currency)
            return self.event("PAYMENT.CAPTURE.COMPLETED", again, "capture", f"{id_}-again")

        self.story.contradictions.append(Contradiction(life, "capture", id_, amount, contradict))
        self.refunds(life)
        self.disputes(life)
        refunded = self.draw(st.sampled_from(["COMPLETED", "PARTIALLY_REFUNDED"])) if life.refunded else "COMPLETED"
        return self.payment(id_, amount, refunded)

    def refund_object(self, life: Life, refund: Refund, status: str, currency: str | None = None) -> dict[str, Any]:
        total = {} if status == "FAILED" else {"total_refunded_amount": self.money(self.sum_of(life, refund), currency)}
        links = [{"rel": "up", "href": f"https://api.paypal.com/v2/payments/captures/{life.payment_id}"}]
        return {"id": refund.id, "amount": self.money(refund.amount, currency), "status": status, "links": links,
                "seller_payable_breakdown": total}  # fmt: skip

    @staticmethod
    def sum_of(life: Life, last: Refund) -> int:
        """Return the sum of the refunds up to this one, without the failed ones."""
        names = [refund.id for refund in life.refunds]
        earlier = life.refunds[: names.index(last.id)] if last.id in names else life.refunds
        return sum(refund.amount for refund in earlier if not refund.failed) + last.amount

    def refunds(self, life: Life) -> None:
        for number, grains in enumerate(parts(self.draw, life.captured // self.grain, 3)):
            amount = grains * self.grain
            refund = Refund(f"REFUND{life.payment_id}{number}", amount, self.draw(st.booleans()))
            life.refunds.append(refund)
            if refund.failed or self.draw(st.booleans()):
                self.send("PAYMENT.REFUND.PENDING", self.refund_object(life, refund, "PENDING"), "refund")
            if refund.failed:
                self.send("PAYMENT.REFUND.FAILED", self.refund_object(life, refund, "FAILED"), "refund")
                continue
            self.send("PAYMENT.CAPTURE.REFUNDED", self.refund_object(life, refund, "COMPLETED"), "refund")
            if self.draw(st.booleans()):
                self.send("PAYMENT.REFUND.COMPLETED", self.refund_object(life, refund, "COMPLETED"), "refund")
            self.add_contradiction(life, refund)

    def add_contradiction(self, life: Life, refund: Refund) -> None:
        def contradict(other: int, currency: str) -> Event:
            again = self.refund_object(life, Refund(refund.id, other), "COMPLETED", currency)
            again["seller_payable_breakdown"] = {}
            return self.event("PAYMENT.CAPTURE.REFUNDED", again, "refund", f"{refund.id}-again")

        self.story.contradictions.append(Contradiction(life, "refund", refund.id, refund.amount, contradict))

    def disputes(self, life: Life) -> None:
        """Send disputes. Where the buyer wins, PayPal takes the money back from the merchant: a reversal."""
        left = (life.captured - life.refunded) // self.grain
        for number, grains in enumerate(parts(self.draw, left, 1)):
            amount = grains * self.grain
            id_ = f"PP-R-{life.payment_id}-{number}"
            end = self.draw(st.sampled_from(["open", "won", "lost"]))
            life.disputes.append(Dispute(id_, amount, end))  # type: ignore[arg-type] # one of three
            dispute = {"dispute_id": id_, "dispute_amount": self.money(amount), "status": "OPEN",
                    "disputed_transactions": [{"seller_transaction_id": life.payment_id}]}  # fmt: skip
            self.send("CUSTOMER.DISPUTE.CREATED", dispute, "dispute")
            self.send("CUSTOMER.DISPUTE.UPDATED", dispute | {"status": "WAITING_FOR_SELLER_RESPONSE"}, "dispute")
            if end != "open":
                code = self.draw(st.sampled_from(WON)) if end == "won" else "RESOLVED_BUYER_FAVOUR"
                resolved = {"status": "RESOLVED", "dispute_outcome": {"outcome_code": code}}
                self.send("CUSTOMER.DISPUTE.RESOLVED", dispute | resolved, "dispute")
            if end == "lost":
                reversal = Refund(f"REVERSAL{life.payment_id}{number}", amount)
                life.refunds.append(reversal)
                self.send("PAYMENT.CAPTURE.REVERSED", self.refund_object(life, reversal, "COMPLETED"), "refund")

    def sale(self, amount: int) -> None:
        """Send a payment of the first API, which writes refunds with a minus."""
        life = Life(f"SALE{self.number}", self.currency, amount)
        self.story.lives.append(life)

        def total(value: int, sign: str = "") -> dict[str, str]:
            return {"total": sign + written(value, self.currency), "currency": self.currency}

        life.captures.append(Capture(life.payment_id, amount))
        self.send(
            "PAYMENT.SALE.COMPLETED", {"id": life.payment_id, "amount": total(amount), "state": "completed"}, "sale"
        )
        for number, grains in enumerate(parts(self.draw, amount // self.grain, 2)):
            refund = Refund(f"REFUND{life.payment_id}{number}", grains * self.grain)
            life.refunds.append(refund)
            sum_so_far = {"value": written(life.refunded, self.currency), "currency": self.currency}
            body = {"id": refund.id, "sale_id": life.payment_id, "state": "completed",
                    "amount": total(refund.amount, "-"), "total_refunded_amount": sum_so_far}  # fmt: skip
            self.send("PAYMENT.SALE.REFUNDED", body, "refund")


@st.composite
def stories(draw: st.DrawFn, number: int = 1) -> Story:
    """Draw the story of one order."""
    sender = Sender(draw, number)
    grain = sender.grain
    amount = draw(AMOUNTS) * grain
    way = draw(st.sampled_from(["sale", "captured", "authorized"]))
    if way == "sale":
        sender.sale(amount)
        return sender.story
    sender.send("CHECKOUT.ORDER.APPROVED", sender.order_of([]), "checkout-order")
    taken = [amount]
    if way == "authorized":
        sender.authorization(amount)
        taken = [part * grain for part in parts(draw, amount // grain, 3)]
    captures = [sender.capture(f"CAP{number}N{part}", each) for part, each in enumerate(taken)]
    if captures:
        sender.send("CHECKOUT.ORDER.COMPLETED", sender.order_of(captures), "checkout-order")
    elif draw(st.booleans()):
        sender.void(sender.story.lives[0])
    return sender.story
