"""`python -m consumers`: run one worker. With arguments it is `python -m operations`, whose commands once were here."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop
from dotenv import dotenv_values
from pydantic import ValidationError

from consumers.handlers import Handlers, HandlersError, load
from consumers.handlers.payments import builtin
from consumers.health import Progress, serve
from consumers.hooks import Hooks, no_hooks
from consumers.lease import LeasesExhaustedError
from consumers.metrics import Metrics
from consumers.service import Service
from consumers.settings import Settings
from contract.accounts import PostingRulesError
from runtime import logs
from runtime.gc_tuning import tune_gc
from runtime.sources_file import read_posting_rules

EXIT_SETTINGS = 2


def read_settings() -> Settings:
    """From the environment, then `.env`, then what the running stack chose."""
    data_dir = os.environ.get("DATA_DIR") or dotenv_values(".env").get("DATA_DIR") or ".data"
    return Settings(_env_file=(Path(data_dir) / "stack.env", ".env"))  # type: ignore[call-arg] # the rest is read


def metrics_folder() -> Path | None:
    """Return the folder in which the workers of a host count together, or None where each counts for itself."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


async def work(settings: Settings, handlers: Handlers, hooks: Hooks = no_hooks) -> None:
    """One worker, until SIGTERM or SIGINT."""
    metrics, progress = Metrics(metrics_folder()), Progress()
    service = Service(settings, handlers, metrics, progress, hooks)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.stop)
    tune_gc()
    async with serve(settings, metrics, progress):
        await service.run()


def main(argv: list[str], hooks: Hooks = no_hooks) -> int:
    """Return the exit code: 0 stopped, 1 no lease was free, 2 the settings cannot be used."""
    if argv:
        os.execv(sys.executable, [sys.executable, "-m", "operations", *argv])  # noqa: S606 - no shell is meant
    try:
        settings = read_settings()
        builtins = builtin(read_posting_rules(Path(settings.sources_file)))
        handlers = load(settings.handlers, builtins, settings.handlers_folder)
    except ValidationError as error:
        sys.stderr.write(f"The settings cannot be used, so nothing was started:\n{_problems(error)}\n")
        return EXIT_SETTINGS
    except (HandlersError, PostingRulesError) as error:
        sys.stderr.write(f"the worker cannot start: {error}\n")
        return EXIT_SETTINGS
    logs.configure(settings.log_level)
    try:
        uvloop.run(work(settings, handlers, hooks))
    except LeasesExhaustedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _problems(error: ValidationError) -> str:
    """One line for each that is the user's; a default that follows from another setting only echoes that one's."""
    told = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
    return "\n".join(f"  {'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
