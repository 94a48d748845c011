# SPDX-License-Identifier: MIT
"""The access log and the error log: what a line says, and that it is whole."""
import base64
import datetime
import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import pytest

import harness

HEAD = (r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [-+]\d{4}\] \[\d+\] "
        r"\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] ")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    module = tmp_path_factory.mktemp("logs") / "probe.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "t/apps/probe.c"),
                    "-o", str(module)], check=True)
    return module


@pytest.fixture
def logging(bicorn, probe):
    def start(*args, **kw):
        return bicorn("--access-logfile", "-", *args, probe, **kw)

    return start


def line_for(server, send):
    """The access log line that comes of it."""
    seen = server.out.count()
    result = send()
    return server.wait_out(".", since=seen).string, result


# --- what a line says ---------------------------------------------------------

def test_default_format(logging):
    server = logging()
    user = base64.b64encode(b"Aladdin:open sesame").decode()
    before = datetime.datetime.now().astimezone().replace(microsecond=0)
    line, r = line_for(server, lambda: server.get("/?a=%20b", [
        ("User-Agent", "curl/8"), ("Referer", "http://x/"),
        ("Authorization", "Basic " + user)]))
    m = re.fullmatch(
        r'127\.0\.0\.1 - Aladdin \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4})\]'
        r' "GET /\?a=%20b HTTP/1\.1" 200 (\d+) "http://x/" "curl/8"', line)
    assert m, line
    when = datetime.datetime.strptime(m.group(1), "%d/%b/%Y:%H:%M:%S %z")
    assert abs((when - before).total_seconds()) <= 5
    assert int(m.group(2)) == len(r.body)


ATOMS = ("%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s"
         "|%(f)s|%(a)s|%(T)s|%(M)s|%(D)s|%(L)s|%(p)s|%({X-One}i)s"
         "|%({content-type}o)s|%({request_method}e)s|%({X-None}i)s"
         "|%({X-None}o)s|%({NONE_OF_THAT}e)s|%%")


def test_atoms(logging):
    server = logging("--access-logformat", ATOMS)
    line, r = line_for(server, lambda: server.get(
        "/request?a=b", [("X-One", "1")], method="POST", body=b"abc"))
    f = line.split("|")
    size = str(len(r.body))
    assert f[:13] == ["127.0.0.1", "-", "-", "POST /request?a=b HTTP/1.1",
                      "POST", "/request", "a=b", "HTTP/1.1", "200", size, size,
                      "-", "-"]
    seconds, ms, us, decimal = f[13:17]
    assert seconds == "0"
    assert int(ms) == int(us) // 1000 < 5000
    assert decimal == "%d.%06d" % divmod(int(us), 10 ** 6)
    assert f[17] in ["<%d>" % pid for pid in server.workers()]
    assert f[18:] == ["1", "text/plain", "POST", "-", "-", "-", "%"]


def test_duration(logging):
    server = logging("--access-logformat", "%(M)s")
    line, _ = line_for(server, lambda: server.get("/thread?wait=120"))
    assert 120 <= int(line) < 5000


def test_path_is_decoded(logging):
    server = logging("--access-logformat", "%(U)s|%(r)s")
    line, _ = line_for(server, lambda: server.get("/a%20b%0Ac?d"))
    assert line == r"/a b\x0ac|GET /a%20b%0Ac?d HTTP/1.1"


def test_variables(logging):
    server = logging("--access-logformat", "|".join("%%({%s}e)s" % n for n in (
        "REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT",
        "SERVER_PROTOCOL", "PATH_INFO", "QUERY_STRING", "RAW_URI",
        "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X_ONE", "wsgi.url_scheme",
        "REMOTE_USER")))

    def send():
        with server.connect() as c:
            port = c.sock.getsockname()[1]
            c.get("/%61?b", [("X-One", "1"), ("Content-Type", "a/b")],
                  "POST", b"xyz")
            return port

    line, port = line_for(server, send)
    assert line == "127.0.0.1|%d|127.0.0.1|%d|HTTP/1.1|/a|b|/%%61?b|a/b|3|1" \
        "|http|-" % (port, server.port)


