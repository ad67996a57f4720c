"""Pages from templates. Whatever comes from outside is escaped: by jinja2 against markup, by `shown` against characters
that cannot be seen or that turn the writing direction."""

from datetime import UTC, datetime
from pathlib import Path

import jinja2
from aiohttp import web

from contract.money import format_amount
from operations.console.access import Role
from operations.console.links import body_path, event_path, page_path, payment_path
from operations.console.site import READING, SITE, VIEWER
from operations.masking import mask_text
from operations.units import count, duration, printable, size
from runtime.version import version

FOLDER = Path(__file__).parent

ABSENT = "\N{EN DASH}"

NAVIGATION = (
    ("/", "Overview"),
    ("/events", "Events"),
    ("/pending", "Pending"),
    ("/dead", "Dead letters"),
    ("/conflicts", "Conflicts"),
    ("/balances", "Balances"),
    ("/sources", "Sources"),
    ("/reconciliation", "Reconciliation"),
    ("/workers", "Workers"),
    ("/operations", "Operators' log"),
    ("/audit", "Audit"),
)


def make_templates() -> jinja2.Environment:
    """Return the environment of all templates. A name that a page does not pass is an error."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "shown": shown,
        "utc": utc,
        "duration": duration,
        "size": size,
        "money": money,
        "count": count,
        "page_path": page_path,
    }
    templates.globals |= {"navigation": NAVIGATION, "version": version(), "Role": Role}
    templates.globals |= {"body_path": body_path, "event_path": event_path, "payment_path": payment_path}
    return templates


def render(request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
    """Return a page. Templates also get `viewer`, who is None before the sign-in, `path` and `is_part` (of htmx).

    `notes` are sentences about the replica that the page was read from.
    `as_seen` masks personal data in a text for those who may not see it.
    """
    page = request.app[SITE].templates.get_template(template)
    is_part = "HX-Request" in request.headers and "HX-Boosted" not in request.headers
    viewer = request.get(VIEWER)
    as_seen = str if viewer and viewer.sees_personal_data else mask_text
    notes = request[READING].servers.notes if READING in request else []
    text = page.render(
        viewer=viewer, path=request.path, is_part=is_part, status=status, as_seen=as_seen, notes=notes, **values
    )
    return web.Response(text=text, status=status, content_type="text/html")


def shown(value: object) -> str:
    """Return text from outside so that nothing in it is invisible or turns the line; an absent one as a dash."""
    return ABSENT if value is None or value == "" else printable(str(value))


def utc(at: datetime | None) -> str:
    """Return a time to the second, in UTC."""
    return ABSENT if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def money(amount: int | None, currency: str | None) -> str:
    """Return minor units as people write them: `12.34 EUR`."""
    return ABSENT if amount is None or not currency else format_amount(amount, currency)
