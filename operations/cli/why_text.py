"""`why` on a terminal. Shows facts, ids and amounts, and never a body."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from contract.money import format_amount
from operations.why.explain import Explanation
from operations.why.model import DisputeRecord, EventDetails, PaymentDetails, PaymentState


def print_explanation(console: Console, explanation: Explanation) -> None:
    """Print the events' states, then what is stuck, then the timeline, then the payments as they are now."""
    _print_states(console, explanation)
    for stuck in explanation.stuck:
        step = stuck.next or "none, wait"
        console.print(f"{stuck.about} is stuck: {stuck.why}.\n  next step: {step}", style="bold")
    table = Table("time (UTC)", "event", "what", "", title="Timeline", title_justify="left")
    for entry in explanation.timeline:
        table.add_row(f"{entry.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], entry.event, entry.what.replace("_", " "), entry.text)
    console.print(table)
    payments = [payment for payment in explanation.result.payments.values() if payment.state or payment.disputes]
    if payments:
        console.print(_payments_table(payments))
    if any(each.decision is None for payment in payments for each in payment.conflicts):
        console.print("While a conflict is open, the larger amount counts until a person decides, whichever is booked.")
    for note in explanation.result.notes:
        console.print(f"Note: {note}.")


def _print_states(console: Console, explanation: Explanation) -> None:
    """Print the state of each event. Applied events are only counted if there are several."""
    events, diagnoses = list(explanation.result.events.values()), explanation.diagnoses
    applied = [event for event in events if diagnoses[event.subject].sentence == "applied"]
    if len(applied) > 1:
        console.print(f"{len(applied)} events were applied.")
        events = [event for event in events if event not in applied]
    for event in events:
        console.print(f"{event.subject}: {_type_and_payment(event)}{diagnoses[event.subject].sentence}.")
        if event.applied and (step := diagnoses[event.subject].next):
            console.print(f"  next step: {step}")


def _type_and_payment(event: EventDetails) -> str:
    types = [event.applied.type] if event.applied else []
    types += [entry.event.type for entry in event.readable_entries]
    types += [dead_letter.type for dead_letter in event.dead_letters if dead_letter.type]
    payment = event.payment
    return f"{types[0]} about {payment.id}, " if types and payment else ""


def _payments_table(payments: Sequence[PaymentDetails]) -> Table:
    table = Table("payment", "status", "amount", "captured", "refunded", "disputed", "disputes",
                  title="Payments now", title_justify="left")  # fmt: skip
    for payment in payments:
        disputes = "\n".join(
            f"{each.dispute_id} {format_amount(each.amount, each.currency)}: {', '.join(_dispute_states(each))}"
            f"{_dispute_money(each)}"
            for each in payment.disputes
        )
        table.add_row(str(payment.subject), *_state_cells(payment.state), disputes)
    return table


def _state_cells(state: PaymentState | None) -> list[str]:
    if state is None:
        return ["none yet", "", "", "", ""]
    amounts = (state.amount, state.captured, state.refunded)
    status = f"{state.status}, contradicted" if state.contradicted else state.status
    disputed = format_amount(state.disputed, state.disputed_currency or state.currency)
    return [status, *(format_amount(amount, state.currency) for amount in amounts), disputed]


def _dispute_states(dispute: DisputeRecord) -> list[str]:
    return [name for name in ("opened", "won", "lost", "withdrawn", "reinstated") if getattr(dispute, name)]


def _dispute_money(dispute: DisputeRecord) -> str:
    """Return what was withdrawn and what came back, where any money moved."""
    if dispute.money_currency is None:
        return ""
    withdrawn = format_amount(dispute.withdrawn_amount, dispute.money_currency)
    back = format_amount(dispute.reinstated_amount, dispute.money_currency)
    return f"; {withdrawn} withdrawn, {back} came back"
