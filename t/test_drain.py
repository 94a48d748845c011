# SPDX-License-Identifier: MIT
"""TERM: whoever has got as far as the kernel is answered."""
import os
import signal
import socket
import threading
import time

import pytest

import harness
from harness import descriptors, settled, wait_for
from test_arbiter import busy, life  # noqa: F401


def test_nobody_is_reset(bicorn, life):  # noqa: F811
    """New connections without end: each is answered, or refused."""
    outcomes = []
    for _ in range(4):
        server = bicorn("-w", 2, life)
        over = threading.Event()

        def knock():
            while not over.is_set():
                try:
                    r = server.get("/")
                    outcomes.append(r.status)
                except ConnectionRefusedError:
                    outcomes.append("refused")
                    return
                except (OSError, AssertionError) as e:
                    outcomes.append(repr(e))
                    return
        threads = [threading.Thread(target=knock) for _ in range(8)]
        for t in threads:
            t.start()
        wait_for(lambda: outcomes.count(200) >= 50, "some requests")
        assert server.stop() == 0
        for t in threads:
            t.join(harness.DEADLINE)
        over.set()
        assert set(outcomes) <= {200, "refused"}, set(outcomes)
        outcomes = []


def test_backlog_that_one_worker_cannot_hold(bicorn, life):  # noqa: F811
    """More wait in the kernel than worker_connections: one after the other
    gets in, while the worker leaves."""
    server = bicorn("--threads", 1, "--worker-connections", 2, life)
    clients = [server.connect() for _ in range(12)]
    for c in clients:
        c.send(harness.request(target="/sleep/50"))
    wait_for(lambda: busy(server) == 1, "a request running")
    server.signal(signal.SIGTERM)
    for c in clients:
        r = c.response()
        assert r.status == 200
        c.close()
    assert server.wait() == 0


def test_queued_and_pipelined(bicorn, life):  # noqa: F811
    server = bicorn("--threads", 1, life)
    with server.connect() as slow, server.connect() as c:
        slow.send(harness.request(target="/sleep/700"))
        wait_for(lambda: busy(server) == 1, "a request running")
        c.send(harness.request())
        body = server.connect()
        body.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12")
        server.signal(signal.SIGTERM)
        server.wait_log("Handling signal: term")
        body.send(b"34")
        for x in slow, c, body:
            r = x.response()
            assert r.status == 200
            assert r.header("Connection") == "close"
        body.close()
    assert server.wait() == 0


def test_idle_clients_may_send_one_more(bicorn, life):  # noqa: F811
    """And hear that it is the last; others see the end in order."""
    server = bicorn(life)
    kept = [server.connect() for _ in range(4)]
    for c in kept:
        assert c.get("/").header("Connection") != "close"
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    for c in kept[:2]:
        r = c.get("/")
        while r.header("Connection") != "close":  # TERM is on its way
            assert r.status == 200
            r = c.get("/")
        assert r.status == 200
    for c in kept:
        assert c.rest() == b""  # an end, no reset
        c.close()
    assert server.wait() == 0
    assert time.monotonic() - start < 8


def test_half_a_head_holds_up_nobody(bicorn, life):  # noqa: F811
    server = bicorn(life)
    with server.connect() as half, server.connect() as late:
        for c in half, late:
            c.send("GET / HTTP/1.1\r\nHo")
        wait_for(lambda: server.get("/").status == 200, "an answer")
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        server.wait_log("Handling signal: term")
        time.sleep(0.3)  # what is measured: late is late
        late.send("st: x\r\n\r\n")
        assert late.response().status == 200
        assert half.response().status == 408
        late.close()
    assert server.wait() == 0
    assert 4 < time.monotonic() - start < 15


def test_reload_resets_nobody_of_a_listener_that_goes(bicorn,  # noqa: F811
                                                      life, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    conf = tmp_path / "c"
    conf.write_text('bind = [ "127.0.0.1:0", "127.0.0.1:%d" ];' % port)
    server = bicorn("-c", conf, life, bind=None)
    outcomes = []

    def knock():
        while True:
            try:
                with harness.Conn(("127.0.0.1", port)) as c:
                    outcomes.append(c.get("/", close=True).status)
            except ConnectionRefusedError:
                return
            except (OSError, AssertionError) as e:
                outcomes.append(repr(e))
                return
    threads = [threading.Thread(target=knock) for _ in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(outcomes) > 50, "some requests")
    conf.write_text('bind = "127.0.0.1:0";')
    server.signal(signal.SIGHUP)
    for t in threads:
        t.join(harness.DEADLINE)
    assert set(outcomes) == {200}
    assert server.get("/").status == 200


# ---- hygiene ----------------------------------------------------------------

def renew(server):
    """Reloads, and waits until only those who are ready are left."""
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    wait_for(lambda: len(server.workers()) == 2, "the old to leave")


def recycle(server, times):
    """Kills workers in turn, or has them replaced, so many times."""
    for i in range(times):
        mark = server.mark()
        worker = server.workers()[0]
        os.kill(worker, signal.SIGTERM if i % 2 else signal.SIGKILL)
        server.wait_log("Booting worker", since=mark)
        wait_for(lambda: len(server.workers()) == 2 and
                 worker not in server.workers(), "a replacement")


@pytest.mark.parametrize("times", [
    40, pytest.param(1000, marks=pytest.mark.slow)])
def test_nothing_is_left_behind(bicorn, life, times):  # noqa: F811
    """No descriptor, zombie or orphan, however often workers change."""
    server = bicorn("-w", 2, "--access-logfile", "-", life)
    recycle(server, 4)
    renew(server)
    before = settled(lambda: descriptors(server.pid))
    of_worker = settled(lambda: descriptors(server.workers()[0]))
    for i in range(times // 20):
        recycle(server, 16)
        renew(server)
        assert server.get("/").status == 200
    wait_for(lambda: descriptors(server.pid) == before, "nothing more")
    # The client's last connection may not be closed yet.
    wait_for(lambda: descriptors(server.workers()[-1]) == of_worker,
             "nothing more in a worker")
    wait_for(lambda: not harness.zombies(server.pid), "no zombie")
    assert len(harness.processes(server.pid)) == 3
    assert server.stop() == 0
    assert not harness.processes(server.pid)
