"""How a source's money is booked: what may be said about it, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from contract.accounts import ACCOUNTS, Booking, BookingError, read_bookings, read_namespaces


def test_what_is_not_said_is_as_usual() -> None:
    assert Booking.of({"provider": "stripe", "secrets": ["x"]}) == Booking("signed", "manual", ACCOUNTS)


def test_what_is_said_counts() -> None:
    table = {"trust": "all", "capture": "automatic", "accounts": {"merchant": "shop:{payment}:{currency}"}}
    assert Booking.of(table) == Booking("all", "automatic", {**ACCOUNTS, "merchant": "shop:{payment}:{currency}"})


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"trust": "none"}, "trust is not one of signed, all"),
        ({"trust": True}, "trust is not one of"),
        ({"capture": "sometimes"}, "capture is not one of manual, automatic"),
        ({"accounts": "merchant"}, "not a table"),
        ({"accounts": {"merchnt": "x"}}, "merchnt is not one of provider, merchant, disputes"),
        ({"accounts": {"merchant": ""}}, "merchant is not a text of 1 to 255"),
        ({"accounts": {"merchant": 5}}, "merchant is not a text"),
        ({"accounts": {"merchant": "a\nb"}}, "merchant is not a text"),
        ({"accounts": {"merchant": "x" * 256}}, "merchant is not a text"),
        ({"accounts": {"merchant": "{customer}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source.__class__}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source!r}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source:>9999999}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{source"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "{0}"}}, "merchant has braces around other than"),
        ({"accounts": {"merchant": "same", "provider": "same"}}, "provider is also another account"),
        ({"accounts": {"disputes": "same", "provider": "same"}}, "provider is also another account"),
    ],
)
def test_what_cannot_be_booked_is_refused(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(BookingError, match=problem):
        Booking.of(table)


def test_the_file_is_read_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text('[a]\nsecrets = ["${NOWHERE}"]\ntrust = "all"\n[b]\nprovider = "hmac"\n')
    assert read_bookings(path) == {"a": Booking(trust="all"), "b": Booking()}
    assert read_bookings(tmp_path / "absent.toml") == {}


def test_a_source_without_a_namespace_is_one_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text('[a]\nnamespace = "acme"\n[b]\nnamespace = "acme"\n[c]\n')
    assert read_namespaces(path) == {"acme", "c"}
    assert read_namespaces(tmp_path / "absent.toml") == set()


@pytest.mark.parametrize(("text", "problem"), [("[a", "cannot be read"), ('[a]\ntrust = "x"', r"\[a\] trust is not")])
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(BookingError, match=problem):
        read_bookings(path)
