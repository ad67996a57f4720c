"""No input makes an error of the console, and no name leads to another file."""

import gzip

import pytest

from tests.support.console import RunningConsole, sent_raw


@pytest.mark.parametrize(
    "name",
    ["../settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "vendor/../../app.py", "/etc/passwd", "vendor",
     "vendor/", "x" * 5000, "%00", "a%00.css", "%ff", "console.css/", "vendor/htmx.LICENSE", "..\\settings.py"],
)  # fmt: skip
async def test_no_name_of_an_asset_leads_to_another_file(console: RunningConsole, name: str) -> None:
    answer = await sent_raw(console.url, f"GET /static/{name} HTTP/1.1", f"Cookie: {console.viewer.headers['Cookie']}")
    assert answer.split(" ", 2)[1] in {"404", "400"}


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/x-www-form-urlencoded", "a=" + "x" * 70_000, 413),
        ("application/x-www-form-urlencoded", "a=%00", 400),
        ("application/x-www-form-urlencoded", "%00=1", 400),
        ("application/x-www-form-urlencoded", "a=%ff%fe&&&=&;=", 303),
        ("application/x-www-form-urlencoded", "a=\xff", 400),
        ("application/x-www-form-urlencoded; charset=klingon", "a=1", 400),
        ("application/x-www-form-urlencoded; charset=utf-16", "abc", 400),
        ("application/x-www-form-urlencoded; charset=base64", "abc", 400),
        ('application/x-www-form-urlencoded; charset="', "a=1", 303),
        ("multipart/form-data; boundary=x", "--x\r\njunk", 415),
        ("multipart/form-data", "junk", 415),
        ("application/json", "{}", 415),
        ("text/plain", "a=1", 415),
        ("x", "a=1", 303),
        ("", "", 303),
    ],
)
async def test_an_odd_form_is_refused_with_a_sentence(
    console: RunningConsole, kind: str, body: str, status: int
) -> None:
    lines = ["POST /sign-out HTTP/1.1", f"Cookie: {console.viewer.headers['Cookie']}", "Sec-Fetch-Site: same-origin"]
    lines += [f"Content-Type: {kind}"] if kind else []
    answer = await sent_raw(console.url, *lines, f"Content-Length: {len(body)}", body=body)
    assert answer.startswith(f"HTTP/1.1 {status} ")


async def test_a_compressed_form_is_not_read(console: RunningConsole) -> None:
    body = gzip.compress(b"name=" + b"a" * 1_000_000).decode("latin-1")
    lines = ["POST /sign-in HTTP/1.1", "Sec-Fetch-Site: same-origin", "Content-Encoding: gzip"]
    lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    assert (await sent_raw(console.url, *lines, body=body)).startswith("HTTP/1.1 415 ")


@pytest.mark.parametrize(
    "target",
    ["/?a=%00", "/?%00", "/%00", "/?a=%ff", "/%ff", "/?\xff", "/\xff", "//", "/?" + "&" * 5000, "/?a=%", "/%zz", "*",
     "http://evil.example/", "/\x7f", "/a b", "/?next=" + "%0d%0a" * 100, "/#x", "/;a", "?", "/%E2%80%AE",
     "/sign-in?next=%ff", "/sign-in?next=\xff\xfe", "/sign-in?next=%00"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "BREW"])
async def test_no_address_makes_an_error_of_the_console(console: RunningConsole, method: str, target: str) -> None:
    cookie = f"Cookie: {console.viewer.headers['Cookie']}"
    answer = await sent_raw(console.url, f"{method} {target} HTTP/1.1", cookie)
    assert answer.startswith("HTTP/1.")
    assert 200 <= int(answer.split(" ", 2)[1]) < 500
