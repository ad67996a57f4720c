"""A server of the user's own that does not answer is noticed before anything is stopped."""

import pytest

from stack.check import WrongSettingsError, require_servers
from stack.ports import free_port


def test_servers_that_do_not_answer_are_named_by_their_settings() -> None:
    port = free_port()
    with pytest.raises(WrongSettingsError) as caught:
        require_servers(f"redis://127.0.0.1:{port}/0", f"postgresql://u:p@127.0.0.1:{port}/x")
    text = str(caught.value)
    assert "REDIS_URL: this server does not answer" in text
    assert "DATABASE_URL: this server does not answer" in text
    assert "Nothing was started or stopped" in text


def test_servers_of_the_stack_itself_are_not_asked() -> None:
    require_servers("", "")
