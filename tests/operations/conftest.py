"""Fixtures of the commands' tests."""

from pathlib import Path

import pytest

from consumers.settings import Settings
from tests.support import fact_handlers
from tests.support.consuming import Workers
from tests.support.operator_commands import HANDLERS, Operator


@pytest.fixture
async def operator(workers: Workers, settings: Settings, tmp_path: Path) -> Operator:
    """An operator with handlers and a sources file of their own."""
    await workers.connection.execute(fact_handlers.TABLE)
    own = {"handlers": HANDLERS, "sources_file": tmp_path / "sources.toml"}
    return Operator(workers, settings.model_copy(update=own))
