"""`python -m gateway`: receive webhooks until SIGTERM.

Exit codes: 0 stopped; 1 failed, or requests had to be cut off; 2 wrong usage or settings.
`python -m gateway check --help` has those of `check`.
"""

import argparse
import os
import resource
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import uvloop

from gateway.check import command as check
from gateway.check.digest import digest
from gateway.operators import listening_socket as operators_socket
from gateway.processes import Supervisor
from gateway.settings import Settings
from gateway.sources import SourcesError, load_sources
from gateway.tls import TlsError, tls_context
from providers.base import Provider
from runtime import logs, tracing
from runtime.command_line import fail, make_parser
from runtime.process_manager import inherited_socket, notify_ready
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings, read_env_files

METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"

OTHER_FILES = 512
"""Files a process has open apart from its clients' connections: operators, Redis, metrics, logs, and clients that are
accepted while others that gave way to them are being closed."""


def main(argv: list[str]) -> int:
    """Run the gateway, or one check, and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings(Settings)
        environment = read_env_files() | dict(os.environ)
        sources = load_sources(settings.sources_file, environment)
        tracing.check(environment)
    except (SettingsError, SourcesError, tracing.TracingError) as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    if arguments.command == "check" and arguments.source is not None:
        return check.run(arguments, sources)
    try:
        tls = tls_context(settings)
    except TlsError as error:
        return fail(f"TLS cannot be used, so nothing was started: {error}", SETTINGS_EXIT_CODE)
    if arguments.command == "check":
        sys.stdout.write(f"All settings and sources can be used. Digest: {digest(settings, environment)}\n")
        return 0
    logs.configure(settings.gateway_log_level or settings.log_level)
    os.environ.update(tracing.otel_settings(environment))
    _allow_open_files(settings.connections_max + OTHER_FILES)
    try:
        listening = inherited_socket(os.environ) or _listen(settings.gateway_host, settings.gateway_port)
    except OSError as error:
        return fail(f"The gateway cannot listen on {settings.gateway_host}:{settings.gateway_port}: {error}", 1)
    operators = operators_socket(settings)
    with listening:
        if settings.gateway_processes == 1:
            os.environ.pop(METRICS_DIR, None)
            return _serve(settings, sources, listening, tls, operators)
        return _supervise(settings, sources, listening, tls, operators)


def _supervise(
    settings: Settings,
    sources: Mapping[str, Provider],
    listening: socket.socket,
    tls: ssl.SSLContext | None,
    operators: socket.socket | None,
) -> int:
    metrics_dir = os.environ[METRICS_DIR] = tempfile.mkdtemp(prefix="webhook-gateway-metrics-")
    try:
        return Supervisor(
            settings.gateway_processes,
            child=lambda parent_pipe: _serve(settings, sources, listening, tls, operators, parent_pipe),
            on_exit=lambda pid: _forget_live_metrics(Path(metrics_dir), pid),
            stop_s=settings.shutdown_timeout_s,
        ).run()
    finally:
        shutil.rmtree(metrics_dir, ignore_errors=True)


def _serve(
    settings: Settings,
    sources: Mapping[str, Provider],
    listening: socket.socket,
    tls: ssl.SSLContext | None,
    operators: socket.socket | None,
    parent_pipe: int | None = None,
) -> int:
    # Only now: this imports prometheus_client, which reads the environment while it is imported.
    from gateway.metrics import Metrics  # noqa: PLC0415
    from gateway.service import serve  # noqa: PLC0415

    metrics = Metrics(multiprocess=parent_pipe is not None)
    main_pid = os.getpid() if parent_pipe is None else os.getppid()
    on_ready = partial(notify_ready, dict(os.environ), main_pid)
    spans = tracing.start("gateway", os.environ)
    finished = uvloop.run(serve(settings, sources, metrics, listening, tls, parent_pipe, on_ready, operators, spans))
    spans.stop()
    return 0 if finished else 1


def _forget_live_metrics(metrics_dir: Path, pid: int) -> None:
    """Delete the gauges of a dead process; its counters stay."""
    for path in metrics_dir.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files where it is too low, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    listening.setblocking(False)
    return listening


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("gateway", __doc__ or "")
    commands = parser.add_subparsers(dest="command", metavar="[check]")
    check.add_arguments(
        commands.add_parser("check", help="check all settings, or say why a recorded request does not verify")
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
