# SPDX-License-Identifier: MIT
"""Nothing is lost: workers come and go under load, and every request counts.

Clients ask without a pause, on connections that they keep, on single ones,
and now and then after a pause of their own.  What each of them got is
counted: an answer, no answer, or a kept connection that was closed under a
request although the answer before had not said so.  The counts are small
here and full with BICORN_SLOW=1.
"""
import collections
import os
import signal
import socket
import threading
import time

import pytest

import harness
from harness import descriptors, settled, wait_for, zombies
from test_arbiter import life  # noqa: F401
from test_upgrade import finish, served, upgrade  # noqa: F401

SLOW = bool(os.environ.get("BICORN_SLOW"))

APP = r"""
#define _GNU_SOURCE
#include <bicorn/app.h>
#include <stdlib.h>
#include <unistd.h>

static void
handle(struct bicorn_exchange *x)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d", (int)getpid());

	if (bicorn_str_eq(x->request->path, "/work"))
		usleep(3000);
	if (getenv("LEAK") != NULL) {
		static char *volatile kept;

		kept = malloc(1 << 20);
		memset(kept, 1, 1 << 20);
	}
	if (x->request->path.len > 6 &&
	    memcmp(x->request->path.ptr, "/hang/", 6) == 0)
		sleep(60);
	bicorn_reply(x, 200, "text/plain", text, (size_t)n);
}

BICORN_APP(.handle = handle)
"""


def often(few, many):
    return many if SLOW else few


class Clients:
    """Counts: "served", "lost" (single requests), "closed" (kept ones met
    by a closed socket), "odd" (anything else)."""

    def __init__(self, address, kept=3, single=3, idle=2, pause=1.1):
        self.address = address
        self.count = collections.Counter()
        self.words = []
        self.by_worker = collections.Counter()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = []
        for target, number in (self._kept, kept), (self._single, single), \
                (self._idle, idle):
            self._threads += [threading.Thread(target=target, daemon=True)
                              for _ in range(number)]
        self._pause = pause

    def _note(self, what, why=None):
        with self._lock:
            self.count[what] += 1
            if why is not None and len(self.words) < 20:
                self.words.append("%s: %s" % (what, why))

    def _ask(self, c, target, close=False):
        """The response; None without one, which was counted."""
        try:
            c.send(harness.request("GET", target, close=close))
            r = c.response()
        except (OSError, harness.Closed) as e:
            self._note("lost" if close else "closed",
                       "%s %r, worker %s" % (time.strftime("%X"), e,
                                             getattr(c, "worker", None)))
            return None
        except AssertionError as e:
            self._note("odd", repr(e))
            return None
        if r.status != 200:
            self._note("odd", repr(r))
            return None
        self._note("served")
        c.worker = int(r.body)
        with self._lock:
            self.by_worker[c.worker] += 1
        return r

    def _connect(self):
        try:
            return harness.Conn(self.address)
        except OSError as e:
            self._note("lost", "connect: %r" % e)
            time.sleep(0.05)
            return None

    def _single(self):
        while not self._end.is_set():
            c = self._connect()
            if c is not None:
                self._ask(c, "/work", close=True)
                c.close()

    def _keep(self, pause):
        c = None
        while not self._end.is_set():
            if c is None:
                c = self._connect()
            if c is None:
                continue
            if pause and not self._wait_idle(c, pause):
                c.close()
                c = None
                continue
            r = self._ask(c, "/" if pause else "/work")
            if r is None or r.header("Connection") == "close":
                c.close()
                c = None
        if c is not None:
            c.close()

    def _kept(self):
        self._keep(0)

    def _idle(self):
        self._keep(self._pause)

    def _wait_idle(self, c, pause):
        """Waits, looking at the socket as clients with a pool do; False when
        the server has ended the connection."""
        end = time.monotonic() + pause
        while time.monotonic() < end and not self._end.is_set():
            if not c.quiet(min(0.2, pause)):
                return False
        return True

    def __enter__(self):
        for t in self._threads:
            t.start()
        self.more(20)
        return self

    def __exit__(self, *args):
        self._end.set()
        for t in self._threads:
            t.join(harness.DEADLINE)

    def more(self, number=100):
        goal = self.count["served"] + number
        wait_for(lambda: self.count["served"] >= goal, "served requests")

    def nothing_lost(self):
        bad = {k: self.count[k] for k in ("lost", "closed", "odd")
               if self.count[k]}
        assert not bad, (dict(self.count), self.words)


