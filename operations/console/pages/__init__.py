"""The pages, one module each. Each has `routes`, which the application adds."""

from operations.console.pages import overview

PAGES = (overview.routes,)
