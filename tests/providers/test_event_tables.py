"""docs/providers/<name>.md: the table of a provider's types and its extractor of facts agree."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import square.types
import stripe
from paddle_billing.Entities.Events import EventTypeName

from providers import FACT_EXTRACTORS
from tests.support.recorded import recordings

PAGES = {page.stem: page.read_text() for page in (Path(__file__).parents[2] / "docs" / "providers").glob("*.md")}
TRANSFERS = {"captured", "capture_failed", "refunded", "refund_failed", "funds_withdrawn", "funds_reinstated"}
"""The kinds of facts that move money."""

ROW = re.compile(
    r"^\| (?P<types>`.*?) \| (?P<says>.*?) \| \*\*(?P<does>books|shows|records)\*\*(?P<why>.*) \|$", re.MULTILINE
)
NAMED = re.compile(r"`([^`]+)`")


class Documented(NamedTuple):
    """What a page says of one type."""

    type: str
    does: str
    why: str


@cache
def documented(provider: str) -> list[Documented]:
    """Return what the page says of each type, in its order."""
    return [
        Documented(type_, row["does"], row["why"])
        for row in ROW.finditer(PAGES[provider])
        for type_ in NAMED.findall(row["types"])
    ]


def doing(provider: str, *does: str) -> set[str]:
    return {each.type for each in documented(provider) if each.does in does}


def read_types(provider: str) -> set[str]:
    """Return the types that the code reads."""
    return set(importlib.import_module(FACT_EXTRACTORS[provider].__module__).TYPES)


def recorded_kinds(provider: str) -> dict[str, set[str]]:
    """Return the kinds of facts that the recordings of each type have."""
    kinds: dict[str, set[str]] = {}
    for recording in recordings(provider):
        kinds.setdefault(recording.content["event"]["type"], set()).update(
            kind for kind, *_ in recording.content.get("facts", ())
        )
    return kinds


every_page = pytest.mark.parametrize("provider", sorted(PAGES))


def test_every_provider_whose_money_is_read_has_a_page() -> None:
    assert set(PAGES) == set(FACT_EXTRACTORS)
    assert all(documented(provider) for provider in PAGES)


@every_page
def test_each_type_is_in_the_table_once(provider: str) -> None:
    types = [each.type for each in documented(provider)]
    assert sorted({each for each in types if types.count(each) > 1}) == []


@every_page
def test_the_table_lists_exactly_the_types_that_the_code_reads(provider: str) -> None:
    assert doing(provider, "books", "shows") == read_types(provider)


@every_page
def test_each_type_that_is_only_recorded_has_a_reason(provider: str) -> None:
    reasons = {each.type: each.why for each in documented(provider) if each.does == "records"}
    assert {type_ for type_, why in reasons.items() if not why.startswith(": ")} == set()


@every_page
def test_each_type_that_books_has_a_recording_that_moves_money(provider: str) -> None:
    kinds = recorded_kinds(provider)
    assert {type_ for type_ in doing(provider, "books") if not kinds.get(type_, set()) & TRANSFERS} == set()


@every_page
def test_no_recording_of_another_type_moves_money(provider: str) -> None:
    kinds = recorded_kinds(provider)
    assert {type_ for type_ in doing(provider, "shows", "records") if kinds.get(type_, set()) & TRANSFERS} == set()


def types_in_the_library_of_stripe() -> set[str]:
    return set(get_args(stripe.Event.__annotations__["type"]))


def types_in_the_library_of_paddle() -> set[str]:
    return {str(value) for name, value in vars(EventTypeName).items() if name[0].isupper()}


def types_in_the_library_of_square() -> set[str]:
    """Return them as its modules are named: of the type `payment.created` it is payment_created_event."""
    names = (module.name for module in pkgutil.iter_modules(square.types.__path__))
    return {name.removesuffix("_event") for name in names if name.endswith("_event")}


MONEY = {
    "stripe": ("charge.", "payment_intent.", "refund.", "checkout.session.", "transfer.", "application_fee.", "payout.",
               "topup.", "reserve.hold.", "reserve.release.", "credit_note.", "review.", "radar."),
    "paddle": ("transaction.", "adjustment.", "subscription.", "invoice.", "payout.", "payment_method."),
    "square": ("payment_", "refund_", "dispute_", "payout_", "terminal_checkout_", "terminal_refund_",
               "gift_card_activity_", "order_created", "order_updated", "invoice_payment", "invoice_refund"),
}  # fmt: skip
"""How the types begin that are about money."""

LIBRARIES = {
    "stripe": types_in_the_library_of_stripe,
    "paddle": types_in_the_library_of_paddle,
    "square": types_in_the_library_of_square,
}


@pytest.mark.parametrize("provider", LIBRARIES)
def test_every_type_about_money_in_the_providers_library_is_in_the_table(provider: str) -> None:
    known = {type_ for type_ in LIBRARIES[provider]() if type_.startswith(MONEY[provider])}
    listed = {each.type for each in documented(provider)}
    if provider == "square":
        listed = {type_.replace(".", "_") for type_ in listed}
    assert known
    assert known - listed == set()
