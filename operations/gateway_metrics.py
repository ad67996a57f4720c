"""What the gateway's metrics say about each source, read from its operators' port."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

TIMEOUT_S = 2.0
BYTES_MAX = 4 * 1024 * 1024

_PREFIX = "webhook_gateway_"


class MetricsError(Exception):
    """The gateway's metrics cannot be read. The text is a sentence that says why."""


@dataclass(slots=True)
class SourceMetrics:
    """One source since the gateway started."""

    last_accepted_at: datetime | None = None
    certificate_expires_at: datetime | None = None
    answers: dict[str, int] = field(default_factory=dict)
    """Answers by HTTP status."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused requests by reason."""
    verified: dict[str, int] = field(default_factory=dict)
    """Genuine requests by the number of the secret that verified them, in the order of the list."""
    duplicates: int = 0


async def read_gateway_metrics(url: str) -> dict[str, SourceMetrics]:
    """Return source → its metrics, from the gateway at `url`. Raise MetricsError."""
    if not url:
        raise MetricsError(
            "The gateway's own figures are not shown, because GATEWAY_OPERATORS_URL is not set: it is the address of "
            "its operators' port"
        )
    try:
        return parse_metrics(await _fetch(URL(url) / "metrics"))
    except TimeoutError:
        raise MetricsError(f"The gateway's operators' port does not answer within {TIMEOUT_S:g} s ({url})") from None
    except aiohttp.ClientError as error:
        raise MetricsError(f"The gateway's operators' port cannot be reached ({url}): {error}") from error
    except (ValueError, OverflowError) as error:
        raise MetricsError(f"What answers at {url}/metrics are no metrics of Prometheus: {error}") from error


async def gateway_lives(url: str) -> bool:
    """Return whether the gateway at `url` answers on its operators' port."""
    try:
        await _fetch(URL(url) / "healthz")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
    return True


def parse_metrics(text: str) -> dict[str, SourceMetrics]:
    """Return source → its metrics. Raise ValueError for another format."""
    found: dict[str, SourceMetrics] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            source = sample.labels.get("source")
            if source is not None and sample.name.startswith(_PREFIX):
                name = sample.name.removeprefix(_PREFIX)
                _take(found.setdefault(source, SourceMetrics()), name, sample.labels, sample.value)
    return found


def _take(source: SourceMetrics, name: str, labels: dict[str, str], value: float) -> None:
    match name:
        case "requests_total":
            source.answers[labels.get("status", "")] = int(value)
        case "rejected_total":
            source.refused[labels.get("reason", "")] = int(value)
        case "verified_total":
            source.verified[labels.get("secret", "")] = int(value)
        case "duplicates_total":
            source.duplicates = int(value)
        case "last_accepted_timestamp_seconds":
            source.last_accepted_at = _time(value)
        case "certificate_expiry_timestamp_seconds":
            source.certificate_expires_at = _time(value)


async def _fetch(url: URL) -> str:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"it answers {answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > BYTES_MAX:
                raise ValueError(f"it answers more than {BYTES_MAX} bytes")
    return body.decode()


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
