"""Each mistake in the notifier's settings is one sentence without the value."""

from pathlib import Path

import pytest

from operations.notify.settings import Settings
from runtime.settings import SettingsError, load_settings
from stack.check import check_operations
from tests.support.processes import ROOT
from tests.support.receiver import NOTIFY_SECRET

HTTPS = "it does not begin with https://; only an address of this host may begin with http://"
UNREADABLE = "it is not an address that can be read"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and a secret that can be used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SECRET", NOTIFY_SECRET)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hush.example.com/x", HTTPS),
        ("http://10.0.0.7/hush", HTTPS),
        ("http://localhost.hush.com/", HTTPS),
        ("hush.example.com", UNREADABLE),
        ("https:///hush", UNREADABLE),
        ("https://[hush/", UNREADABLE),
        ("https://hush:99999/", UNREADABLE),
        ("ftp://hush/", HTTPS),
        ("https://hush.example.com/a b", "white space or odd characters"),
        ("https://hush.example.com/ä", "white space or odd characters"),
        (f"https://hush.example.com/{'a' * 5000}", "white space or odd characters"),
    ],
)
def test_an_address_that_cannot_be_used(url: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert problem in f"{caught.value}"
    assert "NOTIFY_URL: " in f"{caught.value}"
    assert "hush" not in f"{caught.value}"


@pytest.mark.parametrize(
    "url",
    ["https://user:pass@example.com:8443/a?b=c", "http://127.0.0.1:1/", "http://[::1]:1/x", "http://localhost/"],
)
def test_addresses_that_can_be_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", url)
    assert load_settings(Settings).is_asked_for
    assert url not in repr(load_settings(Settings))


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("hush", "it does not begin with whsec_"),
        ("whsec_hush!", "a secret is not base64"),
        ("whsec_aHVzaA==", "it has 4 bytes, not 24 to 64"),
        (f"whsec_{'hush' * 30}", "it has 90 bytes, not 24 to 64"),
    ],
)
def test_a_secret_that_cannot_be_used(secret: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SECRET", secret)
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings)
    assert f"{caught.value}".splitlines()[1:] == [f"  - NOTIFY_SECRET: {problem}"]


def test_make_check_names_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NOTIFY_URL", "https://example.com/")
    monkeypatch.delenv("NOTIFY_SECRET")
    (heading, problem) = check_operations(asks_apis=False)
    assert heading.startswith("The settings cannot be used")
    assert problem.startswith("  - NOTIFY_SECRET: it is not set, and NOTIFY_URL is")
