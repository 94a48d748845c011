# SPDX-License-Identifier: MIT
"""A client can never hold a thread: slow, silent, greedy, vanished clients."""
import concurrent.futures
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

import attack
import harness
from test_admin import Admin

BIG = 8 << 20
# Bytes that a large upload has; 1 GiB takes a disk that is quick enough.
UPLOAD = (1024 if os.environ.get("BICORN_SLOW") else 256) << 20
# A deadline may be late by the tick of the timers and a busy machine; the
# best of a few tries shows the server's part of it.
EXACT = 0.1
TRIES = 4


@pytest.fixture
def server(bicorn, slow_app):
    def start(*args, **kw):
        return bicorn("--access-logfile", "-", *args, slow_app, **kw)

    return start


def get(target, *fields):
    return harness.request(target=target, headers=[
        tuple(f.split(": ", 1)) for f in fields])


def post(*fields):
    return harness.request("POST", "/sink", [tuple(f.split(": ", 1)) for f in fields])


def big():
    """What /big sends."""
    out = bytearray(BIG)
    # (i ^ i>>8 ^ i>>16) % 26, 65,536 places at a time.
    low = [(i ^ i >> 8) for i in range(1 << 16)]
    for high in range(BIG >> 16):
        mix = (high << 16) ^ (high << 8) ^ high
        out[high << 16:(high + 1) << 16] = bytes(
            ord("a") + (v ^ mix) % 26 for v in low)
    return bytes(out)


@pytest.fixture(scope="module")
def big_text():
    return big()


def alive(server, within=2.0, target="/hello"):
    begun = time.monotonic()
    assert server.get(target).body == b"Hello, World!\n"
    assert time.monotonic() - begun < within


def own_memory(pid):
    """Bytes of memory that are the process's own."""
    text = open("/proc/%d/status" % pid).read()
    return int(re.search(r"RssAnon:\s+(\d+) kB", text).group(1)) * 1024


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


# --- deadlines, exactly -------------------------------------------------------

def end_of(c, drip=None, every=0.1):
    """Seconds until the server ended c, and what it said.  drip is sent
    again and again meanwhile."""
    begun = time.monotonic()
    said = b""
    c.sock.settimeout(every if drip else c.timeout)
    while time.monotonic() - begun < 15:
        try:
            data = c.sock.recv(65536)
        except socket.timeout:
            try:
                c.send(drip)
            except OSError:
                pass
            continue
        except ConnectionResetError:
            data = b""
        if not data:
            return time.monotonic() - begun, said
        if not said:
            begun_end = time.monotonic() - begun
        said += data
        if b"\r\n\r\n" in said:
            return begun_end, said
    raise AssertionError("not ended; said %r" % said)


def silent(server):
    c = server.connect()
    return end_of(c)


def slow_head(server):
    c = server.connect()
    c.send("G")
    return end_of(c, "E")


def stalled_head(server):
    c = server.connect()
    c.send("GET /hello HTTP/1.1\r\nHost")
    return end_of(c)


def stalled_body(server):
    c = server.connect()
    c.send(post("Content-Length: 10") + b"abc")
    return end_of(c)


def stalled_chunks(server):
    c = server.connect()
    c.send(post("Transfer-Encoding: chunked") + b"5\r\nab")
    return end_of(c)


def stalled_second_head(server):
    c = server.connect()
    assert c.get("/hello").status == 200
    c.send("GET /h")
    return end_of(c)


def idle(server):
    c = server.connect()
    assert c.get("/hello").status == 200
    return end_of(c)


DEADLINES = {
    silent: (0.6, b""),
    slow_head: (0.6, b"HTTP/1.1 408 "),
    stalled_head: (0.6, b"HTTP/1.1 408 "),
    stalled_second_head: (0.6, b"HTTP/1.1 408 "),
    stalled_body: (0.8, b"HTTP/1.1 408 "),
    stalled_chunks: (0.8, b"HTTP/1.1 408 "),
    idle: (1.0, b""),
}


