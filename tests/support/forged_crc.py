"""A body with another body's CRC-32, as anyone can make one: the checksum of PayPal's signatures."""

from zlib import crc32

LETTERS = 64
"""Places in which one of two letters is chosen: 32 bits have to be met."""


def with_the_same_crc(forged: bytes, genuine: bytes) -> bytes:
    """Return the JSON object `forged` with a further member, whose letters give it the CRC-32 of `genuine`.

    To choose the other letter in one place changes the checksum by the same bits, whatever the other places have. Which
    places to choose is then a system of linear equations.
    """
    head, tail = forged.rstrip()[:-1] + b', "note": "', b'"}'
    first = crc32(head + b"p" * LETTERS + tail)
    wanted = first ^ crc32(genuine)
    basis: dict[int, tuple[int, int]] = {}
    for place in range(LETTERS):
        change, places = first ^ crc32(head + _letters(1 << place) + tail), 1 << place
        while change and (known := basis.get(change.bit_length())):
            change, places = change ^ known[0], places ^ known[1]
        if change:
            basis[change.bit_length()] = (change, places)
    chosen = 0
    while wanted:
        change, places = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ change, chosen ^ places
    return head + _letters(chosen) + tail


def _letters(chosen: int) -> bytes:
    return bytes(ord("q") if chosen >> place & 1 else ord("p") for place in range(LETTERS))
