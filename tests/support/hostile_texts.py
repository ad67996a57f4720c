"""Texts that a sender may put into any field, and what a page must make of them."""

SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = "\"'><img src=x onerror=alert(1)>"
TURNED = "pi_\u202eevil\u2066\u200b"
COLOUR = "\x1b[31mred\x1b[0m"
TEMPLATE = "{{ 7 * 7 }}"

HOSTILE = SCRIPT + ATTRIBUTE + TURNED + TEMPLATE
"""Everything that the text of an event may have. Control characters are refused by the gateway."""

HOSTILE_REASON = HOSTILE + COLOUR
"""What an exception's text, a header or a consumer's name may have."""


def assert_harmless(page: str) -> None:
    """Nothing of the hostile texts is markup, is invisible, turns the line, or was evaluated."""
    for text in ("<script>alert", "<img src=x", "\u202e", "\u2066", "\u200b", "\x1b", "\"'>"):
        assert text not in page, text
    assert "&lt;script&gt;" in page
