"""The files of others that the console serves are the published ones."""

import hashlib
import re

from operations.console.render import FOLDER

VENDOR = FOLDER / "static" / "vendor"


def test_each_vendored_file_is_the_published_one_and_its_package_is_named() -> None:
    text = (VENDOR / "CHECKSUMS").read_text()
    listed = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.MULTILINE)}
    files = {path.name: path.read_bytes() for path in VENDOR.iterdir() if path.name != "CHECKSUMS"}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == listed
    packages = re.findall(r"^# (\S+) (\d+\.\d+\.\d+) (0BSD|MIT)$", text, re.MULTILINE)
    assert {name for name, _, _ in packages} == {"htmx.org", "uplot"}
    for name, version, _ in packages:
        script = files["htmx.min.js" if name == "htmx.org" else "uPlot.iife.min.js"].decode()
        assert version in script


def test_nothing_that_is_served_loads_anything_from_elsewhere() -> None:
    ours = [*(FOLDER / "templates").glob("*.html"), *(FOLDER / "static").glob("*.css")]
    assert [path.name for path in ours if re.search(r"""(src|href)=["']?(https?:)?//|url\(""", path.read_text())] == []
    for path in (FOLDER / "templates").glob("*.html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", path.read_text()), path.name
