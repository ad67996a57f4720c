"""The files of the pages: served from memory, and sent again only where they changed."""

from pathlib import Path

import pytest

from operations.console.assets import ASSETS, TYPES
from tests.support.console import RunningConsole


@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_is_sent_once_and_kept_by_its_etag(console: RunningConsole, name: str) -> None:
    somebody = console.viewer
    first = await somebody.get(f"/static/{name}")
    assert (first.status, first.text) == (200, ASSETS[name].body.decode())
    assert first.headers["Content-Type"] == f"{TYPES[Path(name).suffix]}; charset=utf-8"
    for known, status in ((first.headers["ETag"], 304), (f'W/{first.headers["ETag"]}, "other"', 304), ('"other"', 200)):
        again = await somebody.request("GET", f"/static/{name}", headers={"If-None-Match": known})
        assert (again.status, again.headers["ETag"]) == (status, first.headers["ETag"])
        assert again.text == ("" if status == 304 else first.text)
