"""Contradictions, what is held back, and decisions about both, as a tired person reads them and as a script does."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from contract.money import written
from operations.conflicts import AmbiguousError, Conflict, Decision, Keep, Meant, Page

NOTHING = "nothing"

NEXT_STEP = {
    "conflict": "waits for a decision about its payment: resolve ID --keep booked|told (make resolve ID=… KEEP=…)",
    "unsigned": 'not covered by a signature: trust = "all" in the source\'s settings lets it move money; then '
    "release SOURCE (make release SOURCE=…)",
}
"""What to do about facts that are held back, by the reason."""


def print_conflicts(console: Console, conflicts: Sequence[Mapping[str, Any]], total: int) -> None:
    """One row per open conflict, the oldest first."""
    if not conflicts:
        console.print("No conflicts are open.")
        return
    table = Table(title="Conflicts", title_justify="left")
    for name in ("ID", "since", "payment", "movement", "booked", "told", "told by", "waiting behind it"):
        table.add_column(name, overflow="fold")  # ids are copied from here
    for each in conflicts:
        booked = each["booked_amount"]
        table.add_row(
            str(each["id"]),
            f"{each['found_at']:%Y-%m-%d %H:%M:%S}",
            f"{each['namespace']}/{each['payment_id']}",
            each["movement"],
            _amount(each["movement"], booked or 0, each["booked_currency"]) if each["booked_currency"] else NOTHING,
            _amount(each["movement"], each["told_amount"], each["told_currency"]),
            each["event_id"],
            str(each["waiting"]),
        )
    console.print(table)
    if total > len(conflicts):
        console.print(f"… and {total - len(conflicts)} more; --limit shows more of them.")
    console.print(
        "The money of these payments is stopped until somebody decides. What was booked is right: resolve ID --keep "
        "booked. What was told is right: resolve ID --keep told. (make resolve ID=… KEEP=…)"
    )


def print_held_back(console: Console, held_back: Sequence[Mapping[str, Any]]) -> None:
    """How many facts, and what to do about them."""
    if not held_back:
        console.print("Nothing is held back.")
        return
    table = Table("source", "reason", "facts", "what to do", title="Held back", title_justify="left")
    for row in held_back:
        table.add_row(row["source"], row["reason"], str(row["facts"]), NEXT_STEP[row["reason"]])
    console.print(table)


def print_decision(console: Console, done: Decision, keep: Keep) -> None:
    """One sentence for each conflict, then what was released, and what is left."""
    for conflict in done.decided:
        told = _amount(conflict.movement, conflict.told_amount, conflict.told_currency)
        console.print(f"Conflict {conflict.id} ({conflict.movement}) is decided: {_what(done, conflict, keep, told)}")
    if done.released:
        console.print(f"{done.released} movements do not wait any more.")
    if done.booked:
        console.print(f"Booked now: {', '.join(done.booked)}.")
    if done.open:
        numbers = ", ".join(map(str, done.open))
        console.print(f"The payment's money is still stopped: {numbers} open (conflicts shows them).")
    else:
        console.print("The payment's money moves again.")


def decision_json(done: Decision, keep: Keep) -> dict[str, Any]:
    """The same for a script."""
    return {
        "keep": keep,
        "decided": [conflict.id for conflict in done.decided],
        "corrected": done.corrected,
        "booked": done.booked,
        "released": done.released,
        "open": done.open,
    }


def print_release(console: Console, source: str, total: Page) -> None:
    """How much, and what came of it."""
    if not total.released:
        console.print(f"Nothing more is released of source {source!r}.")
        return
    console.print(f"{total.released} events of source {source!r} are released; {total.booked} movements were booked.")
    if total.conflicts:
        console.print(f"{total.conflicts} contradictions were found in them: conflicts shows them.")


def release_json(total: Page) -> dict[str, Any]:
    """The same for a script."""
    failed = [{"event_id": event_id, "reason": reason} for event_id, reason in total.failed]
    return {"released": total.released, "booked": total.booked, "conflicts": total.conflicts, "failed": failed}


def ambiguous_sentence(wanted: str, meant: Sequence[Meant], error: AmbiguousError) -> str:
    """What to say instead."""
    numbers = ", ".join(str(conflict.id) for conflict in meant)
    return f"{wanted} means the conflicts {numbers}: {error}. Nothing was decided; name one."


def no_conflict_sentence(wanted: str, earlier: Mapping[str, Any] | None) -> str:
    """Whether there is none, or somebody was faster."""
    if earlier is None:
        return f"There is no open conflict with the number or payment id {wanted!r}. Nothing was done."
    when = f"{earlier['decided_at']:%Y-%m-%d %H:%M:%S}"
    return f"Conflict {wanted} was decided already, on {when}: {earlier['decision']} is right. Nothing was done."


def untrusted_sentence(source: str, sources_file: str, *, is_known: bool) -> str:
    """Why nothing is released, and what to do first."""
    why = 'its trust is "signed"' if is_known else f"{sources_file} has no such source"
    return (
        f'What was held back of source {source!r} stays so, as {why}. To let it move money, set trust = "all" under '
        f"[{source}] in {sources_file}, restart the workers, and release it then."
    )


def _what(done: Decision, conflict: Conflict, keep: Keep, told: str) -> str:
    if conflict.is_acknowledged:
        return "acknowledged; nothing is booked for it."
    if keep == "booked":
        return f"what was booked stays, {told} is dismissed."
    if conflict.movement in done.corrected:
        return f"what was booked is undone, {told} is booked; handlers were told of it before and are not called again."
    return f"{told} is booked."


def _amount(movement: str, amount: int, currency: str) -> str:
    return currency if movement.startswith("currency:") else written(amount, currency)
