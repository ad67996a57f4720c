"""The files of the pages: style sheet, scripts and icon, in memory with their ETags from the start.

aiohttp's FileResponse opens a file in a thread, and leaves it to the collector where the browser went on meanwhile.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from operations.console.render import FOLDER

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it was when the console started."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "Asset":
        """Read a file."""
        body = path.read_bytes()
        return cls(body, TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32])

    def answer(self, request: web.Request) -> web.Response:
        """Return the file, or 304 if the browser has it."""
        if any(etag.value == self.etag for etag in request.if_none_match or ()):
            response = web.Response(status=304)
        else:
            response = web.Response(body=self.body, content_type=self.content_type, charset="utf-8")
        response.etag = self.etag
        return response


ASSETS = {
    path.relative_to(FOLDER / "static").as_posix(): Asset.read(path)
    for path in sorted((FOLDER / "static").rglob("*"))
    if path.suffix in TYPES
}
"""The files for everybody, by name: the sign-in page needs them. No name leads anywhere else."""

routes = web.RouteTableDef()


@routes.get("/static/{name:.+}")
async def send_asset(request: web.Request) -> web.Response:
    """Answer with the file of this name."""
    asset = ASSETS.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    return asset.answer(request)
