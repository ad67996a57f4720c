"""Signing in and out."""

from tests.support.console import RunningConsole


async def test_a_viewer_sees_the_overview(console: RunningConsole) -> None:
    page = await console.viewer.get("/")
    assert page.status == 200
    assert "<h1>Overview</h1>" in page.text
    assert "vera" in page.text


async def test_a_stranger_is_led_to_the_sign_in(console: RunningConsole) -> None:
    page = await console.stranger.get("/dead?after=3")
    assert (page.status, page.location) == (303, "/sign-in?next=/dead?after%3D3")
