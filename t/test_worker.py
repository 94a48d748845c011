# SPDX-License-Identifier: MIT
"""A worker under pressure: limits, deadlines, slow, silent and rude clients,
draining, and what it costs."""
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import SOURCE, request, wait_for

SLOW = 4 if harness.SANITIZERS else 1
GET = request()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The module made of t/apps/work.c."""
    module = tmp_path_factory.mktemp("apps") / "work.so"
    subprocess.run(
        [*harness.CC.split(), "-shared", "-fPIC", "-O1", "-g", "-Wall",
         "-Wextra", "-I", str(SOURCE / "include"),
         str(SOURCE / "t/apps/work.c"), "-o", str(module)], check=True)
    return module


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
