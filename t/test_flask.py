# SPDX-License-Identifier: MIT
"""A Flask site, driven by the clients that people use."""
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness

requests = pytest.importorskip("requests")

APPS = harness.SOURCE / "t" / "apps"


def has_flask():
    return subprocess.run([harness.PYTHON, "-c", "import flask"],
                          env=harness.environment(),
                          capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.python,
    pytest.mark.skipif(harness.HAS_PYTHON and not has_flask(),
                       reason="no Flask for this Python"),
]


@pytest.fixture
def site(bicorn, tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(data)

    def start(*args, target="flask_site:app", **kw):
        server = bicorn("--chdir", APPS, *args, target,
                        env={"TEST_FILE": tmp_path / "file"}, **kw)
        server.data = data
        return server

    return start


@pytest.fixture
def client():
    with requests.Session() as session:
        yield session


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_hello(site, client):
    server = site()
    for _ in range(3):
        r = client.get(server.url + "/")
        assert (r.status_code, r.text) == (200, "Hello, World!\n")
        assert r.headers["X-App"] == "flask"
        assert r.headers["Content-Length"] == "14"
        assert r.headers["Connection"] == "keep-alive"
    assert client.head(server.url + "/").headers["Content-Length"] == "14"
    assert client.options(server.url + "/").headers["Allow"]
    assert client.post(server.url + "/").status_code == 405


def test_urls(site, client):
    server = site()
    for name in "caf\xe9", "\u20ac uro", "a b", "%41", "x+y", "semi;colon":
        r = client.get(server.url + "/user/" +
                       requests.utils.quote(name, safe=""))
        assert r.text == "user " + name
    r = client.get(server.url + "/none")
    assert (r.status_code, r.text) == (404, "nothing at /none")


def test_session(site, client):
    server = site()
    assert client.get(server.url + "/whoami").json()["user"] is None
    r = client.post(server.url + "/login", data={"user": "m\xfcller"})
    assert r.history[0].status_code == 302
    assert r.json() == {"user": "m\xfcller", "visits": 2,
                        "flashes": ["welcome"]}
    assert client.get(server.url + "/whoami").json() == {
        "user": "m\xfcller", "visits": 3, "flashes": []}
    assert client.post(server.url + "/logout").status_code == 204
    assert client.get(server.url + "/whoami").json()["user"] is None


def test_cookies(site, client):
    server = site()
    r = client.get(server.url + "/cookies")
    assert len(r.raw.headers.getlist("Set-Cookie")) == 2
    assert client.get(server.url + "/cookies").json() == {
        "one": "1", "two": "2"}
    # Several Cookie fields, as proxies for HTTP/2 send them.
    r = server.get("/cookies", [("Cookie", "a=1"), ("Cookie", "b=2")])
    assert b'"a":"1"' in r.body.replace(b" ", b"")
    assert b'"b":"2"' in r.body.replace(b" ", b"")


def test_forms(site, client):
    server = site()
    r = client.post(server.url + "/form?q=1&q=2&u=%C3%A9",
                    data={"a": "x y", "b": ["1", "2"], "u": "\u20ac"})
    assert r.json() == {
        "form": {"a": ["x y"], "b": ["1", "2"], "u": ["\u20ac"]},
        "args": {"q": ["1", "2"], "u": ["\xe9"]}}


def test_json(site, client):
    server = site()
    for method in "post", "put", "patch", "delete":
        r = getattr(client, method)(server.url + "/json",
                                    json={"x": [1, None, "\u20ac"]})
        assert r.json() == {"method": method.upper(),
                            "got": {"x": [1, None, "\u20ac"]}}
    assert client.post(server.url + "/json", data=b"{",
                       headers={"Content-Type": "application/json"}
                       ).status_code == 400


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 3_000_000])
def test_bodies(site, client, size):
    server = site()
    data = os.urandom(size)

    def pieces():
        for at in range(0, size, 7001):
            yield data[at:at + 7001]

    r = client.post(server.url + "/raw", data=data).json()
    assert r["length"] == size and r["sha"] == sha(data)
    # requests sends a generator chunked; the view is told the length.
    r = client.post(server.url + "/raw", data=pieces()).json()
    assert r == {"length": size, "header": size, "sha": sha(data)}
    for body in data, pieces():
        assert client.post(server.url + "/read", data=body).json() == {
            "length": size, "sha": sha(data)}


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
def test_uploads(site, client, size):
    server = site()
    one, two = os.urandom(size), os.urandom(size)
    r = client.post(server.url + "/upload", data={"note": "caf\xe9"}, files=[
        ("doc", ("one.bin", one, "application/octet-stream")),
        ("doc", ("two \xe9.txt", two, "text/plain")),
        ("empty", ("none", b""))])
    assert r.status_code == 200, r.text
    out = r.json()
    assert out["form"] == {"note": "caf\xe9"}
    assert [f["sha"] for f in out["files"]["doc"]] == [sha(one), sha(two)]
    assert out["files"]["doc"][1]["name"] == "two \xe9.txt"
    assert out["files"]["empty"][0]["sha"] == sha(b"")