def test_sizes(logging):
    """b is what the client got of the body, without the framing."""
    server = logging("--access-logformat", "%(m)s %(s)s %(b)s")
    for send, expected in (
            (lambda: server.get("/pattern?bytes=100000&length=100000"), "GET 200 100000"),
            (lambda: server.get("/pattern?bytes=100000&length=100000", method="HEAD"),
             "HEAD 200 0"),
            (lambda: server.get("/status?code=204"), "GET 204 0"),
            (lambda: server.get("/chunks"), None)):
        line, r = line_for(server, send)
        if expected is None:
            expected = "GET 200 %d" % len(r.body)
        assert line == expected


def test_one_line_each(logging):
    """Also for requests that come at once on one connection."""
    server = logging("--access-logformat", "%(q)s")
    with server.connect() as c:
        c.send("".join("GET /?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % i
                       for i in range(100)))
        for _ in range(100):
            c.response()
    server.wait_out("^n=99$")
    assert server.out.text().split("\n") == ["n=%d" % i for i in range(100)]


@pytest.mark.parametrize("status, request_line, raw", [
    (400, "GET / HTTP/1.1", "GET / HTTP/1.1\r\n\r\n"),
    (400, "-", "\x16\x03\x01\r\n\r\n"),
    (400, "POST / HTTP/1.1", "POST / HTTP/1.1\r\nHost: x\r\n"
     "Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    (408, "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: x\r\n"),
    (408, "-", "GET /"),
    (408, "POST /x HTTP/1.1", "POST /x HTTP/1.1\r\nHost: x\r\n"
     "Content-Length: 5\r\n\r\nabc"),
    (413, "POST / HTTP/1.1", "POST / HTTP/1.1\r\nHost: x\r\n"
     "Content-Length: 1025\r\n\r\n"),
    (414, "-", "GET /%s HTTP/1.1\r\n\r\n" % ("x" * 5000)),
    (417, "POST / HTTP/1.1", "POST / HTTP/1.1\r\nHost: x\r\n"
     "Expect: cake\r\n\r\n"),
    (431, "GET / HTTP/1.1", "GET / HTTP/1.1\r\nA: %s\r\n\r\n" % ("x" * 9000)),
    (431, "GET / HTTP/1.1", "GET / HTTP/1.1\r\n%s\r\n" % ("A: b\r\n" * 101)),
    (501, "POST / HTTP/1.1", "POST / HTTP/1.1\r\nHost: x\r\n"
     "Transfer-Encoding: rot13\r\n\r\n"),
    (505, "-", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
])
def test_refused_requests_are_logged(logging, status, request_line, raw):
    server = logging("--limit-request-body", "1k", "--header-timeout", "0.3",
                     "--body-timeout", "0.3")
    line, answer = line_for(server, lambda: server.raw(raw))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    size = len(answer.partition(b"\r\n\r\n")[2])
    m = re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "([^"]*)" %d %d "-" "-"'
                     % (status, size), line)
    assert m, line
    assert m.group(1) == request_line
    assert server.out.count() == 1


def test_silence_is_not_logged(logging):
    """Who connects and goes without a word has made no request."""
    server = logging()
    for _ in range(5):
        server.connect().close()
    assert server.get("/").status == 200
    server.wait_out("GET / ")
    assert server.out.count() == 1


# --- what a client can do to it -----------------------------------------------

NASTY = '" 200 0 "\\" \t \x80\xff \xe4 end'


def test_nothing_forges_a_line(logging):
    server = logging("--access-logformat", '"%(a)s" "%(f)s" "%(r)s" %(u)s')
    user = base64.b64encode('a" b\r\n[x] \x1b[2J:pw'.encode()).decode()
    line, _ = line_for(server, lambda: server.get('/a"b\\c', [
        ("User-Agent", NASTY), ("Referer", "caf\xc3\xa9"),
        ("Authorization", "Basic " + user)]))
    assert line == (
        r'"\" 200 0 \"\\\" \x09 \x80\xff \xe4 end" "café" '
        r'"GET /a\"b\\c HTTP/1.1" a\"\x20b\x0d\x0a[x]\x20\x1b[2J')


def test_json_by_hand(logging):
    """A format that makes JSON of the atoms can be read back for what is not
    a control byte, and never breaks out of its quotes."""
    server = logging("--access-logformat",
                     '{"agent": "%(a)s", "line": "%(r)s", "status": %(s)s}')
    line, _ = line_for(server, lambda: server.get(
        '/"},{"', [("User-Agent", 'x", "status": 500, "y": "\\')]))
    assert json.loads(line) == {
        "agent": 'x", "status": 500, "y": "\\',
        "line": 'GET /"},{" HTTP/1.1', "status": 404}