@pytest.fixture
def start(bicorn, compile_app):
    module = compile_app(APP)
    return lambda *args, **kw: bicorn(*args, module, **kw)


def tidy(server, workers, before):
    """As many processes and descriptors as before, none of them dead."""
    wait_for(lambda: len(server.workers()) == workers, "%d workers" % workers)
    wait_for(lambda: not zombies(os.getsid(server.pid)), "no zombie")
    wait_for(lambda: descriptors(server.pid) == before,
             "the descriptors of the arbiter: %r, not %r" % (
                 descriptors(server.pid), before), 5)


SETTINGS = {
    "tcp": [],
    "preload": ["--preload"],
    "steps": ["--reload-step", "1"],
}


@pytest.mark.parametrize("how", SETTINGS)
def test_reloads(start, how):
    server = start("-w", 2, *SETTINGS[how])
    before = settled(lambda: descriptors(server.pid))
    workers = len(server.workers())
    with Clients(server.address) as clients:
        for _ in range(often(3, 20)):
            old = server.workers()
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log(r"\] Ready", since=mark)
            clients.more()
            wait_for(lambda: not set(old) & set(server.workers()),
                     "the old to leave")
    clients.nothing_lost()
    tidy(server, workers, before)
    assert server.stop() == 0


def test_reloads_over_a_unix_socket(start, tmp_path):
    server = start("-w", 2, bind="unix:%s" % (tmp_path / "s"))
    with Clients(server.address) as clients:
        for _ in range(often(3, 20)):
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log(r"\] Ready", since=mark)
            clients.more()
    clients.nothing_lost()
    assert server.stop() == 0


def test_more_and_fewer_workers(start):
    server = start("-w", 2)
    before = settled(lambda: descriptors(server.pid))
    with Clients(server.address) as clients:
        for _ in range(often(3, 20)):
            server.signal(signal.SIGTTIN)
            wait_for(lambda: len(server.workers()) == 3, "one more")
            clients.more()
            server.signal(signal.SIGTTOU)
            wait_for(lambda: len(server.workers()) == 2, "one fewer")
    clients.nothing_lost()
    tidy(server, 2, before)
    assert server.stop() == 0


def test_upgrades(served, tmp_path):  # noqa: F811
    """Its application answers with a version and not with a pid."""
    pidfile = tmp_path / "pid"
    server = served("-w", 2)

    class Of(Clients):
        def _ask(self, c, target, close=False):
            try:
                c.send(harness.request("GET", target, close=close))
                r = c.response()
            except (OSError, AssertionError) as e:
                self._note("lost" if close else "closed", repr(e))
                return None
            self._note("served" if r.status == 200 else "odd")
            return r

    with Of(server.address) as clients:
        for _ in range(often(1, 5)):
            new = upgrade(server, pidfile)
            clients.more()
            finish(server, new, pidfile)
            clients.more()
    clients.nothing_lost()


@pytest.mark.parametrize("how", ["max_requests", "max_worker_lifetime",
                                 "max_worker_memory", "preload"])
def test_recycles(start, how):
    """Successors first: there are never fewer workers that serve."""
    args = {
        "max_requests": ["--max-requests", 40, "--max-requests-jitter", 20],
        "preload": ["--max-requests", 40, "--preload"],
        "max_worker_lifetime": ["--max-worker-lifetime", 1],
        "max_worker_memory": ["--max-worker-memory", "60M", "-e", "LEAK=1"],
    }[how]
    server = start("-w", 3, "--max-recycling", 2, *args)
    goal = often(12, 100)
    if how in ("max_worker_lifetime", "max_worker_memory"):
        goal = often(3, 30)
    seen = set()

    def recycled():
        workers = server.workers(dead=True)
        seen.update(workers)
        # Each is there until its successor is: never fewer than wanted.
        assert len(workers) >= 3
        return len(seen) >= 3 + goal

    before = settled(lambda: descriptors(server.pid))
    with Clients(server.address) as clients:
        wait_for(recycled, "%d recycles" % goal, often(30, 300))
    clients.nothing_lost()
    assert len(clients.by_worker) >= goal
    tidy(server, 4 if how == "preload" else 3, before)
    assert server.stop() == 0


