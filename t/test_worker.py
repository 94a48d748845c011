# SPDX-License-Identifier: MIT
"""A worker under pressure: limits, deadlines, slow, silent and rude clients,
draining, and what it costs."""
import os
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import request, wait_for

SLOW = 4 if harness.SANITIZERS else 1
GET = request()


@pytest.fixture
def server(bicorn, work):
    def start(*args, **kw):
        return bicorn(*args, work, **kw)

    return start


def alive(server, seconds=5):
    """A request on a new connection is answered, and soon."""
    with server.connect(timeout=seconds * SLOW) as c:
        assert c.get().body == b"hello"


def cpu_seconds(pid):
    """CPU time that a process has used."""
    fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


# ---- events, ownership -------------------------------------------------------


def test_a_child_that_keeps_the_socket(server):
    """A fork in the application leaves a copy of each socket, for which
    epoll goes on reporting: it must not be taken for another client's."""
    server = server("--threads", "2")
    first = server.connect()
    assert first.get("/fork", close=True).body == b"forked"
    others = [server.connect() for _ in range(8)]
    for c in others:
        c.send("GET / HTTP/1.1\r\nHost: x\r\n")
        assert c.quiet(0.01)
    # Bytes, then the end, of the connection that only the child has open.
    first.send("garbage that nobody is to see")
    first.close()
    for c in others:
        assert c.quiet(0.01)
        c.send("\r\n")
        assert c.response().body == b"hello"
        assert c.get().body == b"hello"
    before = cpu_seconds(server.workers()[0])
    time.sleep(0.3)
    assert cpu_seconds(server.workers()[0]) - before < 0.15
    alive(server)


def test_a_child_that_keeps_the_socket_of_a_stream(server):
    """... and the client must learn of the end all the same."""
    server = server("--threads", "2")
    with server.connect(timeout=5 * SLOW) as c:
        assert c.get().body == b"hello"
        assert server.get("/fork").body == b"forked"
        c.send("GET /stream?3 HTTP/1.0\r\n\r\n")
        assert c.rest().endswith(b"0123456789" * 3)


def test_half_close_gets_the_answer(server):
    """A client that ends its side with, or behind, its request."""
    server = server("--threads", "1")
    for target, answer in (("/", b"hello"), ("/nap?50", b"slept"),
                           ("/big?3000000", b"abc")):
        for close in (True, False):
            for _ in range(10 if target == "/" else 2):
                with server.connect() as c:
                    c.send(request(target=target, close=close))
                    c.half_close()
                    r = c.response()
                    assert r.status == 200 and r.body.startswith(answer)
                    assert c.rest() == b""


def test_clients_that_vanish_at_each_phase(server, tmp_path):
    """Resets in head, body, queue, application, output, keep-alive."""
    server = server("--threads", "2", "--body-buffer", "4096",
                    "--tmp-upload-dir", str(tmp_path))
    worker = server.workers()[0]
    alive(server)
    files = open_files(worker)
    post = b"POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    phases = [b"", b"GET", GET[:-2], post, post + b"x" * 1000,
              post + b"x" * 50000, GET, GET * 50,
              request(target="/nap?20"), request(target="/nap?20") * 5,
              request(target="/big?5000000"), request(target="/big?900000")]
    for _ in range(4):
        clients = []
        for data in phases:
            for _ in range(3):
                clients.append(server.connect())
                clients[-1].send(data)
        for i, c in enumerate(clients):
            if i % 3 == 0:
                c.reset()
            elif i % 3 == 1:
                c.close()
        for i, c in enumerate(clients):
            if i % 3 == 2:
                c.reset()
    alive(server)
    wait_for(lambda: open_files(worker) <= files, "descriptors to be closed")
    alive(server)


# ---- one client must not hold up the others ----------------------------------


class Flood(threading.Thread):
    """Sends as fast as the server takes it, until it is told to stop."""

    def __init__(self, server, first, block):
        super().__init__(daemon=True)
        self.conn = server.connect()
        self.conn.send(first)
        self.block = block
        self.sent = 0
        self.leave = False
        self.start()

    def run(self):
        try:
            while not self.leave:
                self.conn.send(self.block)
                self.sent += len(self.block)
        except OSError:
            pass

    def stop(self):
        self.leave = True
        try:
            self.conn.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join(10)
        self.conn.close()


