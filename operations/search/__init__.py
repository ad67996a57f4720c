"""Search for events: the query language, and one page of what matches, the newest first. Reads only.

query = parse_query('source:stripe status:dead since:2h', now)
page = await search(servers, servers.keys, query, limit=50)
page = await search(servers, servers.keys, query, limit=50, after=page.next)
"""

from operations.search.find import Page, Reach, count, search
from operations.search.follow import follow
from operations.search.language import parse_query
from operations.search.query import SHOWN_UNASKED, Choice, Query, QueryError, Status
from operations.search.row import Row

__all__ = [
    "SHOWN_UNASKED",
    "Choice",
    "Page",
    "Query",
    "QueryError",
    "Reach",
    "Row",
    "Status",
    "count",
    "follow",
    "parse_query",
    "search",
]
