"""What a source's table must have so that its provider's API is asked: sentences for the person who starts it."""

import pytest

from providers import PROVIDERS
from providers.apis import APIS, AccessError, asking_problems, build_apis
from providers.secret import Secret

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


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "http://127.0.0.1.evil.example", "http://u@127.0.0.1", "http://:p@127.0.0.1", "127.0.0.1",
     "ftp://127.0.0.1", "http://127.0.0.1?a=1", "http://127.0.0.1#a", "http://127.0.0.1:99999", "http://["],
)  # fmt: skip
def test_only_a_stand_in_on_this_machine_may_be_named(address: str) -> None:
    table = {"provider": "stripe", "api_key": "sk_live_1"}
    with pytest.raises(AccessError, match="api_url: not an"):
        build_apis({"shop": {**table, "api_url": address}})
    assert build_apis({"shop": {**table, "api_url": "http://[::1]:8080/base"}})["shop"].base_url.endswith("/base")


@pytest.mark.parametrize("key", ["sk_live_1\n", " sk_live_1", "sk_live_1\t", "sk_\0", "schlüssel", "a\r\nHost: x"])
@pytest.mark.parametrize("provider", sorted(APIS))
def test_what_no_header_can_have_is_no_credential(provider: str, key: str) -> None:
    access = APIS[provider].Access
    names = [name for name in access.credentials if access.model_fields[name].annotation is Secret]
    with pytest.raises(AccessError) as error:
        build_apis(
            {"shop": {"provider": provider, **dict.fromkeys(access.credentials, "x"), **dict.fromkeys(names, key)}}
        )
    assert {f"[shop] {name}" for name in names} <= {problem.partition(":")[0] for problem in error.value.problems}
    assert key not in str(error.value)


def test_a_key_of_the_other_mode_is_said_without_the_key() -> None:
    tables = {"shop": {"provider": "razorpay", "key_id": "rzp_test_abcdef", "key_secret": "s", "mode": "live"}}
    with pytest.raises(AccessError) as error:
        build_apis(tables)
    assert error.value.problems == (
        "[shop] key_id: does not begin with rzp_live_, as the id of a key of the source's mode does",
    )
