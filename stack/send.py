"""`make send`: one sample event, signed with a source's own secret as its provider signs, to the running gateway."""

import base64
import http.client
import json
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from providers import PROVIDERS, signing
from providers.generic_hmac.webhook import GenericHmac
from providers.raw_body import RawBody
from stack import ready, show
from stack.base import StackError
from stack.samples import AMOUNT_MINOR, SAMPLES, Headers

REFERENCE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Sender:
    """How a provider's samples are made: the usual type, the body of an event with this id, and the signed headers."""

    type: str
    body: Callable[[str, str], dict[str, Any]]
    sign: Callable[[str, str, bytes, str], Headers]


def _stripe_body(event_id: str, kind: str) -> dict[str, Any]:
    intent = {"id": f"pi_{event_id}", "object": kind.rpartition(".")[0], "amount": AMOUNT_MINOR, "currency": "eur",
              "amount_received": AMOUNT_MINOR, "status": "succeeded"}  # fmt: skip
    return {"id": f"evt_{event_id}", "object": "event", "type": kind, "created": int(time.time()), "livemode": True,
            "data": {"object": intent}}  # fmt: skip


def _stripe_headers(secret: str, _id: str, body: bytes, _type: str) -> Headers:
    at = str(int(time.time()))
    digest = signing.hmac_sha256(secret.encode(), at.encode() + b"." + body)
    return {"Stripe-Signature": f"t={at},v1={digest.hex()}"}


def _standard_headers(prefix: str) -> Callable[[str, str, bytes, str], Headers]:
    def headers(secret: str, event_id: str, body: bytes, _type: str) -> Headers:
        at = str(int(time.time()))
        key = signing.key_from_base64(secret.removeprefix("whsec_"))
        digest = signing.hmac_sha256(key, b".".join((event_id.encode(), at.encode(), body)))
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {f"{prefix}-id": event_id, f"{prefix}-timestamp": at, f"{prefix}-signature": signature}

    return headers


def _standard_body(event_id: str, kind: str) -> dict[str, Any]:
    return {"type": kind, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": {"id": event_id}}


SENDERS: Mapping[str, Sender] = {
    "stripe": Sender("payment_intent.succeeded", _stripe_body, _stripe_headers),
    "standard_webhooks": Sender("sample.sent", _standard_body, _standard_headers("webhook")),
    "svix": Sender("sample.sent", _standard_body, _standard_headers("svix")),
    "github": Sender(
        "ping",
        lambda event_id, _type: {"zen": "Design for failure.", "hook_id": 1, "sample": event_id},
        lambda secret, event_id, body, kind: {
            "X-Hub-Signature-256": f"sha256={signing.hmac_sha256(secret.encode(), body).hex()}",
            "X-GitHub-Event": kind,
            "X-GitHub-Delivery": event_id,
        },
    ),
}
"""The providers whose samples are signed here, besides SAMPLES. Others are tested with the provider's dashboard."""


def send(environment: Mapping[str, str], gateway_url: str, source: str, kind: str | None) -> int:
    """Send one sample, print the answer, and return the exit code: 0 if it was accepted."""
    path = Path(environment.get("SOURCES_FILE") or "sources.toml")
    table = _table(path, source)
    provider = str(table.get("provider"))
    made = SENDERS.get(provider) or SAMPLES.get(provider)
    if made is None:
        raise StackError(_cannot_sign(source, provider))
    secret = _secret(table, path.parent, environment, source)
    event_id, chosen = f"sample_{secrets.token_hex(6)}", kind or made.type
    body = json.dumps(made.body(event_id, chosen)).encode()
    headers = {"Content-Type": "application/json", **signed_headers(table, secret, event_id, body, chosen)}
    status, answer = _post(gateway_url, f"/webhooks/{source}", body, headers)
    show.say(f"{chosen} to {gateway_url}/webhooks/{source}: {status} {answer}")
    return 0 if status in (200, 201, 202) else 1


def signed_headers(table: Mapping[str, Any], secret: str, event_id: str, body: bytes, kind: str) -> Headers:
    """Return the headers of a sample, signed as the source's own settings say. Raise StackError."""
    name = str(table["provider"])
    if sender := SENDERS.get(name):
        return sender.sign(secret, event_id, body, kind)
    try:
        provider = PROVIDERS[name](PROVIDERS[name].Source.model_validate({**table, "secrets": [secret]}))
    except ValidationError as error:
        raise StackError(f"[{table['source']}] cannot be used; `make check` says why") from error
    if not isinstance(provider, RawBody | GenericHmac):
        raise TypeError(f"{name} cannot sign its samples")
    return {**SAMPLES[name].headers(kind), **provider.sign(body)}


def _cannot_sign(source: str, provider: str) -> str:
    known = ", ".join(sorted({*SENDERS, *SAMPLES}))
    if provider not in PROVIDERS:
        return f"[{source}] has no known provider; samples are made for {known}"
    return (
        f"no sample is made for provider {provider}; nothing was sent. Samples are made for {known}. Send a test event "
        f"from {provider}'s own dashboard instead; only the provider has the key where it signs with a private one."
    )


def _table(path: Path, source: str) -> Mapping[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
    table = tables.get(source)
    if not isinstance(table, dict):
        raise StackError(f"{path} has no source {source!r}; there are: {', '.join(sorted(tables))}")
    return {**table, "source": source}


def _secret(table: Mapping[str, Any], folder: Path, environment: Mapping[str, str], source: str) -> str:
    """Return the newest secret of a source, with its reference replaced."""
    listed = table.get("secrets")
    text = listed[0] if isinstance(listed, list) and listed else ""
    try:
        value = REFERENCE.sub(lambda match: environment.get(match[1], ""), str(text))
        secret = (
            (folder / value.removeprefix("file:")).read_text().rstrip("\r\n") if value.startswith("file:") else value
        )
    except OSError as error:
        raise StackError(f"the secret of [{source}] cannot be read: {error.strerror}") from error
    if not secret:
        raise StackError(f"[{source}] has no secret to sign with; `make check` says why")
    return secret


def _post(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    connection = ready.connect(url)
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"the gateway at {url} does not answer ({error}); `make up` starts it") from error
    finally:
        connection.close()
