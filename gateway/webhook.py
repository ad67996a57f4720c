"""The ritual of one delivery: read, verify, publish, answer. Nothing answers 2xx before the events are durable."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from json.encoder import encode_basestring_ascii

import structlog
from aiohttp.web_request import BaseRequest

from contract.keys import Keys
from gateway.body import BodyLimits, RefusedError, body_at_hand, check_encoding, read_body
from gateway.commits import CommitWatcher, asked_wait_s
from gateway.link import PublishUnavailableError
from gateway.logs import RefusalLog
from gateway.metrics import Metrics
from gateway.problem import problem, retry_later
from gateway.publish import BacklogFullError, Publisher, Receipt
from gateway.response import Response
from providers.base import Delivery, Headers, PayloadError, Provider, Request, SignatureError, UnavailableError

NOT_GENUINE = "The signature is missing, malformed, stale or wrong."
"""One text for all of them: which it was helps nobody but a forger. The log and the metric know."""

_TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Desk:
    """What all sources share."""

    keys: Keys
    publisher: Publisher
    commits: CommitWatcher
    metrics: Metrics
    refusals: RefusalLog
    clock: Callable[[], datetime]
    body: BodyLimits
    retry_after_s: int
    prefer_wait_s_max: float


class Webhook:
    """The endpoint of one source."""

    def __init__(self, provider: Provider, desk: Desk) -> None:
        self._provider = provider
        self._source = provider.settings.source
        self._desk = desk
        self._metrics = desk.metrics.of(self._source)
        self.challenges = provider.challenges

    async def __call__(self, request: BaseRequest) -> Response:
        """Any POST to this source, whatever it holds, gets an answer that is true and that the sender can act on."""
        try:
            came = await self._read(request)
            deliveries = await self._provider.verify(came)
            receipts = await self._publish(deliveries)
            wait_s = self._asked_wait_s(came)
            is_committed = wait_s > 0 and await self._is_committed(deliveries, receipts, wait_s)
            response = self._answer(deliveries, receipts, wait_s if is_committed else 0.0)
        except Exception as error:  # noqa: BLE001 -- each becomes an answer, a metric and a line in the log
            response = self._refuse(error, request.remote)
        self._metrics.answered.inc(response.status)
        return response

    async def challenge(self, request: BaseRequest) -> Response:
        """A GET of a sender that first asks whether the endpoint knows its secret. Its body is not read."""
        try:
            headers = Headers.parsed(request.headers)
            came = Request(request.method, request.raw_path, headers, b"", self._desk.clock())
            answer = self._provider.challenge(came)
            response = Response(answer.status, answer.body, answer.content_type)
        except Exception as error:  # noqa: BLE001 -- as above
            response = self._refuse(error, request.remote)
        self._metrics.answered.inc(response.status)
        return response

    async def _read(self, request: BaseRequest) -> Request:
        headers = Headers.parsed(request.headers)
        check_encoding(headers)
        body = body_at_hand(request, self._desk.body)
        if body is None:
            body = await read_body(request, headers, self._desk.body)
        return Request(
            method=request.method,
            target=request.raw_path,
            headers=headers,
            body=body,
            received_at=self._desk.clock(),
            traceparent=_traceparent(headers),
        )

    async def _publish(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        """All of a request's events. The sender is told of success only when every one is durable."""
        for delivery in deliveries:
            self._metrics.verified.inc(delivery.secret_number)
        if len(deliveries) == 1:
            return [await self._desk.publisher.publish(deliveries[0])]
        outcomes = await asyncio.gather(*map(self._desk.publisher.publish, deliveries), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]

    def _asked_wait_s(self, came: Request) -> float:
        """How long the sender wants its answer to wait for the commit; 0 where what it wants to read is fixed."""
        return 0.0 if self._provider.accepted else asked_wait_s(came.headers, self._desk.prefer_wait_s_max)

    async def _is_committed(self, deliveries: Sequence[Delivery], receipts: Sequence[Receipt], wait_s: float) -> bool:
        """Whether all of it was committed while the sender waited. False too where it was before."""
        events = [each.event for each, receipt in zip(deliveries, receipts, strict=True) if not receipt.committed]
        markers = [self._desk.keys.seen(event.namespace, event.event_id) for event in events]
        known = await asyncio.gather(*(self._desk.commits.committed(marker, wait_s) for marker in markers))
        return bool(known) and all(known)

    def _answer(self, deliveries: Sequence[Delivery], receipts: Sequence[Receipt], waited_s: float) -> Response:
        new = False
        for receipt in receipts:
            if receipt.new:
                new = True
            else:
                self._metrics.duplicates.inc()
        insisted = self._provider.accepted
        if insisted is not None:
            return Response(insisted.status, insisted.body, insisted.content_type)
        status = 201 if waited_s else 202 if new else 200
        body = _tell(deliveries, receipts, status)
        return Response(status, body, headers=f"Preference-Applied: wait={waited_s:g}\r\n" if waited_s else "")

    def _refuse(self, error: Exception, client: str | None) -> Response:
        retry_after_s = self._desk.retry_after_s
        match error:
            case RefusedError():
                reason = error.reason
                response = problem(error.status, error.detail, headers=error.headers, close=error.close)
            case SignatureError():
                reason = f"signature_{error.reason}"
                response = problem(self._provider.unauthorized_status, NOT_GENUINE)
            case PayloadError():
                reason = "payload"
                response = problem(400, f"The signature is valid, but the body is not as documented: {error}.")
            case BacklogFullError():
                reason = "backlog_full"
                response = retry_later(429, "Too many events wait to be processed.", retry_after_s)
            case PublishUnavailableError() | UnavailableError():
                reason = "unavailable"
                response = retry_later(503, "The event cannot be stored durably now.", retry_after_s)
            case _:
                log.error("a bug: the sender is asked to retry", source=self._source, exc_info=error)
                self._desk.metrics.internal_error()
                reason = "internal_error"
                response = retry_later(503, "The event cannot be processed now.", retry_after_s)
        self._metrics.rejected.inc(reason)
        self._desk.refusals.refused(self._source, response.status, reason, _plain(error), client)
        return response


