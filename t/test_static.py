# SPDX-License-Identifier: MIT
"""The static host: a directory over real sockets."""
import datetime
import email.parser
import email.policy
import email.utils
import itertools
import os
import random
import re
import resource
import socket
import subprocess
import time

import pytest

import harness

SECRET = b"must never be seen"
ALLOW = "GET, HEAD, OPTIONS"


@pytest.fixture
def site(tmp_path):
    """tmp_path/site is served; what lies beside it is secret."""
    root = tmp_path / "site"
    (root / "sub/deep").mkdir(parents=True)
    (root / "index.html").write_text("<p>home</p>\n")
    (root / "a.txt").write_text("Hello, World!\n")
    (root / "empty.txt").write_text("")
    (root / "digits").write_text("0123456789")
    (root / "sub/index.html").write_text("<p>sub</p>\n")
    (root / "sub/deep/b.css").write_text("b {}\n")
    (root / "bare").mkdir()
    (root / "bare/c.txt").write_text("c\n")
    (root / "a b%.txt").write_text("odd\n")
    (root / "back\\slash.txt").write_text("back\n")
    (root / ".well-known").mkdir()
    (root / ".well-known/security.txt").write_text("Contact: us\n")
    for hidden in (".htpasswd", ".git/config", "sub/.env", ".a/.b/c",
                   ".well-known/.hidden", "sub/.well-known/x"):
        (root / hidden).parent.mkdir(exist_ok=True, parents=True)
        (root / hidden).write_bytes(SECRET)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (tmp_path / "site-2").mkdir()
    (tmp_path / "site-2/secret.txt").write_bytes(SECRET)
    return root


@pytest.fixture
def serve(bicorn, site):
    def start(*args, **kw):
        return bicorn(*args, "./site/", cwd=site.parent, **kw)

    return start


