"""What a worker remembers of slow calls."""

from consumers.handlers.watch import RESOURCES_REMEMBERED_MAX, CallWatch
from tests.support.events import contract_event


def test_the_next_event_of_a_slow_payment_is_known_until_a_call_is_quick_again() -> None:
    watch = CallWatch(slow_s=0.01, blocked_s=1)
    first, again, other = (contract_event(f"evt_{n}", payment) for n, payment in enumerate(("pi_1", "pi_1", "pi_2")))
    watch.note("ship", first, is_slow=True)
    assert watch.is_slow("ship", again)
    assert not watch.is_slow("ship", other)
    assert not watch.is_slow("count", again)
    watch.note("ship", other, is_slow=False)
    assert watch.is_slow("ship", again)
    watch.note("ship", again, is_slow=False)
    assert not watch.is_slow("ship", again)


def test_a_slow_payment_is_known_although_its_handler_is_mostly_quick() -> None:
    watch = CallWatch(slow_s=0.01, blocked_s=1)
    slow, quick = contract_event("evt_1", "pi_1"), contract_event("evt_2", "pi_2")
    watch.note("ship", slow, is_slow=True)
    for _ in range(200):
        watch.note("ship", quick, is_slow=False)
    assert watch.is_slow("ship", slow)
    watch.note("ship", slow, is_slow=False)
    assert not watch.is_slow("ship", slow)


def test_only_the_newest_slow_payments_are_remembered() -> None:
    watch = CallWatch(slow_s=0.01, blocked_s=1)
    oldest, newest = contract_event("evt_1", "pi_oldest"), contract_event("evt_2", "pi_newest")
    watch.note("ship", oldest, is_slow=True)
    for number in range(RESOURCES_REMEMBERED_MAX):
        watch.note(f"other {number}", newest, is_slow=True)
    assert not watch.is_slow("ship", oldest)
