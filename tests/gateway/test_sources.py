"""sources.toml: what it may contain; all problems are reported together, without a secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sources import SourcesError, load_sources
from providers import PROVIDERS
from providers.base import Provider, SourceSettings, TimedSettings
from providers.generic_hmac.webhook import GenericHmac
from providers.standard_webhooks import StandardWebhooks
from providers.stripe.webhook import Stripe
from runtime.references import FILE_BYTES_MAX

HIDDEN = "do-not-print"


def load(folder: Path, toml: str, environment: Mapping[str, str] | None = None) -> dict[str, Provider]:
    path = folder / "sources.toml"
    path.write_text(toml, encoding="utf-8")
    return load_sources(path, environment or {})


def secrets_of(provider: Provider) -> list[str]:
    return [secret.reveal() for secret in provider.settings.secrets]


def problems_of(folder: Path, toml: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SourcesError) as refused:
        load(folder, toml, environment)
    assert all(problem in str(refused.value) for problem in refused.value.problems)
    assert HIDDEN not in str(refused.value) + repr(refused.value)
    return refused.value.problems


def test_each_table_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\r\n")
    sources = load(
        tmp_path,
        """
        [stripe]
        provider = "stripe"
        secrets = ["${NEW}", "old"]
        tolerance_s = 60
        namespace = "acme"
        [stripe_eu]
        provider = "stripe"
        secrets = ["pre-${NEW}-${OTHER}"]
        namespace = "acme"
        [standard]
        provider = "standard_webhooks"
        secrets = ["whsec_AAAA"]
        [default]
        provider = "hmac"
        secrets = ["file:${FOLDER}/secret"]
        """,
        {"NEW": "new", "OTHER": "file:x ${NEW}", "FOLDER": "."},
    )
    assert {name: type(source) for name, source in sources.items()} == {
        "stripe": Stripe,
        "stripe_eu": Stripe,
        "standard": StandardWebhooks,
        "default": GenericHmac,
    }
    assert {name: secrets_of(source) for name, source in sources.items()} == {
        "stripe": ["new", "old"],
        "stripe_eu": ["pre-new-file:x ${NEW}"],
        "standard": ["whsec_AAAA"],
        "default": ["from a file"],
    }
    namespaces = {name: source.settings.namespace for name, source in sources.items()}
    assert namespaces == {"stripe": "acme", "stripe_eu": "acme", "standard": "standard", "default": "default"}
    assert isinstance(sources["stripe"].settings, TimedSettings)
    assert sources["stripe"].settings.tolerance_s == 60


def test_the_repositorys_own_file_works() -> None:
    path = Path(__file__).parents[2] / "sources.toml"
    names = {"STRIPE_WEBHOOK_SECRET": "a", "STANDARD_WEBHOOKS_SECRET": "whsec_AAAA", "WEBHOOK_SECRET": "b"}
    assert set(load_sources(path, names)) == {"stripe", "standard", "default"}
    with pytest.raises(SourcesError) as refused:
        load_sources(path, {})
    assert all(name in str(refused.value) for name in names)


MANY_PROBLEMS = f"""
        stray = "{HIDDEN}"
        [one]
        provider = "stripe"
        secrets = ["${{UNSET}}", "${{EMPTY}}", "{HIDDEN}"]
        tolerance_s = "300"
        speed = "{HIDDEN}"
        [two]
        provider = "strpe"
        secrets = ["${{UNSET}}"]
        [three]
        provider = "hmac"
        secrets = ["file:missing", "file:empty", "file:bytes", "file:large", "file:.", "file:a\\u0000b"]
        namespace = "Acme:EU"
        [four]
        provider = "hmac"
        secrets = ["{HIDDEN}", "${{SAME}}"]
        tolerance_s = 300
        [five]
        provider = "standard_webhooks"
        secrets = ["whsec_AAAA", "{HIDDEN}"]
        [six]
        provider = "hmac"
        secrets = []
        [seven]
        provider = "hmac"
        [eight]
        provider = "hmac"
        secrets = ["  ", 5]
        source = "other"
        ["Nine:9"]
        provider = "hmac"
        secrets = "{HIDDEN}"
        [ten]
        secrets = ["${{1}}", "${{", "${{}}"]
        """
EVERY_PROBLEM = [
    "[stray] is a value outside of any table",
    "[one] secrets number 1: environment variable UNSET is not set",
    "[one] secrets number 2: environment variable EMPTY is empty",
    "[one] tolerance_s: Input should be a valid integer",
    "[one] speed is not a setting of provider stripe",
    "[two] secrets number 1: environment variable UNSET is not set",
    f"[two] provider is not one of {', '.join(sorted(PROVIDERS))}",
    "missing cannot be read: No such file or directory",
    "empty is empty",
    "bytes is not UTF-8 text",
    f"large has more than {FILE_BYTES_MAX} bytes",
    "cannot be read: Is a directory",
    "[three] secrets number 6: the path of a file has a NUL in it",
    "[three] namespace: String should match pattern",
    "[four] tolerance_s is not a setting of provider hmac",
    "[four] secrets: the same secret is listed twice",
    "[five] secrets: number 2: a secret is not base64",
    "[six] secrets: the list is empty",
    "[seven] secrets: Field required",
    "[eight] secrets number 1: a secret is empty",
    "[eight] secrets number 2: a secret is not text",
    "[eight] source is not a setting; the table's own name is the source",
    "[Nine:9] is a name that does not match",
    "[Nine:9] secrets: Input should be a valid tuple",
    "[ten] secrets number 1: there is a ${ without a NAME}",
    "[ten] secrets number 2: there is a ${ without a NAME}",
    "[ten] secrets number 3: there is a ${ without a NAME}",
    "[ten] provider is not one of",
]


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    problems = problems_of(
        tmp_path,
        MANY_PROBLEMS,
        {"EMPTY": "", "SAME": HIDDEN},
    )
    for text in EVERY_PROBLEM:
        assert sum(text in problem for problem in problems) == 1, (text, problems)
    assert len(problems) == len(EVERY_PROBLEM), problems


def test_one_secret_may_not_be_listed_twice(tmp_path: Path) -> None:
    toml = f'[a]\nprovider = "hmac"\nsecrets = ["{HIDDEN}", "${{SAME}}"]'
    assert problems_of(tmp_path, toml, {"SAME": HIDDEN}) == ("[a] secrets: the same secret is listed twice",)


@pytest.mark.parametrize("toml", ["", "# nothing", "a = ", "[a]\n[a]", f'[a]\nx = "{HIDDEN}', "\x00"])
def test_a_file_without_sources_is_refused(tmp_path: Path, toml: str) -> None:
    assert len(problems_of(tmp_path, toml)) == 1


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="No such file"):
        load_sources(tmp_path / "sources.toml", {})
    (tmp_path / "sources.toml").write_bytes(b'[a]\nprovider = "\xff"')
    with pytest.raises(SourcesError, match="not TOML in UTF-8"):
        load_sources(tmp_path / "sources.toml", {})


@pytest.mark.parametrize("name", ["a", "0", "a_b-c", "a" * 64])
def test_valid_source_names(tmp_path: Path, name: str) -> None:
    assert set(load(tmp_path, f'["{name}"]\nprovider = "hmac"\nsecrets = ["x"]')) == {name}


@pytest.mark.parametrize("name", ["", "A", "a:b", "a b", "-a", "a" * 65, "é", "a\\n"])
@pytest.mark.parametrize("setting", ["table", "namespace"])
def test_invalid_source_names(tmp_path: Path, name: str, setting: str) -> None:
    toml = f'["{name}"]\n' if setting == "table" else f'[a]\nnamespace = "{name}"\n'
    assert len(problems_of(tmp_path, toml + 'provider = "hmac"\nsecrets = ["x"]')) == 1


@pytest.mark.parametrize("tolerance", ["0", "-1", "86401", "1.5", "true", '"300"', "nan"])
def test_a_tolerance_is_a_sensible_number_of_seconds(tmp_path: Path, tolerance: str) -> None:
    toml = f'[a]\nprovider = "stripe"\nsecrets = ["x"]\ntolerance_s = {tolerance}'
    (problem,) = problems_of(tmp_path, toml)
    assert "tolerance_s" in problem


def test_settings_do_not_show_secrets_nor_change() -> None:
    settings_ = SourceSettings.model_validate({"source": "a", "provider": "hmac", "secrets": [HIDDEN]})
    assert HIDDEN not in repr(settings_) + str(settings_) + str(settings_.model_dump()) + settings_.model_dump_json()
    with pytest.raises(ValueError, match="frozen"):
        settings_.namespace = "b"


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=60) | st.text(alphabet='[]a="${}\n:file.', max_size=60))
def test_nothing_in_the_file_causes_any_other_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    with pytest.raises(SourcesError):
        load(folder, text)


def test_settings_of_one_provider_only_are_reported_by_name(tmp_path: Path) -> None:
    problems = problems_of(
        tmp_path,
        f"""
        [klarna]
        provider = "klarna"
        secrets = ["{HIDDEN}", "other"]
        key_ids = ["krn:1"]
        [acme]
        provider = "hmac"
        secrets = ["{HIDDEN}"]
        key_encoding = "hex"
        header = "X Acme"
        event_id = ["/id", "no place"]
        """,
    )
    assert problems == (
        "[klarna] key_ids: there must be one for each of the secrets, in their order",
        "[acme] header: not the name of a header",
        "[acme] key_encoding: secret number 1: a secret is not hexadecimal",
        "[acme] event_id: a path is neither a JSON pointer, such as /data/id, nor the name of a header",
    )


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('trust = "everything"', "trust: Input should be 'signed' or 'all'"),
        ('capture = "later"', "capture: Input should be 'manual' or 'automatic'"),
        ('accounts = { merchant = "{nobody}" }', "accounts: merchant has braces around other than"),
        ('accounts = { shop = "x" }', "accounts: shop is not one of"),
    ],
)
def test_settings_of_the_ledger_are_checked_at_the_start(tmp_path: Path, setting: str, problem: str) -> None:
    (reported,) = problems_of(tmp_path, f'[a]\nprovider = "hmac"\nsecrets = ["x"]\n{setting}\n')
    assert reported.removeprefix("[a] ").startswith(problem)
