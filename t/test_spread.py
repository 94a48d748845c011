# SPDX-License-Identifier: MIT
"""Connections go where there is least to do."""
import threading
import time
from pathlib import Path

import pytest

from harness import wait_for

APP = r"""
#include <bicorn/app.h>
#include <unistd.h>

static void
handle(struct bicorn_exchange *x)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d", (int)getpid());

	if (bicorn_str_eq(x->request->path, "/wait")) {
		bicorn_respond(x, 200, NULL, 0, n);
		bicorn_write(x, text, 1);
		bicorn_flush(x);
		while (!bicorn_gone(x))
			usleep(1000);
		return;
	}
	bicorn_reply(x, 200, "text/plain", text, (size_t)n);
}

BICORN_APP(.handle = handle)
"""


@pytest.fixture
def server(bicorn, compile_app):
    module = compile_app(APP)
    return lambda *args, **kw: bicorn(*args, module, **kw)


class Busy:
    """Keeps threads busy until the end of the block."""

    def __init__(self, server, count):
        self.conns = []
        for _ in range(count):
            c = server.connect()
            self.conns.append(c)
            c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            c.until(b"\r\n\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for c in self.conns:
            c.close()


def counts(server, bodies):
    return sorted(bodies.count(b"%d" % p) for p in server.workers())


@pytest.mark.alone
def test_single_requests_are_even(server):
    s = server("-w", 4)
    bodies = [s.get().body for _ in range(200)]
    share = counts(s, bodies)
    assert share[0] >= 45 and share[-1] <= 55, share


@pytest.mark.alone
def test_over_a_unix_socket(server, tmp_path):
    s = server("-w", 4, bind="unix:%s" % (tmp_path / "s"))
    share = counts(s, [s.get().body for _ in range(200)])
    assert share[0] >= 45 and share[-1] <= 55, share


@pytest.mark.alone
def test_kept_connections_are_even(server):
    s = server("-w", 4)
    kept, bodies = [], []
    for _ in range(40):
        kept.append(s.connect())
        bodies.append(kept[-1].get().body)
    share = counts(s, bodies)
    for c in kept:
        c.close()
    assert share[0] >= 9 and share[-1] <= 11, share


@pytest.mark.alone
def test_a_burst_is_shared(server):
    """Many connections at once: nobody takes them all.  Nobody is waited
    for very long either, so on a busy machine it may not be seen at once."""
    s = server("-w", 4)
    for _ in range(10):
        kept = [s.connect() for _ in range(120)]
        for c in kept:
            c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        share = counts(s, [c.response().body for c in kept])
        for c in kept:
            c.close()
        if share[0] >= 20 and share[-1] <= 40:
            return
    assert False, share


@pytest.mark.alone  # a worker that gets no processor for 0.1 s is not free
def test_whoever_is_busy_gets_no_more(server):
    """One thread each: a request never queues behind a long one while
    another worker has nothing to do."""
    s = server("-w", 3, "--threads", 1)
    with Busy(s, 2):
        bodies = [s.get().body for _ in range(60)]
    assert counts(s, bodies) == [0, 0, 60]


def test_a_new_worker_catches_up(server, bicorn):
    """After a replacement the new one gets connections before the others."""
    import os
    import signal
    s = server("-w", 2)
    kept = [s.connect() for _ in range(40)]
    first = [int(c.get().body) for c in kept]
    mark = s.mark()
    os.kill(s.workers()[0], signal.SIGKILL)
    s.wait_log("Booting worker", since=mark)
    new = set()
    while len(new) < 1:
        body = int(s.get().body)
        new = {body} - set(first)
    more, on = [], []
    for _ in range(10):
        more.append(s.connect())
        on.append(int(more[-1].get().body))
    for c in kept + more:
        c.close()
    assert on.count(new.pop()) >= 6, on


def test_all_busy(server):
    """Nobody has a thread: what comes waits for the first that is free, and
    health_path is answered all the same."""
    s = server("-w", 2, "--threads", 1, "--health-path", "/health",
               "--queue-timeout", "30")
    busy = Busy(s, 2)
    assert s.get("/health").body == b"ok\n"
    bodies = []

    def ask():
        bodies.append(s.get().body)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for t in threads:
        t.start()
    assert s.get("/health").body == b"ok\n"
    assert not bodies
    busy.conns.pop().close()
    busy.conns.pop().close()
    for t in threads:
        t.join(20)
    assert len(bodies) == 6
    assert s.get().status == 200


def test_all_busy_and_the_queue_is_limited(server):
    """Clients that can be served by nobody are told so in time."""
    s = server("-w", 2, "--threads", 1, "--queue-timeout", "0.3")
    with Busy(s, 2):
        assert s.get().status == 503
        assert s.get().status == 503
    assert s.get().status == 200


def test_no_circle(server):
    """Each of three has a reason to leave a connection to another: one has
    most of the connections, the others have something to do.  It does not go
    round between them."""
    def wakes():
        return sum(int(line.split()[1]) for pid in by
                   for line in open("/proc/%d/status" % pid)
                   if line.startswith("voluntary"))

    s = server("-w", 3, "--threads", 4)
    by, conns = {}, []

    def enough():
        """A machine that is busy may keep a worker from its share."""
        conns.append(s.connect())
        by.setdefault(int(conns[-1].get().body), []).append(conns[-1])
        return len(conns) >= 45 and len(by) == 3

    wait_for(enough, "connections of each worker")
    for mine in sorted(by.values(), key=len)[:2]:
        while len(mine) > 1:
            mine.pop().close()
        mine[0].send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        mine[0].until(b"\r\n\r\n")
    before, began = wakes(), time.monotonic()
    for _ in range(5):
        assert s.get().status == 200
    # Looking anew every few milliseconds is no circle.
    assert wakes() - before < 500 + 1000 * (time.monotonic() - began)
    for c in conns:
        c.close()


def test_off(server):
    s = server("-w", 4, "--no-accept-balance")
    bodies = [s.get().body for _ in range(50)]
    assert sum(counts(s, bodies)) == 50


def test_with_reuse_port(server):
    """The kernel spreads: whatever it does, everybody is served."""
    s = server("-w", 4, "--reuse-port")
    migrate = Path("/proc/sys/net/ipv4/tcp_migrate_req")
    if not migrate.exists() or migrate.read_text().strip() == "0":
        s.wait_log(r"\[INFO\] reuse_port: .*tcp_migrate_req")
    bodies = [s.get().body for _ in range(200)]
    share = counts(s, bodies)
    assert sum(share) == 200 and share[0] > 0, share