_WORDS = {200: "duplicate", 201: "committed", 202: "accepted"}


def _tell(deliveries: Sequence[Delivery], receipts: Sequence[Receipt], status: int) -> bytes:
    """What became of each event; a request with one event, as nearly all have, is answered about that one."""
    if len(receipts) == 1:
        return _tell_one(deliveries[0].event.event_id, receipts[0], status).encode()
    each = (_tell_one(one.event.event_id, two, status) for one, two in zip(deliveries, receipts, strict=True))
    word = _WORDS[status] if receipts else "accepted"
    return f'{{"status":"{word}","events":[{",".join(each)}]}}'.encode()


def _tell_one(event_id: str, receipt: Receipt, status: int) -> str:
    event = encode_basestring_ascii(event_id)
    is_committed_now = status == 201 and not receipt.committed
    if not (receipt.new or is_committed_now):
        return f'{{"status":"duplicate","event_id":{event}}}'
    word = "committed" if is_committed_now else "accepted"
    entry, durability = receipt.entry_id, receipt.durability
    return f'{{"status":"{word}","event_id":{event},"entry_id":"{entry}","durability":"{durability}"}}'


def _traceparent(headers: Headers) -> str:
    """The W3C trace context of the delivery, "" where there is none that can be used."""
    value = headers.first("traceparent")
    return value.decode() if value is not None and _TRACEPARENT.fullmatch(value) else ""


def _plain(error: Exception) -> str:
    """The error's text where it is one of ours; the type's name where a library wrote it, which may quote input."""
    known = RefusedError | SignatureError | PayloadError | BacklogFullError | PublishUnavailableError | UnavailableError
    return str(error) if isinstance(error, known) else type(error).__name__