@pytest.mark.alone
def test_deadlines_are_exact(server):
    """To a tenth of a second, never early; all at once, again and again."""
    s = server("--header-timeout", 0.6, "--body-timeout", 0.8,
               "--keep-alive", 1, "--threads", 1)
    late = {kind: [] for kind in DEADLINES}
    with concurrent.futures.ThreadPoolExecutor(len(DEADLINES)) as pool:
        for _ in range(TRIES):
            runs = {kind: pool.submit(kind, s) for kind in DEADLINES
                    if not late[kind] or min(late[kind]) > EXACT}
            for kind, run in runs.items():
                took, said = run.result()
                seconds, says = DEADLINES[kind]
                assert said.startswith(says) and bool(said) == bool(says)
                # The client's clock starts a little after the server's.
                assert took > seconds - 0.03, kind.__name__
                late[kind].append(took - seconds)
    assert all(min(each) <= EXACT for each in late.values()), late
    text = s.out.text()
    assert text.count('"- - -" 408') + text.count(' 408 ') >= 5


@pytest.mark.alone
def test_minimum_rate_of_a_body(server):
    """After the grace a drip is not enough; above the rate it is."""
    s = server("--body-min-rate", 1000, "--rate-grace", 0.5,
               "--body-timeout", 5, "--threads", 1)
    with s.connect() as drip, s.connect() as steady, s.connect() as chunks:
        drip.send(post("Content-Length: 100000"))
        chunks.send(post("Transfer-Encoding: chunked"))
        steady.send(post("Content-Length: 8000"))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(end_of, drip, "a", 0.05),
                    pool.submit(end_of, chunks, "1\r\na\r\n", 0.05)]
            for _ in range(20):     # 4000 bytes a second
                steady.send(b"a" * 400)
                time.sleep(0.1)
            for run in runs:
                took, said = run.result()
                assert said.startswith(b"HTTP/1.1 408 ")
                assert 0.47 < took < 1.5
        assert steady.response().body == b"8000 0\n"
    s.wait_out(r'"POST /sink HTTP/1.1" 408 ')


# --- readers that are slow ----------------------------------------------------

PAGES = """
    import time

    BIG = bytes(ord("a") + (i ^ i >> 8 ^ i >> 16) % 26
                for i in range(1 << 16)) * 128

    class Body:
        closed = 0

        def __init__(self, parts):
            self.parts = iter(parts)

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.parts)

        def close(self):
            Body.closed += 1

    def pieces():
        for at in range(0, len(BIG), 65536):
            yield BIG[at:at + 65536]

    with open("big", "wb") as f:
        f.write(BIG)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/list":
            return [BIG]
        if path == "/generator":
            return pieces()
        if path == "/closed":
            return [b"%d" % Body.closed]
        if path == "/body":
            return Body(pieces())
        if path == "/file":
            return environ["wsgi.file_wrapper"](open("big", "rb"), 65536)
        if path == "/sleep":
            time.sleep(float(environ["QUERY_STRING"]))
        return [b"Hello, World!\\n"]
"""


def read_slowly(server, targets, count=10):
    """Clients that ask for much and do not read, until others were served
    by the only thread; then they get all of it."""
    readers = []
    for target in targets * count:
        c = server.connect()
        c.send(get(target))
        readers.append(c)
    for _ in range(20):
        alive(server)
    bodies = []
    for c in readers:
        bodies.append(c.response().body)
        assert c.get("/hello").status == 200
        c.close()
    return bodies


@pytest.mark.alone
def test_slow_readers_in_c(server, big_text):
    s = server("--threads", 1)
    for body in read_slowly(s, ["/big", "/big/pieces", "/big/file"]):
        assert body == big_text
    assert ' 499 ' not in s.out.text()


@pytest.mark.alone
@pytest.mark.python
def test_slow_readers_in_python(wsgi):
    s = wsgi(PAGES, "--threads", 1)
    first = None
    for body in read_slowly(s, ["/list", "/generator", "/file", "/body"]):
        first = first or body
        assert len(body) == BIG and body == first
    assert s.get("/closed").body == b"10"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if "HAVE_TLS 1" not in harness._CONFIG or not shutil.which("openssl"):
        pytest.skip("no TLS")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("over", ["plain", "tls"])
def test_kept_output_goes_while_the_application_works(
        bicorn, slow_app, big_text, over, request):
    """What the socket did not take is sent although the application is not
    done: without that, these clients would get no more than the socket's
    buffer."""
    args, tls = [], None
    if over == "tls":
        cert, key = request.getfixturevalue("certificate")
        args = ["--certfile", cert, "--keyfile", key]
        tls = ssl.create_default_context(cafile=str(cert))
    s = bicorn("--threads", 3, *args, slow_app)
    readers = [s.connect(tls=tls) for _ in range(2)]
    for c in readers:
        c.send(get("/big/held"))
    for c in readers:
        c.head()
        assert c.exactly(BIG - 1) == big_text[:-1]
    for c in readers:
        with s.connect(tls=tls) as other:
            assert other.get("/let").status == 200
    for c in readers:
        assert c.exactly(1) == big_text[-1:]
        assert c.get("/hello").status == 200
        c.close()


