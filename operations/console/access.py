"""Who looks at a page, and what they may do."""

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1
"""The cost of one check: 16 MiB and about 50 ms (RFC 7914, and OWASP's Password Storage Cheat Sheet)."""

SCRYPT_N_MAX = 2**17
SALT_BYTES = 16
KEY_BYTES = 32
MEMORY_BYTES_MAX = 256 * 1024 * 1024

PASSWORD_CHARACTERS_MIN, PASSWORD_CHARACTERS_MAX = 12, 200
"""The length of a password that gets a hash. A longer one is refused at the sign-in without a check."""

NOBODYS_HASH = f"scrypt:{SCRYPT_N}:{SCRYPT_R}:{SCRYPT_P}:{'A' * 22}:{'A' * 43}"
"""A hash that no known password has."""


class Role(StrEnum):
    """What a person may do besides looking."""

    VIEWER = "viewer"
    """Look. Personal data in bodies and headers is masked."""
    OPERATOR = "operator"
    """Replay, discard, acknowledge; sees bodies as they are."""
    MONEY = "money"
    """Resolve conflicts, release money on hold, erase personal data; sees bodies as they are."""


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person who is signed in: the name that the operators' log gets, and the roles."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Return whether the person has this role. Everybody who is signed in may look."""
        return role is Role.VIEWER or role in self.roles

    @property
    def sees_personal_data(self) -> bool:
        """Whether bodies and headers are shown without a mask."""
        return bool(self.roles & {Role.OPERATOR, Role.MONEY})


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in with a password. Without `name` it is shared, and each gives a name."""

    name: str | None
    roles: frozenset[Role]
    password_hash: str

    def __repr__(self) -> str:
        return f"Account(name={self.name!r}, roles={sorted(self.roles)})"


def read_accounts(text: str) -> list[Account]:
    """Return the accounts in a setting: `hash`, or `name:roles:hash`, separated by white space. Raise ValueError.

    `roles` are joined by `+`, such as operator+money. A hash alone has all roles.
    """
    accounts = []
    for number, each in enumerate(text.split(), 1):
        head, _, rest = each.partition("scrypt:")
        password_hash = f"scrypt:{rest}"
        try:
            _parameters(password_hash)
            name, roles = (None, ALL_ROLES) if not head else _name_and_roles(head)
        except ValueError:
            raise ValueError(
                f"its part {number} is neither a hash of `python -m operations password` nor name:roles:hash, with "
                f"roles of {', '.join(Role)} joined by +"
            ) from None
        accounts.append(Account(name, roles, password_hash))
    return accounts


def find_account(accounts: Iterable[Account], name: str, password: str) -> Viewer | None:
    """Return the viewer with this name and password, or None. Costs one check per account that could be meant.

    A name that nobody has costs as much as one that somebody has.
    """
    accounts = list(accounts)
    owned = [account for account in accounts if account.name == name]
    # With a shared password nobody can sign in under the name of an account.
    meant = owned or [account for account in accounts if account.name is None]
    for account in meant:
        if check_password(password, account.password_hash):
            return Viewer(name, account.roles)
    if not meant:
        check_password(password, NOBODYS_HASH)
    return None


def hash_password(password: str) -> str:
    """Return the hash to keep: `scrypt:N:r:p:salt:key`, without any character that .env or a shell reads."""
    salt = secrets.token_bytes(SALT_BYTES)
    key = _derive(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    return f"scrypt:{SCRYPT_N}:{SCRYPT_R}:{SCRYPT_P}:{_encode(salt)}:{_encode(key)}"


def check_password(password: str, password_hash: str) -> bool:
    """Return whether the hash was made of this password."""
    n, r, p, salt, key = _parameters(password_hash)
    return secrets.compare_digest(_derive(password, salt, n, r, p), key)


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=MEMORY_BYTES_MAX, dklen=KEY_BYTES
    )


def _parameters(password_hash: str) -> tuple[int, int, int, bytes, bytes]:
    _, n, r, p, salt, key = password_hash.split(":")
    numbers = int(n), int(r), int(p)
    if not (2 <= numbers[0] <= SCRYPT_N_MAX and numbers[0].bit_count() == 1 and numbers[1:] == (SCRYPT_R, SCRYPT_P)):
        raise ValueError("these costs are not in use here")
    found = *numbers, _decode(salt), _decode(key)
    if len(found[4]) != KEY_BYTES:
        raise ValueError("the key has another length")
    return found


def _name_and_roles(head: str) -> tuple[str, frozenset[Role]]:
    name, roles = head.rstrip(":").split(":")
    if not name:
        raise ValueError("no name")
    return name, frozenset(map(Role, roles.split("+")))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
