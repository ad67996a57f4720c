"""What the accounts of the ledger have, for one namespace at a time."""

from aiohttp import web

from operations.balances import ACCOUNTS_MAX, add_up_balances, estimate_transfers, is_large, list_namespaces
from operations.console.render import render
from operations.console.site import reading

routes = web.RouteTableDef()

TIMEOUT_S = 5.0
"""The limit for adding up. A namespace with about ten million transfers takes longer."""


@routes.get("/balances")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the balances of a namespace; of a large ledger only if `add=1` asks for it, within TIMEOUT_S."""
    async with reading(request).postgres() as connection:
        namespaces = await list_namespaces(connection)
        namespace = request.query.get("namespace", namespaces[0] if len(namespaces) == 1 else None)
        has_to_be_asked = request.query.get("add") != "1" and await is_large(connection)
        adds = namespace is not None and not has_to_be_asked
        balances = await add_up_balances(connection, namespace or "", timeout_s=TIMEOUT_S) if adds else None
        transfers = await estimate_transfers(connection) if has_to_be_asked or (adds and not balances) else None
    return render(
        request,
        "balances.html",
        namespaces=namespaces,
        namespace=namespace,
        has_to_be_asked=has_to_be_asked,
        balances=balances,
        transfers=transfers,
        accounts_max=ACCOUNTS_MAX,
        timeout_s=TIMEOUT_S,
    )