@pytest.mark.python
def test_kept_output_goes_while_python_works(wsgi):
    s = wsgi("""
        import threading
        let = threading.Event()

        def pieces():
            for _ in range(64):
                yield b"." * 131072
            let.wait()
            yield b"!"

        def app(environ, start_response):
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/let":
                let.set()
                return [b"ok"]
            return pieces()
        """, "--threads", 2)
    with s.connect() as c:
        c.send(get("/"))
        c.head()
        for _ in range(64):
            assert len(c.chunk()) == 131072
        assert s.get("/let").status == 200
        assert c.chunk() == b"!"
        assert c.chunk() == b""


@pytest.mark.python
def test_streaming_waits_within_limits(wsgi):
    """With nowhere to keep it the application waits, but not for ever:
    close() is called, and the log has a line."""
    s = wsgi(PAGES, "--threads", 2, "--response-buffer", "64k",
             "--response-spool", 0, "--send-timeout", 0.5,
             "--access-logfile", "-")
    with s.connect() as c:
        c.send(get("/body"))
        s.wait_out(r'"GET /body HTTP/1.1" 499 ', timeout=10)
        assert s.get("/closed").body == b"1"
        rest = c.rest()
        assert len(rest) < BIG and not rest.endswith(b"0\r\n\r\n")


@pytest.mark.python
def test_the_lock_is_not_kept_while_a_client_is_waited_for(wsgi):
    """Short answers, for which the interpreter's lock is not given up, until
    there is no place left for another one: the other threads go on."""
    s = wsgi("""
        asked = 0

        def app(environ, start_response):
            global asked
            body = b"x" * 60000
            if environ["PATH_INFO"] == "/asked":
                body = b"%d" % asked
            else:
                asked += 1
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
    """, "--threads", 4, "--response-buffer", "4k", "--response-spool", 0,
             "--send-timeout", 20)
    started = time.monotonic()
    with s.connect() as c:
        c.send(get("/") * 1000)
        seen = []
        while len(seen) < 10 or len(set(seen[-10:])) > 1:
            seen.append(s.get("/asked").body)
            time.sleep(0.02)
        assert 0 < int(seen[-1]) < 1000
    assert time.monotonic() - started < 15


def test_readers_that_stop_are_cut(server):
    """What is kept for a client is not kept for ever."""
    s = server("--threads", 1, "--send-timeout", 0.5)
    pid = s.workers()[0]
    alive(s)
    before = descriptors(pid)
    readers = []
    for target in ("/big", "/big/pieces", "/big/file"):
        c = s.connect()
        c.send(get(target))
        readers.append(c)
    harness.wait_for(lambda: descriptors(pid) > before, "clients")
    harness.wait_for(lambda: descriptors(pid) <= before, "the end of them")
    for c in readers:
        assert len(c.rest()) < BIG
        c.close()
    alive(s)


def ended_by_reset(c):
    try:
        while c.sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def test_readers_that_stop_are_told(server):
    """Where the end of the connection ends the body, what came of it would
    look like all of it; and the kernel keeps nothing for who does not read."""
    s = server("--threads", 1, "--send-timeout", 0.5)
    pid = s.workers()[0]
    alive(s)
    before = descriptors(pid)
    readers = []
    for request in (b"GET /big/pieces HTTP/1.0\r\n\r\n",
                    get("/big/pieces"), get("/big/file")):
        c = s.connect()
        c.send(request)
        readers.append(c)
    harness.wait_for(lambda: descriptors(pid) > before, "clients")
    harness.wait_for(lambda: descriptors(pid) <= before, "the end of them")
    for c in readers:
        assert ended_by_reset(c)
        c.close()


@pytest.mark.skipif(bool(harness.SANITIZERS), reason="another allocator")
def test_memory_of_those_who_left_is_given_back(server):
    """What slow clients have filled does not stay with the worker."""
    s = server("--response-buffer", "8M")
    pid = s.workers()[0]
    readers = [s.connect() for _ in range(12)]
    for c in readers:
        c.send(get("/big/pieces"))
    alive(s)
    harness.wait_for(lambda: own_memory(pid) > 64 << 20, "the responses")
    s.get("/wait?1500")  # it is looked at once a second
    for c in readers:
        c.close()
    harness.wait_for(lambda: own_memory(pid) < 24 << 20, "its end")


