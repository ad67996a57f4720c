"""A signature over the raw body alone, in one header. Most senders do this, each with its header, prefix and digest.

No time is signed. A captured request is not applied again, because its event id is known. Where no id of a provider is
signed, the id is made of the body (`payload.digest_id`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from contract.event import Signed
from providers import signing
from providers.base import Proof, Provider, Request, SignatureError, SourceSettings


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a sender signs a body. Header values that do not begin with `prefix` are ignored."""

    header: str
    prefix: bytes = b""
    mac: signing.Mac = signing.hmac_sha256
    encodings: tuple[signing.Encode, ...] = (signing.lower_hex,)
    signed: Signed = "body"
    first_only: bool = False
    """Whether only the first of several values counts."""

    def prove(self, keys: Sequence[bytes], body: bytes, values: Sequence[bytes]) -> Proof:
        """Accept any of the header's values that was made with any of the keys. Raise SignatureError."""
        if not any(values):
            raise SignatureError("missing", f"there is no {self.header} header")
        if self.first_only:
            values = values[:1]
        signatures = [value.removeprefix(self.prefix) for value in values if value.startswith(self.prefix)]
        if not signatures:
            raise SignatureError("malformed", f"the {self.header} header does not begin with {self.prefix.decode()}")
        number = signing.signing_key(keys, body, signatures, *self.encodings, mac=self.mac)
        return Proof(secret_number=number, signed=self.signed)

    def sign(self, key: bytes, body: bytes) -> dict[str, str]:
        """Return the header that a sender with this key adds, for samples."""
        return {self.header: (self.prefix + self.encodings[0](self.mac(key, body))).decode()}


class RawBody(Provider):
    """A sender with such a scheme. Its keys are the secrets as they are written."""

    scheme: ClassVar[Scheme]

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self._keys = [secret.reveal().encode() for secret in settings.secrets]

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the scheme's header, made with any of the secrets."""
        return self.scheme.prove(self._keys, request.body, request.headers.get_all(self.scheme.header))

    def sign(self, body: bytes) -> dict[str, str]:
        """Return the header of a body that is signed with the first secret, for samples."""
        return self.scheme.sign(self._keys[0], body)
