"""Durations that are added up in the process, and written later."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from runtime.latencies import SECONDS, Latencies

DURATIONS_S = (0.0, 0.0005, 0.00051, 0.001, 0.3, 1.0, 1.0001, 5.0, 29.9, 30.0, 31.0)


def rows(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)


def test_it_shows_what_the_library_s_histogram_shows() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    latencies = Latencies("a_seconds", "Something.", ["source"], registry=ours)
    histogram = Histogram("a_seconds", "Something.", ["source"], registry=theirs, buckets=SECONDS)
    for source in ("x", "y"):
        latencies.labels(source).observe_all(DURATIONS_S)
        for seconds in DURATIONS_S:
            histogram.labels(source).observe(seconds)
    latencies.flush()
    assert rows(ours) == rows(theirs)


def test_nothing_is_counted_twice_or_before_it_is_flushed() -> None:
    registry = CollectorRegistry()
    latencies = Latencies("a_seconds", "Something.", registry=registry)
    latencies.labels().observe(0.1)
    assert registry.get_sample_value("a_seconds_count") == 0
    assert latencies.labels().flush() == 1
    assert latencies.labels().flush() == 0
    assert registry.get_sample_value("a_seconds_count") == 1
    assert registry.get_sample_value("a_seconds_sum") == 0.1


def test_a_duration_between_two_clocks_is_never_negative() -> None:
    registry = CollectorRegistry()
    latency = Latencies("a_seconds", "Something.", registry=registry).labels()
    latency.observe(-3)
    latency.flush()
    assert registry.get_sample_value("a_seconds_sum") == 0
    assert registry.get_sample_value("a_seconds_bucket", {"le": "0.0005"}) == 1
