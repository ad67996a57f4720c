"""What a source's table must have so that its provider's API is asked: sentences for the person who starts it."""

import pytest

from providers import PROVIDERS
from providers.apis import APIS, AccessError, asking_problems, build_apis

UNASKED = sorted(PROVIDERS.keys() - APIS.keys())


@pytest.mark.parametrize("provider", UNASKED)
def test_a_provider_that_cannot_be_asked_says_so_and_where_the_reason_stands(provider: str) -> None:
    wants = {"confirm": "api", "reconcile_every": "1h", "reconcile_repair": True}
    problems = asking_problems(provider, wants)
    assert [problem.split(":")[0] for problem in problems] == list(wants)
    assert all(f"provider {provider} " in problem and "docs/providers.md" in problem for problem in problems)
    assert asking_problems(provider, {}) == []


def test_nobody_can_be_asked_about_a_payment_at_adyen() -> None:
    assert "adyen" in UNASKED


@pytest.mark.parametrize("provider", sorted(APIS))
def test_what_is_needed_to_ask_is_named(provider: str) -> None:
    api = APIS[provider]
    (problem,) = asking_problems(provider, {"reconcile_every": "1h"})
    assert problem == f"{', '.join(api.Access.credentials)}: needed to ask the API of provider {provider}"
    table = dict.fromkeys(api.Access.credentials, "x")
    assert asking_problems(provider, {"reconcile_every": "1h", **table}) == []


def test_a_key_of_the_other_mode_is_said_without_the_key() -> None:
    tables = {"shop": {"provider": "razorpay", "key_id": "rzp_test_abcdef", "key_secret": "s", "mode": "live"}}
    with pytest.raises(AccessError) as error:
        build_apis(tables)
    assert error.value.problems == (
        "[shop] key_id: does not begin with rzp_live_, as the id of a key of the source's mode does",
    )
