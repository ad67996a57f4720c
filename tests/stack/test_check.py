"""An address or a server that cannot be used is noticed before anything is stopped."""

from pathlib import Path

import pytest

from gateway.sources import SourcesError, load_sources
from stack.check import (
    IN_SOURCES,
    WrongSettingsError,
    each_once,
    report_moved_ports,
    require_addresses,
    require_servers,
)
from stack.ports import free_port
from stack.postgres import Postgres, PostgresError
from stack.state import Ports, State
from tests.support.checkout import Checkout


def test_servers_that_do_not_answer_are_named_by_their_settings() -> None:
    port = free_port()
    with pytest.raises(WrongSettingsError) as caught:
        require_servers(f"redis://127.0.0.1:{port}/0", f"postgresql://u:p@127.0.0.1:{port}/x")
    text = str(caught.value)
    assert f"REDIS_URL: your server at redis://127.0.0.1:{port}/0 does not answer" in text
    assert f"DATABASE_URL: your server at postgresql://127.0.0.1:{port}/x does not answer" in text
    assert "u:p" not in text
    assert "Nothing was started or stopped" in text


def test_sentinels_and_nodes_that_do_not_answer_are_named() -> None:
    port = free_port()
    for address, reason in (
        (f"redis+sentinel://:hush@127.0.0.1:{port}/m/0?sentinel_password=hush", "nobody names the master 'm' of Redis"),
        (f"redis+cluster://:hush@127.0.0.1:{port}", "nobody names the node of slot 13907 of the Redis cluster"),
    ):
        with pytest.raises(WrongSettingsError) as caught:
            require_servers(address, "")
        assert f"127.0.0.1:{port}" in str(caught.value)
        assert reason in str(caught.value)
        assert "hush" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_before_anything_is_started(tmp_path: Path) -> None:
    port = free_port()
    checkout = Checkout(tmp_path, {"REDIS_URL": f"redis://:hush@127.0.0.1:{port}/0"})
    said = checkout.run("up", code=2)
    assert f"REDIS_URL: your server at redis://127.0.0.1:{port}/0 does not answer" in said
    assert "hush" not in said
    assert checkout.manager is None


def test_servers_of_the_stack_itself_are_not_asked() -> None:
    require_servers("", "")


@pytest.mark.parametrize(
    "host", ["198.51.100.7", "nohost.invalid", "ä..", "1.2.3.4.5", "http://127.0.0.1", "a b", "x" * 300]
)
def test_an_address_that_nothing_can_listen_on_is_named_by_its_setting(host: str) -> None:
    with pytest.raises(WrongSettingsError) as caught:
        require_addresses({"GATEWAY_HOST": "127.0.0.1", "CONSUMERS_METRICS_HOST": host})
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith("CONSUMERS_METRICS_HOST: nothing can listen on")
    assert "127.0.0.1" in first
    assert last.startswith("Nothing was started or stopped")


def test_addresses_of_this_host_are_accepted() -> None:
    require_addresses({"GATEWAY_HOST": "0.0.0.0", "GATEWAY_OPERATORS_HOST": "localhost"})


def test_a_port_for_metrics_that_moves_is_named_unless_a_setting_moved_it(capsys: pytest.CaptureFixture[str]) -> None:
    last, now = State("embedded", Ports(1, 2, 3, 4, 5)), Ports(1, 2, 3, 4, 6)
    report_moved_ports(last, now, {"gateway_operators": 6, "consumers_metrics": None})
    assert capsys.readouterr().out == ""
    report_moved_ports(last, now, {"gateway_operators": None, "consumers_metrics": None})
    assert "Port 5, which was GATEWAY_OPERATORS_PORT before, is taken by" in capsys.readouterr().out


def test_a_mistake_in_the_sources_is_reported_once_and_those_of_workers_alone_stay() -> None:
    of_sources = "The worker cannot start: mine.toml: [a] trust is not one of signed, all"
    workers = [of_sources, "BATCH_SIZE: it is not a whole number"]
    gateway = [f"mine.toml{IN_SOURCES}", "  - [a] trust: it is not one of signed, all"]
    assert each_once({"consumers": workers, "gateway": gateway}) == [*gateway, workers[1]]
    assert each_once({"consumers": workers}) == workers


def test_the_gateway_names_the_sources_file_as_expected(tmp_path: Path) -> None:
    with pytest.raises(SourcesError) as caught:
        load_sources(tmp_path / "none.toml", {})
    assert str(caught.value).splitlines()[0] == f"{tmp_path / 'none.toml'}{IN_SOURCES}"


def test_a_path_that_postgres_cannot_be_run_from_is_named(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "data", 1, "", bin_dir=tmp_path / 'a "quoted" folder')
    with pytest.raises(PostgresError, match='the path has a " in it: move the checkout'):
        server.initialise()