def test_long_values_are_cut(logging):
    server = logging("--limit-request-line", "20000",
                     "--limit-request-field_size", "20000",
                     "--access-logformat", '"%(r)s" "%(a)s" %(s)s')
    line, _ = line_for(server, lambda: server.get(
        "/" + "\"" * 15000, [("User-Agent", "\x80" * 15000)]))
    assert len(line) < 16384
    assert re.fullmatch(r'"GET /(\\")+\.\.\..*" "(\\x80)+\.\.\." \d{3}', line)


def test_error_log_is_not_forged(logging):
    """What a client says and the error log repeats."""
    server = logging("--log-level", "debug")
    server.raw("GET /\x1b[2J\x01 HTTP/1.1\r\nHost: x\r\n\r\n")
    server.get("/nothing?%0a[2026-01-01 00:00:00 +0000] forged")
    server.raw("BREW /nothing?a\"b HTTP/1.1\r\nHost: x\r\n"
               "Connection: close\r\n\r\n")
    assert server.stop() == 0
    for line in server.log.text().split("\n"):
        assert re.match(HEAD, line), line
        assert not re.search(r"[\x00-\x1f\x7f]", line), line


# --- whole lines --------------------------------------------------------------

def hammer(server, stop, counts, number):
    n = 0
    with server.connect() as c:
        while not stop.is_set():
            c.send("".join(
                "GET /?client=%d,n=%d HTTP/1.1\r\nHost: x\r\n"
                "User-Agent: %s\r\n\r\n" % (number, n + i, "u" * 400)
                for i in range(10)))
            for _ in range(10):
                assert c.response().status == 200
            n += 10
    counts[number] = n


def check_lines(text, counts):
    """Every request is there once, in a line that is whole."""
    seen = {}
    for line in text.split("\n")[:-1]:
        m = re.fullmatch(
            r'127\.0\.0\.1 - - \[[^]]+\] "GET /\?client=(\d+),n=(\d+) '
            r'HTTP/1\.1" 200 \d+ "-" "u{400}"', line)
        assert m, line
        key = (int(m.group(1)), int(m.group(2)))
        assert key not in seen
        seen[key] = True
    assert len(seen) == sum(counts.values())
    for client, n in counts.items():
        assert all((client, i) in seen for i in range(n))


def test_rotation_under_load(bicorn, probe, tmp_path):
    """Rename and USR1, with four processes writing: no line is lost or torn."""
    access = tmp_path / "access.log"
    server = bicorn("--workers", "4", "--access-logfile", access, probe)
    stop, counts = threading.Event(), {}
    clients = [threading.Thread(target=hammer, args=(server, stop, counts, i))
               for i in range(4)]
    for t in clients:
        t.start()
    parts = []
    for i in range(5):
        harness.wait_for(lambda: access.exists() and access.stat().st_size,
                         "lines in the access log")
        part = tmp_path / ("access.%d" % i)
        access.rename(part)
        server.signal(signal.SIGUSR1)
        parts.append(part)
        # All five processes have let go of the old file.
        pids = [server.pid, *server.workers()]
        harness.wait_for(lambda: not any(holds(p, part) for p in pids),
                         "all to let go of the old file")
    stop.set()
    for t in clients:
        t.join()
    assert len(counts) == 4
    assert server.stop() == 0
    check_lines("".join(p.read_text() for p in [*parts, access]), counts)


def holds(pid, path):
    try:
        return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)) == str(path)
                   for fd in os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return False


def test_one_write_per_line(bicorn, probe, tmp_path):
    """Of several processes on one pipe as well."""
    server = bicorn("--workers", "4", "--access-logfile", "-", probe)
    stop, counts = threading.Event(), {}
    clients = [threading.Thread(target=hammer, args=(server, stop, counts, i))
               for i in range(4)]
    for t in clients:
        t.start()
    server.wait_out("client=3,n=100 ")
    stop.set()
    for t in clients:
        t.join()
    assert server.stop() == 0
    check_lines(server.out.text() + "\n", counts)


