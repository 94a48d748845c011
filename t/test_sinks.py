# SPDX-License-Identifier: MIT
"""JSON lines, ids of requests, syslog, statsd, and what is captured."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

import harness

python = pytest.mark.python

APP = '''
    import sys

    def app(environ, start_response):
        environ["myapp.user"] = 'bob "q" \\u00e9\\u20ac'
        environ["REMOTE_USER"] = "zoe"
        path = environ["PATH_INFO"]
        if path == "/boom":
            raise ValueError("boom")
        if path == "/print":
            print("printed to stdout")
            print("printed to stderr", file=sys.stderr, flush=True)
        size = int(environ["QUERY_STRING"] or 0)
        start_response("200 OK", [("Content-Type", "text/plain"),
                                  ("X-Request-ID", "the application's")])
        if size:
            return [b"x" * size]
        return [repr({k: v for k, v in environ.items()
                      if "REQUEST_ID" in k.upper()}).encode()]
'''


def lines_of(server, count):
    harness.wait_for(lambda: server.out.count() >= count, "lines")
    return [json.loads(text) for text in server.out.text().split("\n")]


@pytest.fixture
def logging(wsgi):
    def start(*args, **kw):
        return wsgi(APP, "--access-logfile", "-", *args, **kw)

    return start


# --- json -----------------------------------------------------------------------

MEMBERS = {
    "time", "id", "remote", "user", "method", "target", "path", "query",
    "protocol", "host", "status", "bytes", "referer", "user_agent",
    "duration_us", "queue_us", "app_us", "send_us", "worker", "thread",
    "scheme", "tls", "cipher", "traceparent"}


def test_json(logging):
    server = logging("--access-logformat", "json")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    r = server.get("/a%20b?0", [("User-Agent", "curl"), ("Traceparent", trace)])
    line, = lines_of(server, 1)
    assert set(line) == MEMBERS
    assert line["method"] == "GET"
    assert line["target"] == "/a%20b?0"
    assert line["path"] == "/a b"
    assert line["query"] == "0"
    assert line["status"] == 200
    assert line["bytes"] == len(r.body)
    assert line["protocol"] == "HTTP/1.1"
    assert line["remote"] == "127.0.0.1"
    assert line["user_agent"] == "curl"
    assert line["traceparent"] == trace
    assert line["referer"] is None and line["user"] is None
    assert line["tls"] is None and line["cipher"] is None
    assert line["scheme"] == "http"
    assert line["worker"] in server.workers()
    assert 0 <= line["thread"] < 4
    assert line["queue_us"] >= 0
    assert line["app_us"] > 0 and line["send_us"] >= 0
    assert line["app_us"] + line["send_us"] == line["duration_us"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                        line["time"])


def test_json_is_always_json(logging):
    """Whatever a client sends: every line is an object, for jq as well."""
    server = logging("--access-logformat",
                     "json all=%(r)s who=%({X-Any}i)s L=%(L)s none=%(none)s")
    values = [bytes([b]) for b in range(1, 256) if b not in b"\r\n"]
    values += [b'"', b"\\", b'\\"', b"\\u0041", b"\xc3", b"\xed\xa0\x80",
               b"\xf0\x9f\x90\xae", b"caf\xc3\xa9", b"\xc2\x85",
               b"\xe2\x80\xa8", b'"},{"a":"', b"\xff" * 7000,
               b'"' * 8000, b"\x7f" * 8000]
    for value in values:
        server.raw(b"GET /\xe4?%s HTTP/1.1\r\nHost: x\r\nX-Any: a%sz\r\n"
                   b"User-Agent: %s\r\nConnection: close\r\n\r\n"
                   % (value[:1000].replace(b" ", b""), value, value))
    server.wait_out('"none":null')
    assert server.stop() == 0
    text = server.out.text()
    lines = [json.loads(line) for line in text.split("\n")]
    assert len(lines) == len(values)
    agents = {line["user_agent"] for line in lines}
    assert {'"', "\\", '\\"', "\\u0041", "\U0001f42e", "caf\u00e9"} <= agents
    assert "\t" in {(line["who"] or "")[1:-1] for line in lines} | {"\t"}
    if shutil.which("jq"):
        p = subprocess.run(["jq", "-c", ".status"], input=text.encode(),
                           capture_output=True, check=True)
        assert len(p.stdout.split()) == len(values)


def test_json_members_of_ones_own(logging):
    server = logging("--access-logformat",
                     "json user=%({myapp.USER}e)s auth=%({remote_user}e)s "
                     "x=%({X-One}i)s nothing=%(nothing)s")
    server.get("/", [("X-One", "1")])
    line, = lines_of(server, 1)
    assert line["user"] == 'bob "q" \u00e9\u20ac'
    assert (line["auth"], line["x"], line["nothing"]) == ("zoe", "1", None)
    assert "no atom %(nothing)s" in server.log.text()


def test_unknown_atoms_and_widths(logging):
    """As with gunicorn: "-" and no refusal; Python's widths."""
    server = logging("--access-logformat",
                     "%(m)5s|%(m)-5s|%(s)05d|%(no)s|%({a}z)s|%()s|%(s)i")
    server.get("/")
    server.wait_out(r"^  GET\|GET  \|00200\|-\|-\|-\|200$")


