"""Workers read the credentials of the sources that they ask for, and no others; what is missing is a sentence."""

from pathlib import Path

import pytest

from consumers.confirmation.access import Access, read_access
from providers.apis import APIS, AccessError
from runtime.sources_file import read_posting_rules
from tests.support.stand_ins.objects import ObjectsApi

ENVIRONMENT = {"ONE": "sk_one", "TWO": "sk_two"}


@pytest.fixture(autouse=True)
def _stripe_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(APIS, "stripe", ObjectsApi)


def read(folder: Path, text: str) -> Access:
    path = folder / "sources.toml"
    path.write_text(text)
    return read_access(path, ENVIRONMENT, read_posting_rules(path))


def test_only_sources_that_are_asked_for_are_read(tmp_path: Path) -> None:
    access = read(
        tmp_path,
        '[a]\nprovider = "stripe"\nconfirm = "api"\napi_key = "${ONE}"\nsecrets = ["${NOT_SET}"]\nmode = "test"\n'
        '[b]\nprovider = "stripe"\napi_key = "${NOT_SET_EITHER}"\nreconcile_every = "1h"\n',
    )
    assert access.apis.keys() == access.asked.keys() == {"a"}
    assert access.apis["a"].access.namespace == "a"
    assert access.apis["a"].access.mode == "test"
    assert access.tables["a"]["api_key"] == "sk_one"
    assert "sk_one" not in repr(access)


def test_nothing_is_read_where_no_source_asks(tmp_path: Path) -> None:
    assert read(tmp_path, '[a]\nprovider = "stripe"\napi_key = "${NOT_SET}"\n') == Access()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('provider = "stripe"', "[a] api_key: needed to ask the API of provider stripe"),
        ('provider = "stripe"\napi_key = "${NOT_SET}"', "[a] api_key: environment variable NOT_SET is not set"),
        ('provider = "stripe"\napi_key = "${ONE}"\ntrust = "all"', '[a] confirm: with trust = "all" every event'),
        ('provider = "hmac"', "[a] confirm: no event of provider hmac can be confirmed"),
        ('provider = "stripe"\napi_key = "${ONE}"\napi_url = "https://evil.example"', "[a] api_url: "),
        ('provider = "stripe"\napi_key = " "', "[a] api_key: "),
    ],
)
def test_what_is_missing_or_wrong_is_a_sentence_without_a_secret(tmp_path: Path, table: str, problem: str) -> None:
    with pytest.raises(AccessError) as error:
        read(tmp_path, f'[a]\nconfirm = "api"\n{table}\n')
    assert any(each.startswith(problem) for each in error.value.problems), error.value.problems
    assert "sk_one" not in str(error.value)