def test_killed_workers(start):
    """What did not run in the worker that was killed is not lost, and what
    did is named in the log."""
    server = start("-w", 3, "--threads", 2)
    for i in range(often(3, 20)):
        hang = server.connect()
        hang.send("GET /hang/%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        mark = server.mark()
        # Its worker is the one that says it runs when it is gone.
        with Clients(server.address, kept=4, single=0, idle=0) as clients:
            clients.more(50)
            victim = server.workers()[i % 3]
            os.kill(victim, signal.SIGKILL)
            server.wait_log(r"Worker \(pid:%d\)" % victim, since=mark)
            wait_for(lambda: len(server.workers()) == 3, "a new one")
            clients.more(50)
        # One request at most of each kept connection that it had.
        assert not clients.count["odd"], clients.words
        assert all("worker %d" % victim in w for w in clients.words), \
            (victim, clients.words)
        lines = server.log.text().split("\n")[mark:]
        ran = [line for line in lines if "/hang/%d " % i in line]
        try:
            hang.sock.settimeout(0.2)
            ended = hang.sock.recv(1) == b""
        except ConnectionResetError:
            ended = True
        except socket.timeout:
            ended = False
        assert ended == bool(ran), lines
        hang.close()
    # Those that still hang are killed with it.
    server.kill()


def test_killed_workers_lose_nothing_that_waits(start):
    """Single requests: only what a worker that was killed had begun with is
    lost, which is as much as it has threads, or connections just taken."""
    server = start("-w", 2, "--threads", 2)
    kills = often(4, 30)
    with Clients(server.address, kept=0, single=6, idle=0) as clients:
        for _ in range(kills):
            clients.more(30)
            mark = server.mark()
            os.kill(server.workers()[0], signal.SIGKILL)
            server.wait_log(r"Booting worker", since=mark)
            wait_for(lambda: len(server.workers()) == 2, "a new one")
    assert clients.count["lost"] <= 6 * kills
    assert not clients.count["odd"] and not clients.count["closed"]
    assert server.stop() == 0


@pytest.mark.parametrize("how", ["tcp", "preload"])
def test_killed_arbiter(start, how):
    """The workers finish what they have and leave; the next start works at
    once."""
    for _ in range(often(1, 5)):
        server = start("-w", 3, *SETTINGS[how])
        session = server.pid
        with Clients(server.address) as clients:
            clients.more()
            os.kill(server.pid, signal.SIGKILL)
            server.process.wait()
            begun = time.monotonic()
            again = start("-w", 3, bind="127.0.0.1:%d" % server.port)
            took = time.monotonic() - begun
            clients.more()
        # Connections are refused while nobody listens: those are lost.
        assert not [w for w in clients.words if "connect" not in w], \
            clients.words
        assert not clients.count["closed"] and not clients.count["odd"]
        wait_for(lambda: not harness.processes(session), "all to leave")
        assert took < harness.DEADLINE / 2
        assert again.stop() == 0


def test_long_requests_outlive_the_arbiter(start):
    server = start("-w", 1, "--graceful-timeout", "20")
    c = server.connect()
    c.send("GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
    os.kill(server.pid, signal.SIGKILL)
    assert c.response().status == 200
    server.process.wait()
    wait_for(lambda: not harness.processes(server.pid), "all to leave")


@pytest.mark.parametrize("how", ["tcp", "preload"])
def test_many_recycles_leave_nothing_behind(start, how):
    server = start("-w", 4, "--max-requests", 1, "--max-recycling", 4,
                   *SETTINGS[how])
    goal = often(40, 1000)
    kept = how == "preload"
    for _ in range(8):
        server.get("/")
    wait_for(lambda: len(server.workers()) == 4 + kept, "four workers")
    before = settled(lambda: descriptors(server.pid))
    # Of one that is up: others may be on their way.
    inside = settled(lambda: max(
        len(descriptors(pid)) for pid in server.workers()))
    seen = set()

    def recycled():
        seen.update(server.workers())
        assert not clients.count["lost"], clients.words
        return len(seen) >= goal

    with Clients(server.address, kept=1, single=3, idle=0) as clients:
        wait_for(recycled, "%d recycles" % goal, often(60, 900))
    clients.nothing_lost()
    tidy(server, 4 + kept, before)
    # A worker has no more than the first one had, whatever came between.
    wait_for(lambda: len(descriptors(server.workers()[-1])) <= inside + 2,
             "the last clients to be closed")
    assert server.stop() == 0
    assert not harness.processes(server.pid)
