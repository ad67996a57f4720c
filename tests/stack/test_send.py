"""`make send`: each sample verifies as its provider verifies it, and what cannot be sent is said in a sentence."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers import PROVIDERS
from providers.base import Headers, Request
from stack import psql
from stack.base import StackError
from stack.samples import SAMPLES
from stack.send import SENDERS, send, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


OTHER_HMAC = {"header": "X-Other", "digest": "sha512", "encoding": "base64", "prefix": "v=", "key_encoding": "base64"}


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in {**SENDERS, **SAMPLES}), ("hmac", OTHER_HMAC)])
async def test_a_sample_verifies_and_is_an_event_of_that_type(name: str, settings: dict[str, str]) -> None:
    made, kind = SENDERS.get(name) or SAMPLES[name], PROVIDERS[name]
    secret = SECRET.removeprefix("whsec_") if settings else SECRET
    table = {"source": "s", "provider": name, "secrets": [secret], **settings}
    provider = kind(kind.Source.model_validate(table))
    body = json.dumps(made.body("sample_1", made.type)).encode()
    headers = {"Content-Type": "application/json", **signed_headers(table, secret, "sample_1", body, made.type)}
    request = Request(
        "POST", "/webhooks/s", Headers([(each.encode(), value.encode()) for each, value in headers.items()]), body,
        datetime.now(UTC),
    )  # fmt: skip
    assert (await provider.authenticate(request)).secret_number == 1
    [event] = provider.parse(request)
    assert event.event_id
    assert event.resource
    if name not in ("hmac", "github"):
        assert event.type == made.type


SOURCES = """
[asymmetric]
provider = "wise"
[unset]
provider = "stripe"
secrets = ["${NOWHERE}"]
"""


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("nobody", "has no source 'nobody'; there are: asymmetric, unset"),
     ("asymmetric", "Send a test event from wise's own dashboard"),
     ("unset", r"\[unset\] has no secret to sign with")],
)  # fmt: skip
def test_what_cannot_be_sent_is_said(tmp_path: Path, source: str, sentence: str) -> None:
    (tmp_path / "sources.toml").write_text(SOURCES)
    with pytest.raises(StackError, match=sentence):
        send({"SOURCES_FILE": str(tmp_path / "sources.toml")}, "http://127.0.0.1:1", source, None)


def test_psql_gets_the_password_by_its_environment(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$# $PGHOST $PGPORT $PGUSER $PGPASSWORD $PGDATABASE $PGSSLMODE"\n')
    program.chmod(0o755)
    url = {"DATABASE_URL": "postgresql://worker:p%40ss@127.0.0.1:5433/payments?sslmode=disable"}
    program_that_fails = tmp_path / "fails"
    program_that_fails.write_text("#!/bin/sh\nexit 2\n")
    program_that_fails.chmod(0o755)
    assert psql.run(url, str(program_that_fails)) == 2
    assert "`make up` starts what does not" in capfd.readouterr().err
    assert psql.run(url, str(program)) == 0
    assert capfd.readouterr().out == "0 127.0.0.1 5433 worker p@ss payments disable\n"
    assert psql.run(url, None) == 1
    assert "DATABASE_URL" in capfd.readouterr().out
