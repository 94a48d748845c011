# SPDX-License-Identifier: MIT
"""bicorn and the clients people have: curl, wget, ab, wrk, http.client,
requests."""
import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import urllib.request

import pytest

import harness

requests = pytest.importorskip("requests", reason="Debian: python3-requests")

pytestmark = pytest.mark.python

APP = '''
    import hashlib
    import json


    def describe(environ, start_response):
        digest, size = hashlib.sha256(), 0
        while True:
            piece = environ["wsgi.input"].read(65536)
            if not piece:
                break
            digest.update(piece)
            size += len(piece)
        said = {k: v for k, v in environ.items() if isinstance(v, str)}
        said.update(size=size, sha256=digest.hexdigest())
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"),
                                  ("Content-Length", str(len(body)))])
        return [body]


    def stream(environ, start_response):
        count = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%07d\\n" % i * 1024 for i in range(count))


    def large(environ, start_response):
        size = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Length", str(size))])
        piece = bytes(range(256)) * 256
        return (piece[:min(65536, size - at)] for at in range(0, size, 65536))


    def cookie(environ, start_response):
        old = environ.get("HTTP_COOKIE", "")
        n = int(old.rpartition("n=")[2] or 0) + 1
        start_response("200 OK", [("Set-Cookie", "n=%d; Path=/" % n)])
        return [b"%d" % n]


    def redirect(environ, start_response):
        start_response("303 See Other", [("Location", "/describe"),
                                         ("Content-Length", "0")])
        return []


    def deny(environ, start_response):
        start_response("403 Forbidden", [("Content-Length", "3")])
        return [b"no\\n"]


    PAGES = {f.__name__: f
             for f in (describe, stream, large, cookie, redirect, deny)}


    def app(environ, start_response):
        page = PAGES.get(environ["PATH_INFO"].split("/")[1])
        if page is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        return page(environ, start_response)
'''


@pytest.fixture
def site(wsgi):
    return wsgi(APP, "--workers", "2", "--access-logfile", "-")


@pytest.fixture
def big_file(tmp_path):
    """20 MiB in which every place is different."""
    path = tmp_path / "big"
    path.write_bytes(b"".join(b"%015d\n" % i for i in range(20 * 65536)))
    return path


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tool(name, package):
    return pytest.mark.skipif(shutil.which(name) is None,
                              reason="%s is missing (Debian: %s)" % (
                                  name, package))


def command(*args, input=None):
    """Runs a client to its end, which must be a good one."""
    p = subprocess.run([*map(str, args)], input=input, capture_output=True,
                       timeout=harness.DEADLINE)
    assert p.returncode == 0, p.stderr.decode()
    return p.stdout


# --- curl ---------------------------------------------------------------------

curl_here = tool("curl", "curl")


def curl(*args, **kw):
    return command("curl", "--silent", "--show-error", "--fail", *args, **kw)


@curl_here
def test_curl(site):
    said = json.loads(curl(site.url + "/describe?a=b"))
    assert said["REQUEST_METHOD"] == "GET"
    assert said["QUERY_STRING"] == "a=b"
    assert said["HTTP_USER_AGENT"].startswith("curl/")


@curl_here
def test_curl_reuses_its_connection(site):
    out = curl("--verbose", "--stderr", "-", "--output", os.devnull,
               site.url + "/describe", "--output", os.devnull,
               site.url + "/stream?3", "--output", os.devnull,
               site.url + "/describe")
    # Newer ones say "http: connection".
    assert len(re.findall(rb"Re-using existing (?:http: )?connection",
                          out)) == 2


@curl_here
def test_curl_http_1_0(site):
    out = curl("--http1.0", "--include", site.url + "/stream?2")
    top, _, body = out.partition(b"\r\n\r\n")
    assert b"chunked" not in top.lower()
    assert body == b"0000000\n" * 1024 + b"0000001\n" * 1024


@curl_here
def test_curl_asks_for_h2c(site):
    """An Upgrade that the server does not know is passed over."""
    out = curl("--http2", "--include", site.url + "/describe")
    assert out.startswith(b"HTTP/1.1 200 OK\r\n")


@curl_here
def test_curl_head(site):
    out = curl("--head", site.url + "/large?1000000")
    assert b"\r\nContent-Length: 1000000\r\n" in out
    assert out.endswith(b"\r\n\r\n")


@curl_here
@pytest.mark.parametrize("size", [0, 1, 65536, 50 * 1024 * 1024])
def test_curl_download(site, tmp_path, size):
    out = tmp_path / "out"
    curl("--output", out, site.url + "/large?%d" % size)
    piece = bytes(range(256)) * 256
    want = hashlib.sha256()
    for at in range(0, size, 65536):
        want.update(piece[:min(65536, size - at)])
    data = out.read_bytes() if size else b""
    assert len(data) == size
    assert hashlib.sha256(data).hexdigest() == want.hexdigest()


