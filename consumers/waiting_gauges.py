"""The gauges of what waits for a person, and of whether Postgres answers."""

from prometheus_client import CollectorRegistry, Gauge

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
        self._restores = shared("restores_open", "Restores of Redis or Postgres that nobody has acknowledged")
        self._audited_at = shared("last_audit_timestamp_seconds", "When the last audit ended, 0 if there was none")
        self._audit_findings = shared("last_audit_findings", "Rules that the last audit found broken")

    def show(self, waiting: Waiting | None) -> None:
        """Show what waits for a person; None: Postgres does not answer."""
        self._postgres_up.set(int(waiting is not None))
        if waiting is None:
            return
        self._dead_letters.set(waiting.dead_letters)
        self._conflicts.set(waiting.conflicts)
        for reason, facts in waiting.on_hold.items():
            self._on_hold.labels(reason).set(facts)
        self._restores.set(waiting.restores)
        self._audited_at.set(waiting.audited_at_s or 0)
        self._audit_findings.set(waiting.audit_findings or 0)