def latencies(server, count):
    """Seconds that each of so many requests took."""
    found = []
    with server.connect() as c:
        for _ in range(count):
            before = time.monotonic()
            assert c.get().body == b"hello"
            found.append(time.monotonic() - before)
    return sorted(found)


@pytest.mark.parametrize("how", ["length", "chunked", "refused"])
def test_upload_at_full_speed_is_fair(server, tmp_path, how):
    """One that sends without a pause takes turns with the others."""
    server = server("--threads", "2", "--limit-request-body", "0",
                    "--tmp-upload-dir", str(tmp_path))
    head = "POST /sum HTTP/1.1\r\nHost: x\r\n"
    block = b"x" * 65536
    if how == "length":
        head += "Content-Length: 4000000000\r\n\r\n"
    elif how == "chunked":
        head += "Transfer-Encoding: chunked\r\n\r\n"
        block = b"10000\r\n" + block + b"\r\n"
    else:
        head = "BAD\r\n\r\n"
    floods = [Flood(server, head, block) for _ in range(2)]
    found = latencies(server, 40)
    for flood in floods:
        flood.stop()
    assert found[len(found) // 2] < 0.25 * SLOW, found
    assert found[-1] < 1.0 * SLOW, found
    alive(server)


def download_at_full_speed(server, target, until):
    """Reads a response as fast as it comes; its thread."""
    def read():
        with server.connect() as c:
            c.send(request(target=target))
            buf = bytearray(1 << 20)
            while not until.is_set() and c.sock.recv_into(buf):
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_download_at_full_speed_is_fair(bicorn, tmp_path):
    """... and one that reads a large file as fast as it is sent."""
    public = tmp_path / "public"
    public.mkdir()
    (public / "small").write_bytes(b"hello")
    with open(public / "large", "wb") as f:
        f.truncate(4 << 30)
    server = bicorn("--threads", "4", str(public) + "/")
    done = threading.Event()
    readers = [download_at_full_speed(server, "/large", done)
               for _ in range(2)]
    found = []
    with server.connect() as c:
        for _ in range(40):
            before = time.monotonic()
            assert c.get("/small").body == b"hello"
            found.append(time.monotonic() - before)
    done.set()
    for thread in readers:
        thread.join(20)
    assert max(found) < 1.0 * SLOW, found


def test_pipelining_flood_is_fair(server):
    """A thousand requests at once are answered in order, while another
    client gets its turn."""
    server = server("--threads", "1")
    count = 1000
    with server.connect() as flood:
        sender = threading.Thread(target=flood.send, args=(
            b"".join(request(target="/nap?1") for _ in range(count)),))
        sender.start()
        found = latencies(server, 20)
        answered = flood.exactly(1)
        flood.buffer = answered + flood.buffer
        for _ in range(count):
            assert flood.response().body == b"slept"
        sender.join()
        assert flood.get().body == b"hello"
    assert found[-1] < 1.0 * SLOW, found


def test_pipelining_in_order_with_bodies(server):
    """Large and small answers, bodies in each framing, in one stream."""
    server = server("--threads", "3")
    parts, expected = [], []
    for i in range(300):
        kind = i % 4
        if kind == 0:
            parts.append(request(target="/big?%d" % (i * 100)))
            expected.append(i * 100)
        elif kind == 1:
            body = bytes([i % 256]) * i
            parts.append(request("POST", "/sum", body=body))
            expected.append(b"%d %d 0" % (len(body), sum(body)))
        elif kind == 2:
            parts.append(request(
                "POST", "/sum", [("Transfer-Encoding", "chunked")]) +
                b"".join(b"1\r\n%c\r\n" % (j % 256) for j in range(i)) +
                b"0\r\n\r\n")
            expected.append(b"%d %d 0" % (i, sum(j % 256 for j in range(i))))
        else:
            parts.append(request())
            expected.append(b"hello")
    with server.connect() as c:
        sender = threading.Thread(target=c.send, args=(b"".join(parts),))
        sender.start()
        for what in expected:
            body = c.response().body
            assert len(body) == what if isinstance(what, int) else body == what
        sender.join()


# ---- limits of a worker ------------------------------------------------------


def connections_held(server):
    """Sockets of TCP connections that the workers have open."""
    return sum(name.startswith("socket:") for pid in server.workers()
               for name in harness.open_files(pid))


@pytest.mark.alone
def test_worker_connections(server):
    """Accepting stops at the limit and goes on when one closes; who waits
    in the backlog is served then."""
    server = server("--worker-connections", "4", "--threads", "2")
    listening = connections_held(server)
    held = [server.connect() for _ in range(4)]
    for c in held:
        assert c.get().body == b"hello"
    waiting = [server.connect() for _ in range(6)]
    for c in waiting:
        c.send(GET)
    for c in waiting:
        assert c.quiet(0.05)
    assert connections_held(server) - listening == 4
    for c in held:
        assert c.get().body == b"hello"
    # One closes, one is served; by turns all of them.
    for c in held:
        c.close()
    for c in waiting:
        before = time.monotonic()
        assert c.response().body == b"hello"
        assert time.monotonic() - before < 0.5 * SLOW
        assert connections_held(server) - listening <= 4
        c.close()
    alive(server)


def test_worker_connections_under_load(server):
    """Many more clients than places, each once: nobody is forgotten."""
    server = server("--worker-connections", "3", "--threads", "2")
    failed = []

    def client():
        try:
            for _ in range(40):
                assert server.get().body == b"hello"
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=client) for _ in range(12)]
    before = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(harness.DEADLINE * 2)
    # A wake-up that is lost costs up to a second each time.
    assert not failed, failed[0]
    assert time.monotonic() - before < 6 * SLOW


