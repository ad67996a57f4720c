"""The pages, one module each. Each has `routes`, which the application adds."""

from operations.console.pages import balances, overview, pending, sources, workers

PAGES = (overview.routes, pending.routes, balances.routes, sources.routes, workers.routes)
