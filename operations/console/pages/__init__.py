"""The pages, one module each. Each has `routes`, which the application adds."""

from operations.console.pages import balances, event, overview, pending, sources, workers

PAGES = (overview.routes, event.routes, pending.routes, balances.routes, sources.routes, workers.routes)