def test_sixty_four_clients_share(server):
    """64 connections on 2 x 4 threads: all are served, and alike."""
    server = server("--workers", "2", "--threads", "4")
    clients = [server.connect() for _ in range(64)]
    counts = [0] * len(clients)
    poller = select.epoll()
    by_fd = {}
    for i, c in enumerate(clients):
        by_fd[c.sock.fileno()] = i
        poller.register(c.sock, select.EPOLLIN)
        c.send(GET)
    length = len(clients[0].sock.recv(4096, socket.MSG_PEEK))
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for fd, _ in poller.poll(1):
            i = by_fd[fd]
            clients[i].exactly(length)
            counts[i] += 1
            clients[i].sock.send(GET)
    poller.close()
    print("requests: least %d, most %d" % (min(counts), max(counts)))
    assert min(counts) > 0
    assert max(counts) <= 4 * min(counts)


def test_a_stopped_worker_does_not_take_the_others_down(server):
    """What one worker leaves, another one takes."""
    server = server("--workers", "2", "--threads", "2")
    first, second = server.workers()
    os.kill(first, signal.SIGSTOP)
    try:
        clients = [server.connect() for _ in range(30)]
        pids = set()
        for c in clients:
            c.send(request(target="/pid"))
        for c in clients:
            pids.add(int(c.response().body))
        assert pids == {second}
    finally:
        os.kill(first, signal.SIGCONT)
    alive(server)


@pytest.mark.alone
def test_workers_get_equal_shares(server):
    """Clients that keep their connection are spread over the workers.

    A machine that does something else may keep one of them from its share
    while the other takes all that come at once: there are more tries."""
    server = server("--workers", "2", "--threads", "2")

    def shares():
        clients = [server.connect() for _ in range(40)]
        pids = [int(c.get("/pid").body) for c in clients]
        for c in clients:
            c.close()
        return sorted(pids.count(p) for p in server.workers())

    found = [shares()]
    while found[-1][0] < 10 and len(found) < 5:
        found.append(shares())
    assert found[-1][0] >= 10, found


def test_no_descriptors_left(server, tmp_path):
    """Accepting pauses, says so once, and goes on when it can."""
    server = server("--threads", "2")
    worker = server.workers()[0]
    files = open_files(worker)
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (files + 5, hard))
    held = [server.connect() for _ in range(20)]
    served = 0
    for c in held:
        c.send(GET)
    server.wait_log("Accepting pauses: Too many open files")
    for c in held:
        if not c.quiet(0.02):
            assert c.response().body == b"hello"
            served += 1
    assert 1 <= served <= 6
    before = cpu_seconds(worker)
    time.sleep(0.3)
    assert cpu_seconds(worker) - before < 0.1
    # A body that needs a file is refused, not more.
    with_room = [c for c in held if c.sock.fileno() >= 0][:served]
    c = with_room[0]
    c.send(request("POST", "/sum", [("Content-Length", "100000")]))
    r = c.response()
    assert (r.status, r.header("Retry-After")) == (503, "2")
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
    for c in held[served:]:
        assert c.response().body == b"hello"
    alive(server)
    for c in held:
        c.close()
    wait_for(lambda: open_files(worker) <= files, "descriptors to be closed")
    assert server.log.text().count("Accepting pauses") == 1


