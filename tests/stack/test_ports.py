import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stack.ports import HOST, PortTakenError, free_port, is_free, usual_or_free
from stack.state import Ports, choose_ports, ports_while_running


@contextmanager
def listening() -> Iterator[int]:
    """Yield a port that another program listens on."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server((HOST, free_port())):
        pass


def test_a_port_that_a_program_listens_on_is_not_free() -> None:
    with listening() as port:
        assert not is_free(port)
    assert is_free(port)


def test_the_usual_port_is_chosen_only_if_it_is_free_and_not_already_chosen() -> None:
    usual = free_port()
    assert usual_or_free(usual) == usual
    assert usual_or_free(usual, {usual}) != usual
    with listening() as taken:
        assert usual_or_free(taken) != taken


def test_a_restart_keeps_its_ports() -> None:
    chosen: list[int] = []
    for _ in range(6):
        chosen.append(free_port(chosen))
    before = Ports(*chosen)
    assert choose_ports(before, {}) == before


def test_a_port_taken_meanwhile_is_replaced_and_the_others_are_kept() -> None:
    with listening() as taken:
        before = Ports(free_port(), free_port(), free_port(), taken)
        after = choose_ports(before, {})
    assert after.consumers_metrics != taken
    assert (after.redis, after.postgres, after.gateway) == (before.redis, before.postgres, before.gateway)


def test_a_remembered_port_of_the_gateway_never_moves_silently() -> None:
    with listening() as taken:
        before = Ports(free_port(), free_port(), taken, free_port())
        with pytest.raises(PortTakenError, match=rf"port {taken}, which the gateway .* taken by .*pid {os.getpid()}"):
            choose_ports(before, {})
        other = free_port()
        assert choose_ports(before, {"gateway": other}).gateway == other


def test_a_running_stack_keeps_its_ports_but_those_that_a_setting_changes() -> None:
    before, other = Ports(1, 2, 3, 4), free_port()
    assert ports_while_running(before, {"gateway": 3, "consumers_metrics": None}) == before
    assert ports_while_running(before, {"gateway": other}) == Ports(1, 2, other, 4)
    with listening() as taken, pytest.raises(PortTakenError, match="nothing was started or stopped"):
        ports_while_running(before, {"gateway": taken})


def test_no_port_is_chosen_twice() -> None:
    wanted = free_port()
    chosen = choose_ports(Ports(wanted, wanted, wanted, wanted), {})
    assert len({chosen.redis, chosen.postgres, chosen.gateway, chosen.consumers_metrics}) == 4


def test_a_port_that_a_setting_names_is_used_or_refused_never_replaced() -> None:
    asked = free_port()
    assert choose_ports(None, {"gateway": asked, "consumers_metrics": 0}).gateway == asked
    with listening() as taken, pytest.raises(PortTakenError, match=rf"{taken} \(GATEWAY_PORT\)"):
        choose_ports(None, {"gateway": taken})