def test_upload_by_curl(site, tmp_path):
    server = site()
    (tmp_path / "up").write_bytes(server.data)
    for extra in [], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"], \
            ["-H", "Expect: 100-continue"]:
        if "--http1.0" in extra and "Transfer" in str(extra):
            continue
        out = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *extra, "-F",
             "doc=@%s;type=x/y" % (tmp_path / "up"), "-F", "note=n",
             server.url + "/upload"], capture_output=True, text=True)
        assert sha(server.data) in out.stdout, (extra, out)


def test_files(site, client):
    server = site()
    r = client.get(server.url + "/file")
    assert r.content == server.data
    assert r.headers["Content-Length"] == str(len(server.data))
    assert "attachment" in r.headers["Content-Disposition"]
    etag = r.headers["ETag"]
    r = client.get(server.url + "/file", headers={"If-None-Match": etag})
    assert (r.status_code, r.content) == (304, b"")
    r = client.get(server.url + "/file", headers={"Range": "bytes=10-99"})
    assert r.status_code == 206 and r.content == server.data[10:100]
    r = client.head(server.url + "/file")
    assert r.headers["Content-Length"] == str(len(server.data))
    assert client.get(server.url + "/memory").text == "from memory"
    assert client.get(server.url + "/").ok


def test_file_by_curl(site, tmp_path):
    server = site()
    out = tmp_path / "down"
    for extra in [], ["--limit-rate", "2M"], ["-C", "-"]:
        if extra == ["-C", "-"]:
            out.write_bytes(server.data[:1000])
        subprocess.run(["curl", "-sSf", "--max-time", "20", *extra, "-o", out,
                        server.url + "/file"], check=True)
        assert out.read_bytes() == server.data


def test_stream(site, client):
    server = site()
    r = client.get(server.url + "/stream?x=a", stream=True)
    assert r.headers["Transfer-Encoding"] == "chunked"
    assert list(r.iter_lines()) == [b"a %d" % n for n in range(5)]
    server.wait_log("teardown of /stream$")


def test_stream_until_the_client_leaves(site):
    server = site("--threads", "1")
    with requests.get(server.url + "/stream/events", stream=True) as r:
        lines = r.iter_lines()
        assert [next(lines) for _ in range(3)] == [b"data: 0", b"",
                                                   b"data: 1"]
    server.wait_log("teardown of /stream/events")
    assert requests.get(server.url + "/").ok  # the thread is free again


def test_errors(site, client):
    server = site()
    r = client.get(server.url + "/fails")
    assert r.status_code == 500
    server.wait_log(r"Exception on /fails \[GET\]")
    server.wait_log("^RuntimeError: in the view")
    for code in 400, 403, 413, 418, 503:
        assert client.get("%s/abort/%d" % (server.url, code)
                          ).status_code == code
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get(server.url + "/stream/fails")
    server.wait_log("Error handling request GET /stream/fails")
    assert client.get(server.url + "/").ok


def test_behind_a_proxy(site, client):
    server = site(target="flask_site:proxied")
    r = client.get(server.url + "/where", headers={
        "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example", "X-Forwarded-Prefix": "/shop"})
    assert r.json() == {
        "url": "https://shop.example/shop/where", "root": "/shop",
        "remote": "192.0.2.7", "secure": True,
        "external": "https://shop.example/shop/"}


def test_script_name(site, client):
    server = site("--env", "SCRIPT_NAME=/mounted")
    r = client.get(server.url + "/mounted/where").json()
    assert r["url"] == server.url + "/mounted/where"
    assert r["external"] == server.url + "/mounted/"


def test_factory(site, client):
    server = site(target='flask_site:create_app("hello", loud=True)')
    assert client.get(server.url + "/").text == "HELLO"


def test_many_clients(site):
    server = site("--workers", "2", "--threads", "4")

    def work(n):
        with requests.Session() as session:
            for i in range(20):
                r = session.post(server.url + "/json", json=[n, i])
                assert r.json()["got"] == [n, i]
        return n

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == list(range(16))
