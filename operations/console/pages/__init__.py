"""The pages, one module each. Each has `routes`, which the application adds."""

from operations.console.pages import (
    audit,
    balances,
    conflicts,
    dead,
    dead_acts,
    erase,
    event,
    events,
    log,
    overview,
    payment,
    pending,
    reconciliation,
    sources,
    workers,
)

PAGES = (
    overview.routes,
    events.routes,
    event.routes,
    payment.routes,
    pending.routes,
    dead.routes,
    dead_acts.routes,
    conflicts.routes,
    erase.routes,
    balances.routes,
    sources.routes,
    reconciliation.routes,
    workers.routes,
    log.routes,
    audit.routes,
)