def test_rotation_when_the_folder_is_gone(bicorn, probe, tmp_path):
    """The old file is kept, and the error log says why."""
    folder = tmp_path / "logs"
    folder.mkdir()
    server = bicorn("--access-logfile", folder / "a", probe)
    moved = tmp_path / "moved"
    folder.rename(moved)
    mark = server.mark()
    server.signal(signal.SIGUSR1)
    server.wait_log("No such file or directory", since=mark)
    assert server.get("/").status == 200
    harness.wait_for(lambda: "GET / " in (moved / "a").read_text(), "the line")


# --- sinks that do not take it ------------------------------------------------

def start_with_pipes(args, **kw):
    out_read, out_write = os.pipe()
    process = subprocess.Popen(
        [str(harness.BICORN), "--bind", "127.0.0.1:0", *map(str, args)],
        stdin=subprocess.DEVNULL, stdout=out_write, env=harness.environment(),
        start_new_session=True, **kw)
    os.close(out_write)
    return process, out_read


class Quiet(harness.Server):
    """A server whose access log nobody reads."""

    def __init__(self, *args):
        self.process, self.unread = start_with_pipes(
            args, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.out = harness.Lines(open(os.devnull, "rb"))
        self.log = harness.Lines(self.process.stderr)
        self.wait_ready()


def test_pipe_that_nobody_reads(probe):
    """It fills up; the server goes on, and says what was lost when it can."""
    server = Quiet("--access-logfile", "-", "--threads", "2", probe)
    try:
        with server.connect() as c:
            for i in range(1500):
                assert c.get("/", [("User-Agent", "u" * 100)]).status == 200
        with open(server.unread, "rb", closefd=False) as pipe:
            os.set_blocking(server.unread, False)
            assert len(pipe.read()) > 60000
        assert server.get("/").status == 200
        server.wait_log(r"\[WARNING\] \d+ access log lines were lost")
        assert server.stop() == 0
    finally:
        server.kill()
        os.close(server.unread)


def test_full_disk(bicorn, probe):
    """It is said at once and why, not with every line, and all is counted."""
    server = bicorn("--access-logfile", "/dev/full", probe)
    for _ in range(50):
        assert server.get("/").status == 200
    server.wait_log(r"\[WARNING\] 1 access log lines? .*: No space left on")
    assert server.stop() == 0
    said = re.findall(r"(\d+) access log lines? .* lost: No space left",
                      server.log.text())
    assert len(said) <= 3, said
    assert sum(map(int, said)) == 50


def test_full_disk_tears_no_line(bicorn, probe, tmp_path):
    log = tmp_path / "access"
    server = bicorn("-w", 2, "--access-logfile", log, "--access-logformat",
                    "%(m)s ?%(q)s!", probe, wrapper=["prlimit", "--fsize=4096"])
    for i in range(300):
        assert server.get("/?" + "x" * (i % 30)).status == 200
    assert log.stat().st_size > 4000
    assert all(re.fullmatch(r"GET \?x*!", line)
               for line in log.read_text().splitlines())


def test_pipe_that_was_closed(probe):
    server = Quiet("--access-logfile", "-", probe)
    try:
        os.close(server.unread)
        for _ in range(5):
            assert server.get("/").status == 200
        assert server.stop() == 0
    finally:
        server.kill()


def test_slow_reader_loses_nothing(probe):
    """A reader that is only slow is waited for."""
    server = Quiet("--access-logfile", "-", "--access-logformat", "%(q)s",
                   probe)
    lines = []

    def read():
        with open(server.unread, "rb", closefd=False) as pipe:
            for line in pipe:
                lines.append(line)
                if len(lines) % 200 == 0:
                    time.sleep(0.002)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        with server.connect() as c:
            for i in range(0, 5000, 50):
                c.send("".join(
                    "GET /?%05d%s HTTP/1.1\r\nHost: x\r\n\r\n" % (j, "q" * 50)
                    for j in range(i, i + 50)))
                for _ in range(50):
                    c.response()
        assert server.stop() == 0
        reader.join(harness.DEADLINE)
        assert len(lines) == 5000
    finally:
        server.kill()
        os.close(server.unread)


# --- the error log ------------------------------------------------------------

def test_levels(bicorn, probe):
    quiet = bicorn("--log-level", "error", probe, wait=False)
    loud = bicorn("--log-level", "debug", probe)
    assert loud.get("/").status == 200
    loud.stop()
    assert quiet.stop() is not None
    assert "[INFO]" not in quiet.log.text()
    assert "[INFO]" in loud.log.text()


def test_error_log_file(bicorn, probe, tmp_path):
    path = tmp_path / "error.log"
    server = bicorn("--error-logfile", path, probe, wait=False)
    harness.wait_for(lambda: path.exists() and "] Ready" in path.read_text(),
                     "the log to say that it is ready")
    first = path.read_text()
    assert server.stop() == 0
    text = path.read_text()
    assert text.startswith(first)  # appended to, not begun anew
    for line in text.split("\n")[:-1]:
        assert re.match(HEAD, line), line


def test_log_that_cannot_be_opened(run, probe):
    p = run("--error-logfile", "/nonexistent/x", probe)
    assert p.returncode == 1
    assert "/nonexistent/x: No such file or directory" in p.stderr
    p = run("--access-logfile", "/nonexistent/x", probe)
    assert p.returncode == 1
    assert "/nonexistent/x: No such file or directory" in p.stderr


@pytest.mark.parametrize("fmt, part", [
    ("%h", "%h"), ("%(h)x", "%(h)x"), ("json a", "'a' is not NAME=%(ATOM)s"),
])
def test_wrong_format(run, probe, fmt, part):
    p = run("--access-logfile", "-", "--access-logformat", fmt, probe)
    assert p.returncode in (1, 2)
    assert part in p.stderr
    assert re.search(r"--access-logformat .* \(command line\): ", p.stderr)


def on_a_terminal(args, env):
    """What bicorn says on a terminal until it is ready."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(harness.BICORN), "--bind", "127.0.0.1:0", *map(str, args)],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=harness.environment(env))
    os.close(slave)
    text, end = b"", time.monotonic() + harness.DEADLINE
    try:
        while b"Ready" not in text and time.monotonic() < end:
            if select.select([master], [], [], 1)[0]:
                text += os.read(master, 4096)
        return text.decode()
    finally:
        process.terminate()
        process.wait(harness.DEADLINE)
        os.close(master)


def test_colours_on_a_terminal_only(probe, bicorn):
    text = on_a_terminal([probe], {"TERM": "xterm", "NO_COLOR": None})
    assert "[\x1b[32mINFO\x1b[0m] " in text
    assert "\x1b" not in on_a_terminal([probe], {"TERM": "xterm",
                                                 "NO_COLOR": "1"})
    assert "\x1b" not in on_a_terminal([probe], {"TERM": "dumb"})
    server = bicorn(probe)
    assert "\x1b" not in server.log.text()


def test_time_zone(bicorn, probe):
    server = bicorn("--access-logfile", "-", probe,
                    env={"TZ": "Asia/Kolkata"})
    server.get("/")
    server.wait_out(r"\+0530\]")
    assert " +0530] [" in server.log.text()


def test_nobody_waits_for_a_thread_that_waits_for_the_reader(wsgi, tmp_path):
    """A thread that keeps Python's lock for its next request gives it up
    before it waits until its line fits into the pipe."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    size = fcntl.fcntl(fifo, fcntl.F_SETPIPE_SZ, 4096)
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"hello"]
    """, "--threads", "2", "--access-logfile", path)

    def read_until(mark):
        said = b""
        while mark not in said:
            assert select.select([fifo], [], [], harness.DEADLINE)[0]
            said += os.read(fifo, size)

    def fill():
        for piece in size, 64, 1:
            try:
                while True:
                    os.write(fifo, b"." * piece)
            except BlockingIOError:
                pass

    took = []
    with server.connect() as first, server.connect() as second:
        for i in range(6):
            # It reads, so it is waited for; then it does not.
            assert first.get("/?read=%d" % i).status == 200
            read_until(b"read=%d" % i)
            fill()
            assert first.get().status == 200
            start = time.monotonic()
            assert second.get("/?last=%d" % i).body == b"hello"
            took.append(time.monotonic() - start)
            read_until(b"last=%d" % i)
    os.close(fifo)
    # It would be the tenth of a second that the other one waits, each time.
    assert min(took) < 0.08, took
