"""Building blocks of the scenarios: the events of one sample payment, and the rows they must lead to."""

import json
from decimal import Decimal

from stack.demo.samples import CURRENCIES, ExpectedTransfer, PaymentRow, Sample, Scenario


class ScenarioBuilder:
    """A scenario under construction. The methods up to `build` each add an event; amounts are in minor units."""

    def __init__(self, payment: str, currency: str, amount: int, at: int) -> None:
        self.payment = payment
        self.amount = amount
        self._currency = currency
        self._at = at
        self._events: list[Sample] = []

    def intent(self, kind: str, received: int = 0) -> None:
        """`payment_intent.<kind>`."""
        self._stripe(f"payment_intent.{kind}", id=self.payment, amount=self.amount, amount_received=received)

    def charge(self, kind: str, captured: int = 0, refunded: int = 0) -> None:
        """`charge.<kind>`, with running totals as Stripe sends them."""
        self._about_charge(
            f"charge.{kind}",
            id=f"ch_{self.payment}",
            amount=self.amount,
            amount_captured=captured,
            amount_refunded=refunded,
            captured=captured > 0,
        )

    def refund(self, kind: str, number: int, amount: int, status: str = "succeeded") -> None:
        """`refund.<kind>`: one refund."""
        self._about_charge(
            f"refund.{kind}", id=self.refund_id(number), amount=amount, status=status, balance_transaction="txn_sample"
        )

    def dispute(self, kind: str, status: str = "needs_response") -> None:
        """`charge.dispute.<kind>`: the bank takes the whole amount back."""
        self._about_charge(f"charge.dispute.{kind}", id=self.dispute_id, amount=self.amount, status=status)

    def plain(self, status: str) -> None:
        """An event in the format of POST /webhook."""
        event_id = self._next_id("ev")
        amount = Decimal(self.amount).scaleb(-CURRENCIES[self._currency])
        event = {
            "event_id": event_id,
            "transaction_id": self.payment,
            "status": status,
            "amount": f"{amount:f}",
            "currency": self._currency,
        }
        self._events.append(Sample("default", event_id, json.dumps(event).encode()))

    def build(
        self,
        status: str,
        *transfers: ExpectedTransfer,
        captured: int = 0,
        refunded: int = 0,
        disputed: int = 0,
        conflicting_key: str = "",
    ) -> Scenario:
        """Return the scenario with the row and transfers it must lead to."""
        row = PaymentRow(self.payment, status, self._currency, captured, refunded, disputed)
        return Scenario(self._events, row, transfers, conflicting_key)

    def refund_id(self, number: int) -> str:
        """Return the id of a refund."""
        return f"re_{self.payment}_{number}"

    @property
    def dispute_id(self) -> str:
        """The dispute's id."""
        return f"dp_{self.payment}"

    def captures(self, amount: int) -> ExpectedTransfer:
        """Return the capture: booked once, whichever and however many events report it."""
        return ExpectedTransfer(f"capture:{self.payment}", "provider", "merchant", amount)

    def refunds(self, number: int, amount: int) -> ExpectedTransfer:
        """Return the transfer of a refund."""
        return ExpectedTransfer(f"refund:{self.refund_id(number)}", "merchant", "provider", amount)

    def refund_returns(self, number: int, amount: int) -> ExpectedTransfer:
        """Return the transfer that a failed refund brings back."""
        return ExpectedTransfer(f"refund_failed:{self.refund_id(number)}", "provider", "merchant", amount)

    def bank_takes(self) -> ExpectedTransfer:
        """Return the transfer by which a dispute withdraws the whole amount."""
        return ExpectedTransfer(f"dispute:{self.dispute_id}", "disputes", "provider", self.amount)

    def bank_returns(self) -> ExpectedTransfer:
        """Return the transfer by which a won dispute brings it back."""
        return ExpectedTransfer(f"dispute_reinstated:{self.dispute_id}", "provider", "disputes", self.amount)

    def _about_charge(self, kind: str, **about: object) -> None:
        self._stripe(kind, payment_intent=self.payment, charge=f"ch_{self.payment}", **about)

    def _stripe(self, kind: str, **about: object) -> None:
        event_id = self._next_id("evt")
        event = {
            "id": event_id,
            "object": "event",
            "type": kind,
            "created": self._at + len(self._events),
            "data": {"object": {**about, "currency": self._currency.lower()}},
        }
        self._events.append(Sample("stripe", event_id, json.dumps(event).encode()))

    def _next_id(self, prefix: str) -> str:
        return f"{prefix}_{self.payment}_{len(self._events)}"
