"""Who sends a request: by the headers of a proxy that is trusted, by the cookie of a sign-in, or by name and password.

Headers that a proxy sets are believed from the addresses in CONSOLE_TRUSTED_PROXIES, and from nobody else.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import structlog
from aiohttp import hdrs, web

from operations.console.access import PASSWORD_CHARACTERS_MAX, Role, Viewer, find_account
from operations.console.site import SITE, cookie_name

USER_HEADER, GROUPS_HEADER = "X-Forwarded-User", "X-Forwarded-Groups"
"""The names that oauth2-proxy and other authenticating proxies use."""

FORWARDED_FOR, FORWARDED_PROTO = "X-Forwarded-For", "X-Forwarded-Proto"

GROUP_ROLES = {f"payments-{role}": role for role in Role}
"""The groups of a proxy that give a role: payments-viewer, payments-operator, payments-money."""

NAME_CHARACTERS_MAX = 200

IPV6_NETWORK_BITS = 64
"""One IPv6 customer has a network of this size, so its addresses count as one."""

log = structlog.get_logger()


async def find_viewer(request: web.Request) -> Viewer | None:
    """Return who sends this, or None. Raise HTTPForbidden or HTTPTooManyRequests."""
    if is_named_by_proxy(request):
        return _named_by_proxy(request)
    site = request.app[SITE]
    if token := request.cookies.get(cookie_name(request.host)):
        return site.sessions.find(token)
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return await _basic(request, credentials) if scheme.lower() == "basic" else None


def is_named_by_proxy(request: web.Request) -> bool:
    """Return whether a trusted proxy says who sends this."""
    return bool(request.headers.get(USER_HEADER)) and _is_from_proxy(request)


async def check_attempt(request: web.Request, name: str, password: str) -> Viewer | None:
    """Return who has this name and password, or None. Raise HTTPTooManyRequests for an address that keeps guessing.

    An attempt is counted before it is checked, so that attempts at the same time count as well. One that succeeds is
    taken back, and no other: somebody with an account cannot guess the password of another one without a limit.
    """
    site, address = request.app[SITE], client_address(request)
    if wait_s := site.attempts.wait_s(address):
        raise web.HTTPTooManyRequests(
            text="Too many attempts to sign in; try again later.", headers={hdrs.RETRY_AFTER: str(int(wait_s) + 1)}
        )
    site.attempts.failed(address)
    name = name.strip()
    viewer = None
    if is_name(name) and len(password) <= PASSWORD_CHARACTERS_MAX:
        async with site.checking:
            viewer = await asyncio.to_thread(find_account, site.settings.accounts, name, password)
    if viewer is None:
        log.warning("an attempt to sign in to the console failed", address=address)
    else:
        site.attempts.succeeded(address)
    return viewer


def is_name(text: str) -> bool:
    """Return whether the operators' log can show this as a person's name."""
    return 0 < len(text) <= NAME_CHARACTERS_MAX and text.isprintable()


def client_address(request: web.Request) -> str:
    """Return the address that attempts are counted for: of a client of a trusted proxy, what that proxy says.

    Proxies add addresses at the end, so it is the last one that is not a proxy's own.
    """
    remote = request.remote or "-"
    if _is_from_proxy(request):
        listed = [each for header in request.headers.getall(FORWARDED_FOR, []) for each in header.split(",")]
        for each in reversed(listed):
            address = _address(each.strip())
            if address is None:
                break
            remote = str(address)
            if not _is_in(address, request.app[SITE].settings.proxies):
                break
    address = _address(remote)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_NETWORK_BITS), strict=False))
    return remote if address is None else str(address)


def is_over_tls(request: web.Request) -> bool:
    """Return whether the browser speaks HTTPS, as far as it says so itself, or a trusted proxy does."""
    return (
        request.secure
        or request.headers.get(hdrs.ORIGIN, "").startswith("https://")
        or (_is_from_proxy(request) and request.headers.get(FORWARDED_PROTO, "") == "https")
    )


async def _basic(request: web.Request, credentials: str) -> Viewer | None:
    """Return who has this name and password. Once checked, a digest stands for them, as a cookie does."""
    site = request.app[SITE]
    token = hashlib.blake2b(credentials.encode(errors="replace"), key=site.secret).hexdigest()
    if viewer := site.sessions.find(token):
        return viewer
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    viewer = await check_attempt(request, name, password)
    if viewer is not None:
        site.sessions.begin(viewer, token)
    return viewer


def _named_by_proxy(request: web.Request) -> Viewer:
    users, groups = request.headers.getall(USER_HEADER), request.headers.getall(GROUPS_HEADER, [])
    if len(users) > 1 or len(groups) > 1:
        raise web.HTTPForbidden(
            text=f"The proxy passes on {USER_HEADER} or {GROUPS_HEADER} of its clients; it must set both itself."
        )
    name = users[0].strip()
    if not is_name(name):
        raise web.HTTPForbidden(text="The proxy sends a name that the operators' log cannot show.")
    members = {each.strip() for each in ",".join(groups).split(",")}
    roles = frozenset(role for group, role in GROUP_ROLES.items() if group in members)
    if not roles:
        raise web.HTTPForbidden(text=f"None of your groups may use the console: {', '.join(GROUP_ROLES)}.")
    return Viewer(name, roles)


def _is_from_proxy(request: web.Request) -> bool:
    address = _address(request.remote or "")
    return address is not None and _is_in(address, request.app[SITE].settings.proxies)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
