"""What the tests of the handlers need."""

import os

import pytest


@pytest.fixture
def database_url() -> str:
    """The address of a PostgreSQL database that nothing else uses."""
    return os.environ["TEST_DATABASE_URL"]
