"""The pages, one module each. Each has `routes`, which the application adds."""

from operations.console.pages import audit, balances, conflicts, event, events, log, overview, pending, sources, workers

PAGES = (
    overview.routes,
    events.routes,
    event.routes,
    pending.routes,
    conflicts.routes,
    balances.routes,
    sources.routes,
    workers.routes,
    log.routes,
    audit.routes,
)
