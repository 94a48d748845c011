# SPDX-License-Identifier: MIT
"""The pages that bicorn answers itself, and the Server field."""
import json
import shutil
import subprocess

import pytest

import harness


@pytest.fixture
def site(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public/a.txt").write_text("a")
    return tmp_path


@pytest.fixture
def static(bicorn, site):
    def start(*args, **kw):
        return bicorn(*args, "./public/", cwd=site, **kw)

    return start


TYPES = {"text/html; charset=utf-8": "<title>Not Found</title>",
         "text/plain; charset=utf-8": "404 Not Found\n",
         "application/json": '{"status":404,"title":"Not Found"}\n',
         "application/problem+json": '{"status":404,"title":"Not Found"}\n'}


@pytest.mark.parametrize("accept, kind", [
    (None, "text/html; charset=utf-8"),
    ("", "text/html; charset=utf-8"),
    ("*/*", "text/html; charset=utf-8"),
    ("image/png", "text/html; charset=utf-8"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
     "text/html; charset=utf-8"),
    ("text/plain", "text/plain; charset=utf-8"),
    ("text/*", "text/html; charset=utf-8"),
    ("TEXT/Plain ; q=0.1, */*; q=0", "text/plain; charset=utf-8"),
    ("application/json", "application/json"),
    ("application/json, */*", "application/json"),
    ("application/json, text/plain, */*", "text/plain; charset=utf-8"),
    ("application/*", "application/json"),
    ("text/html;q=0.5, application/json;q=0.9", "application/json"),
    ("text/html;q=0, */*", "text/plain; charset=utf-8"),
    ("application/problem+json", "application/problem+json"),
    (";;,,;q=,q=9999999999,*", "text/html; charset=utf-8"),
])
def test_types(static, accept, kind):
    server = static()
    r = server.get("/nothing", [("Accept", accept)] if accept is not None
                   else [])
    assert r.status == 404
    assert r.header("Content-Type") == kind
    assert TYPES[kind] in r.body.decode()


def test_accept_order_of_equals(static):
    """Of several that are named alike, the simplest that is."""
    server = static()
    r = server.get("/nothing", [("Accept", "application/json, text/html")])
    assert r.header("Content-Type").startswith("text/html")


REFUSED = [
    (400, "GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n"),
    (408, "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"),
    (413, "POST / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
     "Content-Length: 9999\r\n\r\n"),
    (417, "POST / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
     "Expect: cake\r\n\r\n"),
    (431, "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
     "A: %s\r\n\r\n" % ("x" * 9000)),
    (501, "POST / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
     "Transfer-Encoding: rot13\r\n\r\n"),
]


@pytest.mark.parametrize("status, raw", REFUSED,
                         ids=[str(s) for s, _ in REFUSED])
def test_refusals(static, status, raw):
    server = static("--limit-request-body", "1k", "--header-timeout", "0.3")
    head, _, body = server.raw(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    page = json.loads(body)
    assert page["status"] == status
    assert page["title"] and page["detail"]
    assert b"Content-Length: %d" % len(body) in head


def test_files(static, site):
    """404.html for one status, 4xx.json for a class; others are made."""
    pages = site / "pages"
    pages.mkdir()
    (pages / "404.html").write_text("<p>our own 404\u20ac")
    (pages / "4xx.json").write_text('{"ours": true}')
    (pages / "413.txt").write_text("too much")
    (pages / "README").write_text("not a page")
    (pages / "999.html").write_text("not a page")
    server = static("--error-pages", pages, "--limit-request-body", "1k")
    r = server.get("/nothing")
    assert r.body.decode() == "<p>our own 404\u20ac"
    assert r.header("Content-Type") == "text/html; charset=utf-8"
    r = server.get("/nothing", [("Accept", "application/json")])
    assert r.body == b'{"ours": true}'
    r = server.get("/nothing", method="HEAD")
    assert r.header("Content-Length") == "17" and not r.body
    r = server.get("/a.txt", method="DELETE",
                   headers=[("Accept", "text/plain")])
    assert r.status == 405 and r.body == b"405 Method Not Allowed\n"
    assert r.header("Allow")
    assert server.raw("POST / HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n"
                      "Content-Length: 9999\r\n\r\n").endswith(b"too much")
    # A connection that has nothing to fear stays.
    with server.connect() as c:
        for _ in range(3):
            assert c.get("/nothing").status == 404
    # Other pages with a reload.
    (pages / "404.html").write_text("other")
    mark = server.mark()
    server.signal(1)
    server.wait_log(r"\] Ready", since=mark)
    harness.wait_for(lambda: server.get("/nothing").body == b"other",
                     "the new page")


def test_files_that_cannot_be(run, site):
    p = run("--error-pages", "/nonexistent", "./public/", cwd=site)
    assert p.returncode == 1
    assert "/nonexistent" in p.stderr
    pages = site / "pages"
    pages.mkdir()
    (pages / "500.html").write_bytes(b"x" * 65537)
    p = run("--check-config", "--error-pages", pages, "./public/", cwd=site)
    assert p.returncode == 1
    assert "500.html: File too large" in p.stderr


def test_relative_directory(bicorn, site):
    """Where chdir leads, as the paths of logs."""
    (site / "there/pages").mkdir(parents=True)
    (site / "there/pages/404.html").write_text("found")
    server = bicorn("--chdir", site / "there", "--error-pages", "pages",
                    "%s/" % (site / "public"), cwd=site)
    assert server.get("/nothing").body == b"found"


def test_large_page_to_a_slow_client(static, site):
    """More than a socket takes goes out as any output."""
    pages = site / "pages"
    pages.mkdir()
    (pages / "4xx.html").write_bytes(b"x" * 65536)
    server = static("--error-pages", pages)
    with server.connect() as c:
        for _ in range(100):
            c.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(100):
            assert len(c.response().body) == 65536


@pytest.mark.python
def test_failures_of_the_application(wsgi):
    server = wsgi('''
        import time
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/late":
                while True:
                    time.sleep(0.01)
            raise ValueError('<secret> "x"')
    ''', "--request-timeout", "0.3")
    r = server.get("/", [("Accept", "application/json")])
    assert (r.status, json.loads(r.body)) == (
        500, {"status": 500, "title": "Internal Server Error"})
    r = server.get("/late", [("Accept", "text/plain")])
    assert (r.status, r.body) == (504, b"504 Gateway Timeout\n")


def test_server_field(static):
    for value, sent in ((None, "bicorn"), ("shop/1 (x)", "shop/1 (x)"),
                        ("off", None)):
        server = static(*(["--server-header", value] if value else []))
        assert server.get("/a.txt").header("Server") == sent
        assert server.get("/nothing").header("Server") == sent
        raw = server.raw("GET / HTTP/1.1\r\n\r\n")
        assert (b"\r\nServer: %s\r\n" % (sent or "").encode() in raw) == \
            (sent is not None)
        assert (b"Server:" in raw) == (sent is not None)


def test_server_field_that_is_none(run, site):
    p = run("--server-header", "a\nb", "./public/", cwd=site)
    assert p.returncode == 2
    assert "must be of printable ASCII characters" in p.stderr


def test_jq_reads_pages(static):
    if not shutil.which("jq"):
        pytest.skip("needs jq")
    r = static().get("/nothing", [("Accept", "application/json")])
    p = subprocess.run(["jq", ".status"], input=r.body, capture_output=True)
    assert p.stdout == b"404\n"


@pytest.mark.python
def test_a_large_page_says_that_it_is_the_last(wsgi, site):
    """It goes out before it is complete; the connection closes all the same."""
    (site / "500.html").write_text("x" * 60_000)
    s = wsgi("""
        def app(environ, start_response):
            raise ValueError
        """, "--error-pages", site)
    with s.connect() as c:
        c.send(harness.request())
        r = c.response()
        assert r.status == 500 and len(r.body) == 60_000
        assert r.header("connection") == "close"
        assert c.rest() == b""
