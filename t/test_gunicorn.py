# SPDX-License-Identifier: MIT
"""The real gunicorn and bicorn, side by side, on the same applications.

What both say to the same client is compared.  DIFFERENCES lists what may
differ, each with its reason; whatever else differs fails.
"""
import contextlib
import importlib.util
import re
import signal
import subprocess
import textwrap

import pytest

import harness
from harness import PYTHON, Conn, Lines, wait_for

if not harness.HAS_PYTHON:
    pytest.skip("built without Python", allow_module_level=True)
if importlib.util.find_spec("gunicorn") is None:
    pytest.skip("gunicorn is not installed", allow_module_level=True)

import gunicorn  # noqa: E402  (Debian's, of the Python that runs this)

pytestmark = pytest.mark.once

# What may differ, and why.
DIFFERENCES = {
    "environ SERVER_SOFTWARE": "it names the server",
    "environ gunicorn.socket": "here for a request with an Upgrade field",
    "environ REQUEST_URI": "bicorn has it besides RAW_URI: applications of "
        "uWSGI and mod_wsgi ask for it",
    "environ bicorn.client_gone": "bicorn's own",
    "environ bicorn.request_id": "bicorn's own",
    "environ wsgi.early_hints": "newer than Debian's gunicorn, which has no "
        "103",
    "environ wsgi.errors": "an object, of the server's own",
    "environ wsgi.file_wrapper": "a class, of the server's own",
    "environ wsgi.input": "an object, of the server's own",
    "environ REMOTE_PORT": "another connection has another port",
    "environ SERVER_PORT": "they listen on different ports",
    "environ HTTP_HOST": "... which clients name in Host",
    "environ HTTP_TRANSFER_ENCODING": "bicorn hands on a body of known "
        "length, and says so",
    "environ CONTENT_LENGTH": "... by CONTENT_LENGTH: Django sees no body "
        "without it",
    "environ HTTP_COOKIE": "several Cookie fields are joined by '; ', as "
        "cookies are, not by ','",
    "head Server": "it names the server",
    "head Date": "they were asked at different times",
    "head order": "the fields are the same; their order says nothing",
    "error body": "gunicorn's page is HTML, bicorn's is what Accept asks for",
    "log size of HEAD": "Debian's gunicorn counts a body that is not sent",
    "exit boot": "gunicorn ends with 3 or 4, or with 1 by a race of its own",
    "head framing": "bicorn sends a Content-Length for a list of one, or an "
        "empty one, where gunicorn sends chunks",
}


def differs(what):
    assert what in DIFFERENCES
    return DIFFERENCES[what]


APP = r'''
import sys

def environ_app(environ, start_response):
    body = environ["wsgi.input"].read()
    kinds = {k: v if isinstance(v, (str, bool, int, tuple)) else "object"
             for k, v in environ.items()}
    text = repr((kinds, body)).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]

def shapes(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/length":
        start_response("200 OK", [("Content-Length", "5"), ("X-A", "b")])
        return [b"hello"]
    if path == "/list":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hel", b"", b"lo"]
    if path == "/generator":
        start_response("201 Made", [("Content-Type", "text/plain")])
        return (x for x in [b"a" * 10, b"b" * 20])
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"returned"]
    if path == "/204":
        start_response("204 No Content", [])
        return []
    if path == "/304":
        start_response("304 Not Modified", [("ETag", '"x"')])
        return []
    if path == "/twice":
        start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b"x"]
    if path == "/long":
        start_response("200 OK", [("Content-Length", "3")])
        return [b"hello"]
    if path == "/close":
        start_response("200 OK", [("Connection", "close"), ("Content-Length", "2")])
        return [b"ok"]
    if path == "/exc_info":
        try:
            start_response("200 OK", [("X-First", "1")])
            raise ValueError
        except ValueError:
            start_response("503 Later", [("X-Second", "2")], sys.exc_info())
        return [b"later"]
    if path == "/empty":
        start_response("200 OK", [])
        return []
    raise RuntimeError("as asked")

def factory(name="x"):
    return shapes

nothing = None
number = 5
'''


