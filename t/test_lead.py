# SPDX-License-Identifier: MIT
"""Who asks epoll: while short requests follow each other the threads of the
pool do, otherwise the acceptor, and nobody is forgotten when it changes."""
import os
import platform
import re
import signal
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import request, wait_for

SLOW = 4 if harness.SANITIZERS else 1
GET = request()
# epoll_wait, epoll_pwait, epoll_pwait2
EPOLL = {"x86_64": {"232", "281", "441"}, "aarch64": {"22", "441"}}


class Load(threading.Thread):
    """Clients that ask again as soon as all are answered."""

    def __init__(self, server, clients=12):
        super().__init__(daemon=True)
        self.conns = [server.connect(timeout=20) for _ in range(clients)]
        self.count = 0
        self.error = None
        self.over = False
        self.start()

    def run(self):
        try:
            while not self.over:
                for c in self.conns:
                    c.sock.sendall(GET)
                for c in self.conns:
                    assert c.response().body == b"hello"
                    self.count += 1
        except (OSError, AssertionError) as e:
            self.error = e

    def stop(self):
        self.over = True
        self.join(30)
        assert not self.is_alive()
        for c in self.conns:
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stop()


def waits_for_events(pid):
    """Names of the threads that are in epoll_wait now."""
    found = set()
    for task in Path("/proc/%d/task" % pid).iterdir():
        try:
            call = (task / "syscall").read_text().split()[0]
            name = (task / "comm").read_text().strip()
        except FileNotFoundError:
            continue
        if call in EPOLL.get(platform.machine(), ()):
            found.add(name)
    return found


def wait_leader(pid, pattern):
    """Until a thread of such a name waits for events."""
    try:
        waits_for_events(pid)
    except PermissionError:
        pytest.skip("the calls of a process cannot be seen here")
    if platform.machine() not in EPOLL:
        pytest.skip("no numbers of system calls for this machine")
    wait_for(lambda: any(re.fullmatch(pattern, name)
                         for name in waits_for_events(pid)),
             "%s to wait for events" % pattern)


def test_the_pool_leads_and_lets_go(bicorn, work):
    server = bicorn("--workers", "1", "--threads", "3", work)
    pid = server.workers()[0]
    wait_leader(pid, "bicorn-worker")
    for _ in range(2):
        with Load(server) as load:
            wait_leader(pid, r"pool-\d")
        assert load.error is None and load.count > 0
        # A pool thread that waits for nobody would be in its way.
        wait_leader(pid, "bicorn-worker")
        wait_for(lambda: waits_for_events(pid) == {"bicorn-worker"},
                 "the pool to let go")
    assert server.stop() == 0


def test_one_thread_in_the_application(bicorn, work, tmp_path):
    """The only thread that led is held up: the acceptor goes on."""
    server = bicorn("--workers", "1", "--threads", "1",
                    "--health-path", "/health", work)
    pid = server.workers()[0]
    with Load(server) as load, server.connect() as held, \
            server.connect() as other:
        wait_leader(pid, r"pool-0")
        gate = tmp_path / "gate"
        held.send(request(target="/hold?%s" % gate))
        server.wait_log("work: holding")
        before = load.count
        assert other.get("/health").body == b"ok\n"
        assert b" 400 " in server.raw("what is this\r\n\r\n")
        assert load.count <= before + len(load.conns)
        gate.touch()
        assert held.response().body == b"held"
        wait_for(lambda: load.count > before + 100, "service to go on")
        wait_leader(pid, r"pool-0")
    assert load.error is None
    assert server.stop() == 0


def test_a_held_request_beside_short_ones(bicorn, work, tmp_path):
    server = bicorn("--workers", "1", "--threads", "2", work)
    gate = tmp_path / "gate"
    with Load(server) as load, server.connect() as held:
        wait_leader(server.workers()[0], r"pool-\d")
        held.send(request(target="/hold?%s" % gate))
        server.wait_log("work: holding")
        before = load.count
        wait_for(lambda: load.count > before + 500, "others to be served")
        gate.touch()
        assert held.response().body == b"held"
    assert load.error is None


@pytest.mark.parametrize("threads", ["1", "4"])
def test_signals_while_the_pool_leads(bicorn, work, tmp_path, threads):
    log = tmp_path / "error.log"
    server = bicorn("--workers", "1", "--threads", threads,
                    "--graceful-timeout", "20",
                    "--error-logfile", log, work, wait=False)
    wait_for(lambda: log.exists() and "Ready" in log.read_text(), "a start")
    server.address = harness.address_of(re.search(
        r"Listening at: (\S+)", log.read_text()).group(1))
    pid = server.workers()[0]
    load = Load(server)
    wait_leader(pid, r"pool-\d")
    log.rename(tmp_path / "old.log")
    server.signal(signal.SIGUSR1)
    wait_for(log.exists, "logs to be opened again")
    wait_leader(pid, r"pool-\d")
    server.signal(signal.SIGTERM)
    assert server.wait(15 * SLOW) == 0
    load.stop()
    # All that was asked for was answered, with the end announced.
    assert isinstance(load.error, (AssertionError, OSError))
    assert load.count > 0


