"""The APIs that can be asked, in one list, and what a source's table must have for it."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from pydantic import ValidationError

from providers.api import Api, Confirmation, EventList, Listing, PaymentList
from providers.api_access import AskingSettings
from providers.braintree.api import BraintreeApi
from providers.checkout import facts as checkout_facts
from providers.checkout.api import CheckoutApi
from providers.flutterwave_v3.api import FlutterwaveV3Api
from providers.gocardless import facts as gocardless_facts
from providers.gocardless.api import GoCardlessApi
from providers.mercadopago.api import MercadoPagoApi
from providers.mollie.api import MollieApi, MollieClassicApi
from providers.paddle import facts as paddle_facts
from providers.paddle.api import PaddleApi
from providers.paypal import facts as paypal_facts
from providers.paypal.api import PayPalApi
from providers.paystack.api import PaystackApi
from providers.razorpay.api import RazorpayApi
from providers.square import facts as square_facts
from providers.square.api import SquareApi
from providers.stripe import facts as stripe_facts
from providers.stripe.api import StripeApi
from providers.stripe.thin import MONEY_TYPES as STRIPE_THIN_TYPES

APIS: dict[str, type[Api]] = {
    api.name: api
    for api in (
        BraintreeApi,
        CheckoutApi,
        FlutterwaveV3Api,
        GoCardlessApi,
        MercadoPagoApi,
        MollieApi,
        MollieClassicApi,
        PaddleApi,
        PayPalApi,
        PaystackApi,
        RazorpayApi,
        SquareApi,
        StripeApi,
    )
}
"""The APIs by the provider's name."""

_TYPES: Mapping[str, Collection[str]] = {
    "stripe": stripe_facts.TYPES.keys() | STRIPE_THIN_TYPES,
    "paypal": paypal_facts.TYPES,
    "square": square_facts.TYPES,
    "paddle": paddle_facts.TYPES,
    "checkout": checkout_facts.TYPES,
    "gocardless": gocardless_facts.TYPES,
}
"""The types that report money, of the providers that list events."""

ASKING_KEYS = frozenset(AskingSettings.model_fields)


class AccessError(Exception):
    """The access of a source cannot be used. The text lists every problem and no secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def credentials_of(provider: object) -> tuple[str, ...]:
    """Return the names of the settings that are credentials for a provider's API; none where it cannot be asked."""
    api = APIS.get(provider) if isinstance(provider, str) else None
    return api.Access.credentials if api else ()


def access_keys(provider: object) -> frozenset[str]:
    """Return the names of all settings that a program needs to ask a provider's API."""
    api = APIS.get(provider) if isinstance(provider, str) else None
    return frozenset(api.Access.model_fields) | {"provider"} if api else frozenset()


def asking_problems(provider: str, table: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a table that wants its provider's API to be asked, one sentence each."""
    api, problems = APIS.get(provider), []
    if table.get("confirm") is not None and not (api and issubclass(api, Confirmation)):
        problems.append(f"confirm: no event of provider {provider} can be confirmed by its API (see docs/providers.md)")
    if table.get("reconcile_every") is not None and not (api and issubclass(api, EventList | PaymentList)):
        problems.append(
            f"reconcile_every: the API of provider {provider} lists neither events nor payments (see docs/providers.md)"
        )
    problems += [
        f"{name}: the API of provider {provider} lists neither events nor payments (see docs/providers.md)"
        for name in ("reconcile_repair", "reconcile_types")
        if table.get(name) is not None and not (api and issubclass(api, Listing))
    ]
    if table.get("confirm") is not None and table.get("trust") == "all":
        problems.append('confirm: with trust = "all" every event is believed, so that none would be confirmed')
    wants = table.get("confirm") is not None or table.get("reconcile_every") is not None
    if wants and (missing := [name for name in credentials_of(provider) if name not in table]):
        problems.append(f"{', '.join(missing)}: needed to ask the API of provider {provider}")
    return problems


def build_apis(tables: Mapping[str, Mapping[str, object]]) -> dict[str, Api]:
    """Return the API of each source whose table has the credentials, by the source's name. Raise AccessError.

    `tables` are those settings of each source that `access_keys` names, resolved.
    """
    apis, problems = dict[str, Api](), list[str]()
    for source, table in tables.items():
        api = APIS.get(str(table.get("provider")))
        if api is None or any(name not in table for name in api.Access.credentials):
            continue
        try:
            access = api.Access.model_validate({"namespace": source, **table, "source": source})
        except ValidationError as error:
            problems += [
                f"[{source}] {'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
                for each in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            continue
        apis[source] = api(access)
    if problems:
        raise AccessError(problems)
    return apis


def money_types(provider: str) -> frozenset[str] | None:
    """Return the types of a provider's events that report money; None where no type does, so that all are alike."""
    types = _TYPES.get(provider)
    return frozenset(types) if types else None


def reach_of(api: Api) -> timedelta | None:
    """Return how far back the API's list goes; None where it lists nothing."""
    return api.reach if isinstance(api, Listing) else None