def test_killed_workers_cut_bodies(server):
    """Nobody is left who could say that there is more."""
    s = server("--threads", 1)
    with s.connect() as c:
        c.send("GET /big/pieces HTTP/1.0\r\n\r\n")
        c.until(b"\r\n\r\n")
        os.kill(s.workers()[0], signal.SIGKILL)
        assert ended_by_reset(c)


def test_minimum_rate_of_a_response(server):
    """Takes a little now and then, less than is asked."""
    s = server("--threads", 1, "--send-min-rate", 1000000,
               "--rate-grace", 0.5, "--send-timeout", 5)
    pid = s.workers()[0]
    before = descriptors(pid)
    with s.connect() as c:
        c.send(get("/big"))
        begun = time.monotonic()
        got = 0
        while time.monotonic() - begun < 10:
            try:
                data = c.sock.recv(1000)
            except ConnectionResetError:
                break
            if not data:
                break
            got += len(data)
            if descriptors(pid) <= before and got > 3000:
                break
            time.sleep(0.02)
        assert got < BIG and time.monotonic() - begun < 5
    alive(s)


# --- clients that leave -------------------------------------------------------

def test_resets(server, slow_app):
    """In the head, in the body, while it waits, in the response."""
    s = server("--threads", 2)
    alive(s)
    pid = s.workers()[0]
    before = descriptors(pid)
    whole = [get("/hello")[:20], post("Content-Length: 100") + b"abc",
             post("Transfer-Encoding: chunked") + b"5\r\nabc",
             post("Content-Length: 200000") + b"a" * 100000,
             get("/hello"), get("/big"), get("/big/pieces"), get("/big/file")]
    for text in whole * 20:
        c = s.connect()
        c.send(text)
        c.reset()
    for text in whole[5:] * 5:
        c = s.connect()
        c.send(text)
        c.head()
        c.reset()
    alive(s)
    harness.wait_for(lambda: descriptors(pid) <= before, "the end of them")


def test_reset_within_a_body_is_logged(server):
    s = server()
    c = s.connect()
    c.send(post("Content-Length: 100") + b"abc")
    assert c.quiet(0.1)
    c.reset()
    s.wait_out(r'"POST /sink HTTP/1.1" 499 0 ')


def test_a_thousand_that_open_and_leave(server):
    s = server("--threads", 1)
    alive(s)
    pid = s.workers()[0]
    before = descriptors(pid)
    for i in range(1000):
        c = s.connect()
        if i % 3 == 1:
            c.reset()
        elif i % 3 == 2:
            c.send(get("/hello"))
        c.close()
        if i % 100 == 0:
            alive(s)
    alive(s)
    harness.wait_for(lambda: descriptors(pid) <= before, "the end of them")


def test_vanished_leave_the_queue(server):
    """They take no place of queue_size, and no thread."""
    s = server("--threads", 1, "--queue-size", 5)
    with s.connect() as busy:
        busy.send(get("/wait?2000"))
        s.wait_log("slow: waits")
        gone = 0
        for _ in range(3):
            for _ in range(5):
                with s.connect() as c:
                    c.send(get("/wait?1"))
            gone += 5
            harness.wait_for(lambda: s.out.text().count(
                '"GET /wait?1 HTTP/1.1" 499 0 ') == gone, "the lines")
        with s.connect() as c:
            assert c.get("/hello").status == 200
        assert busy.response().status == 200
    assert s.log.text().count("slow: waits") == 1


@pytest.mark.parametrize("fields, status", [
    ((), 200),
    (("X-Late: 1",), 503),  # it waits for longer than queue_timeout
])
def test_half_closed_wait_in_the_queue(server, fields, status):
    """They have not left: who ended its side gets its answer, however long
    that takes, and all of it."""
    s = server("--threads", 1, "--queue-timeout", 1 if fields else 60)
    with s.connect() as busy:
        busy.send(get("/wait?2000"))
        s.wait_log("slow: waits")
        waiting = [s.connect() for _ in range(5)]
        for i, c in enumerate(waiting):
            c.send(get("/hello") if i else
                   b"GET /hello HTTP/1.0\r\n\r\n").half_close()
        for c in waiting:
            r = c.response()
            assert r.status == status
            assert status != 200 or r.body == b"Hello, World!\n"
            assert c.rest() == b""
            c.close()
        assert busy.response().status == 200
    assert " 499 " not in s.out.text()