@curl_here
def test_curl_slow_download(site):
    """A client that reads slowly gets all of it."""
    out = curl("--limit-rate", "8M", site.url + "/large?%d" % (12 << 20))
    assert len(out) == 12 << 20


@curl_here
@pytest.mark.parametrize("args", [
    (),  # Content-Length and, at this size, Expect: 100-continue
    ("--header", "Expect:"),
    ("--header", "Transfer-Encoding: chunked"),
    ("--header", "Transfer-Encoding: chunked", "--header", "Expect:"),
    ("--http1.0",),
])
def test_curl_upload(site, big_file, args):
    said = json.loads(curl("--data-binary", "@%s" % big_file, *args,
                           site.url + "/describe"))
    assert said["size"] == big_file.stat().st_size
    assert said["sha256"] == digest_of(big_file)


@curl_here
def test_curl_put_from_a_pipe(site):
    """--upload-file - is chunked, of a length that nobody knows."""
    data = os.urandom(300000)
    said = json.loads(curl("--upload-file", "-", site.url + "/describe/x",
                           input=data))
    assert said["REQUEST_METHOD"] == "PUT"
    assert said["sha256"] == hashlib.sha256(data).hexdigest()


@curl_here
def test_curl_expect(site, big_file):
    out = curl("--verbose", "--stderr", "-", "--output", os.devnull,
               "--header", "Expect: 100-continue",
               "--data-binary", "@%s" % big_file, site.url + "/describe")
    assert b"< HTTP/1.1 100 Continue" in out
    assert b"< HTTP/1.1 200 OK" in out


@curl_here
@pytest.mark.parametrize("chunked", [False, True])
def test_curl_upload_that_is_refused(wsgi, big_file, chunked):
    """It sees the answer, not a broken connection."""
    server = wsgi(APP, "--limit-request-body", "1M")
    args = ["--header", "Transfer-Encoding: chunked"] if chunked else []
    for expect in ([], ["--header", "Expect:"]):
        p = subprocess.run(
            ["curl", "--silent", "--show-error", "--output", os.devnull,
             "--write-out", "%{http_code}", "--data-binary",
             "@%s" % big_file, *args, *expect, server.url + "/describe"],
            capture_output=True, text=True, timeout=harness.DEADLINE)
        assert p.stdout == "413", p.stderr


@curl_here
def test_curl_upload_that_the_application_does_not_read(site, big_file):
    for _ in range(3):
        p = subprocess.run(
            ["curl", "--silent", "--show-error", "--write-out",
             "%{http_code}", "--data-binary", "@%s" % big_file,
             site.url + "/deny", site.url + "/deny"],
            capture_output=True, text=True, timeout=harness.DEADLINE)
        assert p.returncode == 0, p.stderr
        assert p.stdout == "no\n403" * 2


@curl_here
def test_curl_form(site, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(100000))
    said = json.loads(curl("--form", "a=b", "--form", "file=@%s" % upload,
                           site.url + "/describe"))
    assert said["CONTENT_TYPE"].startswith("multipart/form-data; boundary=")
    assert said["size"] == int(said["CONTENT_LENGTH"]) > 100000


@curl_here
def test_curl_redirect(site):
    said = json.loads(curl("--location", "--data", "x=y",
                           site.url + "/redirect"))
    assert said["REQUEST_METHOD"] == "GET"


@curl_here
def test_curl_unix_socket(wsgi, tmp_path):
    server = wsgi(APP, bind="unix:%s/s" % tmp_path)
    said = json.loads(curl("--unix-socket", server.address,
                           "http://example.org/describe"))
    assert said["HTTP_HOST"] == "example.org"
    assert said["REMOTE_ADDR"] == ""


@curl_here
def test_curl_proxy_form(site):
    """As to a proxy: the target in absolute form."""
    said = json.loads(curl("--proxy", site.url, "http://a.example/describe"))
    assert said["PATH_INFO"] == "/describe"
    assert said["RAW_URI"] == "http://a.example/describe"


@curl_here
def test_curl_many_at_once(site, tmp_path):
    out = curl("--parallel", "--parallel-max", "30", "--output",
               "%s/#1" % tmp_path, site.url + "/stream?[1-60]")
    assert out == b""
    for i in range(1, 61):
        assert (tmp_path / str(i)).stat().st_size == i * 8192


