"""The endpoints of sources.toml, each with what the gateway counts about it. No secret is read."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from contract.accounts import PostingRulesError
from operations.completeness import Completeness, read_completeness
from operations.console.render import render
from operations.console.site import SITE, reading
from operations.gateway_metrics import MetricsError, SourceMetrics, read_gateway_metrics
from runtime.sources_file import read_source_settings
from sql.connect import UnreachableError

routes = web.RouteTableDef()

CERTIFICATE_WARNING = timedelta(days=30)
SOURCES_MAX = 200

NO_SOURCE = "-"
"""What the gateway's figures name that are of no source: its own certificate, and requests to addresses of none."""


@routes.get("/sources")
async def show(request: web.Request) -> web.StreamResponse:
    """Show every source; without the gateway's figures, or how complete it is, where that cannot be asked."""
    site, problems = request.app[SITE], []
    path, metrics = site.servers.settings.sources_file, dict[str, SourceMetrics]()
    try:
        sources = read_source_settings(path)
    except PostingRulesError as error:
        sources, problems = [], [f"{error}."]
    try:
        metrics = await read_gateway_metrics(site.settings.gateway_operators_url)
    except MetricsError as error:
        problems.append(f"{error}.")
    reach = reading(request)
    compared = dict[str, Completeness]()
    try:
        async with reach.postgres() as connection:
            compared = {each.source: each for each in await read_completeness(connection, path)}
    except UnreachableError as error:
        problems.append(f"{error}.")
    return render(
        request,
        "sources.html",
        compared=compared,
        sources=[(source, metrics.get(source.name)) for source in sources[:SOURCES_MAX]],
        without=metrics.get(NO_SOURCE),
        left_out=max(0, len(sources) - SOURCES_MAX),
        file=path.name,
        problems=problems,
        now=datetime.now(UTC),
        certificate_warning=CERTIFICATE_WARNING,
    )