def test_pipelined_flood(server):
    """Thousands of requests at once, and nothing is read: others do not
    notice, and in the end each is answered."""
    count = 20000
    s = server("--threads", 1)
    floods = [s.connect() for _ in range(3)]
    left = [get("/hello") * count for _ in floods]
    for i, c in enumerate(floods):
        c.sock.setblocking(False)
    for _ in range(50):
        for i, c in enumerate(floods):
            try:
                left[i] = left[i][c.sock.send(left[i]):]
            except BlockingIOError:
                pass
        alive(s)
    # Now they read, and say the rest.
    for i, c in enumerate(floods):
        answers = tail = b""
        found = 0
        end = time.monotonic() + 30
        while found < count and time.monotonic() < end:
            try:
                if left[i]:
                    left[i] = left[i][c.sock.send(left[i]):]
            except BlockingIOError:
                pass
            try:
                answers = tail + c.sock.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            found += answers.count(b"Hello, World!\n")
            at = answers.rfind(b"Hello, World!\n")
            tail = answers[at + 14:] if at >= 0 else answers
        assert found == count
        c.close()


# --- uploads ------------------------------------------------------------------

def test_large_upload_takes_no_memory(server, tmp_path):
    s = server("--threads", 1, "--tmp-upload-dir", tmp_path)
    alive(s)
    pid = s.workers()[0]
    before = most = own_memory(pid)
    block = b"\0" * (1 << 20)
    with s.connect() as c:
        c.send(post("Content-Length: %d" % UPLOAD))
        for i in range(UPLOAD >> 20):
            c.send(block)
            if i % 16 == 0:
                most = max(most, own_memory(pid))
                alive(s)
        assert c.response().body == b"%d 0\n" % UPLOAD
    most = max(most, own_memory(pid))
    assert most - before < 2 << 20
    assert os.listdir(tmp_path) == []


def test_uploads_leave_no_memory(server, tmp_path):
    """Many of them, that stop half-way."""
    s = server("--threads", 1, "--tmp-upload-dir", tmp_path)
    alive(s)
    pid = s.workers()[0]
    before = own_memory(pid)
    held = []
    for _ in range(100):
        c = s.connect()
        c.send(post("Content-Length: 10000000") + b"a" * 300000)
        held.append(c)
    alive(s)
    assert own_memory(pid) - before < 100 * 16384
    for c in held:
        c.close()