# ---- deadlines ---------------------------------------------------------------


def closed_after(c, before):
    """The bytes up to the end, and the seconds from before to it."""
    data = c.rest()
    return data, time.monotonic() - before


def in_time(seconds, expected):
    """Never early (a clock may be a few milliseconds coarse), hardly late."""
    return expected - 0.01 <= seconds <= expected + 0.1 * SLOW + 0.15


def test_keepalive_runs_out_in_time(server):
    server = server("--keep-alive", "0.7", "--threads", "2")
    with server.connect() as c:
        for pause in (0, 0.3, 0.5):
            time.sleep(pause)  # activity moves the deadline
            assert c.get().body == b"hello"
        before = time.monotonic()
        data, seconds = closed_after(c, before)
        assert data == b""
        assert in_time(seconds, 0.7), seconds


def test_keepalive_of_many(server):
    """Each has its own deadline, whoever served it."""
    server = server("--keep-alive", "0.6", "--threads", "4")
    found = {}

    def client(i):
        with server.connect() as c:
            for j in range(i % 5 + 1):
                assert c.get("/nap?%d" % (i * 7 % 50)).body == b"slept"
            found[i] = closed_after(c, time.monotonic())

    threads = [threading.Thread(target=client, args=(i,)) for i in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 40
    late = sorted(seconds for data, seconds in found.values())
    assert all(data == b"" for data, _ in found.values())
    # Forty threads of this test are late themselves when they look.
    assert late[0] > 0.4 and late[-1] < 1.2 * SLOW, late


def test_silent_connection_is_closed_silently(server):
    server = server("--header-timeout", "0.5", "--access-logfile", "-")
    with server.connect() as c:
        data, seconds = closed_after(c, time.monotonic())
        assert data == b""
        assert in_time(seconds, 0.5), seconds
    alive(server)
    server.wait_out(r'"GET / HTTP/1.1" 200 ')
    assert server.out.count() == 1


@pytest.mark.parametrize("sent, line", [
    ("G", '"- - -" 408'),
    ("GET /x HTTP/1.1\r\nHost: a\r\nX", '"GET /x HTTP/1.1" 408'),
    ("\r\n", None),
])
@pytest.mark.alone
def test_half_a_head(server, sent, line):
    server = server("--header-timeout", "0.5", "--access-logfile", "-")
    with server.connect() as c:
        before = time.monotonic()
        c.send(sent)
        r = c.response() if line else None
        seconds = time.monotonic() - before
        if line:
            assert r.status == 408
            assert r.header("Connection") == "close"
        c.rest()
        assert in_time(seconds if line else time.monotonic() - before, 0.5)
    if line:
        server.wait_out(r'" 408 ')


@pytest.mark.alone
def test_half_a_second_head(server):
    """The deadline of a second head counts from its first byte."""
    server = server("--header-timeout", "0.5", "--keep-alive", "30")
    with server.connect() as c:
        assert c.get().body == b"hello"
        time.sleep(0.7)
        before = time.monotonic()
        c.send("GET / HT")
        assert c.response().status == 408
        assert in_time(time.monotonic() - before, 0.5)


@pytest.mark.parametrize("head, body", [
    (("Content-Length", "10"), "abc"),
    (("Content-Length", "10"), ""),
    (("Content-Length", "100000"), "x" * 70000),
    (("Transfer-Encoding", "chunked"), "5\r\nabc"),
    (("Transfer-Encoding", "chunked"), ""),
    (("Transfer-Encoding", "chunked"), "0\r\nX: y\r\n"),
])
@pytest.mark.alone
def test_half_a_body(server, tmp_path, head, body):
    server = server("--body-timeout", "0.5", "--header-timeout", "30",
                    "--access-logfile", "-", "--tmp-upload-dir", str(tmp_path))
    with server.connect() as c:
        before = time.monotonic()
        c.send(request("POST", "/sum", [head]) + body.encode())
        assert c.response().status == 408
        assert in_time(time.monotonic() - before, 0.5)
    server.wait_out(r'"POST /sum HTTP/1.1" 408 ')
    alive(server)


def small_window(server):
    """A client that takes a few kilobytes at a time."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(harness.DEADLINE)
    sock.connect(server.address)
    return sock


@pytest.mark.alone
def test_send_timeout(server):
    """Who reads nothing is given up, and nothing of it stays behind."""
    server = server("--send-timeout", "0.6", "--threads", "1")
    worker = server.workers()[0]
    alive(server)
    files = open_files(worker)
    sock = small_window(server)
    sock.sendall(request(target="/big?8000000"))
    server.wait_log("work: thread is free")
    before = time.monotonic()
    alive(server)
    wait_for(lambda: open_files(worker) <= files, "the end of the connection")
    seconds = time.monotonic() - before
    assert 0.3 < seconds < 1.5 * SLOW, seconds
    sock.close()
    alive(server)


# ---- slow readers ------------------------------------------------------------


def read_slowly(sock, count):
    """The bytes of a response's body, with a pause now and then."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(512)
    got = len(data) - data.index(b"\r\n\r\n") - 4
    body = [data[-got:] if got else b""]
    while got < count:
        part = sock.recv(65536)
        assert part, "closed after %d of %d bytes" % (got, count)
        got += len(part)
        body.append(part)
    return b"".join(body)


def pattern(count):
    text = bytes(range(ord("a"), ord("a") + 23))
    return (text * (count // 23 + 1))[:count]


@pytest.mark.parametrize("options", [
    (), ("--response-buffer", "4096"),
    ("--response-buffer", "4096", "--response-spool", "0")],
    ids=["memory", "spool", "waits"])
def test_slow_readers(server, tmp_path, options):
    """The thread is free long before they have read all, or, where nothing
    may be kept, waits for them; every byte arrives."""
    server = server("--threads", "2", "--tmp-upload-dir", str(tmp_path),
                    *options)
    size = 700000
    keeps = "--response-spool" not in options
    # Where nothing can be kept, each of them holds a thread.
    readers = [small_window(server) for _ in range(10 if keeps else 2)]
    for sock in readers:
        sock.sendall(request(target="/big?%d" % size))
    if keeps:
        for _ in range(3):
            server.wait_log("work: thread is free")
        alive(server)
    for sock in readers:
        assert read_slowly(sock, size) == pattern(size)
        # It may ask for more over the same connection.
        sock.sendall(request(target="/big?10"))
        assert read_slowly(sock, 10) == pattern(10)
        sock.close()
    alive(server)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--no-sendfile",)],
                         ids=["sendfile", "copied"])
def test_slow_readers_of_files(bicorn, tmp_path, options):
    public = tmp_path / "public"
    public.mkdir()
    content = pattern(5000011)
    (public / "large").write_bytes(content)
    (public / "small").write_bytes(b"hello")
    server = bicorn("--threads", "2", *options, str(public) + "/")
    readers = [small_window(server) for _ in range(10)]
    for sock in readers:
        sock.sendall(request(target="/large"))
    for _ in range(5):
        assert server.get("/small").body == b"hello"
    for sock in readers:
        assert read_slowly(sock, len(content)) == content
        sock.close()


def test_slow_reader_of_a_pipeline(server):
    """Answers wait for the reader, requests for the answers, in order."""
    server = server("--threads", "1")
    sock = small_window(server)
    sizes = [200000 + i for i in range(20)]
    sock.sendall(b"".join(request(target="/big?%d" % n) for n in sizes))
    for _ in range(5):
        alive(server)
    with server.connect() as c:
        c.sock.close()
        c.sock = sock
        for n in sizes:
            assert c.response().body == pattern(n)


def test_stream_to_a_slow_reader(server):
    server = server("--threads", "1")
    sock = small_window(server)
    sock.sendall(b"GET /stream?50000 HTTP/1.0\r\n\r\n")
    assert read_slowly(sock, 500000) == b"0123456789" * 50000
    assert sock.recv(1) == b""
    sock.close()


def test_a_stream_that_is_cut_is_reset(server):
    """Its end must not look like a whole one."""
    server = server("--threads", "1")
    with server.connect() as c:
        c.send("GET /cut HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while c.sock.recv(1000):
                pass
    with server.connect() as c:
        c.send(request(target="/cut"))
        assert c.rest().endswith(b"4\r\nhalf\r\n")
    alive(server)


# ---- bodies in files ---------------------------------------------------------


def spool_files(server):
    """Open files without a name, as /proc has them."""
    return [name for pid in server.workers()
            for name in harness.open_files(pid)
            if "(deleted)" in name and "/memfd:" not in name]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [1023, 1024, 1025, 65536, 3000001])
def test_bodies_around_the_buffer(server, tmp_path, framing, size):
    """In memory up to body_buffer, in a file beyond; gone afterwards."""
    server = server("--body-buffer", "1024", "--tmp-upload-dir", str(tmp_path))
    body = pattern(size)
    expected = b"%d %d 0" % (size, sum(body))
    if framing == "chunked":
        cut = [body[i:i + 997] for i in range(0, size, 997)]
        wire = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in cut) + \
            b"0\r\n\r\n"
        head = request("POST", "/sum", [("Transfer-Encoding", "chunked")])
    else:
        wire = body
        head = request("POST", "/sum", [("Content-Length", str(size))])
    with server.connect() as c:
        for _ in range(2):
            c.send(head + wire + request())
            assert c.response().body == expected
            assert c.response().body == b"hello"
        # The file is in that folder, without a name.
        c.send(head + wire[:-1])
        alive(server)
        if size > 2048:
            wait_for(lambda: spool_files(server), "a spool file")
            assert all(n.startswith(str(tmp_path)) for n in spool_files(server))
        c.send(wire[-1:])
        assert c.response().body == expected
        wait_for(lambda: not spool_files(server), "the file to be closed")
        assert list(tmp_path.iterdir()) == []


def test_upload_directory_that_is_none(server, tmp_path):
    folder = tmp_path / "none"
    folder.mkdir()
    server = server("--tmp-upload-dir", str(folder))
    folder.rmdir()
    for _ in range(3):
        with server.connect() as c:
            c.send(request("POST", "/sum", body=b"x" * 100000))
            assert c.response().status == 500
            c.rest()
    server.wait_log("Cannot keep the body of a request in a file of %s: No such"
                    % folder)
    assert server.get("/sum", method="POST", body=b"a").body == b"1 97 0"


def test_no_folder_for_large_bodies(server, work, tmp_path):
    """As in a container without /tmp: said at the start, and only once."""
    said = (r"tmp_upload_dir: no file can be made in %s/none \(No such file or "
            r"directory\), so requests with bodies of more than body_buffer, "
            r"65536 bytes, will be answered with 500" % tmp_path)
    env = {"TMPDIR": tmp_path / "none"}
    s = server("-w", "3", env=env)
    assert len(re.findall(r"\[WARNING\] " + said, s.log.text())) == 1
    assert s.get("/sum", method="POST", body=b"a").body == b"1 97 0"
    for settings in (("--stream-body",), ("--body-buffer", "1M",
                                          "--limit-request-body", "1M"),
                     ("--env", "TMPDIR=%s" % tmp_path)):
        assert "WARNING" not in server(*settings, env=env).log.text()
    done = harness.run("--check-config", work, env=env)
    assert re.search(said, done.stderr) and done.returncode == 0


def test_full_disk(server, tmp_path):
    """507 for the one, and the space is given back."""
    room = tmp_path / "room"
    room.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs",
                       str(room)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount")
    try:
        server = server("--tmp-upload-dir", str(room))
        for _ in range(2):
            with server.connect() as c:
                try:
                    c.send(request("POST", "/sum", body=b"x" * 900000))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                assert c.response().status == 507
                c.rest()
            wait_for(lambda: not spool_files(server), "the space")
            body = b"x" * 400000
            assert server.get("/sum", method="POST", body=body).body == \
                b"%d %d 0" % (len(body), sum(body))
        server.wait_log("No space left on device")
        server.stop()
    finally:
        subprocess.run(["umount", str(room)], check=True)


# ---- leaving -----------------------------------------------------------------


def test_drain(server, tmp_path):
    """TERM: what is queued, running, arriving or leaving is finished; the
    idle are told the end."""
    server = server("--threads", "1", "--graceful-timeout", "20")
    gate = tmp_path / "gate"
    idle = [server.connect() for _ in range(3)]
    for c in idle:
        assert c.get().body == b"hello"
    late = server.connect()
    assert late.get().body == b"hello"
    slow = small_window(server)
    slow.sendall(request(target="/big?800000"))
    server.wait_log("work: thread is free")
    running = server.connect()
    running.send(request(target="/hold?%s" % gate))
    server.wait_log("work: holding")
    queued = [server.connect() for _ in range(3)]
    for c in queued:
        c.send(GET)
    half = server.connect()
    half.send("GET / HTTP/1.1\r\n")
    body = server.connect()
    body.send(request("POST", "/sum", [("Content-Length", "3")]) + b"a")
    assert body.quiet(0.05)
    server.signal(signal.SIGTERM)
    wait_for(lambda: refused(server), "the listener to be closed")
    # A request on a kept connection is answered, and is the last one.
    late.send(GET)
    gate.touch()
    for c, text in [(running, b"held"), (late, b"hello")] + \
            [(c, b"hello") for c in queued]:
        r = c.response()
        assert r.body == text and r.header("Connection") == "close"
        assert c.rest() == b""
        c.close()
    half.send("Host: x\r\n\r\n")
    assert half.response().body == b"hello"
    body.send("bc")
    assert body.response().body == b"3 294 0"
    assert read_slowly(slow, 800000) == pattern(800000)
    for c in [half, body]:
        assert c.rest() == b""
        c.close()
    slow.close()
    for c in idle:
        assert c.rest() == b""
        c.close()
    assert server.wait(10 * SLOW) == 0


def refused(server):
    try:
        server.connect(1).close()
    except OSError:
        return True
    return False


def test_drain_does_not_wait_for_the_silent(server):
    """Neither for the idle nor for those that never said a word."""
    server = server("--threads", "1", "--graceful-timeout", "30")
    silent = [server.connect() for _ in range(5)]
    idle = [server.connect() for _ in range(5)]
    for c in idle:
        assert c.get().body == b"hello"
    before = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - before < 4 * SLOW
    for c in silent + idle:
        assert c.rest() == b""


def test_drain_ends_at_its_time(server):
    server = server("--threads", "1", "--graceful-timeout", "1")
    half = server.connect()
    half.send("GET / HTTP/1.1\r\n")
    held = server.connect()
    held.send(request(target="/nap?60000"))
    assert held.quiet(0.1)
    before = time.monotonic()
    server.stop()
    assert 0.8 < time.monotonic() - before < 4 * SLOW


class Counting(threading.Thread):
    """A client that keeps its connection for as long as it may, and counts
    requests that were lost although keep-alive had been promised."""

    def __init__(self, server, until):
        super().__init__(daemon=True)
        self.server = server
        self.until = until
        self.answered = self.lost = self.connections = 0
        self.start()

    def run(self):
        c = None
        while not self.until.is_set():
            if c is None:
                c = self.server.connect()
                self.connections += 1
            try:
                c.send(GET)
                r = c.response()
            except (OSError, harness.Closed):
                self.lost += 1
                c.close()
                c = None
                continue
            assert r.body == b"hello"
            self.answered += 1
            if r.header("Connection") == "close":
                c.close()
                c = None
        if c is not None:
            c.close()


def test_max_requests_loses_nothing(server):
    """Workers leave all the time; no request that was sent is lost."""
    server = server("--workers", "2", "--threads", "2", "--max-requests",
                    "150", "--max-requests-jitter", "50")
    done = threading.Event()
    clients = [Counting(server, done) for _ in range(8)]
    for _ in range(12):
        server.wait_log("Autorestarting worker", since=server.mark())
    done.set()
    for c in clients:
        c.join(20)
    answered = sum(c.answered for c in clients)
    print("%d answered over %d connections" % (
        answered, sum(c.connections for c in clients)))
    assert answered > 1000
    assert sum(c.lost for c in clients) == 0
    assert not re.search(r"\[(ERROR|CRITICAL)\]", server.log.text())


# ---- what it costs -----------------------------------------------------------


def private_kilobytes(pid):
    text = Path("/proc/%d/smaps_rollup" % pid).read_text()
    return sum(int(line.split()[1]) for line in text.splitlines()
               if line.startswith("Private_"))


def idle_cost(server, count):
    """Bytes of the worker's memory per connection that is kept."""
    worker = server.workers()[0]
    for _ in range(3):
        assert server.get().body == b"hello"
    before = private_kilobytes(worker)
    held = [server.connect() for _ in range(count)]
    for c in held:
        assert c.get().body == b"hello"
    after = private_kilobytes(worker)
    for c in held:
        c.close()
    return (after - before) * 1024 // count


def test_memory_of_idle_connections(server):
    server = server("--worker-connections", "2000", "--threads", "2")
    cost = idle_cost(server, 800)
    print("%d bytes per idle connection" % cost)
    if not harness.SANITIZERS:
        assert cost < 1000


def test_memory_is_flat(server, tmp_path):
    """Bursts, uploads and rude clients leave nothing behind."""
    server = server("--threads", "4", "--tmp-upload-dir", str(tmp_path))
    worker = server.workers()[0]

    def burst():
        clients = [server.connect() for _ in range(100)]
        for i, c in enumerate(clients):
            c.send(request("POST", "/sum", [("Content-Length", "60000")]) +
                   b"x" * (100 * i))
        for i, c in enumerate(clients):
            if i % 2:
                c.send(b"x" * (60000 - 100 * i))
                assert c.response().status == 200
            c.close()

    for _ in range(3):
        burst()
    alive(server)
    first = private_kilobytes(worker)
    for _ in range(6):
        burst()
    alive(server)
    grown = private_kilobytes(worker) - first
    print("%d KiB more after six bursts" % grown)
    if not harness.SANITIZERS:
        assert grown < 2000


def test_address_connections_one_after_another(server):
    """A connection that was closed does not count any more."""
    server = server("--address-connections", "1", "--threads", "2")
    for _ in range(200):
        with server.connect() as c:
            assert c.get(close=True).body == b"hello"
            assert c.rest() == b""
    with server.connect() as c:
        assert c.get().body == b"hello"
        with server.connect() as second:
            assert second.rest() == b""
        assert c.get().body == b"hello"


def test_the_acceptor_is_modest(server):
    """It does not interrupt those that answer; all others are as usual."""
    server = server("--threads", "3")
    alive(server)
    worker = server.workers()[0]
    policies = {int(t): os.sched_getscheduler(int(t))
                for t in os.listdir("/proc/%d/task" % worker)}
    assert policies.pop(worker) == os.SCHED_BATCH
    assert len(policies) >= 3
    assert set(policies.values()) == {os.SCHED_OTHER}


def test_the_acceptor_keeps_what_the_operator_chose(server):
    """A scheduling policy that came from without is left alone."""
    def choose():
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    try:
        server = server("--threads", "1", preexec_fn=choose)
    except subprocess.SubprocessError:
        pytest.skip("not allowed to choose a policy")
    alive(server)
    worker = server.workers()[0]
    assert {os.sched_getscheduler(int(t))
            for t in os.listdir("/proc/%d/task" % worker)} == {os.SCHED_RR}


def test_waiting_costs_nothing(server, tmp_path):
    """Whatever clients wait for: no processor time goes into it."""
    server = server("--threads", "2", "--tmp-upload-dir", str(tmp_path))
    post = request("POST", "/sum", [("Content-Length", "100000")])
    held = []
    for data in (b"", b"GET / HT", post, post[:-20], post + b"x" * 5000,
                 GET, request(target="/big?9000000"),
                 request(target="/nap?1500"), b"BAD\r\n\r\n"):
        for slow in (False, True):
            c = server.connect()
            if slow:  # output was left over once: watched ever since
                c.sock.close()
                c.sock = small_window(server)
                c.send(request(target="/big?400000"))
                assert c.response().body == pattern(400000)
            c.send(data)
            held.append(c)
    held[0].half_close()
    alive(server)
    worker = server.workers()[0]
    before = cpu_seconds(worker)
    time.sleep(1)
    used = cpu_seconds(worker) - before
    print("%.2f s of processor time" % used)
    assert used < 0.1 * SLOW
    for c in held:
        c.close()
    alive(server)