def test_connect_is_refused(serve):
    """... by a response with an end: there is no tunnel."""
    with serve().connect() as c:
        c.send("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        r = c.response()
        assert r.status == 405 and r.header("Content-Length") is not None
        assert r.header("Connection") == "close"


def later(response, seconds):
    at = email.utils.parsedate_to_datetime(response.header("Last-Modified"))
    return email.utils.format_datetime(
        at + datetime.timedelta(seconds=seconds), usegmt=True)


# --- files and their types ----------------------------------------------------

def test_file(serve, site):
    r = serve().get("/a.txt")
    assert (r.status, r.body) == (200, b"Hello, World!\n")
    assert r.header("Content-Length") == "14"
    assert r.header("Content-Type") == "text/plain; charset=utf-8"
    assert r.header("X-Content-Type-Options") == "nosniff"
    assert r.header("Accept-Ranges") == "bytes"
    assert re.fullmatch(r'"[0-9a-f]+-e"', r.header("ETag"))
    at = email.utils.parsedate_to_datetime(r.header("Last-Modified"))
    assert int(at.timestamp()) == int((site / "a.txt").stat().st_mtime)


@pytest.mark.parametrize("name,kind", [
    ("a.html", "text/html; charset=utf-8"),
    ("a.HTM", "text/html; charset=utf-8"),
    ("a.css", "text/css; charset=utf-8"),
    ("a.js", "text/javascript; charset=utf-8"),
    ("a.mjs", "text/javascript; charset=utf-8"),
    ("a.json", "application/json"),
    ("a.js.map", "application/json"),
    ("a.svg", "image/svg+xml"),
    ("a.png", "image/png"),
    ("a.jpg", "image/jpeg"),
    ("a.webp", "image/webp"),
    ("a.avif", "image/avif"),
    ("a.gif", "image/gif"),
    ("favicon.ico", "image/vnd.microsoft.icon"),
    ("a.woff", "font/woff"),
    ("a.woff2", "font/woff2"),
    ("a.ttf", "font/ttf"),
    ("a.otf", "font/otf"),
    ("a.wasm", "application/wasm"),
    ("a.xml", "application/xml; charset=utf-8"),
    ("a.md", "text/markdown; charset=utf-8"),
    ("a.csv", "text/csv; charset=utf-8"),
    ("a.pdf", "application/pdf"),
    ("a.mp4", "video/mp4"),
    ("a.webm", "video/webm"),
    ("a.mp3", "audio/mpeg"),
    ("a.ogg", "audio/ogg"),
    ("a.zip", "application/zip"),
    ("a.tar.gz", "application/gzip"),
    ("a.tar", "application/x-tar"),
    ("app.webmanifest", "application/manifest+json"),
    ("a.unknown", "application/octet-stream"),
    ("Makefile", "application/octet-stream"),
])
def test_types(serve, site, name, kind):
    (site / name).write_text("x")
    assert serve().get("/" + name).header("Content-Type") == kind


@pytest.mark.parametrize("size", [
    1, 4095, 16383, 16384, 16385, 65536, 100000, 5000000])
@pytest.mark.parametrize("sendfile", ["--sendfile", "--no-sendfile"])
def test_sizes(serve, site, size, sendfile):
    data = os.urandom(size)
    (site / "big.bin").write_bytes(data)
    with serve(sendfile).connect() as c:
        for _ in range(3):
            r = c.get("/big.bin")
            assert (r.status, r.body) == (200, data)


def test_kernel_without_sendfile(serve, site, tmp_path):
    """As on some file systems and in some sandboxes."""
    deny = harness.deny(tmp_path, "sendfile", "EINVAL")
    if deny is None:
        pytest.skip("no seccomp here")
    data = os.urandom(5000000)
    (site / "big.bin").write_bytes(data)
    with serve(wrapper=deny).connect() as c:
        for _ in range(3):
            r = c.get("/big.bin")
            assert (r.status, r.body) == (200, data)
        r = c.get("/big.bin", [("Range", "bytes=100000-199999")])
        assert (r.status, r.body) == (206, data[100000:200000])


def test_empty(serve):
    with serve().connect() as c:
        r = c.get("/empty.txt")
        assert (r.status, r.body) == (200, b"")
        assert r.header("Content-Length") == "0"
        assert c.get("/a.txt").status == 200


def test_names(serve, site):
    (site / "f\u00fcr.txt").write_text("utf-8\n")
    s = serve()
    assert s.get("/a%20b%25.txt").body == b"odd\n"
    assert s.get("/a%20b%.txt").body == b"odd\n"
    assert s.get("/f%C3%BCr.txt").body == b"utf-8\n"
    assert s.get("/back%5cslash.txt").body == b"back\n"
    assert s.get("/%61%2e%74xt").body == b"Hello, World!\n"
    assert s.get("/a.txt?v=1").body == b"Hello, World!\n"
    assert s.get("//a.txt").body == b"Hello, World!\n"
    assert s.get("/sub//deep///b.css").body == b"b {}\n"
    assert s.get("http://other.example/a.txt").body == b"Hello, World!\n"
    assert s.get("http://other.example").body == b"<p>home</p>\n"


def test_missing(serve):
    s = serve()
    for target in ("/none", "/none/", "/sub/none", "/a.txt/", "/a.txt/x",
                   "/A.TXT", "/a.tx", "/" + "x" * 300, "/" + "x/" * 1500,
                   "/sub/" * 300):
        r = s.get(target)
        assert r.status == 404, target
        assert r.header("X-Content-Type-Options") == "nosniff"
        assert len(r.body) < 200


# --- directories --------------------------------------------------------------

def test_index(serve):
    s = serve()
    for target in ("/", "/?a", "//", "/index.html"):
        r = s.get(target)
        assert (r.status, r.body) == (200, b"<p>home</p>\n")
        assert r.header("Content-Type") == "text/html; charset=utf-8"
    assert s.get("/sub/").body == b"<p>sub</p>\n"


def test_no_listing(serve):
    s = serve()
    r = s.get("/bare/")
    assert r.status == 404
    assert b"c.txt" not in r.body
    assert s.get("/bare/c.txt").status == 200


def test_index_that_is_no_file(serve, site):
    (site / "bare/index.html").mkdir()
    s = serve()
    assert s.get("/bare/").status == 404
    assert s.get("/bare/index.html").status == 301


@pytest.mark.parametrize("target,location", [
    ("/sub", "/sub/"),
    ("/sub?a=b&c=%20d", "/sub/?a=b&c=%20d"),
    ("/sub/deep", "/sub/deep/"),
    ("//sub", "/sub/"),
    ("///sub//deep", "/sub/deep/"),
    ("/%73ub", "/sub/"),
    ("http://other.example/sub", "/sub/"),
    ("/.well-known", "/.well-known/"),
])
def test_directory_gets_its_slash(serve, target, location):
    r = serve().get(target)
    assert r.status == 301
    assert r.header("Location") == location


def test_redirects_stay_here(serve, site):
    """Names that a browser could take for another host or another field."""
    for name in ("evil.example", "\\evil.example", "\\\\evil.example",
                 "a\r\nSet-Cookie: b=c", "a?b", "a#b", "a%2f", "http:", "@",
                 ";", "\x01", "\x7f", "<b>", '"', "\u00e9"):
        (site / name).mkdir()
    s = serve()
    for target in ("//evil.example", "///evil.example", "/%5cevil.example",
                   "/%5c%5cevil.example", "//%5cevil.example",
                   "/a%0d%0aSet-Cookie:%20b=c", "/a%3fb", "/a%23b", "/a%252f",
                   "/http:", "//http:", "/@", "/;", "/%01", "/%7f", "/%3cb%3e",
                   "/%22", "/%c3%a9"):
        r = s.get(target)
        assert r.status == 301, target
        location = r.header("Location")
        assert re.fullmatch(r"/(?!/)[A-Za-z0-9%._~!$&'()*+,;=:@-]+/", location)
        assert r.all("Set-Cookie") == []
        # It leads to where it says.
        assert s.get(location).status == 404
    assert s.get("/evil.example?//x").header("Location") == \
        "/evil.example/?//x"


# --- methods ------------------------------------------------------------------

def test_options(serve):
    s = serve()
    for target in ("/a.txt", "/", "*", "/none"):
        r = s.get(target, method="OPTIONS")
        assert r.status in (200, 204)
        assert r.header("Allow") == ALLOW


@pytest.mark.parametrize("method", [
    "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "GETS", "FOO"])
def test_other_methods(serve, site, method):
    with serve().connect() as c:
        r = c.get("/a.txt", method=method, body=b"x")
        assert r.status == 405
        assert r.header("Allow") == ALLOW
        assert c.get("/a.txt").status == 200
    assert (site / "a.txt").exists()


@pytest.mark.parametrize("target", [
    "/a.txt", "/", "/empty.txt", "/big.bin", "/none", "/sub", "/bare/"])
def test_head(serve, site, target):
    (site / "big.bin").write_bytes(b"x" * 1000000)
    with serve().connect() as c:
        get, head = c.get(target), c.get(target, method="HEAD")
        assert head.body == b""
        assert head.status == get.status

        def fields(r):
            return sorted(f for f in r.headers if f[0] != "Date")

        assert fields(head) == fields(get)
        assert c.get("/a.txt").status == 200


def test_head_ignores_range(serve):
    r = serve().get("/digits", method="HEAD", headers={"Range": "bytes=0-1"})
    assert r.status == 200
    assert r.header("Content-Length") == "10"


def test_get_with_a_body(serve):
    with serve().connect() as c:
        assert c.get("/a.txt", body=b"x" * 100).body == b"Hello, World!\n"
        assert c.get("/a.txt").status == 200


# --- conditions ---------------------------------------------------------------

def test_etag_changes(serve, site):
    s = serve()
    tags = set()
    path = site / "digits"
    for text, at in (("0123456789", 1e9), ("0123456789", 1e9 + 1e-6),
                     ("012345678", 1e9), ("9876543210", 1e9 + 1)):
        path.write_text(text)
        os.utime(path, ns=(int(at * 1e9), int(at * 1e9)))
        r = s.get("/digits")
        assert r.body == text.encode()
        tags.add(r.header("ETag"))
    assert len(tags) == 4
    assert not any(t.startswith("W/") for t in tags)


def test_etag_is_that_of_the_content_on_every_machine(serve, site):
    """Another inode, the same time and size: the same tag."""
    s = serve()
    before = s.get("/digits").header("ETag")
    st = (site / "digits").stat()
    (site / "new").write_text("0123456789")
    os.utime(site / "new", ns=(st.st_atime_ns, st.st_mtime_ns))
    os.rename(site / "new", site / "digits")
    assert s.get("/digits").header("ETag") == before


def test_change_is_seen_at_once(serve, site):
    with serve("--threads", 2).connect() as c:
        for i in range(50):
            (site / "now.txt").write_text("version %d" % i)
            assert c.get("/now.txt").body == b"version %d" % i
        (site / "now.txt").unlink()
        assert c.get("/now.txt").status == 404


def test_change_of_a_popular_file_is_seen_at_once(serve, site, tmp_path):
    """Small files that have not changed for a second are kept in memory."""
    st = (site / "digits").stat()
    with serve("--threads", 1).connect() as c:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert c.get("/digits").body == b"0123456789"
        (site / "digits").write_text("9876543210")
        os.utime(site / "digits", ns=(st.st_atime_ns, st.st_mtime_ns))
        assert c.get("/digits").body == b"9876543210"
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert c.get("/a.txt").body == b"Hello, World!\n"
        (site / "a.txt").unlink()
        assert c.get("/a.txt").status == 404
        (site / "a.txt").symlink_to("../secret.txt")
        assert c.get("/a.txt").status == 404


def test_popular_files_reach_slow_readers(serve, site):
    """... as they are, though others take their place in the cache."""
    data = {"/f%d" % i: os.urandom(8000 + 84 * i) for i in range(100)}
    for name, content in data.items():
        (site / name[1:]).write_bytes(content)
    changed = (site / "f99").stat().st_ctime
    s = serve("--threads", 1)
    with s.connect() as fast, s.connect() as slow:
        while time.time() < changed + 1.1:
            assert fast.get("/a.txt").status == 200
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        for name in data:
            assert fast.get(name).body == data[name]
        slow.send(b"".join(harness.request(target=n) for n in data) * 4)
        for _ in range(3):
            for name, content in data.items():
                assert fast.get(name).body == content
                r = fast.get(name, [("Range", "bytes=-8100")])
                assert r.body == content[-8100:]
                r = fast.get(name, [("Range", "bytes=1000-2999")])
                assert (r.status, r.body) == (206, content[1000:3000])
        for _ in range(4):
            for name, content in data.items():
                assert slow.response().body == content


def check_304(r):
    assert (r.status, r.body) == (304, b"")
    assert r.header("ETag")
    assert r.header("Last-Modified")
    assert r.header("Date")
    assert r.header("Content-Type") is None
    assert r.header("Transfer-Encoding") is None
    assert r.header("Content-Length") in (None, "10")


def test_conditions(serve):
    with serve().connect() as c:
        r = c.get("/digits")
        tag, at = r.header("ETag"), r.header("Last-Modified")
        before, after = later(r, -1), later(r, 1)
        other = '"other"'
        table = [
            (200, {}),
            (304, {"If-None-Match": tag}),
            (304, {"If-None-Match": "W/" + tag}),
            (304, {"If-None-Match": "*"}),
            (304, {"If-None-Match": other + ", " + tag}),
            (200, {"If-None-Match": other}),
            (200, {"If-None-Match": "garbage"}),
            (200, {"If-None-Match": ""}),
            (304, {"If-Modified-Since": at}),
            (304, {"If-Modified-Since": after}),
            (200, {"If-Modified-Since": before}),
            (200, {"If-Modified-Since": "garbage"}),
            (200, {"If-None-Match": other, "If-Modified-Since": after}),
            (304, {"If-None-Match": tag, "If-Modified-Since": before}),
            (200, {"If-Match": tag}),
            (200, {"If-Match": "*"}),
            (200, {"If-Match": other + "," + tag}),
            (412, {"If-Match": other}),
            (412, {"If-Match": "W/" + tag}),
            (200, {"If-Unmodified-Since": at}),
            (200, {"If-Unmodified-Since": after}),
            (412, {"If-Unmodified-Since": before}),
            (200, {"If-Unmodified-Since": "garbage"}),
            (200, {"If-Match": tag, "If-Unmodified-Since": before}),
            (304, {"If-Match": tag, "If-None-Match": tag}),
            (412, {"If-Match": other, "If-None-Match": tag}),
            (412, {"If-Unmodified-Since": before, "If-None-Match": tag}),
            (412, {"If-Match": other, "Range": "bytes=0-1"}),
            (304, {"If-None-Match": tag, "Range": "bytes=0-1"}),
            (206, {"If-Match": tag, "Range": "bytes=0-1"}),
            (206, {"If-None-Match": other, "Range": "bytes=0-1"}),
            (206, {"If-Range": tag, "Range": "bytes=0-1"}),
            (206, {"If-Range": at, "Range": "bytes=0-1"}),
            (200, {"If-Range": after, "Range": "bytes=0-1"}),
            (200, {"If-Range": before, "Range": "bytes=0-1"}),
            (200, {"If-Range": other, "Range": "bytes=0-1"}),
            (200, {"If-Range": "W/" + tag, "Range": "bytes=0-1"}),
            (200, {"If-Range": "garbage", "Range": "bytes=0-1"}),
            (200, {"If-Range": other, "Range": "bytes=99-"}),
            (416, {"If-Range": tag, "Range": "bytes=99-"}),
            (200, {"If-Range": tag}),
        ]
        for method in ("GET", "HEAD"):
            for status, headers in table:
                if method == "HEAD" and status in (206, 416):
                    status = 200
                r = c.get("/digits", headers, method=method)
                assert r.status == status, headers
                if status == 304:
                    check_304(r)
                elif status == 200 and method == "GET":
                    assert r.body == b"0123456789"


def test_conditions_do_not_matter_to_what_is_missing(serve):
    with serve().connect() as c:
        for headers in ({"If-Match": '"x"'}, {"If-None-Match": "*"},
                        {"Range": "bytes=0-1"}):
            assert c.get("/none", headers).status == 404
            assert c.get("/sub", headers).status == 301


def test_several_lines_of_a_list(serve):
    with serve().connect() as c:
        tag = c.get("/digits").header("ETag")
        r = c.get("/digits", [("If-None-Match", '"x"'), ("If-None-Match", tag)])
        assert r.status == 304
        r = c.get("/digits", [("If-Match", '"x"'), ("If-Match", tag)])
        assert r.status == 200


def test_dates_in_old_forms(serve, site):
    os.utime(site / "digits", (784111777, 784111777))
    with serve().connect() as c:
        assert c.get("/digits").header("Last-Modified") == \
            "Sun, 06 Nov 1994 08:49:37 GMT"
        for text in ("Sun, 06 Nov 1994 08:49:37 GMT",
                     "Sunday, 06-Nov-94 08:49:37 GMT",
                     "Sun Nov  6 08:49:37 1994"):
            assert c.get("/digits", {"If-Modified-Since": text}).status == 304


@pytest.mark.parametrize("at", [4102444800, 1e12, -1, 0])
def test_strange_times(serve, site, at):
    """Files of the future, and from before there was time."""
    try:
        os.utime(site / "digits", (at, at))
    except (OSError, OverflowError):
        pytest.skip("the file system has no such time")
    with serve().connect() as c:
        r = c.get("/digits")
        said = email.utils.parsedate_to_datetime(r.header("Last-Modified"))
        assert 0 <= said.timestamp() <= time.time() + 1
        assert c.get("/digits", {"If-None-Match": r.header("ETag")}).status == \
            304


# --- ranges -------------------------------------------------------------------

@pytest.mark.parametrize("value,first,body", [
    ("bytes=0-0", 0, b"0"),
    ("bytes=0-9", 0, b"0123456789"),
    ("bytes=0-", 0, b"0123456789"),
    ("bytes=3-5", 3, b"345"),
    ("bytes=9-", 9, b"9"),
    ("bytes=5-100", 5, b"56789"),
    ("bytes=-3", 7, b"789"),
    ("bytes=-100", 0, b"0123456789"),
    ("bytes=5-99999999999999999999999", 5, b"56789"),
    ("bytes=20-30,4-4", 4, b"4"),
    ("Bytes=3-5", 3, b"345"),
])
def test_range(serve, value, first, body):
    with serve().connect() as c:
        r = c.get("/digits", {"Range": value})
        assert (r.status, r.body) == (206, body)
        assert r.header("Content-Range") == "bytes %d-%d/10" % (
            first, first + len(body) - 1)
        assert r.header("Content-Length") == str(len(body))
        assert r.header("Content-Type") == "application/octet-stream"
        assert r.header("ETag") and r.header("Last-Modified")
        assert c.get("/digits").status == 200


@pytest.mark.parametrize("value", [
    "bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-",
    "bytes=11-12,13-"])
def test_range_unsatisfiable(serve, value):
    with serve().connect() as c:
        r = c.get("/digits", {"Range": value})
        assert r.status == 416
        assert r.header("Content-Range") == "bytes */10"
        assert b"0123" not in r.body
        assert c.get("/digits").status == 200


@pytest.mark.parametrize("value", [
    "", "bytes", "bytes=", "bytes=a-b", "bytes=5-3", "bytes=-", "bytes=--1",
    "bytes=1-2-3", "bytes=1-2;3-4", "items=0-1", "0-1", "bytes 0-1",
    "bytes=0-1,x", "bytes=+1-2"])
def test_range_that_is_none(serve, value):
    r = serve().get("/digits", {"Range": value})
    assert (r.status, r.body) == (200, b"0123456789")
    assert r.header("Content-Range") is None


def test_range_twice(serve):
    r = serve().get("/digits", [("Range", "bytes=0-1"), ("Range", "bytes=2-3")])
    assert (r.status, r.body) == (200, b"0123456789")


def test_range_of_empty_file(serve):
    with serve().connect() as c:
        for value in ("bytes=0-", "bytes=-1", "bytes=0-0"):
            r = c.get("/empty.txt", {"Range": value})
            assert r.status in (200, 416)
            assert r.status == 416 or r.body == b""


def parts(response):
    """The parts of a multipart/byteranges body."""
    kind = response.header("Content-Type")
    assert kind.startswith("multipart/byteranges; boundary=")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + response.body)
    assert message.is_multipart()
    out = []
    for part in message.iter_parts():
        assert not part.defects
        m = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part["Content-Range"])
        out.append((int(m[1]), int(m[2]), int(m[3]),
                    str(part["Content-Type"]).replace('"', ""),
                    part.get_payload(decode=True)))
    return out


def test_several_ranges(serve):
    with serve().connect() as c:
        r = c.get("/a.txt", {"Range": "bytes=0-0,3-4 , -2"})
        assert r.status == 206
        assert r.header("Content-Range") is None
        text = "text/plain; charset=utf-8"
        assert parts(r) == [(0, 0, 14, text, b"H"), (3, 4, 14, text, b"lo"),
                            (12, 13, 14, text, b"!\n")]
        first = r.header("Content-Type")
        assert first not in r.body.decode()
        r = c.get("/a.txt", {"Range": "bytes=5-6,0-0"})
        assert [p[4] for p in parts(r)] == [b", ", b"H"]
        # Nobody can know the boundary before.
        assert r.header("Content-Type") != first
        assert c.get("/a.txt").status == 200


def test_several_large_ranges(serve, site):
    data = os.urandom(3000000)
    (site / "big.bin").write_bytes(data)
    with serve().connect() as c:
        r = c.get("/big.bin", {"Range": "bytes=0-999999,1000005-2000000,-70000"})
        assert [p[4] for p in parts(r)] == [
            data[:1000000], data[1000005:2000001], data[-70000:]]
        assert c.get("/a.txt").status == 200


@pytest.mark.parametrize("value", [
    "bytes=" + ",".join(["0-"] * 10),
    "bytes=" + ",".join("%d-%d" % (i, i) for i in range(0, 1600, 2)),
    "bytes=" + ",".join(["0-0"] * 1000),
    "bytes=0-,-1",
    "bytes=" + "," * 5000,
], ids=["whole", "many", "same", "sum", "empty"])
def test_ranges_that_are_abuse(serve, site, value):
    (site / "big.bin").write_bytes(b"x" * 5000)
    with serve().connect() as c:
        r = c.get("/big.bin", {"Range": value})
        assert r.status == 200
        assert len(r.body) == 5000


def test_every_range_of_a_small_file(serve):
    with serve().connect() as c:
        for first, last in itertools.product(range(10), repeat=2):
            r = c.get("/digits", {"Range": "bytes=%d-%d" % (first, last)})
            if first <= last:
                assert (r.status, r.body) == (
                    206, b"0123456789"[first:last + 1])
            else:
                assert r.status == 200


@pytest.mark.parametrize("socket_of", ["tcp", "unix"])
@pytest.mark.parametrize("size", [(4 << 20) - 1, 4 << 20, (9 << 20) + 13])
def test_files_sent_in_bulk(serve, site, tmp_path, socket_of, size):
    """Long files go in full segments; nothing is left behind at the end."""
    data = random.Random(size).randbytes(1 << 20) * (size // (1 << 20) + 1)
    data = data[:size]
    (site / "bulk").write_bytes(data)
    bind = "127.0.0.1:0" if socket_of == "tcp" else \
        "unix:%s" % (tmp_path / "s")
    server = serve(bind=bind)
    with server.connect() as c:
        for _ in range(2):
            assert c.get("/bulk").body == data
            part = c.get("/bulk", [("Range", "bytes=5-%d" % (size - 7))])
            assert part.body == data[5:size - 6]
        assert c.get("/a.txt").body == b"Hello, World!\n"


def test_large_file(serve, site):
    """Offsets above 4 GiB; the file is a hole with an island."""
    size = (5 << 30) + 7
    with open(site / "huge.bin", "wb") as f:
        f.truncate(size)
        f.seek((4 << 30) + 3)
        f.write(b"island")
    with serve().connect() as c:
        r = c.get("/huge.bin", method="HEAD")
        assert r.header("Content-Length") == str(size)
        at = (4 << 30) + 2
        r = c.get("/huge.bin", {"Range": "bytes=%d-%d" % (at, at + 7)})
        assert r.body == b"\0island\0"
        assert r.header("Content-Range") == "bytes %d-%d/%d" % (
            at, at + 7, size)
        r = c.get("/huge.bin", {"Range": "bytes=-1000000"})
        assert r.body == b"\0" * 1000000


def test_file_shrinks_while_it_is_sent(serve, site):
    with open(site / "big.bin", "wb") as f:
        f.truncate(50000000)
    s = serve()
    with s.connect() as c:
        c.send(harness.request(target="/big.bin") + harness.request())
        _, status, _, headers = c.head()
        assert (status, dict(headers)["Content-Length"]) == (200, "50000000")
        os.truncate(site / "big.bin", 100)
        rest = c.rest()
        assert len(rest) < 50000000
        assert b"HTTP/1.1" not in rest
    assert s.get("/a.txt").status == 200


def test_slow_readers_hold_no_thread(serve, site):
    with open(site / "big.bin", "wb") as f:
        f.truncate(20000000)
    s = serve("--threads", 1)
    slow = [s.connect() for _ in range(4)]
    for c in slow:
        c.send(harness.request(target="/big.bin"))
    assert s.get("/a.txt").status == 200
    for c in slow:
        assert len(c.response().body) == 20000000
        c.close()


# --- no way out ---------------------------------------------------------------

def test_hidden(serve):
    s = serve()
    for target in ("/.htpasswd", "/.git/config", "/.git", "/.git/", "/sub/.env",
                   "/%2ehtpasswd", "/.%67it/config", "/.a/.b/c", "/.", "/./",
                   "/./a.txt", "/sub/.", "/.well-known/.hidden",
                   "/.well-known/..", "/sub/.well-known/x", "/..well-known",
                   "/.well-knownx", "/.WELL-KNOWN/security.txt"):
        r = s.get(target)
        assert r.status == 404, target
        assert SECRET not in r.body
    assert s.get("/.well-known/security.txt").body == b"Contact: us\n"


DOTS = ["..", "%2e%2e", "%2E.", ".%2e", "..%00", "...", "..;", "%252e%252e",
        "..%20", "%c0%ae%c0%ae", "%uff0e%uff0e", "..%c0%af", "%ef%bc%8e%2e",
        "..\\", "..%5c", "%2e%2e%5c", "..%01", "..?", "..#", "\x2e\x2e"]
SLASHES = ["/", "//", "%2f", "%2F", "\\", "%5c", "%252f", "%c0%af", "/./",
           "/%2e/", ";/", "/;/", "%e0%80%af", "%u2215", "/%00/"]
STARTS = ["/", "//", "/sub/", "/sub/deep/", "/bare/", "/./", "/none/",
          "/%2f", "/a.txt/", "http://localhost/", "/.well-known/", "\\"]
GOALS = ["secret.txt", "site-2/secret.txt", "site/.htpasswd", "etc/passwd",
         "site/.git/config"]


def attacks():
    """All pairs of spellings, and a fixed choice of wilder mixtures."""
    for dots, slash in itertools.product(DOTS, SLASHES):
        for start, goal in ((STARTS[0], GOALS[0]), (STARTS[2], GOALS[1])):
            for depth in (1, 2, 3):
                yield start + (dots + slash) * depth + goal
    for start, goal in itertools.product(STARTS, GOALS):
        for depth in (1, 2, 3, 12):
            yield start + "../" * depth + goal
            yield start + "%2e%2e/" * depth + goal
            yield start + "..%2f" * depth + goal
    choice = random.Random(1812)
    for _ in range(1500):
        middle = "".join(choice.choice(DOTS) + choice.choice(SLASHES)
                         for _ in range(choice.randint(1, 6)))
        yield choice.choice(STARTS) + middle + choice.choice(GOALS)
    for goal in ("/etc/passwd", "/proc/self/environ", "/proc/self/cwd/secret.txt",
                 "/dev/zero", "file:///etc/passwd"):
        yield goal
        yield "/" + goal
        yield "//" + goal.lstrip("/")
        yield "/%2f" + goal.lstrip("/")
        yield "/" + goal.replace("/", "%2f")
        yield "http://localhost/" + goal
    yield "/a.txt%00.html"
    yield "/%00"
    yield "/a.txt%00/../../secret.txt"


def test_no_escape(serve):
    s = serve()
    c = s.connect()
    asked = 0
    for target in dict.fromkeys(attacks()):
        raw = target.encode("latin-1")
        if b" " in raw:
            continue
        try:
            c.send(b"GET " + raw + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            r = c.response()
        except (harness.Closed, OSError):
            pytest.fail("no answer to %r" % target)
        assert SECRET not in r.body, target
        assert b"root:" not in r.body, target
        assert r.status in (200, 301, 400, 403, 404), (target, r)
        if r.status == 200:
            assert r.body in (b"<p>home</p>\n", b"Hello, World!\n",
                              b"<p>sub</p>\n", b"Contact: us\n"), target
        if r.status == 301:
            assert re.match(r"/[^/\\]", r.header("Location")), target
        asked += 1
        if r.header("Connection") == "close" or r.status == 400:
            c.close()
            c = s.connect()
    c.close()
    assert asked > 1500


@pytest.fixture
def links(site, tmp_path):
    """Symbolic links in the served directory: those inside, those out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "index.html").write_bytes(SECRET)
    (outside / "x.txt").write_bytes(SECRET)
    inside = {
        "in-file": "a.txt",
        "in-up": "sub/../sub/deep/../../a.txt",
        "sub/up": "../a.txt",
        "in-abs": str(site / "a.txt"),
        "chain": "sub/up",
    }
    out = {
        "out-file": "../secret.txt",
        "out-abs": str(outside / "x.txt"),
        "out-neighbour": "../site-2/secret.txt",
        "sub/out": "../../secret.txt",
        "out-chain": "sub/out",
        "out-etc": "/etc/passwd",
        "out-back": "../site/../secret.txt",
    }
    for name, target in {**inside, **out}.items():
        (site / name).symlink_to(target)
    (site / "out-dir").symlink_to("../outside")
    (site / "in-dir").symlink_to("sub")
    (site / "loop").symlink_to("loop")
    (site / "dangling").symlink_to("nothing")
    return sorted(inside), sorted(out)


def test_links(serve, links):
    inside, out = links
    s = serve()
    for name in inside:
        assert s.get("/" + name).body == b"Hello, World!\n", name
    assert s.get("/in-dir/").body == b"<p>sub</p>\n"
    assert s.get("/in-dir").header("Location") == "/in-dir/"
    assert s.get("/in-dir/deep/b.css").status == 200
    for name in out + ["out-dir", "out-dir/", "out-dir/x.txt",
                       "out-dir/index.html", "loop", "dangling", "loop/x",
                       "out-dir/../a.txt"]:
        r = s.get("/" + name)
        assert r.status in (403, 404), name
        assert SECRET not in r.body and b"root:" not in r.body


def test_links_followed(serve, links):
    inside, out = links
    s = serve("--static-follow")
    for name in inside:
        assert s.get("/" + name).body == b"Hello, World!\n", name
    for name in set(out) - {"out-etc"}:
        assert s.get("/" + name).body == SECRET, name
    assert s.get("/out-dir/x.txt").body == SECRET
    assert s.get("/out-dir/").body == SECRET
    assert s.get("/out-dir").header("Location") == "/out-dir/"
    assert s.get("/loop").status == 404
    assert s.get("/out-dir/../a.txt").status == 404


def test_special_files(serve, site):
    os.mkfifo(site / "fifo")
    with socket.socket(socket.AF_UNIX) as u:
        cwd = os.getcwd()
        os.chdir(site)
        try:
            u.bind("socket")
        finally:
            os.chdir(cwd)
        if os.getuid() == 0:
            try:
                os.mknod(site / "null", 0o20666, os.makedev(1, 3))
                os.mknod(site / "zero", 0o20666, os.makedev(1, 5))
            except PermissionError:
                pass
        s = serve("--threads", 1)
        for name in ("fifo", "socket", "null", "zero"):
            assert s.get("/" + name).status == 404, name
            assert s.get("/" + name, method="HEAD").status == 404


def test_unreadable(serve, site):
    (site / "private.txt").write_text("private")
    (site / "private.txt").chmod(0)
    (site / "closed").mkdir()
    (site / "closed/x").write_text("private")
    (site / "sub/index.html").chmod(0)
    (site / "pass").mkdir()
    (site / "pass/x").write_text("public")
    (site / "closed").chmod(0)
    (site / "pass").chmod(0o711)
    args = []
    if os.getuid() == 0:
        args = ["--user", "nobody"]
        for path in (site, *site.parents):
            if not path.stat().st_mode & 1:
                path.chmod(path.stat().st_mode | 0o111)
    s = serve(*args)
    try:
        assert s.get("/a.txt").status == 200
        for target in ("/private.txt", "/closed/x", "/closed/", "/sub/"):
            r = s.get(target)
            assert r.status == 403, target
            assert b"private" not in r.body
        assert s.get("/pass/x").body == b"public"
        assert s.get("/pass").status == 301
    finally:
        (site / "closed").chmod(0o755)


# --- the directory itself -----------------------------------------------------

def test_forms_of_the_target(bicorn, site):
    for target in ("./site", "./site/", "static=site", "static=./site/",
                   str(site), str(site) + "/", "static=" + str(site)):
        s = bicorn(target, cwd=site.parent)
        assert s.get("/a.txt").status == 200
        assert s.stop() == 0
    s = bicorn("./", cwd=site)
    assert s.get("/a.txt").status == 200


def test_missing_directory(run, site):
    r = run("--bind", "127.0.0.1:0", "static=./none", cwd=site)
    assert r.returncode == 4
    assert "none" in r.stderr and "No such file or directory" in r.stderr


def test_target_that_is_a_file(run, site):
    r = run("--bind", "127.0.0.1:0", "static=./a.txt", cwd=site)
    assert r.returncode == 4
    assert "Not a directory" in r.stderr


def test_exchanged_directory(bicorn, tmp_path):
    """A deployment that exchanges a symbolic link is seen within a second or
    two, and at no moment is there nothing."""
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "v.txt").write_text(release)
    (tmp_path / "current").symlink_to("1")
    s = bicorn("./current/", cwd=tmp_path)
    with s.connect() as c:
        assert c.get("/v.txt").body == b"1"
        (tmp_path / "next").symlink_to("2")
        os.rename(tmp_path / "next", tmp_path / "current")

        def moved():
            r = c.get("/v.txt")
            assert r.status == 200
            return r.body == b"2"

        harness.wait_for(moved, "the new directory", 5)


# --- clients that people use --------------------------------------------------

def curl(*args):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *args],
                          capture_output=True, check=False)


def test_curl(serve, site, tmp_path):
    data = os.urandom(300000)
    (site / "big.bin").write_bytes(data)
    s = serve()
    assert curl(s.url + "/big.bin").stdout == data
    assert curl("-r", "100-199", s.url + "/big.bin").stdout == data[100:200]
    assert b"206" in curl("-I", "-X", "GET", "-r", "0-1",
                          s.url + "/big.bin").stdout.split(b"\r\n")[0]
    out = tmp_path / "part"
    out.write_bytes(data[:1000])
    assert curl("-C", "-", "-o", str(out), s.url + "/big.bin").returncode == 0
    assert out.read_bytes() == data
    kept = tmp_path / "kept"
    code = ["-o", str(kept), "-w", "%{http_code}"]
    etag = str(tmp_path / "etag")
    assert curl(*code, "--etag-save", etag, s.url + "/a.txt").stdout == b"200"
    assert curl(*code, "--etag-compare", etag,
                s.url + "/a.txt").stdout == b"304"
    assert curl(*code, "-z", str(site / "a.txt"),
                s.url + "/a.txt").stdout == b"304"
    assert curl("-L", s.url + "/sub").stdout == b"<p>sub</p>\n"
    r = curl("--path-as-is", "-w", "%{http_code}",
             s.url + "/../secret.txt").stdout
    assert SECRET not in r and r.endswith((b"404", b"400"))


def test_pipelined(serve):
    with serve().connect() as c:
        c.send(b"".join(harness.request(target=t) for t in
                        ("/a.txt", "/none", "/digits", "/sub", "/")))
        assert [c.response().status for _ in range(5)] == [
            200, 404, 200, 301, 200]


def test_no_descriptor_is_lost(serve, site):
    (site / "big.bin").write_bytes(b"x" * 500000)
    (site / "out").symlink_to("/etc/passwd")
    s = serve("--threads", 2)
    pid = s.workers()[0]

    def count():
        return len(os.listdir("/proc/%d/fd" % pid))

    targets = ["/a.txt", "/", "/none", "/sub", "/out", "/bare/", "/big.bin",
               "/.git", "/a.txt/", "/%00"]
    with s.connect() as c:
        for target in targets * 2:
            c.get(target)
        before = count()
        for target in targets * 30:
            c.get(target)
            c.get(target, method="HEAD")
            c.get(target, {"Range": "bytes=0-1,3-4"})
        assert count() == before


def test_out_of_descriptors(serve, site):
    """503 while there are none, and all is well again afterwards."""
    s = serve("--threads", 1)
    with s.connect() as c:
        assert c.get("/a.txt").status == 200
        pid = s.workers()[0]
        highest = max(map(int, os.listdir("/proc/%d/fd" % pid)))
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, old[1]))
        used = set(map(int, os.listdir("/proc/%d/fd" % pid)))
        if used == set(range(highest + 1)):
            r = c.get("/digits")
            assert r.status == 503
            assert r.header("Retry-After")
            s.wait_log("cannot open digits: Too many open files")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        assert c.get("/a.txt").status == 200