def test_body_over_the_limit_is_refused_at_once(server):
    s = server("--limit-request-body", 100000)
    with s.connect() as c:
        c.send(post("Content-Length: 100001"))
        assert c.response().status == 413
    with s.connect() as c:
        c.send(post("Content-Length: 100001", "Expect: 100-continue"))
        assert c.response().status == 413
    with s.connect() as c:      # when the size of a chunk tells
        c.send(post("Transfer-Encoding: chunked") + b"186A1\r\n")
        assert c.response().status == 413
    with s.connect() as c:      # when the sum of them does
        c.send(post("Transfer-Encoding: chunked")
               + b"10000\r\n" + b"a" * 65536 + b"\r\n86A1\r\n")
        assert c.response().status == 413
    with s.connect() as c:
        c.send(post("Transfer-Encoding: chunked")
               + b"186A0\r\n" + b"a" * 100000 + b"\r\n0\r\n\r\n")
        assert c.response().body == b"100000 0\n"
    s.wait_out('"POST /sink HTTP/1.1" 200 ')    # the last line of them
    assert s.out.text().count('"POST /sink HTTP/1.1" 413 ') == 4


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs",
                           str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(done.stderr.strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk(server, tiny_disk, big_text):
    """507 and a line in the log; a response waits for its client instead."""
    s = server("--threads", 2, "--tmp-upload-dir", tiny_disk,
               "--response-buffer", "64k")
    for fields, text in ((("Content-Length: 3000000",), b"a" * 3000000),
                         (("Transfer-Encoding: chunked",),
                          b"2DC6C0\r\n" + b"a" * 3000000)):
        with s.connect() as c:
            c.sock.settimeout(10)
            try:
                c.send(post(*fields) + text)
            except OSError:
                pass
            assert c.response().status == 507
    s.wait_log(r"\[ERROR\] Cannot keep the body of a request in a file of "
               r"\S+: No space left on device")
    s.wait_out(r'"POST /sink HTTP/1.1" 507 ')
    assert s.get("/hello").status == 200
    with s.connect() as c:      # it fits: the space was given back
        c.send(post("Content-Length: 500000") + b"a" * 500000)
        assert c.response().body == b"500000 0\n"
    for target in ("/big", "/big/pieces"):
        with s.connect() as c:
            c.send(get(target))
            alive(s)
            assert c.response().body == big_text


def limited(name, value):
    """Runs bicorn with a limit that not even root can raise."""
    return (harness.PYTHON, "-c", """if True:
        import ctypes, os, resource, sys
        resource.setrlimit(resource.%s, (%d, %d))
        ctypes.CDLL(None).prctl(24, 24, 0, 0, 0)    # CAP_SYS_RESOURCE
        os.execv(sys.argv[1], sys.argv[1:])
    """ % (name, value, value))


def test_file_size_limit(server, tmp_path):
    """A limit of the process on its files harms one request, not others."""
    s = server("--tmp-upload-dir", tmp_path,
               wrapper=limited("RLIMIT_FSIZE", 10 << 20))
    before = s.workers()
    with s.connect() as c:
        c.send(post("Content-Length: 12000000") + b"a" * 12000000)
        assert c.response().status == 507
    s.wait_log("Cannot keep the body of a request in a file of %s: "
               "File too large" % tmp_path)
    alive(s)
    assert s.workers() == before


# --- overload -----------------------------------------------------------------

@pytest.mark.alone
def test_queue_has_an_end(server):
    """One runs, three wait, the fifth is told to come again."""
    s = server("--threads", 1, "--queue-size", 3)
    conns = [s.connect() for _ in range(5)]
    conns[0].send(get("/wait?700"))
    s.wait_log("slow: waits")
    for c in conns[1:4]:
        c.send(get("/hello"))
        assert c.quiet(0.02)
    begun = time.monotonic()
    r = conns[4].get("/hello")
    assert r.status == 503 and int(r.header("Retry-After")) > 0
    assert time.monotonic() - begun < 0.4
    for c in conns[:4]:
        assert c.response().status == 200
    for c in conns:
        c.close()
    s.wait_out(r'"GET /hello HTTP/1.1" 503 ')


def test_free_threads_are_no_queue(server):
    """Requests that come at the same moment do not wait for a thread while
    there are enough."""
    s = server("--threads", 8, "--queue-size", 1)
    conns = [s.connect() for _ in range(8)]
    for _ in range(20):
        for c in conns:
            c.send(get("/hello"))
        for c in conns:
            assert c.response().status == 200
    for c in conns:
        c.close()


@pytest.mark.alone
def test_queue_timeout(server):
    """Who waits too long is told so, and does not cost a thread."""
    s = server("--threads", 1, "--queue-timeout", 0.5)
    with s.connect() as busy, s.connect() as waits:
        busy.send(get("/wait?1500"))
        s.wait_log("slow: waits")
        begun = time.monotonic()
        r = waits.get("/wait?1")
        took = time.monotonic() - begun
        assert r.status == 503 and r.header("Retry-After")
        assert 0.48 < took < 1.2
        assert busy.response().status == 200
    s.wait_out(r'"GET /wait\?1 HTTP/1.1" 503 ')
    assert s.log.text().count("slow: waits") == 1


LONG_HEAD = b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 120000
LONG_TRAILER = post("Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n" + \
    b"X: " + b"a" * 120000


@pytest.mark.parametrize("half", [LONG_HEAD, LONG_TRAILER],
                         ids=["head", "trailer"])
def test_memory_has_a_ceiling(server, half):
    """Long heads and trailers that do not end fill half of it; more of them
    get a 503, everybody else is served, and later those are as well."""
    s = server("--buffer-memory", "1M", "--limit-request-field_size", 200000,
               "--threads", 1)
    held = []
    for _ in range(20):
        c = s.connect()
        c.send(half)
        held.append(c)
    harness.wait_for(lambda: s.out.text().count(' 503 ') >= 10, "refusals")
    assert s.get("/hello").status == 200
    refused = 0
    for c in held:
        if not c.quiet(0.01):
            r = c.response()
            assert r.status == 503 and r.header("Retry-After")
            refused += 1
    assert 10 <= refused < 20
    for c in held:
        c.close()

    def ends():
        with s.connect() as c:
            c.send(half + b"\r\n\r\n")
            return c.response().status == 200

    harness.wait_for(ends, "a 200")


def test_short_of_memory_bodies_go_to_files(server):
    """Not even much of what is sent fills the memory."""
    s = server("--buffer-memory", "1M", "--body-buffer", "1M",
               "--threads", 1)
    held = []
    for _ in range(40):
        c = s.connect()
        c.send(post("Content-Length: 100000") + b"a" * 99999)
        held.append(c)
    alive(s)
    for c in held:
        c.send("b")
        assert c.response().body == b"100000 0\n"
        c.close()


def test_descriptors_run_out(server):
    """Accepting pauses, says so, and goes on: the limit is another than at
    the start, as if the application had opened as many files."""
    s = server("--threads", 2)
    hard = resource.prlimit(s.workers()[0], resource.RLIMIT_NOFILE)[1]
    resource.prlimit(s.workers()[0], resource.RLIMIT_NOFILE, (60, hard))
    held = [s.connect() for _ in range(100)]
    s.wait_log(r"\[WARNING\] .*Accepting pauses: Too many open files")
    kept = held[0]
    assert kept.get("/hello").status == 200
    for c in held[1:]:
        c.close()
    for _ in range(5):
        alive(s)
    assert kept.get("/hello").status == 200
    assert s.log.text().count("Accepting pauses") == 1


def test_accepting_is_forbidden(server, tmp_path):
    deny = harness.deny(tmp_path, "accept4", "EPERM")
    if deny is None:
        pytest.skip("no seccomp here")
    s = server("--graceful-timeout", 1, wrapper=deny)
    with s.connect():
        s.wait_log(r"Accepting pauses: accept4\(\) is forbidden, by a filter .*"
                   "Operation not permitted")


def test_connections_at_the_limit(server):
    """worker_connections: the others wait in the backlog, and are served."""
    s = server("--worker-connections", 10, "--threads", 1)
    held = []
    for _ in range(10):
        c = s.connect()
        assert c.get("/hello").status == 200
        held.append(c)
    with s.connect() as c:
        c.send(get("/hello"))
        assert c.response().status == 200
    for c in held:
        c.close()


def test_places_for_others(server):
    """Where all are taken, who gives nothing has to go and hears why; who
    goes on stays."""
    s = server("--worker-connections", 4, "--threads", 1, "--rate-grace", 600,
               "--body-min-rate", 1000, "--send-min-rate", 1000,
               "--header-timeout", 600, "--body-timeout", 600,
               "--send-timeout", 600, "--admin-bind", "127.0.0.1:0")
    half, stopped, reader, steady = (s.connect(timeout=20) for _ in range(4))
    half.send("GET / HT")
    stopped.send(post("Content-Length: 1000") + b"x" * 100)
    reader.send(get("/big"))
    left = 2000000
    steady.send(post("Content-Length: %d" % left))
    served = []
    while len(served) < 3:
        c = s.connect()
        c.send(get("/hello"))
        while not select.select([c.sock], [], [], 0.1)[0]:
            steady.send(b"x" * 2000)
            left -= 2000
            for other in served:
                assert other.get("/hello").status == 200
        assert c.response().status == 200
        served.append(c)
    steady.send(b"x" * left)
    assert steady.response().status == 200
    for c in half, stopped:
        assert c.response().status == 408
        assert c.rest() == b""
    assert len(reader.rest()) < BIG
    counters = Admin(s).status()["counters"]
    assert counters["evicted_connections"] == 3
    for c in served:
        c.close()


def test_idle_connections_cost_little(server):
    """At most 1 KiB of the worker's memory each."""
    count = 2000
    s = server("--worker-connections", 3000, "--threads", 2)
    pid = s.workers()[0]
    kept = []
    for _ in range(100):
        alive(s)
    before = own_memory(pid)
    for _ in range(count):
        c = s.connect()
        assert c.get("/hello").status == 200
        kept.append(c)
    if not harness.SANITIZERS:
        assert own_memory(pid) - before <= count * 1024
    for c in kept:
        c.close()


# --- health -------------------------------------------------------------------

@pytest.mark.alone
def test_health_while_all_hangs(server):
    s = server("--threads", 2, "--health-path", "/health")
    with s.connect() as kept:
        assert kept.get("/health").status == 200
        hang = [s.connect() for _ in range(20)]
        for c in hang:
            c.send(get("/wait?2500"))
        s.wait_log("slow: waits")
        begun = time.monotonic()
        for _ in range(20):
            r = s.get("/health")
            assert (r.status, r.body) == (200, b"ok\n")
        assert time.monotonic() - begun < 2
        s.signal(signal.SIGTERM)
        s.wait_log("Handling signal: term")
        harness.wait_for(lambda: kept.get("/health").status == 503,
                         "the worker's stop")
        for c in hang:
            c.close()


def test_health_flood(server):
    """Answers in a row, without end, keep nobody from being served."""
    s = server("--threads", 1, "--health-path", "/health")
    flood = s.connect()
    flood.sock.setblocking(False)
    text = get("/hello") + get("/health") * 5000
    left = b""
    for _ in range(30):
        try:
            left = left or text
            left = left[flood.sock.send(left):]
            flood.sock.recv(1 << 20)
        except BlockingIOError:
            pass
        alive(s)
    flood.close()


# --- all of them at once ------------------------------------------------------

@pytest.mark.alone
def test_everybody_attacks(server):
    """A few hundred of each kind against 4 threads."""
    s = server("--threads", 4, "--worker-connections", 10000)
    each = 40 if harness.SANITIZERS else 200
    processes = []
    try:
        for kind in attack.KINDS:
            processes.append(subprocess.Popen(
                [harness.PYTHON, str(harness.SOURCE / "t/attack.py"), kind,
                 s.address[0], str(s.port),
                 str(each // 10 if kind == "reader" else each)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for p in processes:
            assert p.stdout.readline() == "ready\n"
        worst = 0.0
        end = time.monotonic() + 3
        with s.connect() as kept:
            while time.monotonic() < end:
                begun = time.monotonic()
                alive(s, within=10)
                assert kept.get("/hello").status == 200
                worst = max(worst, time.monotonic() - begun)
        assert worst < 4 if harness.SANITIZERS else worst < 2
    finally:
        for p in processes:
            p.kill()
            p.communicate()
    alive(s)


def test_a_worker_that_ends_first_logs_it(server):
    """A client that still reads when the process ends is in the log."""
    s = server("--threads", 1, "--graceful-timeout", 1)
    with s.connect() as c:
        c.send(get("/big"))
        c.head()
        assert s.get("/hello").status == 200  # what is left waits
        s.signal(signal.SIGTERM)
        s.wait_out(r'"GET /big HTTP/1.1" 499 ', timeout=10)


EARLY = r"""
    #include <bicorn/app.h>
    #include <string.h>

    /* Does not read what it is sent. */
    static void
    handle(struct bicorn_exchange *x)
    {
        static char text[128 << 10];

        memset(text, 'x', sizeof(text));
        bicorn_reply(x, 200, "text/plain", text, sizeof(text));
    }

    BICORN_APP(.handle = handle)
"""


def read_while_sending(s, flood):
    """All that comes of a response, 2 KiB at a time, while the client goes on
    with its request."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(harness.DEADLINE)
    sock.connect(s.address)
    sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000"
                 b"\r\n\r\n")
    got = b""
    sock.setblocking(False)
    while True:
        time.sleep(0.1)  # what is measured: a client that takes its time
        try:
            sock.send(flood)
        except BlockingIOError:
            pass
        try:
            data = sock.recv(1800)
        except BlockingIOError:
            continue
        if not data:
            sock.close()
            return got
        got += data


@pytest.mark.parametrize("flood", [b"x", b"x" * (1 << 20)],
                         ids=["drops", "megabytes"])
def test_lingers_while_the_response_is_read(bicorn, compile_app, flood):
    """More than 5 s, or 8 MiB of a body that nobody reads: the response is
    not cut by a reset while its client makes progress."""
    s = bicorn("--stream-body", "--limit-request-body", "0",
               compile_app(EARLY))
    got = read_while_sending(s, flood)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert len(got.partition(b"\r\n\r\n")[2]) == 128 << 10
    s.stop()


def test_lingers_not_for_ever(bicorn, compile_app):
    """Whoever does not read is cut off after send_timeout."""
    s = bicorn("--stream-body", "--send-timeout", "1", compile_app(EARLY))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(s.address)
    sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
    worker, = s.workers()
    path = "/proc/%d/fd" % worker
    harness.wait_for(lambda: held(path) == 1, "the connection")
    harness.wait_for(lambda: held(path) == 0, "the end of it")
    sock.close()


def held(path):
    """Sockets that the process has, but for the one it listens on."""
    count = 0
    for name in os.listdir(path):
        try:
            count += os.readlink(path + "/" + name).startswith("socket:")
        except OSError:
            pass
    return count - 1
