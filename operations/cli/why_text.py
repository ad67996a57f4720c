"""What was found, as a tired person reads it. Never a body: facts, ids and amounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from contract.money import written
from operations.why.diagnosis import Stuck, Verdict
from operations.why.model import Dispute, EventFound, Found, PaymentFound, State
from operations.why.timeline import Moment


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is shown."""

    found: Found
    verdicts: Mapping[str, Verdict]
    stuck: Sequence[Stuck]
    timeline: Sequence[Moment]


def print_answer(console: Console, answer: Answer) -> None:
    """What is stuck first, then what happened, then what payments are now."""
    _print_standings(console, answer)
    for stuck in answer.stuck:
        step = stuck.next or "none, it goes on by itself"
        console.print(f"{stuck.about} is stuck: {stuck.why}.\n  next step: {step}", style="bold")
    table = Table("time (UTC)", "event", "what", "", title="Timeline", title_justify="left")
    for moment in answer.timeline:
        table.add_row(
            f"{moment.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], moment.event, moment.what.replace("_", " "), moment.text
        )
    console.print(table)
    if payments := [payment for payment in answer.found.payments.values() if payment.state or payment.disputes]:
        console.print(_payments_table(payments))
    for note in answer.found.notes:
        console.print(f"Note: {note}.")


def _print_standings(console: Console, answer: Answer) -> None:
    """Where each event stands; of many, those that are done are only counted."""
    events = list(answer.found.events.values())
    done = [event for event in events if answer.verdicts[str(event.subject)].standing == "applied"]
    if len(done) > 1:
        console.print(f"{len(done)} events were applied.")
        events = [event for event in events if event not in done]
    for event in events:
        console.print(f"{event.subject}: {_about(event)}{answer.verdicts[str(event.subject)].sentence}.")


def _about(event: EventFound) -> str:
    types = [event.applied.type] if event.applied else []
    types += [entry.event.type for entry in event.entries]
    types += [letter.type for letter in event.letters if letter.type]
    payment = event.payment
    return f"{types[0]} about {payment.id}, " if types and payment else ""


def _payments_table(payments: Sequence[PaymentFound]) -> Table:
    table = Table("payment", "status", "amount", "captured", "refunded", "disputed", "disputes",
                  title="Payments now", title_justify="left")  # fmt: skip
    for payment in payments:
        disputes = "\n".join(
            f"{each.dispute_id} {written(each.amount, each.currency)}: {', '.join(_words(each))}"
            for each in payment.disputes
        )
        table.add_row(str(payment.subject), *_state_cells(payment.state), disputes)
    return table


def _state_cells(state: State | None) -> list[str]:
    if state is None:
        return ["none yet", "", "", "", ""]
    amounts = (state.amount, state.captured, state.refunded, state.disputed)
    status = f"{state.status}, contradicted" if state.contradicted else state.status
    return [status, *(written(amount, state.currency) for amount in amounts)]


def _words(dispute: Dispute) -> list[str]:
    return [name for name in ("opened", "won", "lost", "withdrawn", "reinstated") if getattr(dispute, name)]