class Peer:
    """A gunicorn that runs."""

    def __init__(self, *args, cwd):
        self.process = subprocess.Popen(
            [PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:0", *args], cwd=cwd,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=harness.environment())
        self.log = Lines(self.process.stderr)
        m = self.log.wait(r"Listening at: http://127.0.0.1:(\d+)")
        self.address = ("127.0.0.1", int(m[1]))
        self.log.wait("Booting worker")

    def connect(self):
        return Conn(self.address)

    def stop(self, number=signal.SIGTERM, seconds=harness.DEADLINE):
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()


OPTIONS = ["-k", "gthread", "--threads", "2"]


@pytest.fixture
def pair(bicorn, tmp_path):
    """Starts both on the same application and gives them as a dict."""
    (tmp_path / "side.py").write_text(APP)
    peers = []

    def start(*args, **kw):
        peers.append(Peer(*OPTIONS, *args, cwd=tmp_path))
        return {"gunicorn": peers[0],
                "bicorn": bicorn(*OPTIONS, *args, cwd=tmp_path, **kw)}
    yield start
    for peer in peers:
        peer.stop()


def ask(server, text):
    """One request, with @ for the address; one response."""
    host = "127.0.0.1:%d" % server.address[1]
    with server.connect() as c:
        c.send(text.replace("@", host).replace("\n", "\r\n"))
        method = text.split(" ", 1)[0]
        return c.response(method)


def both(pair, text):
    return [ask(pair[name], text) for name in ("gunicorn", "bicorn")]


# ---- environ ----

REQUESTS = {
    "plain": "GET /a/b?c=d&e HTTP/1.1\nHost: @\n\n",
    "escaped": "GET /a%20b/%C3%A9/%2F?x=%20 HTTP/1.1\nHost: @\n\n",
    "old": "GET / HTTP/1.0\nHost: @\n\n",
    "fields": "GET / HTTP/1.1\nHost: @\nX-A: 1\nX-A: 2\nAccept: */*\n"
              "User-Agent: t\nAuthorization: Basic eDp5\n\n",
    "cookies": "GET / HTTP/1.1\nHost: @\nCookie: a=1\nCookie: b=2\n\n",
    "latin": "GET / HTTP/1.1\nHost: @\nX-Name: caf\xe9\n\n",
    "underscore": "GET / HTTP/1.1\nHost: @\nX_A: 1\n\n",
    "post": "POST /p HTTP/1.1\nHost: @\nContent-Type: text/x\n"
            "Content-Length: 5\n\nhello",
    "chunked": "POST /p HTTP/1.1\nHost: @\nTransfer-Encoding: chunked\n\n"
               "5\nhello\n0\n\n",
    "absolute": "GET http://example.org/x?y HTTP/1.1\nHost: @\n\n",
    "options": "OPTIONS /x HTTP/1.1\nHost: @\n\n",
    "double": "GET //a/../b HTTP/1.1\nHost: @\n\n",
    "forwarded": "GET / HTTP/1.1\nHost: @\nX-Forwarded-Proto: https\n"
                 "X-Forwarded-For: 192.0.2.1\n\n",
    "script": "GET /app/x HTTP/1.1\nHost: @\nSCRIPT_NAME: /app\n\n",
}


def test_environ(pair):
    servers = pair("side:environ_app")
    unlisted = []
    for name, text in REQUESTS.items():
        (theirs, body1), (ours, body2) = [
            eval(r.body) for r in both(servers, text)]
        assert body1 == body2, name
        for key in sorted(set(theirs) | set(ours)):
            if theirs.get(key) == ours.get(key):
                continue
            if name == "underscore" and key == "HTTP_X_A":
                # Newer than Debian's: names with '_' are dropped.
                assert key not in ours
            elif name == "script" and key == "HTTP_SCRIPT_NAME":
                pass
            elif "environ " + key not in DIFFERENCES:
                unlisted.append((name, key, theirs.get(key), ours.get(key)))
    assert not unlisted


def test_environ_types(pair):
    servers = pair("side:environ_app")
    a, b = [eval(r.body)[0] for r in both(servers, REQUESTS["plain"])]
    for key in set(a) & set(b):
        assert type(a[key]) is type(b[key]), key


# ---- heads of responses ----

PATHS = ["/length", "/list", "/generator", "/write", "/204", "/304", "/twice",
         "/long", "/close", "/empty"]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_heads(pair, method, version):
    servers = pair("side:shapes")
    for path in PATHS:
        text = "%s %s HTTP/%s\nHost: @\n\n" % (method, path, version)
        a, b = both(servers, text)
        where = (method, path, version)
        assert (a.status, a.reason, a.body) == (b.status, b.reason, b.body), where
        fields = []
        for r in (a, b):
            fields.append(sorted(
                (k.lower(), v.lower()) for k, v in r.headers
                if "head " + k.title() not in DIFFERENCES))
        differ = {k for k, _ in set(fields[0]) ^ set(fields[1])}
        assert not differ or differs("head framing")
        # A list of one is known in length before it is sent: bicorn says so
        # where gunicorn sends chunks.  HEAD has the fields of GET.
        assert differ <= {"transfer-encoding", "content-length", "connection"}, (
            where, fields)
        framing = [(r.header("Transfer-Encoding"), r.header("Content-Length"))
                   for r in (a, b)]
        if path in ("/length", "/204", "/304", "/close", "/long"):
            assert framing[0][0] == framing[1][0], where


def test_exc_info(pair):
    """gunicorn keeps the fields that were replaced; PEP 3333 does not."""
    a, b = both(pair("side:shapes"), "GET /exc_info HTTP/1.1\nHost: @\n\n")
    assert (a.status, a.reason) == (b.status, b.reason) == (503, "Later")
    assert b.header("X-Second") == "2" and b.header("X-First") is None


def test_errors(pair):
    servers = pair("side:shapes")
    for text, status in [
            ("GET /raise HTTP/1.1\nHost: @\n\n", 500),
            ("GET / HTTP/1.1\nHost: @\nA B: c\n\n", 400),
            ("GET / HTTP/1.1\nHost: @\nContent-Length: x\n\n", 400),
            ("GET / FTP/1.1\nHost: @\n\n", 400)]:
        a, b = both(servers, text)
        assert a.status == b.status == status, text
        assert a.body == b.body or differs("error body")
        assert a.header("Connection") == b.header("Connection") == "close"
    for server in servers.values():
        server.log.wait("RuntimeError: as asked")
        server.log.wait("Error handling request")


# ---- exit codes ----

EXITS = [
    (["nothing_of_this_name:app"], {3}),
    (["side:missing"], {4}),
    (["side:nothing"], {4}),
    (["side:number"], {4}),
    (["side:factory(1, 2, 3)"], {4}),
    (["side:fact ory"], {4}),
    (["broken:app"], {3}),
    (["--no-such-option", "side:shapes"], {2}),
    (["--workers", "x", "side:shapes"], {1, 2}),
    (["--log-level"], {2}),
    (["-c", "missing.py", "side:shapes"], {1}),
    (["-c", "broken.py", "side:shapes"], {1}),
    (["--check-config", "side:shapes"], {0}),
    (["--check-config", "side:missing"], {1}),
    (["--check-config", "broken:app"], {1}),
    (["--version"], {0}),
    (["--user", "nobody-of-this-name", "side:shapes"], {1, 2}),
]


@pytest.mark.parametrize("words, codes", EXITS, ids=[" ".join(e[0]) for e in EXITS])
def test_exit_codes(run, tmp_path, words, codes):
    """Codes in a set are taken for the same: argparse ends with 2 for a bad
    value and gunicorn's own checks with 1; bicorn has 2 for a command line.
    The race of a boot that fails lets gunicorn end with 1, at times."""
    (tmp_path / "side.py").write_text(APP)
    (tmp_path / "broken.py").write_text("1/0\n")
    ours = run("-b", "127.0.0.1:0", *words, cwd=tmp_path).returncode
    theirs = subprocess.run(
        [PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:0", *words], cwd=tmp_path,
        capture_output=True, timeout=harness.DEADLINE,
        env=harness.environment()).returncode
    assert ours in codes
    if codes & {3, 4} and differs("exit boot"):
        codes = codes | {1}
    assert theirs in codes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGQUIT])
def test_exit_by_signal(pair, number):
    servers = pair("side:shapes")
    wait_for(lambda: ask(servers["gunicorn"],
                         "GET /length HTTP/1.0\n\n").status == 200, "gunicorn")
    assert servers["gunicorn"].stop(number) == servers["bicorn"].stop(number) == 0


# ---- the access log ----

FORMATS = [
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    '%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%({x-a}i)s|%({x-a}o)s|'
    '%({request_method}e)s|%({none}i)s',
]
REQUESTS_LOGGED = [
    "GET /length?a=b HTTP/1.1\nHost: @\nX-A: 1\nUser-Agent: u\nReferer: r\n\n",
    "GET /list HTTP/1.0\nHost: @\nAuthorization: Basic eDp5\n\n",
    "HEAD /length HTTP/1.1\nHost: @\n\n",
    "GET /204 HTTP/1.1\nHost: @\n\n",
]


@pytest.mark.parametrize("form", FORMATS)
def test_access_log(pair, tmp_path, form):
    servers = {}
    servers = pair("--access-logfile", "access.log", "--access-logformat", form,
                   "side:shapes")
    log = tmp_path / "access.log"
    lines = []
    for name in ("gunicorn", "bicorn"):
        found = []
        for text in REQUESTS_LOGGED:
            before = log.read_text().count("\n") if log.exists() else 0
            ask(servers[name], text)
            wait_for(lambda: log.exists() and
                     log.read_text().count("\n") > before, "a line")
            line = log.read_text().splitlines()[-1]
            if text.startswith("HEAD"):
                assert differs("log size of HEAD")
                line = re.sub(r" 200 \d+|\|200\|\d+", " 200 N", line)
            found.append(line)
        lines.append([re.sub(r"\[\d\d/\w+/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "[T]",
                             line) for line in found])
    assert lines[0] == lines[1]


# ---- settings files ----

def test_the_same_settings_file(bicorn, tmp_path):
    """A file with hooks runs under both."""
    (tmp_path / "side.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text(textwrap.dedent('''
        threads = 2
        worker_class = "gthread"
        def say(server, *what): server.log.info("S " + " ".join(map(str, what)))
        def on_starting(server): say(server, "on_starting")
        def when_ready(server): say(server, "when_ready", len(server.address))
        def pre_fork(server, worker): say(server, "pre_fork", worker.age)
        def post_fork(server, worker): say(server, "post_fork", worker.age)
        def post_worker_init(worker): say(worker, "post_worker_init", worker.age)
        def pre_request(worker, req):
            say(worker, "pre_request", req.method, req.path, req.query, req.uri,
                req.version, [k for k, v in req.headers])
        def post_request(worker, req, environ, resp):
            say(worker, "post_request", resp.status, resp.status_code,
                environ["PATH_INFO"], resp.headers, resp.sent, resp.response_length)
        def worker_int(worker): say(worker, "worker_int")
        def child_exit(server, worker): say(server, "child_exit", worker.age)
        def worker_exit(server, worker): say(server, "worker_exit", worker.age)
        def nworkers_changed(server, new, old): say(server, "nworkers", new, old)
        def on_exit(server): say(server, "on_exit")
    '''))

    def hear(one, **how):
        one.log.wait("S post_worker_init")
        ask(one, "GET /length?q=1 HTTP/1.1\nHost: @\nX-A: 1\n\n")
        one.log.wait("S post_request")
        one.stop(signal.SIGINT, **how)
        return sorted(line.split("S ", 1)[1] for line in
                      one.log.text().splitlines() if "] S " in line)

    def hear_peer():
        """Its worker hangs when the signal meets it at a bad moment."""
        for _ in range(5):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return hear(Peer("side:shapes", cwd=tmp_path), seconds=3)
        pytest.skip("gunicorn does not stop")

    said = [hear_peer(), hear(bicorn("side:shapes", cwd=tmp_path))]
    theirs, ours = [[line for line in lines if line != "worker_int"]
                    for lines in said]
    assert theirs == ours
