"""Personal data in bodies, headers and texts, replaced for people who may not see it.

A value is masked for its name, with everything below it, or because it looks like an e-mail address, an IBAN, a card
number, a telephone number or an IP address wherever it stands. What cannot be searched is masked whole.
"""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address

from operations.json_tree import Json, Number, Object, parse, write

MASK = "\N{BULLET}\N{BULLET}\N{BULLET}"

SEARCHED_CHARS_MAX = 2000
"""A longer text within JSON is masked whole."""

NESTED_MAX = 3
"""JSON within a text of JSON, such as a form field that a provider forwards: how deep it is searched."""

WORDS = frozenset({
    "address", "addresses", "bic", "bin", "birth", "birthdate", "birthday", "cardholder", "city", "comment",
    "comments", "contact", "cpf", "cvc", "cvv", "dob", "email", "emails", "fax", "fingerprint", "firstname",
    "fullname", "holder", "iban", "identification", "ip", "last4", "lastname", "mail", "mobile", "name", "names",
    "note", "notes", "pan", "passport", "phone", "phones", "postal", "postcode", "ssn", "street", "surname",
    "telephone", "vpa", "zip", "zipcode",
})  # fmt: skip
"""A name that has one of these words is personal: `shopperEmail`, `billing_address`, `card.last4`."""

PHRASES = (
    "account_number", "card_number", "card_summary", "consumer_account", "document_number", "exp_month", "exp_year",
    "expiry_date", "expiry_month", "expiry_year", "last_4", "national_id", "routing_number", "sort_code", "tax_id",
    "user_agent",
)  # fmt: skip
"""Names, or parts of names, that are personal although none of their words is."""

WHOLE_NAMES = frozenset({"card", "line1", "line2", "account_holder"})
"""Names that are personal if their value is a text or a number; below them the names decide."""

HARMLESS_LAST_WORDS = frozenset("brand category check country currency id ids status type".split())  # noqa: SIM905
"""`address_id` or `card_type` says nothing about a person."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")

_PATTERNS = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}+(?:@|%40)[\w-]{1,63}+(?:\.[\w-]{1,63}+)+"  # an e-mail address, also within a URL
    r"|(?<!\w)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)"  # an IBAN
    r"|(?<!\d)(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)"  # an IPv4 address
    r"|(?<![\w+])\+[1-9](?:[ ()-]{0,2}\d){6,14}(?!\d)"  # a telephone number with its country
)
_IPV6 = re.compile(r"(?<![\w:])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")
_CARD = re.compile(
    r"(?<!\d)(?:3[47]\d{2}[ -]?\d{6}[ -]?\d{5}"  # American Express
    r"|[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7})(?!\d)"
)


def is_personal(name: str) -> bool:
    """Return whether the name of a field says that its value, and all below it, is about a person."""
    words = _words(name)
    if not words or (words[-1] in HARMLESS_LAST_WORDS and "_".join(words[-2:]) not in PHRASES):
        return False
    joined = f"_{'_'.join(words)}_"
    return not WORDS.isdisjoint(words) or any(f"_{phrase}_" in joined for phrase in PHRASES)


def mask_json(value: Json, *, nested: int = 0) -> Json:
    """Return the same tree with its personal data masked. Raise RecursionError if it is nested too deep."""
    match value:
        case Object():
            return Object([(mask_text(name), _masked_field(name, each, nested)) for name, each in value.fields])
        case list():
            return [mask_json(each, nested=nested) for each in value]
        case Number():
            return Number(value) if mask_text(value) == value else MASK
        case str():
            return _mask_string(value, nested)
        case _:
            return value


def mask_text(text: str) -> str:
    """Return the text with everything masked that looks like personal data."""
    text = _IPV6.sub(lambda found: MASK if _is_ipv6(found[0]) else found[0], _PATTERNS.sub(MASK, text))
    return _CARD.sub(lambda found: MASK if _is_card(found[0]) else found[0], text)


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with personal data masked."""
    return {name: MASK if is_personal(name) else mask_text(value) for name, value in headers.items()}


def _masked_field(name: str, value: Json, nested: int) -> Json:
    if is_personal(name) or ("_".join(_words(name)) in WHOLE_NAMES and not isinstance(value, Object | list)):
        return _mask_all(value)
    return mask_json(value, nested=nested)


def _mask_all(value: Json) -> Json:
    match value:
        case Object():
            return Object([(mask_text(name), _mask_all(each)) for name, each in value.fields])
        case list():
            return [_mask_all(each) for each in value]
        case None | bool() | "":
            return value
        case _:
            return MASK


def _mask_string(text: str, nested: int) -> str:
    if text[:1] in ("{", "[") and nested < NESTED_MAX:
        try:
            return write(mask_json(parse(text), nested=nested + 1))
        except ValueError:
            pass
    return mask_text(text) if len(text) <= SEARCHED_CHARS_MAX else MASK


def _is_card(text: str) -> bool:
    """Return whether the digits end in the check digit of a card number (ISO/IEC 7812-1, Luhn)."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and total % 10 == 0


def _is_ipv6(text: str) -> bool:
    """Return whether it is an address, and not only colons."""
    try:
        return text.strip(":") != "" and IPv6Address(text) is not None
    except AddressValueError:
        return False


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