def test_max_requests_while_the_pool_leads(bicorn, work):
    server = bicorn("--workers", "1", "--threads", "2",
                    "--max-requests", "2000", work)
    first = server.workers()[0]
    load = Load(server)
    wait_for(lambda: first not in server.workers(), "a successor")
    load.stop()
    with server.connect() as c:
        assert c.get().body == b"hello"
    assert server.stop() == 0


def test_answers_before_one_that_takes_long(bicorn, work, tmp_path):
    """While much is to be done some answers are sent together; a request that
    holds the thread up does not hold up those before it."""
    server = bicorn("--workers", "1", "--threads", "1", work)
    spin = request(target="/spin?60")
    before = [server.connect() for _ in range(12)]
    behind = [server.connect() for _ in range(12)]
    held = server.connect()
    took = []
    for turn in range(11):
        for _ in range(20):  # until the pool leads
            for c in before + behind:
                c.send(spin)
            for c in before + behind:
                assert c.response().body == b"hello"
        gate = tmp_path / ("gate%d" % turn)
        mark = server.mark()
        for c in before:
            c.send(spin)
        held.send(request(target="/hold?%s" % gate))
        for c in behind:
            c.send(spin)
        server.wait_log("work: holding", since=mark)
        begun = time.monotonic()
        for c in before:
            assert c.response().body == b"hello"
        took.append(time.monotonic() - begun)
        gate.touch()
        assert held.response().body == b"held"
        for c in behind:
            assert c.response().body == b"hello"
    # What the socket alone would do takes 0.2 s.
    assert sorted(took)[5] < 0.1 * SLOW, took
    assert server.stop() == 0


def test_python_lock_is_not_kept_by_a_leader(wsgi):
    """A thread of the application gets on while a pool thread leads."""
    server = wsgi("""
        import threading, time
        ticks = 0
        def tick():
            global ticks
            while True:
                time.sleep(0.001)
                ticks += 1
        threading.Thread(target=tick, daemon=True).start()
        def app(environ, start_response):
            text = b"hello"
            if environ["PATH_INFO"] == "/ticks":
                text = b"%d" % ticks
            start_response("200 OK", [("Content-Length", str(len(text)))])
            return [text]
        """, "--workers", "1", "--threads", "2")
    with server.connect() as c:
        with Load(server) as load:
            wait_leader(server.workers()[0], r"pool-\d")
            before = int(c.get("/ticks").body)
            wait_for(lambda: int(c.get("/ticks").body) > before + 20,
                     "the thread to run")
        assert load.error is None


def test_signals_right_after_a_load(bicorn, work, tmp_path):
    """The pool took the event of a signal that is for the acceptor."""
    log = tmp_path / "error.log"
    server = bicorn("--workers", "1", "--threads", "3",
                    "--error-logfile", log, work, wait=False)
    wait_for(lambda: log.exists() and "Ready" in log.read_text(), "a start")
    server.address = harness.address_of(re.search(
        r"Listening at: (\S+)", log.read_text()).group(1))
    pid = server.workers()[0]
    conns = [server.connect() for _ in range(12)]
    late = 0
    for _ in range(12):
        for _ in range(20):
            for c in conns:
                c.sock.sendall(GET)
            for c in conns:
                assert c.response().body == b"hello"
        log.rename(tmp_path / "old.log")
        began = time.monotonic()
        os.kill(pid, signal.SIGUSR1)
        wait_for(log.exists, "logs to be opened again")
        late += time.monotonic() - began > 0.9
    # It looks for signals once a second in any case.
    assert late < 4
    for c in conns:
        c.close()
    assert server.stop() == 0


@pytest.mark.alone
@pytest.mark.once
def test_who_leads_is_not_busy(bicorn, work, tmp_path):
    """A worker takes connections for the thread that looks at them."""
    server = bicorn("--workers", "2", "--threads", "2", work)
    gates, conns, held = {}, [], []

    def hold_one_thread_each():
        c = server.connect()
        pid = c.get("/pid").body
        conns.append(c)
        if pid not in gates:
            gates[pid] = tmp_path / pid.decode()
            held.append(conns.pop())
            c.send(request(target="/hold?%s" % gates[pid]))
        return len(gates) == 2

    wait_for(hold_one_thread_each, "a connection to each worker")
    wait_for(lambda: server.log.text().count("work: holding") == 2,
             "a busy thread in each worker")
    waits = []
    with Load(server) as load:
        wait_for(lambda: load.count > 1000, "service")
        for _ in range(20):
            began = time.monotonic()
            with server.connect() as c:
                assert c.get().body == b"hello"
            waits.append(time.monotonic() - began)
    assert load.error is None
    # So long a connection waits for a thread, in the backlog.
    assert max(waits) < 0.08
    for gate in gates.values():
        gate.touch()
    for c in held:
        assert c.response().body == b"held"
    for c in conns:
        c.close()
    assert server.stop() == 0
