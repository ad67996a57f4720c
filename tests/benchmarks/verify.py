"""What verifying one request costs, against the bare digest or public-key verification of the same bytes.

And what it costs with its events read out of it. All sides take turns within one run, some calls at a time, and the
median counts. `--seconds` means nothing here.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from providers.base import Delivery, Request
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Options
from tests.support.cases.base import NOW_S, Case, Signed
from tests.support.cases.mercadopago import DATA_ID, REQUEST_ID
from tests.support.cases.public_keys import ec_private, rsa_private
from tests.support.provider_cases import CASES

BODY_BYTES = 1024

CALLS = 50
"""Of one side, timed together: a single call would be close to what the clock itself takes."""

TURNS_PER_ROUND = 20

BEYOND_TARGET_US = 30.0
"""Beyond the bare digest, for the HMAC families."""

PUBLIC_KEY = ("paypal", "wise", "truelayer")

DIGESTS = {"braintree": "sha1", "pagarme": "sha1", "paystack": "sha512"}
"""Of those that do not use SHA-256."""


ADYEN_FIELDS = (
    "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
    "value", "currency", "eventCode", "success",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sides:
    """One provider's request, and the ways to treat it: prove it, prove and read it, or the bare verification."""

    provider: str
    request: Request
    prove: Callable[[Request], Awaitable[object]]
    verify: Callable[[Request], Awaitable[list[Delivery]]]
    bare: Callable[[], object]

    async def measured_us(self, turns: int) -> tuple[float, float, float]:
        """The medians of one call: proven, proven and read, bare."""
        proven, read, bare = [], [], []
        for _ in range(turns):
            proven.append(await self._call_us(self.prove))
            read.append(await self._call_us(self.verify))
            bare.append(self._bare_us())
        return median(proven), median(read), median(bare)

    async def _call_us(self, treat: Callable[[Request], Awaitable[object]]) -> float:
        request = self.request
        started_ns = time.perf_counter_ns()
        for _ in range(CALLS):
            await treat(request)
        return (time.perf_counter_ns() - started_ns) / CALLS / 1000

    def _bare_us(self) -> float:
        bare = self.bare
        started_ns = time.perf_counter_ns()
        for _ in range(CALLS):
            bare()
        return (time.perf_counter_ns() - started_ns) / CALLS / 1000


async def run(options: Options) -> list[Figure]:
    """Every provider in its turn."""
    proving, beyond, reading = (
        f"prove {BODY_BYTES:,} bytes",
        "of which beyond the bare one",
        "prove and read the events",
    )
    figures, differences, wholes = [], [], []
    for case in CASES.values():
        all_sides = sides(case)
        await all_sides.measured_us(turns=1)
        proven_us, read_us, bare_us = await all_sides.measured_us(options.rounds * TURNS_PER_ROUND)
        target = None if case.provider in PUBLIC_KEY else BEYOND_TARGET_US
        figures.append(Figure(proving, case.provider, proven_us, "us", bare_us, "bare"))
        differences.append(
            Figure(beyond, case.provider, proven_us - bare_us, "us", target=target, at_most=target is not None)
        )
        wholes.append(Figure(reading, case.provider, read_us, "us", bare_us, "bare"))
    return figures + differences + wholes


def sides(case: Case) -> Sides:
    """A genuine request whose body has about the size that is asked for."""
    empty = len(case.write(case.event("")))
    signed = case.deliver(case.write(case.event("x" * max(1, BODY_BYTES - empty))))
    source = case.source()
    return Sides(case.provider, signed.request(), source.authenticate, source.verify, _bare(case, signed))


def _bare(case: Case, signed: Signed) -> Callable[[], object]:
    """The least work that verifies these bytes, with the key ready and the signature decoded."""
    provider, message, key = case.provider, _signed_bytes(case, signed), case.secrets[0].encode()
    if provider == "truelayer":
        return _ecdsa(message)
    if provider in PUBLIC_KEY:
        return _rsa(message)
    if provider in ("flutterwave_v3", "mollie_classic"):
        return lambda: hmac.compare_digest(key, key)
    if provider == "pagbank":
        return lambda: hashlib.sha256(key + b"-" + message).digest()
    digest = DIGESTS.get(provider, "sha256")
    return lambda: hmac.digest(key, message, digest)


def _signed_bytes(case: Case, signed: Signed) -> bytes:
    """What the signature is over: the body, for most with a few bytes more, unless stated here."""
    if case.provider == "mercadopago":
        return f"id:{DATA_ID};request-id:{REQUEST_ID};ts:{NOW_S}000;".encode()
    if case.provider == "paypal":
        return b"|".join((*(value for _, value in signed.headers[:2]), case.secrets[0].encode(), b"4294967295"))
    if case.provider == "adyen":
        item = json.loads(signed.body)["notificationItems"][0]["NotificationRequestItem"]
        return ":".join(str((item | item["amount"])[name]) for name in ADYEN_FIELDS).encode()
    if case.provider == "braintree":
        return base64.encodebytes(signed.body)
    if case.provider == "truelayer":
        return base64.urlsafe_b64encode(signed.body)
    return signed.body


def _rsa(message: bytes) -> Callable[[], object]:
    private = rsa_private("bare")
    public, signature = private.public_key(), private.sign(message, padding.PKCS1v15(), SHA256())
    arguments: tuple[Any, ...] = (signature, message, padding.PKCS1v15(), SHA256())
    return lambda: public.verify(*arguments)


def _ecdsa(message: bytes) -> Callable[[], object]:
    private, algorithm = ec_private("bare"), ec.ECDSA(SHA512())
    public, signature = private.public_key(), private.sign(message, algorithm)
    return lambda: public.verify(signature, message, algorithm)
