"""`python -m stack up|check|down|console|scale N|partitions N|status|logs|exec …|demo|send|psql`, for the Makefile.

Exit codes: 0 done; 1 failed, or `status` found something that does not run; 2 wrong usage or settings.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from contract.keys import PARTITIONS_MAX
from runtime.command_line import make_parser
from runtime.env_file import read_env_file
from runtime.settings import ENV_FILE, SETTINGS_EXIT_CODE, SettingsError, load_settings
from stack import compose_images, console, containers, dotenv_file, logs, postgres_upgrade, psql, show, state
from stack.backlog import count_waiting
from stack.base import Stack, StackError
from stack.check import WrongSettingsError, check_operations, problems_text
from stack.compose import Compose
from stack.control import Control
from stack.embedded import Embedded
from stack.programs import plan
from stack.progress import PROGRESS
from stack.settings import CONSUMERS_MAX, Settings

DEMO_TIMES = 25
DEMO_TIMES_MAX = 1000
"""How often `demo` delivers each event, by default and at most."""

PARTITIONS = "PARTITIONS"

INTERRUPTED_EXIT_CODE = 130
"""As a shell reports a program that Ctrl-C ended."""

ALWAYS_POSSIBLE = ("down", "status", "logs")
"""They only warn of a mistake in .env, because what runs must stay visible and be stoppable."""


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings(Settings, [ENV_FILE], _warn if arguments.command in ALWAYS_POSSIBLE else None)
        if arguments.command == "up" and (added := dotenv_file.complete(ENV_FILE)):
            show.say(f"Wrote random secrets to .env: {', '.join(added)}.")
            settings = load_settings(Settings, [ENV_FILE])
        if arguments.command == "up" and console.make_password(_with_whole_path(settings), ENV_FILE):
            settings = load_settings(Settings, [ENV_FILE])
    except SettingsError as error:
        show.complain(f"{error}")
        return SETTINGS_EXIT_CODE
    except StackError as error:
        show.complain(f"{error}")
        return 1
    settings = _with_whole_path(settings)
    environ = {**read_env_file(ENV_FILE), **os.environ}
    try:
        return COMMANDS[arguments.command](settings, environ, arguments)
    except WrongSettingsError as error:
        show.complain(f"{error}")
        return SETTINGS_EXIT_CODE
    except StackError as error:
        show.complain(f"{error}")
        return 1
    except OSError as error:
        show.complain(f"{error.filename or arguments.command} cannot be used: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        show.complain("Interrupted. `make status` shows what runs; `make up` finishes what was begun.")
        return INTERRUPTED_EXIT_CODE


def _with_whole_path(settings: Settings) -> Settings:
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})


def _warn(problems: SettingsError) -> None:
    show.complain(f"{problems}")


def choose(settings: Settings, environ: Mapping[str, str]) -> Stack:
    """Return the stack: as STACK says, else as it ran before, else in containers if an engine answers."""
    try:
        before = state.read(settings.data_dir)
    except state.StateError:
        if Control(settings.data_dir).pid is None:
            raise
        return Embedded(settings, environ)  # what runs can be seen and stopped
    kind = settings.stack or (before.kind if before else None)
    if kind is None:
        kind = "compose" if containers.engine_answers() else "embedded"
    return Compose(settings, environ) if kind == "compose" else Embedded(settings, environ)


def _up(stack: Stack, settings: Settings, environ: Mapping[str, str]) -> int:
    with PROGRESS.reported():
        changed = stack.up()
    show.processes(stack.running())
    show.say(f"{'' if changed else 'Everything ran already. '}Webhooks go to {stack.gateway_url}/webhooks/<source>")
    if stack.gateway_operators_url:
        show.say(f"Metrics and documentation for operators: {stack.gateway_operators_url}/metrics and /docs")
    if stack.console_url:
        show.console(stack.console_url, console.how_to_sign_in(settings))
    if environ.get("NOTIFY_URL") and (problems := check_operations(asks_apis=False)):
        show.complain("\n".join(["Nobody is notified of what waits for a person; everything else runs.", *problems]))
    show.no_workers(stack.workers_wanted)
    return 0


def _console(settings: Settings, environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    url = choose(settings, environ).console_url
    show.console(url, console.how_to_sign_in(settings, shows_password=arguments.show))
    return 0


def _check(stack: Stack, _: argparse.Namespace) -> int:
    with PROGRESS.reported():
        stack.check()
        problems = check_operations(asks_apis=True)
    if problems:
        raise WrongSettingsError(problems_text(problems))
    show.say("All settings, sources and handlers can be used. Nothing was started or stopped.")
    return 0


def _down(stack: Stack, _: argparse.Namespace) -> int:
    with PROGRESS.reported():
        stopped = stack.down()
    show.say("Stopped; the data is kept." if stopped else "Nothing ran.")
    return 0


def _scale(stack: Stack, arguments: argparse.Namespace) -> int:
    with PROGRESS.reported():
        stack.scale(arguments.processes)
    show.processes([process for process in stack.running() if process.name == "consumers"])
    show.no_workers(arguments.processes, None if arguments.processes else count_waiting(stack.environment))
    return 0


def _partitions(settings: Settings, environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    """Let workers read the partitions first, keep the number in .env, and replace the gateways by others with it."""
    number = str(arguments.number)
    if os.environ.get(PARTITIONS, number) != number:
        raise StackError(f"{PARTITIONS} is set in the environment, which wins over .env: unset it there first")
    act = ["--reason", arguments.reason] if arguments.reason else []
    ask = [sys.executable, "-m", "operations", "partitions", *act, "--", number]
    stack = choose(settings, environ)
    done = subprocess.run(ask, env=dict(stack.environment), check=False)  # noqa: S603 -- ourselves
    if done.returncode:
        return done.returncode
    dotenv_file.put(ENV_FILE, PARTITIONS, number)
    changed = {**environ, PARTITIONS: number}
    return _up(choose(settings, changed), settings, changed)


def _status(stack: Stack, arguments: argparse.Namespace) -> int:
    running, missing = stack.running(), stack.missing()
    if not running:
        if arguments.json:
            show.as_json(show.status_json(running, missing, None))
        else:
            show.say("Nothing runs here; `make up` starts it.")
        return 1
    ask = [sys.executable, "-m", "operations", "status", *(["--json"] if arguments.json else [])]
    if arguments.json:
        done = subprocess.run(ask, env=dict(stack.environment), stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
        show.as_json(show.status_json(running, missing, done.stdout))
    else:
        show.processes(running)
        show.missing(missing)
        if stack.console_url:
            show.say(f"Console: {stack.console_url}")
        show.no_workers(sum(process.name == "consumers" for process in running))
        done = subprocess.run(ask, env=dict(stack.environment), text=True, check=False)  # noqa: S603 -- ourselves
    return 1 if missing or done.returncode else 0


def _logs(stack: Stack, arguments: argparse.Namespace) -> int:
    try:
        stack.logs(arguments.follow, arguments.lines)
    except KeyboardInterrupt:
        show.say("")
    return 0


def _exec(stack: Stack, arguments: argparse.Namespace) -> int:
    return subprocess.run(arguments.argv, env=dict(stack.environment), check=False).returncode  # noqa: S603


def _demo(stack: Stack, arguments: argparse.Namespace) -> int:
    from stack.demo import run as demo  # noqa: PLC0415 -- imports much that no other command needs

    return demo.run(stack, arguments)


def _send(stack: Stack, arguments: argparse.Namespace) -> int:
    from stack import send  # noqa: PLC0415 -- imports all providers

    return send.send(stack.environment, stack.gateway_url, arguments.source, arguments.type or None)


def _psql(stack: Stack, _: argparse.Namespace) -> int:
    return psql.run(stack.environment, shutil.which("psql"))


def _supervise(settings: Settings, environ: Mapping[str, str]) -> int:
    from stack import supervisor  # noqa: PLC0415 -- circus is slow to import, and containers do not need it

    chosen = state.read(settings.data_dir)
    if chosen is None:
        raise StackError("only `up` starts the process manager")
    programs = plan(settings, chosen.ports, environ).programs()
    return supervisor.run(settings.data_dir, programs, settings.log_bytes_max)


def _on_stack(command: Callable[[Stack, argparse.Namespace], int]) -> "Command":
    return lambda settings, environ, arguments: command(choose(settings, environ), arguments)


Command = Callable[[Settings, Mapping[str, str], argparse.Namespace], int]

COMMANDS: dict[str, Command] = {
    "up": lambda settings, environ, _: _up(choose(settings, environ), settings, environ),
    "console": _console,
    "check": _on_stack(_check),
    "down": _on_stack(_down),
    "scale": _on_stack(_scale),
    "partitions": _partitions,
    "status": _on_stack(_status),
    "logs": _on_stack(_logs),
    "exec": _on_stack(_exec),
    "demo": _on_stack(_demo),
    "send": _on_stack(_send),
    "psql": _on_stack(_psql),
    "upgrade-postgres": lambda settings, environ, arguments: postgres_upgrade.run(
        choose(settings, environ), settings, arguments.old
    ),
    "pin": lambda _, environ, __: compose_images.run(environ, ENV_FILE),
    "supervise": lambda settings, environ, _: _supervise(settings, environ),
}


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("stack", __doc__ or "")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what does not run, wait until it answers")
    commands.add_parser("check", help="check all settings, start and stop nothing")
    commands.add_parser("down", help="stop everything, keep the data")
    address = commands.add_parser("console", help="where the console is, and how to sign in")
    address.add_argument("--show", action="store_true", help="print the password that `make up` made")
    scale = commands.add_parser("scale", help="run N workers")
    scale.add_argument("processes", type=_whole_number(0, CONSUMERS_MAX), metavar="N")
    partitions = commands.add_parser("partitions", help="share events among N streams")
    partitions.add_argument("number", type=_whole_number(1, PARTITIONS_MAX), metavar="N")
    partitions.add_argument("--reason", help="why: it is kept in the operators' log")
    status = commands.add_parser("status", help="what runs, lag, pending, dead")
    status.add_argument("--json", action="store_true")
    log = commands.add_parser("logs", help="what every program wrote")
    log.add_argument("--lines", type=int, default=logs.LINES)
    log.add_argument("--no-follow", dest="follow", action="store_false")
    execute = commands.add_parser("exec", help="run a command in the stack's environment")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    demonstration = commands.add_parser("demo", help="send signed sample events, kill workers, show what became of it")
    demonstration.add_argument("--json", action="store_true")
    demonstration.add_argument("--conflict", action="store_true", help="with a payment whose events contradict it")
    demonstration.add_argument("--gaps", action="store_true", help="lose a third of the events, find and repair them")
    times = _whole_number(1, DEMO_TIMES_MAX)
    demonstration.add_argument("--times", type=times, default=DEMO_TIMES, help="deliveries of each event")
    sample = commands.add_parser("send", help="send one signed sample event to the running gateway")
    sample.add_argument("--type", help="the event's type; the provider's usual one if left out")
    sample.add_argument("source", help="its name in sources.toml")
    commands.add_parser("psql", help="open psql on the database")
    upgrade = commands.add_parser("upgrade-postgres", help="move the data to the present PostgreSQL")
    upgrade.add_argument("--old", type=Path, required=True, metavar="FOLDER", help="the older version's programs")
    commands.add_parser("pin", help="write the digests of the containers' images to .env")
    commands.add_parser("supervise", help="what `up` starts in the background")
    return parser


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return what argparse converts an argument with."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not {least} to {most}")
        return number

    return convert


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
