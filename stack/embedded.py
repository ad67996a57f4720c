"""The stack without containers: Valkey and PostgreSQL from wheels, gateway and workers, under one process manager."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from typing_extensions import override

from stack import logs, ready, rolling, show, state
from stack.base import Running, Stack, StackError
from stack.check import OTHERS_PATIENCE_S, check_parts, report_moved_ports, require_addresses, require_servers
from stack.control import Control
from stack.digests import all_digests
from stack.lock import Lock, starting_lock
from stack.migrate import migrate
from stack.optional_program import OPTIONAL, start_optional
from stack.programs import OF_A_SERVER, ORDER, SERVER_STOP_TIMEOUT_S, Name, Plan, Program, log_file, metrics_dir, plan
from stack.progress import PROGRESS
from stack.ready import Waiter
from stack.settings import Settings
from stack.state import State
from stack.valkey import set_users

PAUSE_S = 0.05


class Embedded(Stack):
    """One process manager and its programs."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._data_dir = settings.data_dir
        self._control = Control(settings.data_dir)

    @override
    def up(self) -> bool:
        self._make_folders()
        PROGRESS.step("waiting for another `make up` or `make down` to end")
        with Lock(self._data_dir / "up.lock", self._settings.up_timeout_s) as lock:
            if not lock.held:
                raise StackError("another `make up` or `make down` of this DATA_DIR is still running; nothing was done")
            before = self._pids()
            last = state.read(self._data_dir)
            if last and self._control.answers():
                chosen, digests = self._checked(last)
                if self._can_be_brought_up_to_date(chosen):
                    self._bring_up_to_date(chosen, digests, last)
                    return self._pids() != before
                self.down()
            with Lock(starting_lock(), self._settings.up_timeout_s):  # past this limit, without the lock
                chosen, digests = self._checked(last)
                require_servers(*chosen.others_urls, OTHERS_PATIENCE_S)
                report_moved_ports(last, chosen.ports, self._settings.ports_asked_for)
                self._start_manager(chosen, digests)
                self._start_programs(chosen)
                start_optional(self._control, chosen, self._waiter(), set())
            return self._pids() != before

    @override
    def down(self) -> bool:
        pid = self._control.pid
        if pid is None:
            return False
        limit_s = self._settings.stop_timeout_s + SERVER_STOP_TIMEOUT_S
        watched = self._control.names()
        # One after the other, so that the servers outlive the programs that need them.
        for name in reversed(ORDER):
            if name in watched:
                self._control.stop(name, limit_s)
        self._control.quit()
        deadline = time.monotonic() + limit_s
        while self._control.pid == pid:
            if time.monotonic() > deadline:
                raise StackError(f"the process manager (pid {pid}) has not stopped its programs within {limit_s:.0f} s")
            time.sleep(PAUSE_S)
        return True

    @override
    def scale(self, consumers: int) -> None:
        self._require_running()
        self._control.scale("consumers", consumers, self._settings.stop_timeout_s)
        self._wait_for_consumers(self._waiter())

    @property
    @override
    def workers_wanted(self) -> int:
        self._require_running()
        return self._control.target("consumers")

    @override
    def workers(self) -> list[int]:
        self._require_running()
        return self._control.pids("consumers")

    @override
    def kill_worker(self, pid: int) -> bool:
        if pid not in self.workers():
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    @override
    def running(self) -> list[Running]:
        return self._control.running() if self._control.pid is not None else []

    @override
    def missing(self) -> list[str]:
        if self._control.pid is None:
            return ["everything"]
        running = [process.name for process in self._control.running()]
        return [name for name in self._control.names() if running.count(name) < self._control.target(name)]

    def plan(self) -> Plan:
        """Return the programs and ports of this stack, as chosen when it was started."""
        chosen = state.read(self._data_dir)
        if chosen is None:
            raise StackError(f"no stack was ever started with DATA_DIR={self._data_dir}; `make up` starts one")
        return plan(self._settings, chosen.ports, self._environ)

    @override
    def logs(self, follow: bool, lines: int) -> None:
        logs.show([log_file(self._data_dir, name) for name in (*ORDER, "supervisor")], sys.stdout, follow, lines)

    @property
    @override
    def gateway_url(self) -> str:
        return self.plan().gateway_url

    @property
    @override
    def workers_metrics_url(self) -> str | None:
        return self.plan().workers_metrics_url

    @property
    @override
    def environment(self) -> Mapping[str, str]:
        return self.plan().environment

    @override
    def check(self) -> None:
        require_servers(*self._check_settings(state.read(self._data_dir))[0].others_urls)

    def _checked(self, last: State | None) -> tuple[Plan, dict[str, str]]:
        """Return what is to run, and its digests. Raise StackError before anything is changed."""
        chosen, checked = self._check_settings(last)
        return chosen, all_digests(chosen, checked)

    def _check_settings(self, last: State | None) -> tuple[Plan, dict[Name, str]]:
        """Return what is to run, and the digests of the parts' settings. Raise StackError; change nothing."""
        asked, before = self._settings.ports_asked_for, last.ports if last else None
        runs = self._control.answers()
        require_addresses(self._settings.hosts)
        ports = state.ports_while_running(before, asked) if before and runs else state.choose_ports(before, asked)
        chosen = plan(self._settings, ports, self._environ)
        if chosen.postgres:
            chosen.postgres.require_version()
        checked = check_parts(chosen.parts())
        if runs:
            require_servers(*chosen.others_urls)
        if runs and chosen.postgres and "postgres" in self._control.names() and self._control.pids("postgres"):
            asyncio.run(ready.postgres_answers(chosen.owner_database_url))  # raises where the password differs
        return chosen, checked

    def _can_be_brought_up_to_date(self, chosen: Plan) -> bool:
        """Return whether the running manager, whose version may lack optional programs, can replace what changed."""
        if {*self._control.names(), *OPTIONAL} != {program.name for program in chosen.programs()}:
            show.say("Another server is used from now on, so everything is restarted.")
            return False
        if not self._control.replaces_processes:
            show.say("The process manager is of an earlier version, so everything is restarted.")
            return False
        return True

    def _bring_up_to_date(self, chosen: Plan, digests: dict[str, str], last: State) -> None:
        """Restart what changed: a server at once, gateway and workers one process after another."""
        programs = {program.name: program for program in chosen.programs()}
        changed = [program for name, program in programs.items() if digests[name] != last.digests.get(name)]
        # Noted before and after each, so that what an interrupted or failed attempt left is changed by the next one.
        noted = last.without([program.name for program in changed])
        state.write(self._data_dir, noted)

        def replaced(name: Name) -> None:
            nonlocal noted
            noted = noted.replaced(name, chosen.ports, digests[name])
            state.write(self._data_dir, noted)

        for program in changed:
            if not program.waits_for_servers:
                show.say(f"{program.name} is restarted, because its settings or its version changed.")
                self._control.define(program)
                self._control.stop(program.name, program.stop_timeout_s)
                self._control.confirm(program.name)
        if parts := [program for program in changed if program.name in ("consumers", "gateway")]:
            show.say("Gateway and workers are replaced one after another, where something changed for them.")
        self._start_programs(chosen, parts, replaced)
        start_optional(self._control, chosen, self._waiter(), {program.name for program in changed})
        if last.consumers not in (None, self._settings.consumers):
            self.scale(self._settings.consumers)
        self._remember(chosen, digests)

    def _remember(self, chosen: Plan, digests: dict[str, str]) -> None:
        state.write(self._data_dir, State("embedded", chosen.ports, digests, self._settings.consumers))

    def _make_folders(self) -> None:
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._data_dir / "log").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if self._data_dir.is_file() else error.strerror
            raise StackError(f"DATA_DIR {self._data_dir} cannot be used: {reason}; nothing was done") from error

    def _pids(self) -> set[int]:
        return {process.pid for process in self.running()}

    def _start_manager(self, chosen: Plan, digests: dict[str, str]) -> None:
        if pid := self._control.pid:
            raise StackError(f"the process manager (pid {pid}) runs but does not answer; `kill {pid}` stops it")
        self._remember(chosen, digests)
        shutil.rmtree(metrics_dir(self._data_dir), ignore_errors=True)
        metrics_dir(self._data_dir).mkdir(mode=0o700, parents=True)
        if chosen.postgres:
            chosen.postgres.initialise()
        with log_file(self._data_dir, "supervisor").open("ab") as log:
            manager = subprocess.Popen(
                [sys.executable, "-m", "stack", "supervise"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=dict(self._environ),
            )
        deadline = time.monotonic() + self._settings.up_timeout_s
        while not self._control.answers():
            if manager.poll() is not None or time.monotonic() > deadline:
                shown = ready.tail(log_file(self._data_dir, "supervisor"))
                raise StackError(f"the process manager does not start.{shown}")
            time.sleep(PAUSE_S)

    def _start_programs(
        self, chosen: Plan, to_replace: Sequence[Program] = (), replaced: Callable[[Name], None] | None = None
    ) -> None:
        waiter = self._waiter()
        names = self._control.names()
        for server in ("valkey", "postgres"):
            if server in names:
                self._control.start(server)
        self._wait(waiter, "valkey", partial(ready.redis_answers, chosen.redis_url))
        database_url = chosen.owner_database_url or chosen.database_url
        self._wait(waiter, "postgres", partial(ready.postgres_answers, database_url))
        if chosen.valkey:
            asyncio.run(set_users(chosen.redis_url, chosen.valkey.users))
        state.write_environment(self._data_dir, chosen.environment)
        migrate(chosen.environment)
        for program in to_replace:
            rolling.replace(self._control, program, waiter, log_file(self._data_dir, program.name))
            if replaced:
                replaced(program.name)
        self._control.start("consumers")
        self._control.start("gateway")
        self._wait(waiter, "gateway", partial(ready.gateway_answers, chosen.gateway_url))
        self._wait_for_consumers(waiter)

    def _waiter(self) -> Waiter:
        logs = [log_file(self._data_dir, name) for name in (*ORDER, "supervisor")]
        return Waiter(time.monotonic() + self._settings.up_timeout_s, ready.sizes(logs))

    def _wait(self, waiter: Waiter, name: Name, answers: ready.Question) -> None:
        ours, manager_log = name in self._control.names(), log_file(self._data_dir, "supervisor")
        log = log_file(self._data_dir, name) if ours else None
        shown = name if ours else f"the server of {OF_A_SERVER[name]}"
        waiter.until(shown, answers, log, partial(self._control.restarts, name) if ours else int, manager_log)

    def _wait_for_consumers(self, waiter: Waiter) -> None:
        self._wait(waiter, "consumers", self._consumers_ready)

    async def _consumers_ready(self) -> str:
        running = {process.pid for process in self._control.running() if process.name == "consumers"}
        target = self._control.target("consumers")
        if len(running) != target:
            return f"{len(running)} of {target} workers run"
        return await ready.workers_answer(self.workers_metrics_url, running)

    def _require_running(self) -> None:
        if self._control.pid is None:
            raise StackError("nothing runs here; `make up` starts it")
