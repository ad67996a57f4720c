"""One log format for every program, for our own events and for those of libraries."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import asyncio, logging, warnings
import structlog
from runtime import logs

logs.configure({level!r})
log = structlog.get_logger()
{body}
"""


def lines_of(body: str, level: str = "INFO") -> list[dict[str, Any]]:
    """Run a program that logs; return its lines on standard error. It must write nothing else."""
    program = PROGRAM.format(level=level, body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_event_of_ours_is_one_json_line_with_its_fields() -> None:
    (line,) = lines_of("log.info('an entry was acked', entry_id='1-0')")
    assert (line["event"], line["level"], line["entry_id"]) == ("an entry was acked", "info", "1-0")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("library", ["aiohttp.server", "redis", "asyncpg", "asyncio"])
def test_a_record_of_a_library_is_one_json_line_too(library: str) -> None:
    (line,) = lines_of(f"logging.getLogger({library!r}).warning('%s is slow\\n', 'it')")
    assert (line["event"], line["level"], line["logger"]) == ("it is slow\n", "warning", library)
    assert line["timestamp"]


def test_an_exception_stays_in_its_line() -> None:
    ours, of_library = lines_of(
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n"
        "    log.exception('a bug')\n    logging.getLogger('redis').exception('a bug')"
    )
    assert "ZeroDivisionError" in ours["exception"]
    assert "ZeroDivisionError" in of_library["exception"]


def test_a_warning_of_python_is_one_json_line() -> None:
    (line,) = lines_of("warnings.warn('it is old')")
    assert "it is old" in line["event"]
    assert line["level"] == "warning"


def test_the_level_holds_for_ours_and_for_libraries() -> None:
    body = "for each in (log, logging.getLogger('redis')):\n    each.info('quiet')\n    each.warning('loud')"
    assert [line["event"] for line in lines_of(body, "WARNING")] == ["loud", "loud"]
