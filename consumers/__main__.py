"""`python -m consumers`: run one worker, which applies events from the stream until SIGTERM.

`check` checks all settings and the handlers, and prints a digest of them. With other arguments it runs
`python -m operations` with them: the commands were here before.

Exit codes: 0 stopped; 1 too many workers run; 2 wrong usage or settings; 70 no progress, so it ended itself.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import uvloop

from consumers import check
from consumers.confirmation.access import Access, read_access
from consumers.confirmation.task import Confirming
from consumers.handlers import Handlers, HandlersError, load
from consumers.handlers.payments import builtin
from consumers.handlers.watch import CallWatch
from consumers.health import Progress, serve
from consumers.hooks import AllHooks, no_hooks
from consumers.lease import LeasesExhaustedError
from consumers.loop_watch import LoopWatch
from consumers.metrics import Metrics
from consumers.reconcile_gauges import read_intervals
from consumers.service import Service
from consumers.settings import Settings
from contract.accounts import PostingRules, PostingRulesError
from providers.apis import AccessError
from runtime import logs, tracing
from runtime.command_line import fail, make_parser
from runtime.gc_tuning import tune_gc
from runtime.leaving import Leaving
from runtime.process_manager import notify_ready
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings, read_env_files
from runtime.sources_file import read_posting_rules


def main(argv: list[str], hooks: AllHooks = no_hooks) -> int:
    """Run the worker, or the command that is named, and return the exit code."""
    command = _parser().parse_args(argv).command
    if command not in ([], ["check"]):
        os.execv(sys.executable, [sys.executable, "-m", "operations", *command])  # noqa: S606 - no shell is needed
    try:
        settings = load_settings(Settings)
        posting_rules = read_posting_rules(settings.sources_file)
        compared_every_s = read_intervals(settings.sources_file)
        environment = read_env_files() | dict(os.environ)
        access = read_access(settings.sources_file, environment, posting_rules)
        handlers = load(settings.handlers, builtin(posting_rules, access.asked), settings.handlers_folder)
        tracing.check(environment)
    except (SettingsError, tracing.TracingError) as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    except (HandlersError, PostingRulesError) as error:
        return fail(f"The worker cannot start: {error}", SETTINGS_EXIT_CODE)
    except AccessError as error:
        return fail(f"The worker cannot start: {'; '.join(error.problems)}", SETTINGS_EXIT_CODE)
    if command:
        digest = check.digest(settings, (posting_rules, access.tables), tracing.otel_settings(environment))
        sys.stdout.write(f"All settings and handlers can be used. Digest: {digest}\n")
        return 0
    logs.configure(settings.consumers_log_level or settings.log_level)
    os.environ.update(tracing.otel_settings(environment))
    spans = tracing.start("consumers", os.environ)
    try:
        uvloop.run(work(settings, handlers, hooks, spans, posting_rules, compared_every_s, access))
    except LeasesExhaustedError as error:
        return fail(f"{error}", 1)
    finally:
        spans.stop()
    return 0


async def work(
    settings: Settings, handlers: Handlers, hooks: AllHooks = no_hooks, spans: tracing.Tracing = tracing.OFF,
    rules: Mapping[str, PostingRules] | None = None, compared_every_s: Mapping[str, float] = MappingProxyType({}),
    access: Access | None = None,
) -> None:  # fmt: skip
    """Run one worker until SIGTERM or SIGINT. `rules`: of the sources of which it expects events.

    `compared_every_s`: how often sources are to be compared with their providers' lists, which its metrics show.
    `access`: the APIs that it asks about what no signature proves.
    """
    metrics = Metrics(metrics_folder())
    rules = rules or {}
    metrics.expect(rules)
    metrics.waiting.keeps_payloads(settings.payloads_kept_days)
    metrics.waiting.reconcile.expect(compared_every_s)
    progress = Progress(on_ready=partial(notify_ready, dict(os.environ), os.getpid()))
    loop_watch = LoopWatch(settings, CallWatch.of(settings, metrics.durations.handler_took), metrics)
    confirming = Confirming(access or Access(), rules, settings, handlers, metrics, hooks)
    service = Service(settings, handlers, metrics, progress, hooks, loop_watch, spans, confirming)
    leaving = Leaving(service.stop, settings.drain_timeout_s)
    leaving.on_signals()
    loop_watch.leaving = leaving
    tune_gc()
    async with serve(settings, metrics, progress):
        with loop_watch:
            await service.run()


def metrics_folder() -> Path | None:
    """Return the folder in which the workers of a host count together, or None where each counts for itself."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("consumers", __doc__ or "")
    command = parser.add_argument("command", nargs=argparse.REMAINDER, metavar="[COMMAND …]")
    command.help = "check, or a command of `python -m operations`, such as pending"
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
