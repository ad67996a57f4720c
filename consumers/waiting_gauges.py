"""The gauges of what waits for a person, of whether Postgres answers, and of the daily maintenance."""

from prometheus_client import CollectorRegistry, Gauge

from consumers.reconcile_gauges import ReconcileGauges
from consumers.settings import DAY_S
from consumers.waiting import Waiting


class WaitingGauges:
    """Each shows what a worker of this host saw last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def shared(name: str, text: str, *labels: str) -> Gauge:
            name = f"webhook_consumer_{name}"
            return Gauge(name, text, labels, registry=registry, multiprocess_mode="livemostrecent")

        self._postgres_up = shared("postgres_up", "1 while Postgres answers a worker, else 0")
        self._dead_letters = shared("dead_letters_open", "Dead letters that wait for a person")
        self._conflicts = shared("conflicts_open", "Conflicts that wait for a decision")
        self._on_hold = shared("facts_on_hold", "Facts that move no money until they are released", "reason")
        self._to_confirm = shared("confirmations_due", "Events that a provider's API is to be asked about", "source")
        self._oldest_to_confirm = shared(
            "confirmation_oldest_due_seconds", "Since the oldest of them was recorded", "source"
        )
        self._sources_to_confirm: set[str] = set()
        self._restores = shared("restores_open", "Restores of Redis or Postgres that nobody has acknowledged")
        self._audited_at = shared("last_audit_timestamp_seconds", "When the last audit ended, 0 if there was none")
        self._audit_findings = shared("last_audit_findings", "Rules that the last audit found broken")
        self._maintained_at = shared(
            "maintenance_last_success_timestamp_seconds", "When a step of the daily maintenance was done last, or the "
            "last migration if it never was", "step",
        )  # fmt: skip
        self._oldest_payload = shared(
            "oldest_payload_timestamp_seconds", "The beginning of the oldest month of which payloads are kept, or 0"
        )
        self._payload_limit = shared(
            "payload_age_limit_seconds", "How old that month may become: PAYLOADS_KEPT_DAYS, a month and two days; or 0"
        )
        self.reconcile = ReconcileGauges(registry)

    def keeps_payloads(self, days: int) -> None:
        """Show how long payloads are kept; 0: for ever. A month goes once all of it is too old."""
        self._payload_limit.set((days + 31 + 2) * DAY_S if days else 0)

    def show(self, waiting: Waiting | None) -> None:
        """Show what waits for a person; None: Postgres does not answer."""
        self._postgres_up.set(int(waiting is not None))
        if waiting is None:
            return
        self._dead_letters.set(waiting.dead_letters)
        self._conflicts.set(waiting.conflicts)
        for reason, facts in waiting.on_hold.items():
            self._on_hold.labels(reason).set(facts)
        self._sources_to_confirm |= waiting.to_confirm.keys()
        for source in self._sources_to_confirm:  # what is due no more is shown as zero
            events, oldest_s = waiting.to_confirm.get(source, (0, 0.0))
            self._to_confirm.labels(source).set(events)
            self._oldest_to_confirm.labels(source).set(oldest_s)
        self._restores.set(waiting.restores)
        self._audited_at.set(waiting.audited_at_s or 0)
        self._audit_findings.set(waiting.audit_findings or 0)
        for step, at_s in waiting.maintained_at_s.items():
            self._maintained_at.labels(step).set(at_s)
        self._oldest_payload.set(waiting.oldest_payload_s or 0)
        self.reconcile.show(waiting.compared)