@pytest.mark.skipif("#define HAVE_TLS 1" not in harness._CONFIG or
                    not shutil.which("openssl"), reason="needs TLS, openssl")
def test_json_over_tls(logging, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-keyout", str(key),
                    "-out", str(cert)], check=True, capture_output=True)
    server = logging("--access-logformat", "json", "--certfile", cert,
                     "--keyfile", key)
    context = ssl.create_default_context(cafile=str(cert))
    with server.connect(tls=context) as c:
        assert c.get("/").status == 200
    line, = lines_of(server, 1)
    assert re.fullmatch(r"TLSv1\.[23]", line["tls"])
    assert re.search("AES|CHACHA", line["cipher"])
    assert line["scheme"] == "https"


def test_send_time(logging):
    """The line comes when the client has all of it, and says how long that
    took; one that leaves before is a 499."""
    server = logging("--access-logformat", "json")
    size = 20 << 20
    with server.connect() as c:
        c.send("GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
        c.head()
        assert server.out.count() == 0
        c.exactly(size)
    line, = lines_of(server, 1)
    assert line["status"] == 200 and line["bytes"] == size
    assert 0 < line["send_us"] < line["duration_us"]
    assert line["app_us"] < line["duration_us"]
    with server.connect() as c:
        c.send("GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
        c.head()
        c.reset()
    assert lines_of(server, 2)[1]["status"] == 499


def test_variables_of_the_application(logging):
    server = logging("--access-logformat", "%({myapp.user}e)s|%({PATH_INFO}e)s")
    server.get("/x")
    server.wait_out("^bob \\\\\"q\\\\\" \u00e9\u20ac\\|/x$")


# --- ids ------------------------------------------------------------------------

def test_request_id(logging):
    server = logging("--access-logformat", "%(id)s", "--request-id",
                     "X-Request-ID", "--request-id-response")
    seen = set()
    for theirs in (None, "abc-1", 'evil "1"', "x" * 129, ""):
        r = server.get("/", [("X-Request-ID", theirs)] if theirs is not None
                       else [])
        got = r.header("X-Request-ID")
        assert eval(r.body) == {"HTTP_X_REQUEST_ID": got,
                                "bicorn.request_id": got}
        server.wait_out("^%s$" % got)
        seen.add(got)
        if theirs == "abc-1":
            assert got == theirs
        else:
            assert re.fullmatch("[0-9a-f]{32}", got)
    assert len(seen) == 5
    # Refused requests have one too.
    head = server.raw("GET / HTTP/1.1\r\n\r\n")
    got = re.search(rb"X-Request-ID: ([0-9a-f]{32})\r\n", head).group(1)
    server.wait_out("^%s$" % got.decode())


def test_longest_names(logging):
    """Heads that bicorn makes itself have room for what may be set."""
    name, server = "X-" + "n" * 126, "s" * 256
    server = logging("--request-id", name, "--server-header", server,
                     "--request-id-response", "--limit-request-line", "100")
    for line in "GET / HTTP/1.1\r\n", "GET /" + "x" * 100 + " HTTP/1.1\r\n":
        head, body = server.raw(line + "\r\n").split(b"\r\n\r\n", 1)
        fields = dict(f.split(b": ", 1) for f in head.split(b"\r\n")[1:])
        assert re.fullmatch(b"[0-9a-f]{32}", fields[name.encode()])
        assert fields[b"Server"] == b"s" * 256
        assert int(fields[b"Content-Length"]) == len(body)


def test_request_id_in_the_error_log(logging):
    server = logging("--request-id", "X-Request-ID")
    assert server.get("/boom", [("X-Request-ID", "abc-1")]).status == 500
    server.wait_log(r"Error handling request GET /boom \(id abc-1\)$")


def test_request_id_of_strangers(logging):
    """Who is no proxy gets a new one, and the application sees that."""
    server = logging("--request-id", "X-Request-ID",
                     "--forwarded-allow-ips", "192.0.2.1")
    r = server.get("/", [("X-Request-ID", "abc")])
    found = eval(r.body)
    assert re.fullmatch("[0-9a-f]{32}", found["bicorn.request_id"])
    assert found["HTTP_X_REQUEST_ID"] == found["bicorn.request_id"]
    # Without request_id_response the application's own field is sent.
    assert r.header("X-Request-ID") == "the application's"


def test_no_id_unless_asked(logging):
    server = logging("--access-logformat", "%(id)s")
    assert eval(server.get("/").body) == {}
    server.wait_out("^-$")


# --- syslog ---------------------------------------------------------------------

class Collector:
    """A syslog daemon or a statsd: what arrives, message by message."""

    def __init__(self, family, kind, address):
        self.sock = socket.socket(family, kind)
        self.sock.bind(address)
        self.kind = kind
        self.messages = []
        if kind == socket.SOCK_STREAM:
            self.sock.listen()
        threading.Thread(target=self.read, daemon=True).start()

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def read(self):
        while True:
            try:
                if self.kind == socket.SOCK_DGRAM:
                    self.messages.append(self.sock.recv(65536))
                    continue
                conn = self.sock.accept()[0]
                threading.Thread(target=self.read_stream, args=(conn,),
                                 daemon=True).start()
            except OSError:
                return

    def read_stream(self, conn):
        with conn.makefile("rb") as f:
            for line in f:
                self.messages.append(line[:-1])

    def wait(self, pattern):
        pattern = re.compile(pattern.encode())
        return harness.wait_for(
            lambda: next((m for m in list(self.messages)
                          if pattern.search(m)), None),
            "%r among %r" % (pattern, self.messages))

    def settle(self):
        """Whatever was sent by now has been read: they come in order."""
        with socket.socket(self.sock.family, self.sock.type) as s:
            s.sendto(b"the last", self.sock.getsockname())
        self.wait("^the last$")

    def close(self):
        self.sock.close()


def collector(how, tmp_path):
    if how == "udp":
        c = Collector(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        return c, "udp://localhost:%d" % c.port
    if how == "tcp":
        c = Collector(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        return c, "tcp://127.0.0.1:%d" % c.port
    path = str(tmp_path / "log.sock")
    kind = socket.SOCK_STREAM if "stream" in how else socket.SOCK_DGRAM
    return Collector(socket.AF_UNIX, kind, path), \
        "unix://" + path + (how[4:] if "#" in how else "")


@pytest.mark.parametrize("how", ["udp", "tcp", "unix#dgram", "unix#stream",
                                 "unix", "unix-stream"])
def test_syslog(wsgi, tmp_path, how):
    c, address = collector(how, tmp_path)
    server = wsgi(APP, "--log-syslog", "--log-syslog-to", address,
                  "--log-syslog-facility", "local3", "-n", "shop:1")
    assert server.get("/boom").status == 500
    pid = server.workers()[0]
    c.wait(r"^<158>gunicorn\.shop\.1\.error: \[%d\] Ready: 1 worker$"
           % server.pid)
    m = c.wait(r"^<158>gunicorn\.shop\.1\.access: \[%d\] 127\.0\.0\.1 - - "
               r'.*"GET /boom HTTP/1\.1" 500 \d+ "-" "-"$' % pid)
    m = c.wait(r"^<155>gunicorn\.shop\.1\.error: \[%d\] Error handling "
               r"request GET /boom" % pid)
    assert b"ValueError: boom" in m
    assert server.out.text() == ""
    c.close()


def test_syslog_of_objects(wsgi, tmp_path):
    """An object comes whole, with its time and level."""
    c, address = collector("udp", tmp_path)
    wsgi(APP, "--log-syslog", "--log-syslog-to", address,
         "--error-logformat", "json")
    m = c.wait(r"Ready: 1 worker")
    entry = json.loads(m[m.index(b": ") + 2:].split(b"] ", 1)[-1])
    assert entry["level"] == "INFO" and "time" in entry
    assert entry["message"] == "Ready: 1 worker"
    c.close()


def test_syslog_without_the_access_log(wsgi, tmp_path):
    c, address = collector("udp", tmp_path)
    server = wsgi(APP, "--log-syslog", "--log-syslog-to", address,
                  "--log-syslog-prefix", "p",
                  "--disable-redirect-access-to-syslog")
    server.get("/boom")
    c.wait(r"^<11>gunicorn\.p\.error: .*Error handling")
    server.stop()
    c.wait("Shutting down: Master")
    assert not [m for m in c.messages if b".access:" in m]
    c.close()


def test_syslog_comes_back(wsgi, tmp_path):
    """A daemon that is not there holds nobody up, and is found again."""
    path = str(tmp_path / "log.sock")
    server = wsgi(APP, "--log-syslog", "--log-syslog-to",
                  "unix://%s#dgram" % path)
    assert "nobody is there yet" in server.log.text()
    assert server.get("/").status == 200
    c = Collector(socket.AF_UNIX, socket.SOCK_DGRAM, path)

    def arrives():
        server.get("/again")
        return any(b"GET /again" in m for m in c.messages)

    harness.wait_for(arrives, "a line after the daemon came")
    server.get("/boom")
    server.wait_log(r"\d+ messages to syslog were lost")
    c.close()


@pytest.mark.parametrize("args, part", [
    (["--log-syslog-to", "http://x"], "must be udp://HOST:PORT"),
    (["--log-syslog-to", "udp://x:99999"], "must be udp://HOST:PORT"),
    (["--log-syslog-facility", "none"], "must be a facility"),
    (["--statsd-host", "a:b"], "must be HOST:PORT"),
    (["--log-syslog", "--log-syslog-to", "udp://no.such.host.invalid"],
     "no.such.host.invalid"),
])
def test_addresses_that_are_wrong(run, args, part, tmp_path):
    (tmp_path / "dir").mkdir()
    p = run("--bind", "127.0.0.1:0", *args, "./dir/", cwd=tmp_path)
    assert p.returncode in (1, 2)
    assert part in p.stderr


# --- statsd ---------------------------------------------------------------------

@pytest.mark.parametrize("how", ["udp", "unix"])
def test_statsd(wsgi, tmp_path, how):
    c, address = collector(how, tmp_path)
    server = wsgi(APP, "--statsd-host", address.replace("udp://", ""),
                  "--statsd-prefix", "shop.", "--dogstatsd-tags", "a:b,c",
                  "--workers", "2", "--enable-backlog-metric")
    with server.connect() as conn:
        for _ in range(30):
            assert conn.get("/").status == 200
    assert server.get("/boom").status == 500
    assert server.raw("GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
    c.wait(r"shop\.gunicorn\.backlog:\d+\|ms\|#a:b,c")
    assert server.stop() == 0
    # It says that before the workers have left, and said their last.
    c.wait(r"shop\.gunicorn\.workers:0\|g\|#a:b,c")
    c.settle()
    lines = b"\n".join(c.messages).decode().split("\n")
    assert lines.count("shop.gunicorn.requests:1|c|@1.0|#a:b,c") == 32
    assert lines.count("shop.gunicorn.request.status.200:1|c|@1.0|#a:b,c") == 30
    assert lines.count("shop.gunicorn.request.status.500:1|c|@1.0|#a:b,c") == 1
    assert lines.count("shop.gunicorn.request.status.400:1|c|@1.0|#a:b,c") == 1
    assert lines.count("shop.gunicorn.log.exception:1|c|@1.0|#a:b,c") == 1
    assert len([x for x in lines if re.fullmatch(
        r"shop\.gunicorn\.request\.duration:\d+\.\d{3}\|ms\|#a:b,c", x)]) == 32
    assert "shop.gunicorn.workers:2|g|#a:b,c" in lines
    # Many in a packet, none too large for a frame.
    assert len([m for m in c.messages if b"requests" in m]) < 20
    assert max(map(len, c.messages)) <= 1432
    c.close()


def test_statsd_that_is_not_there(wsgi):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = wsgi(APP, "--statsd-host", "127.0.0.1:%d" % port)
    for _ in range(20):
        assert server.get("/").status == 200
    assert server.stop() == 0


# --- what is printed ------------------------------------------------------------

def test_capture_output(wsgi, tmp_path):
    """Into the error log's file, also after a rotation; the access log stays
    where it was."""
    path = tmp_path / "error.log"
    server = wsgi(APP, "--error-logfile", path, "--capture-output",
                  "--access-logfile", "-", wait=False)
    harness.wait_for(lambda: path.exists() and "] Ready" in path.read_text(),
                     "the server to be ready")
    server.port = int(re.search(r"http://127\.0\.0\.1:(\d+)",
                                path.read_text()).group(1))
    server.address = ("127.0.0.1", server.port)
    assert server.get("/print").status == 200
    harness.wait_for(lambda: "printed to stdout" in path.read_text() and
                     "printed to stderr" in path.read_text(), "the output")
    server.wait_out("GET /print")
    path.rename(tmp_path / "old")
    server.signal(signal.SIGUSR1)
    harness.wait_for(lambda: path.exists() and server.get("/print") and
                     "printed to stdout" in path.read_text(),
                     "output in the new file")
    assert server.stop() == 0
    assert "printed" not in server.out.text()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_rotation_without_privileges(wsgi, tmp_path):
    """In a folder that only root may write to: the arbiter makes the files,
    and the workers, who are nobody, open them again."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    access, error = logs / "access.log", logs / "error.log"
    server = wsgi(APP, "--user", "nobody", "--workers", "2",
                  "--access-logfile", access, "--error-logfile", error,
                  wait=False)
    harness.wait_for(lambda: error.exists() and "] Ready" in error.read_text(),
                     "the server to be ready")
    server.address = ("127.0.0.1", int(re.search(
        r"http://127\.0\.0\.1:(\d+)", error.read_text()).group(1)))
    assert os.stat("/proc/%d" % server.workers()[0]).st_uid != 0
    access.rename(logs / "access.1")
    error.rename(logs / "error.1")
    server.signal(signal.SIGUSR1)

    def in_the_new_ones():
        server.get("/boom")
        return access.exists() and error.exists() and \
            "GET /boom" in access.read_text() and \
            "Error handling" in error.read_text()

    harness.wait_for(in_the_new_ones, "lines in the new files")
    harness.wait_for(lambda: not [
        pid for pid in server.workers()
        if str(logs / "access.1") in harness.open_files(pid)], "both workers")
    old = (logs / "access.1").read_text()
    for _ in range(20):
        server.get("/later")
    # A line is written behind the answer.
    harness.wait_for(lambda: access.read_text().count("/later") == 20,
                     "all lines in the new file")
    assert "/later" not in (logs / "access.1").read_text()[len(old):]


def test_error_log_as_json(wsgi, tmp_path):
    """An object for each entry, whatever it says; a reload may change that."""
    settings = tmp_path / "x.conf"
    settings.write_text('error_log_format = "json";\n')
    server = wsgi('''
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/boom":
                raise ValueError("a \\"quote\\", \\x1b and ä\\n\\\\")
            environ["wsgi.errors"].write("the application's own\\n")
            start_response("200 OK", [])
            return []
    ''', "-c", settings)
    server.get("/boom")
    server.get("/")
    server.wait_log("the application's own")
    lines = server.log.text().splitlines()
    assert lines.count("the application's own") == 1
    entries = [json.loads(line) for line in lines if line[0] == "{"]
    assert len(entries) == len(lines) - 1
    for e in entries:
        assert list(e) == ["time", "pid", "level", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                            e["time"])
    assert entries[0]["message"].startswith("Starting bicorn")
    assert entries[0]["pid"] == server.pid
    boom = entries[-1]
    assert boom["level"] == "ERROR" and boom["pid"] == server.workers()[0]
    assert boom["message"].startswith(
        "Error handling request GET /boom\nTraceback (most recent call last)")
    assert boom["message"].endswith(
        'ValueError: a "quote", \x1b and ä\n\\')

    settings.write_text('error_log_format = "text";\n')
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"^\[.*\] \[INFO\] Ready", since=mark)


def test_copytruncate(wsgi, tmp_path):
    """The file is emptied under the server, as logrotate may do."""
    path = tmp_path / "access.log"
    server = wsgi(APP, "--access-logfile", path)
    server.get("/one")
    harness.wait_for(lambda: "/one" in path.read_text(), "a line")
    os.truncate(path, 0)
    server.get("/two")
    harness.wait_for(lambda: path.read_bytes(), "another line")
    assert path.read_text().startswith("127.0.0.1 - - ")
    assert "/two" in path.read_text()


@python
def test_stdio_inheritance(tmp_path):
    """A daemon with -R keeps a standard output that is a file."""
    (tmp_path / "hello.py").write_text(
        "def app(e, s):\n    s('200 OK', [])\n    print('hello there')\n"
        "    return [b'']\n")
    out, pid = tmp_path / "out", tmp_path / "pid"
    sock = tmp_path / "s"
    with open(out, "wb") as f:
        subprocess.run([str(harness.BICORN), "-D", "-R", "-p", str(pid),
                        "-b", "unix:%s" % sock, "--error-logfile", "-",
                        "hello:app"], cwd=tmp_path, stdout=f, stderr=f,
                       env=harness.environment(), check=True,
                       timeout=harness.DEADLINE)
    try:
        with harness.Conn(str(sock)) as c:
            assert c.get("/").status == 200
        harness.wait_for(lambda: "hello there" in out.read_text(),
                         "what was printed")
        assert "] Ready: 1 worker" in out.read_text()
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)
        harness.wait_for(lambda: not pid.exists(), "the end")


# --- Python's logging -----------------------------------------------------------

LOGGING_APP = '''
    import logging
    log = logging.getLogger("shop")

    def app(environ, start_response):
        log.debug("a debug entry")
        start_response("200 OK", [])
        return [b"%d %d" % (log.level, len(logging.root.handlers))]
'''

SHOP = {"version": 1, "loggers": {"shop": {"level": "DEBUG",
                                           "handlers": ["console"]}}}

INI = '''
[loggers]
keys=root,shop
[handlers]
keys=out
[formatters]
keys=plain
[logger_root]
level=WARNING
handlers=
[logger_shop]
level=DEBUG
handlers=out
qualname=shop
[handler_out]
class=StreamHandler
args=(sys.stdout,)
formatter=plain
[formatter_plain]
format=INI %(message)s
'''


def test_logging_untouched(wsgi):
    assert wsgi(LOGGING_APP).get("/").body == b"0 0"


@pytest.mark.parametrize("how", ["ini", "json", "dict"])
def test_logconfig(wsgi, tmp_path, how):
    """As gunicorn does it: for the application's loggers."""
    path = tmp_path / "logging.conf"
    path.write_text(INI if how == "ini" else json.dumps(SHOP))
    if how == "dict":
        (tmp_path / "b.conf").write_text(
            "logconfig_dict = %s;\n" % json.dumps(json.dumps(SHOP)))
        args = ["-c", tmp_path / "b.conf"]
    else:
        args = ["--log-config" + ("-json" if how == "json" else ""), path]
    server = wsgi(LOGGING_APP, *args)
    assert server.get("/").body.startswith(b"10 ")
    server.wait_out("INI a debug entry" if how == "ini"
                    else r"\[DEBUG\] a debug entry")


def test_logconfig_with_handlers_of_its_own(wsgi, tmp_path):
    """And none for root, which gunicorn does not take."""
    path = tmp_path / "logging.json"
    path.write_text(json.dumps({
        "version": 1,
        "formatters": {"own": {"format": "OWN %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler",
                             "formatter": "own",
                             "stream": "ext://sys.stdout"}},
        "loggers": {"shop": {"level": "DEBUG", "handlers": ["out"]}}}))
    server = wsgi(LOGGING_APP, "--log-config-json", path)
    assert server.get("/").body == b"10 1"
    server.wait_out("^OWN a debug entry")


def test_logconfig_that_is_wrong(wsgi):
    server = wsgi(LOGGING_APP, "--log-config", "/nonexistent/x", wait=False)
    server.wait_log("FileNotFoundError: /nonexistent/x")
    assert server.process.wait(harness.DEADLINE) == 3


def test_logger_class_of_gunicorn(wsgi):
    server = wsgi(APP, "--logger-class", "gunicorn.glogging.Logger")
    assert "logger_class" not in server.log.text()


def test_logger_class_that_is_not_there(wsgi):
    server = wsgi(APP, "--logger-class", "mine.Logger", "--access-logfile",
                  "-", "--access-logformat", "%(U)s")
    assert re.search(r"WARNING\] logger_class = mine\.Logger cannot be used.*"
                     r"No module named 'mine'", server.log.text())
    server.get("/still")
    server.wait_out("^/still$")


ROUTES = '''
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/boom":
            raise ValueError("of the application")
        start_response("200 OK", [("X-Mine", "7"), ("Content-Length", "2")])
        return [b"hi"]
'''

FILTER = '''
import logging

class Health(logging.Filter):
    def filter(self, record):
        return record.args["U"] != "/health" and \\
            "GET /quiet" not in record.getMessage()

def add(logger="gunicorn.access"):
    logging.getLogger(logger).addFilter(Health())
'''


def visit(server, *paths):
    for path in paths:
        server.get(path)


@pytest.mark.parametrize("where", ["import", "top", "post_fork",
                                   "post_worker_init"])
@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_filter_of_requests(wsgi, tmp_path, where, options):
    (tmp_path / "health.py").write_text(FILTER)
    conf = tmp_path / "gunicorn.conf.py"
    conf.write_text("def when_ready(server): pass\n" + {
        "import": "",
        "top": "import health\nhealth.add()\n",
        "post_fork": "def post_fork(server, worker):\n"
                     "    import health\n    health.add()\n",
        "post_worker_init": "import health\n"
                            "def post_worker_init(worker):\n"
                            "    worker.log.access_log.addFilter("
                            "health.Health())\n"}[where])
    text = ("    import health\n    health.add()\n" if where == "import"
            else "") + ROUTES
    server = wsgi(text, "-c", conf, "--access-logfile", "-",
                  "--access-logformat", "%(m)s %(U)s %(s)s %(b)s %(id)s"
                  " %({x-mine}o)s 100%%", "--threads", "1", *options)
    visit(server, "/", "/health", "/quiet", "/boom", "/a%0Ab%22", "/end")
    server.wait_out("/end")
    server.raw("GET / HTTP/9.0\r\n\r\n")
    server.wait_out("505 ")
    lines = [line for line in server.out.text().splitlines()]
    assert lines[0] == "GET / 200 2 - 7 100%"
    assert lines[1].startswith("GET /boom 500 ")
    assert lines[2] == 'GET /a\\x0ab\\" 200 2 - 7 100%'
    assert lines[3] == "GET /end 200 2 - 7 100%"
    assert len(lines) == 5


def test_filter_in_a_helper_is_told(wsgi, tmp_path):
    (tmp_path / "health.py").write_text(FILTER)
    (tmp_path / "gunicorn.conf.py").write_text(
        "import health\ndef on_starting(server):\n    health.add()\n"
        "def when_ready(server):\n    server.log.info('still ready')\n")
    server = wsgi(ROUTES, "--access-logfile", "-")
    server.wait_log("still ready")
    told = re.findall(r"WARNING\] (.*)", server.log.text())
    assert len(told) == 1
    assert told[0].startswith("on_starting touches the logger gunicorn.access")
    visit(server, "/health")
    server.wait_out("/health")


PYTHON_LOG = '''
logconfig_dict = {
    "version": 1, "root": {"handlers": []},
    "disable_existing_loggers": False,
    "filters": {"health": {"()": "health.Health"}},
    "formatters": {"plain": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler",
                          "filename": "py.log", "formatter": "plain"}},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["file"],
                           "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["file"],
                            "filters": ["health"], "propagate": False}}}
access_log_format = "%(m)s %(U)s %(s)s"

def post_fork(server, worker):
    server.log.info("of a %s", "hook")
'''


def test_logconfig_of_requests(wsgi, tmp_path):
    """They come without accesslog, and exceptions with their traceback."""
    (tmp_path / "health.py").write_text(FILTER)
    (tmp_path / "gunicorn.conf.py").write_text(PYTHON_LOG)
    path = tmp_path / "py.log"
    server = wsgi(ROUTES)
    visit(server, "/", "/health", "/boom")

    def has(text):
        return path.exists() and text in path.read_text()
    harness.wait_for(lambda: has("access INFO GET /boom 500\n"), "the lines")
    text = path.read_text()
    assert text.startswith("gunicorn.error INFO of a hook\n"
                           "gunicorn.access INFO GET / 200\n"
                           "gunicorn.error ERROR Error handling request GET "
                           "/boom\nTraceback (most recent call last):\n")
    assert "/health" not in text
    assert "Traceback" not in server.log.text()
    assert server.out.text() == ""

    path.rename(tmp_path / "old.log")
    os.kill(server.pid, signal.SIGUSR1)

    def moved():
        visit(server, "/later")
        return has("GET /later 200\n")
    harness.wait_for(moved, "a line in the new file")


def test_handler_beside_the_log(wsgi, tmp_path):
    """One that is added gets what the log itself has as well."""
    server = wsgi("""
    import logging, sys
    for name in "gunicorn.access", "gunicorn.error":
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("mine: %(message)s"))
        logging.getLogger(name).addHandler(handler)
""" + ROUTES, "--access-logfile", "a.log", "--access-logformat", "%(U)s")
    visit(server, "/boom")
    server.wait_out("^mine: /boom$")
    assert "mine: Error handling request GET /boom\n" in server.out.text()
    assert (tmp_path / "a.log").read_text() == "/boom\n"
    server.wait_log(r"\[ERROR\] Error handling request GET /boom$")


def test_disabled_loggers_change_nothing(wsgi):
    """Configurations of applications disable what they do not name."""
    server = wsgi("""
    import logging.config
    logging.config.dictConfig({"version": 1})
    assert logging.getLogger("gunicorn.access").disabled
""" + ROUTES, "--access-logfile", "-", "--access-logformat", "%(U)s")
    visit(server, "/boom")
    server.wait_out("^/boom$")
    server.wait_log("ValueError: of the application")


GLOGGING = '''
from gunicorn import glogging
import logging

class Mine(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self._set_handler(self.error_log, cfg.errorlog,
                          logging.Formatter("mine: %(message)s"))

    def atoms(self, *args):
        return {**super().atoms(*args), "x": "more"}

    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)

accesslog = "a.log"
access_log_format = "%(m)s %(U)s %(s)s %(x)s %({x-mine}o)s %({host}i)s"
logger_class = Mine

def post_worker_init(worker):
    worker.log.warning("by %s", type(worker.log).__name__)
'''


def test_logger_class(wsgi, tmp_path):
    if subprocess.run([harness.PYTHON, "-c", "import gunicorn.glogging"],
                      capture_output=True).returncode != 0:
        pytest.skip("no gunicorn to make a class of")
    (tmp_path / "gunicorn.conf.py").write_text(GLOGGING)
    server = wsgi(ROUTES)
    visit(server, "/", "/health", "/boom")
    path = tmp_path / "a.log"
    harness.wait_for(lambda: "/boom" in path.read_text(), "the lines")
    assert path.read_text() == ("GET / 200 more 7 localhost\n"
                                "GET /boom 500 more - localhost\n")
    server.wait_log("^mine: by Mine$")
    server.wait_log("^mine: Error handling request GET /boom$")
    assert server.log.text().count("Error handling request") == 1

    path.rename(tmp_path / "old.log")
    os.kill(server.pid, signal.SIGUSR1)
    harness.wait_for(lambda: visit(server, "/later") or path.exists() and
                     "/later" in path.read_text(), "a line in the new file")


# --- applications in C ------------------------------------------------------------

def test_access_line_in_c(bicorn, compile_app):
    """An application writes its line itself, or leaves it out."""
    module = compile_app(r'''
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	char line[BICORN_ACCESS_LINE_MAX], all[BICORN_ACCESS_LINE_MAX + 8];
	size_t len;

	bicorn_reply(x, 200, NULL, "hi", 2);
	if (bicorn_str_eq(x->request->path, "/plain"))
		return;
	bicorn_finish(x);
	len = bicorn_access_line(x, line, sizeof(line));
	if (bicorn_str_eq(x->request->path, "/health"))
		return;
	snprintf(all, sizeof(all), "mine\n: %.*s", (int)len, line);
	bicorn_log(x->server, BICORN_LOG_ACCESS, all);
	if (bicorn_access_line(x, line, 3) != 3)
		bicorn_log(x->server, BICORN_LOG_ERROR, "too long");
}

static int
event(void *app, const struct bicorn_event *e)
{
	(void)app;
	bicorn_log(e->server, BICORN_LOG_INFO, "opened again");
	return 0;
}

BICORN_APP(.handle = handle, .event = event,
    .events = BICORN_MOMENT(BICORN_REOPEN))
''')
    server = bicorn("--access-logfile", "-", "--access-logformat",
                    "%(r)s %(s)s %(b)s", "--threads", "1", module)
    visit(server, "/plain", "/health", "/x")
    server.wait_out("/x")
    assert server.out.text().split("\n") == [
        "GET /plain HTTP/1.1 200 2", r"mine\x0a: GET /x HTTP/1.1 200 2"]
    os.kill(server.pid, signal.SIGUSR1)
    server.wait_log("opened again")
    server = bicorn(module)
    visit(server, "/x", "/plain")
    server.wait_log("too long")
    assert server.out.text() == ""


def test_no_python_to_log_by(bicorn, work):
    server = bicorn("--logger-class", "mine.Logger", "--log-config-json",
                    "none.json", work)
    for name in "logger_class", "logconfig_json":
        server.wait_log(name + " has no effect: there is no Python")


def test_notes_and_pages_in_c(bicorn, compile_app):
    module = compile_app(r'''
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	const struct bicorn_header h = bicorn_field("X-Mine", "1");
	const struct bicorn_str *names;
	size_t n = bicorn_notes(x->server, &names);

	if (n != 2 || !bicorn_str_eq(names[0], "user"))
		return;
	bicorn_note(x, "USER", bicorn_str("first"));
	bicorn_note(x, "user", bicorn_str("bob \"x\""));
	if (bicorn_error(x, 399, NULL, 0) != BICORN_INVALID)
		return;
	if (bicorn_str_eq(x->request->path, "/id"))
		bicorn_reply(x, 200, "text/plain", x->request->id.ptr,
		    x->request->id.len);
	else
		bicorn_error(x, 404, &h, 1);
}

BICORN_APP(.handle = handle)
''')
    server = bicorn("--access-logfile", "-", "--access-logformat",
                    "%({user}e)s %({other}e)s", "--request-id", "X-Id", module)
    with server.connect() as c:
        r = c.get("/", [("Accept", "text/plain")])
        assert (r.status, r.body) == (404, b"404 Not Found\nRequest %s\n"
                                      % r.body.split()[-1])
        assert r.header("X-Mine") == "1"
        assert c.get("/id", [("X-Id", "abc")]).body == b"abc"
    server.wait_out(r'^bob \\"x\\" -$')


def test_many_threads_and_all_sinks(bicorn, compile_app, tmp_path):
    """Eight clients, JSON to a file that is rotated, syslog over a stream and
    statsd: every request is in each of them once."""
    module = compile_app(r'''
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	bicorn_note(x, "who", x->request->query);
	bicorn_reply(x, 200, "text/plain", "hello", 5);
}

BICORN_APP(.handle = handle)
''')
    tcp, syslog = collector("tcp", tmp_path)
    udp = Collector(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    udp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    path = tmp_path / "access.log"
    server = bicorn("--access-logfile", path, "--access-logformat",
                    "json who=%({who}e)s", "--request-id", "X-Id",
                    "--request-id-response", "--log-syslog",
                    "--log-syslog-to", syslog, "--statsd-host",
                    "127.0.0.1:%d" % udp.port, "--threads", 4,
                    "--workers", 2, module)
    each, ids = 100, set()

    def ask(number):
        with server.connect() as c:
            for i in range(each):
                r = c.get("/?%d-%d" % (number, i))
                ids.add(r.header("X-Id"))

    clients = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for t in clients:
        t.start()
    parts = []
    for i in range(3):
        harness.wait_for(lambda: path.exists() and path.stat().st_size,
                         "lines")
        parts.append(tmp_path / ("part%d" % i))
        path.rename(parts[-1])
        server.signal(signal.SIGUSR1)
        harness.wait_for(path.exists, "a new file")
    for t in clients:
        t.join()
    assert server.stop() == 0
    lines = [json.loads(line) for p in [*parts, path]
             for line in p.read_text().splitlines()]
    assert sorted(x["who"] for x in lines) == sorted(
        "%d-%d" % (n, i) for n in range(8) for i in range(each))
    assert {x["id"] for x in lines} == ids and len(ids) == 8 * each

    def complete():
        counted = b"\n".join(udp.messages).count(b"gunicorn.requests:1|c")
        logged = [m for m in list(tcp.messages) if b".access: " in m]
        return counted == len(logged) == 8 * each and logged

    for m in harness.wait_for(complete, "everything to arrive"):
        json.loads(m.partition(b"] ")[2])
    tcp.close()
    udp.close()