@curl_here
def test_curl_ranges_of_a_file(bicorn, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    data = os.urandom(100000)
    (folder / "file.bin").write_bytes(data)
    server = bicorn("%s/" % folder)
    url = server.url + "/file.bin"
    assert curl(url) == data
    assert curl("--range", "0-99", url) == data[:100]
    assert curl("--range", "-100", url) == data[-100:]
    half = tmp_path / "half"
    half.write_bytes(data[:50000])
    curl("--continue-at", "-", "--output", half, url)
    assert half.read_bytes() == data


# --- wget, ab, wrk ------------------------------------------------------------

@tool("wget", "wget")
def test_wget(site):
    assert len(command("wget", "-q", "-O", "-", site.url + "/stream?5")) \
        == 5 * 8192


@tool("ab", "apache2-utils")
@pytest.mark.parametrize("keep", [(), ("-k",)])
def test_ab(site, keep):
    """HTTP/1.0, with and without keep-alive."""
    out = command("ab", "-q", "-n", "500", "-c", "20", *keep,
                  "http://127.0.0.1:%d/large?5000" % site.port).decode()
    assert re.search(r"Complete requests: +500\n", out)
    assert re.search(r"Failed requests: +0\n", out)
    assert "Non-2xx" not in out
    if keep:
        kept = int(re.search(r"Keep-Alive requests: +(\d+)", out).group(1))
        assert kept == 500


@tool("wrk", "wrk")
def test_wrk(site):
    out = command("wrk", "-t", "1", "-c", "32", "-d", "1",
                  site.url + "/large?100").decode()
    assert "Socket errors" not in out and "Non-2xx" not in out
    assert int(re.search(r"(\d+) requests in", out).group(1)) > 50


# --- Python's clients ---------------------------------------------------------

def test_http_client(site):
    c = http.client.HTTPConnection("127.0.0.1", site.port,
                                   timeout=harness.DEADLINE)
    for i in range(20):
        c.request("POST", "/describe?%d" % i, body=b"x" * i)
        r = c.getresponse()
        assert json.loads(r.read())["size"] == i
    sock = c.sock
    c.request("GET", "/stream?3")
    assert len(c.getresponse().read()) == 3 * 8192
    assert c.sock is sock  # one connection for all of it
    c.request("HEAD", "/large?100")
    r = c.getresponse()
    assert r.getheader("Content-Length") == "100" and r.read() == b""
    c.request("POST", "/describe", body=iter([b"ab", b"cd"]),
              encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert json.loads(c.getresponse().read())["size"] == 4
    assert c.sock is sock
    c.close()


def test_urllib(site):
    with urllib.request.urlopen(site.url + "/describe", b"abc") as r:
        said = json.load(r)
    assert said["size"] == 3
    assert said["CONTENT_TYPE"] == "application/x-www-form-urlencoded"


def test_requests_session(site):
    with requests.Session() as s:
        for i in range(1, 30):
            r = s.get(site.url + "/cookie", timeout=harness.DEADLINE)
            assert r.text == str(i)
        ports = {s.get(site.url + "/describe").json()["REMOTE_PORT"]
                 for _ in range(5)}
    assert len(ports) == 1


def test_requests_files(site):
    data = os.urandom(500000)
    r = requests.post(site.url + "/describe", files={"f": ("n", data)},
                      data={"a": "b"}, timeout=harness.DEADLINE)
    assert r.json()["size"] == int(r.json()["CONTENT_LENGTH"]) > 500000


def test_requests_generator(site):
    """A body of unknown length."""
    r = requests.post(site.url + "/describe", timeout=harness.DEADLINE,
                      data=(b"%d" % i * 1000 for i in range(10)))
    assert r.json()["size"] == 10000
    # The server has counted it: no application needs to know of chunks.
    assert r.json()["CONTENT_LENGTH"] == "10000"


def test_requests_stream(site):
    with requests.get(site.url + "/stream?100", stream=True,
                      timeout=harness.DEADLINE) as r:
        total = sum(len(piece) for piece in r.iter_content(10000))
    assert total == 100 * 8192


def test_requests_redirect(site):
    r = requests.post(site.url + "/redirect", data={"a": "b"},
                      timeout=harness.DEADLINE)
    assert r.json()["REQUEST_METHOD"] == "GET" and len(r.history) == 1


def test_requests_that_leave_early(site):
    """Clients that stop reading in the middle hurt nobody."""
    for _ in range(10):
        with requests.get(site.url + "/large?100000000", stream=True,
                          timeout=harness.DEADLINE) as r:
            next(r.iter_content(1000))
    assert requests.get(site.url + "/describe",
                        timeout=harness.DEADLINE).ok


def test_many_sessions(site):
    """64 clients, each with its connection, each with its own answers."""

    def one(number):
        with requests.Session() as s:
            for i in range(10):
                text = "%d-%d" % (number, i)
                r = s.post(site.url + "/describe?" + text, data=text,
                           timeout=harness.DEADLINE)
                assert r.json()["QUERY_STRING"] == text
                assert r.json()["sha256"] == \
                    hashlib.sha256(text.encode()).hexdigest()
        return True

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        assert all(pool.map(one, range(64)))
