"""One delivery: read, verify, publish, answer. Nothing is answered 2xx before its events are durable."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from aiohttp import web
from pydantic_core import to_json

from contract.keys import Partitions
from gateway.body import RefusedError, check_encoding, largest_body_bytes, received_body
from gateway.commit_waiter import CommitWaiter, requested_wait_s
from gateway.lane import Receipt
from gateway.lifecycle import Lifecycle
from gateway.metrics import Metrics
from gateway.problem import answer, json_answer, problem, retry_later
from gateway.publisher import BacklogFullError, Publisher
from gateway.ready_answer import ReadyAnswer
from gateway.redis_writer import RedisUnavailableError
from gateway.refusal_log import RefusalLog
from gateway.settings import Settings
from gateway.spans import RequestSpan, RequestSpans
from providers.base import Delivery, Headers, PayloadError, Provider, Request, SignatureError, UnavailableError
from runtime.tracing import Tracing, trace_id_of

NOT_GENUINE = "The signature is missing, malformed, stale or wrong."
"""One text for all of them: the exact reason helps nobody but a forger. The log and the metric have it."""

_TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger()


class Webhook:
    """The endpoint of one source."""

    def __init__(
        self,
        provider: Provider,
        settings: Settings,
        publisher: Publisher,
        commits: CommitWaiter,
        metrics: Metrics,
        refusals: RefusalLog,
        lifecycle: Lifecycle,
        clock: Callable[[], datetime],
        tracing: Tracing,
    ) -> None:
        self._provider = provider
        self._source = provider.settings.source
        self._settings = settings
        self._body_bytes_max = largest_body_bytes(provider, settings)
        self._partitions = Partitions(settings.key_prefix, settings.partitions)
        self._publisher = publisher
        self._commits = commits
        self._internal_error = metrics.internal_error
        self._metrics = metrics.of(self._source)
        self._refusals = refusals
        self._lifecycle = lifecycle
        self._clock = clock
        self._spans = RequestSpans(tracing, self._source) if tracing.is_on else None
        self.has_challenge = provider.challenges

    async def receive(self, request: web.Request) -> web.Response:
        """Answer any POST to this source, whatever it holds, with a status that the sender can act on."""
        began_s = time.monotonic()
        connection = self._lifecycle.begin(request)
        span = self._spans.begin(request.path, request.scheme) if self._spans else None
        try:
            headers = Headers.parsed(request.headers)
            check_encoding(headers)
            body = received_body(request, self._body_bytes_max)
            traceparent = _traceparent(headers)
            received = Request(request.method, request.raw_path, headers, body, self._clock(), traceparent)
            verify_began_s = time.monotonic()
            deliveries = await self._provider.verify(received)
            self._metrics.verified_in(time.monotonic() - verify_began_s)
            for delivery in deliveries:
                self._metrics.verified(delivery.secret_number)
            if span is not None:
                span.carry(deliveries)
            if len(deliveries) == 1:
                receipts = [await self._publisher.publish(deliveries[0])]
            else:
                receipts = await self._publish_several(deliveries)
            wait_s = self._requested_wait_s(headers)
            is_committed = wait_s > 0 and await self._is_committed(deliveries, receipts, wait_s)
            response = self._answer(deliveries, receipts, wait_s if is_committed else 0.0)
            if self._settings.event_log:
                self._log_events(deliveries, receipts)
        except Exception as error:  # noqa: BLE001 -- each becomes an answer, a metric and a line in the log
            response = self._refuse(error, request.remote, span)
            if isinstance(error, RefusedError) and connection is not None:
                connection.is_last_request = True
        self._metrics.answered(response.status, time.monotonic() - began_s)
        if span is not None:
            span.end(response.status)
        self._lifecycle.end(request, response, connection)
        return response

    async def challenge(self, request: web.Request) -> web.Response:
        """Answer a GET by which the sender checks that the endpoint knows its secret. Its body is not read."""
        try:
            headers = Headers.parsed(request.headers)
            received = Request(request.method, request.raw_path, headers, b"", self._clock())
            reply = self._provider.challenge(received)
            response = answer(reply.status, reply.body, reply.content_type)
        except Exception as error:  # noqa: BLE001 -- as above
            response = self._refuse(error, request.remote)
        self._metrics.answered(response.status)
        return response

    async def _publish_several(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        """Publish all events of a request; raise the first error once all are known."""
        results = await asyncio.gather(*map(self._publisher.publish, deliveries), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Receipt)]

    def _requested_wait_s(self, headers: Headers) -> float:
        """Return how long the sender asks to wait for the commit; 0 where the provider insists on one answer."""
        if self._provider.accepted:
            return 0.0
        return requested_wait_s(headers, self._settings.prefer_wait_s_max)

    async def _is_committed(self, deliveries: Sequence[Delivery], receipts: Sequence[Receipt], wait_s: float) -> bool:
        """Return whether all events were committed while the sender waited; False where they were before."""
        events = [each.event for each, receipt in zip(deliveries, receipts, strict=True) if not receipt.committed]
        markers = [
            self._partitions.keys_of(event.namespace, event.resource).seen(event.namespace, event.event_id)
            for event in events
        ]
        committed = await asyncio.gather(*(self._commits.is_committed(marker, wait_s) for marker in markers))
        return bool(committed) and all(committed)

    def _answer(self, deliveries: Sequence[Delivery], receipts: Sequence[Receipt], waited_s: float) -> web.Response:
        is_new = False
        for receipt in receipts:
            if receipt.new:
                is_new = True
            else:
                self._metrics.duplicate()
        insisted = self._provider.accepted
        if insisted is not None:
            return answer(insisted.status, insisted.body, insisted.content_type)
        status = 201 if waited_s else 202 if is_new else 200
        value = _result(deliveries, receipts, status)
        if not waited_s:
            return ReadyAnswer(status, to_json(value))
        response = json_answer(status, value)
        response.headers["Preference-Applied"] = f"wait={waited_s:g}"
        return response

    def _log_events(self, deliveries: Sequence[Delivery], receipts: Sequence[Receipt]) -> None:
        """Log one line for each event: what became of it, and how long that took. No body, and no header."""
        now = self._clock()
        for delivery, receipt in zip(deliveries, receipts, strict=True):
            event = delivery.event
            log.info(
                "event accepted" if receipt.new else "event was here before",
                source=self._source, event_id=event.event_id, entry_id=receipt.entry_id or None,
                trace_id=trace_id_of(event.headers), seconds=round((now - event.received_at).total_seconds(), 6),
            )  # fmt: skip

    def _refuse(self, error: Exception, client: str | None, span: RequestSpan | None = None) -> web.Response:
        retry_after_s = self._settings.retry_after_s
        match error:
            case RefusedError():
                reason = error.reason
                response = problem(error.status, error.detail, error.headers)
            case SignatureError():
                reason = f"signature_{error.reason}"
                response = problem(self._provider.unauthorized_status, NOT_GENUINE)
            case PayloadError():
                reason = "payload"
                response = problem(400, f"The signature is valid, but the body is not as documented: {error}.")
            case BacklogFullError():
                reason = "backlog_full"
                response = retry_later(429, "Too many events wait to be processed.", retry_after_s)
            case RedisUnavailableError() | UnavailableError():
                reason = "unavailable"
                response = retry_later(503, "The event cannot be stored durably now.", retry_after_s)
            case _:
                log.error("a bug: the sender is asked to retry", source=self._source, exc_info=error)
                self._internal_error()
                reason = "internal_error"
                response = retry_later(503, "The event cannot be processed now.", retry_after_s)
        self._metrics.rejected(reason)
        trace_id = span.trace_id if span is not None else None
        is_logged = self._refusals.refused(self._source, response.status, reason, _safe_text(error), client, trace_id)
        if span is not None:
            span.refused(reason, response.status, is_logged=is_logged)
        return response


_STATUS_WORDS = {200: "duplicate", 201: "committed", 202: "accepted"}


def _result(deliveries: Sequence[Delivery], receipts: Sequence[Receipt], status: int) -> dict[str, Any]:
    """Return the body of a success: about the one event of nearly every request, or about each of several."""
    if len(receipts) == 1:
        return _result_of_one(deliveries[0], receipts[0], status)
    events = [_result_of_one(*each, status) for each in zip(deliveries, receipts, strict=True)]
    return {"status": _STATUS_WORDS[status] if receipts else "accepted", "events": events}


def _result_of_one(delivery: Delivery, receipt: Receipt, status: int) -> dict[str, str]:
    event_id = delivery.event.event_id
    is_committed_now = status == 201 and not receipt.committed
    if not (receipt.new or is_committed_now):
        return {"status": "duplicate", "event_id": event_id}
    return {
        "status": "committed" if is_committed_now else "accepted",
        "event_id": event_id,
        "entry_id": receipt.entry_id,
        "durability": receipt.durability,
    }


def _traceparent(headers: Headers) -> str:
    """Return the W3C trace context of the delivery, "" without a usable one."""
    value = headers.first("traceparent")
    return value.decode() if value is not None and _TRACEPARENT.fullmatch(value) else ""


def _safe_text(error: Exception) -> str:
    """Return the message of our own errors; only the type's name of others, whose message may quote input."""
    ours = RefusedError | SignatureError | PayloadError | BacklogFullError | RedisUnavailableError | UnavailableError
    return str(error) if isinstance(error, ours) else type(error).__name__
