# SPDX-License-Identifier: MIT
"""Reload: what serves goes on until its successor is ready."""
import os
import signal
import socket
import threading
import time

import pytest

import harness
from harness import wait_for
from test_arbiter import busy, life, title, who  # noqa: F401


class Load:
    """Clients that never stop: half of them keep their connection, the
    others take a new one for each request."""

    def __init__(self, server, clients=6, target="/"):
        self.address = server.address
        self.target = target
        self.lost = []
        self.served = 0
        self.bodies = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(i % 2 == 0,), daemon=True)
            for i in range(clients)]

    def _run(self, keep):
        c = None
        while not self._stop.is_set():
            try:
                if c is None:
                    c = harness.Conn(self.address)
                r = c.get(self.target, close=not keep)
                with self._lock:
                    self.served += 1
                    self.bodies.add(r.body)
                if r.status != 200:
                    raise AssertionError(repr(r))
                if not keep or r.header("Connection") == "close":
                    c.close()
                    c = None
            except (OSError, AssertionError) as e:
                with self._lock:
                    self.lost.append("%s: %r" % (
                        "kept" if keep else "single", e))
                if c is not None:
                    c.close()
                c = None
        if c is not None:
            c.close()

    def __enter__(self):
        for t in self._threads:
            t.start()
        self.more(20)
        return self

    def more(self, count=50):
        """Waits until so many more were served."""
        goal = self.served + count
        wait_for(lambda: self.served >= goal or self.lost, "served requests")

    def __exit__(self, *args):
        self._stop.set()
        for t in self._threads:
            t.join(harness.DEADLINE)


def reload(server):
    """HUP; returns when the new generation serves and the old is gone."""
    old = server.workers()
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"\] Ready", since=mark)
    wait_for(lambda: not set(old) & set(server.workers()), "the old to leave")
    return mark


@pytest.fixture
def booted(bicorn, life, tmp_path):  # noqa: F811
    """A server whose application boots as .boot says."""
    boot = tmp_path / "boot"
    boot.write_text("ok one")

    def start(*args, **kw):
        server = bicorn("-e", "LIFE_BOOT=%s" % boot, *args, life, **kw)
        server.boot = boot
        return server

    return start


def test_replaces_all_workers(booted):
    server = booted("-w", 3)
    before = server.workers()
    assert server.get("/").body == b"one"
    server.boot.write_text("ok two")
    mark = reload(server)
    server.wait_log(r"\[INFO\] Handling signal: hup", since=mark)
    server.wait_log(r"\[INFO\] Hang up: Master", since=mark)
    server.wait_log(r"\[INFO\] Ready: 3 workers", since=mark)
    assert len(server.workers()) == 3
    assert not set(before) & set(server.workers())
    assert server.get("/").body == b"two"
    assert server.process.poll() is None
    said = server.log.text()
    assert "WARNING" not in said and "ERROR" not in said


def test_loses_nothing_under_load(booted):
    server = booted("-w", 2)
    with Load(server) as load:
        for i in range(8):
            server.boot.write_text("ok %d" % i)
            reload(server)
            load.more()
    assert not load.lost, (load.served, load.lost[:5])
    assert {b"0", b"7"} <= load.bodies
    assert server.stop() == 0


def test_loses_nothing_over_a_unix_socket(booted, tmp_path):
    path = tmp_path / "s.sock"
    server = booted("-w", 2, bind="unix:%s" % path)
    inode = path.stat().st_ino
    with Load(server) as load:
        for _ in range(4):
            reload(server)
            load.more()
    assert not load.lost, (load.served, load.lost[:5])
    assert path.stat().st_ino == inode
    assert server.stop() == 0
    assert not path.exists()


def test_loses_nothing_when_it_fails(booted):
    """Broken code again and again: nobody notices but the log."""
    server = booted("-w", 2)
    workers = server.workers()
    with Load(server) as load:
        for how in "fail", "none", "exit 5", "fail":
            server.boot.write_text(how)
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log(
                r"\[ERROR\] Reload failed: worker \(pid:\d+\) did not boot.*; "
                r"generation 1 serves on", since=mark)
            load.more()
    assert not load.lost, (load.served, load.lost[:5])
    assert load.bodies == {b"one"}
    assert server.workers() == workers
    # One worker goes ahead: one failure is reported, not one per worker.
    assert server.log.text().count("told to fail") == 2 * 2
    server.boot.write_text("ok two")
    reload(server)
    assert server.get("/").body == b"two"


def test_changes_and_kills_under_load(booted):
    """More and fewer workers, replaced ones, reloads, all at once."""
    server = booted("-w", 2, "--max-requests", 100)
    with Load(server) as load:
        for _ in range(3):
            server.signal(signal.SIGTTIN)
            load.more()
            server.signal(signal.SIGHUP)
            server.signal(signal.SIGTTOU)
            load.more()
            server.signal(signal.SIGHUP)
            server.signal(signal.SIGUSR1)
            load.more(200)
    assert not load.lost, (load.served, load.lost[:5])
    assert server.stop() == 0


@pytest.mark.parametrize("broken", [
    "workers = ;\n", "threads = 0;\n", "no_such_setting = 1;\n",
    "bind = [\"127.0.0.1:notaport\"];\n"])
def test_broken_settings(bicorn, life, tmp_path, broken):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text("workers = 2;\n")
    server = bicorn("-c", conf, "--log-level", "info", life)
    workers = server.workers()
    conf.write_text(broken)
    server.signal(signal.SIGHUP)
    said = server.wait_log(r"\[ERROR\] Reload failed: (.*)").group(1)
    assert "my.conf" in said and said.endswith("generation 1 serves on")
    assert server.workers() == workers
    assert server.get("/").status == 200
    conf.unlink()
    server.signal(signal.SIGHUP)
    server.wait_log(r"\[ERROR\] Reload failed: .*No such file")
    conf.write_text("workers = 3;\n")
    reload(server)
    assert len(server.workers()) == 3
    assert server.stop() == 0


def test_settings_are_read_where_it_was_started(bicorn, life,  # noqa: F811
                                                tmp_path):
    (tmp_path / "sub").mkdir()
    conf = tmp_path / "bicorn.conf"
    conf.write_text("workers = 1;\n")
    server = bicorn("--chdir", "sub", life, cwd=tmp_path)
    conf.write_text("workers = 2; threads = 7;\n")
    reload(server)
    assert len(server.workers()) == 2
    assert who(server)["cwd"] == str(tmp_path / "sub")
    # The number of threads made the scoreboard another one.
    os.kill(server.workers()[0], signal.SIGKILL)
    wait_for(lambda: len(server.workers()) == 2, "a replacement")
    assert server.get("/").status == 200


def test_number_of_workers_is_the_settings_again(booted):
    server = booted("-w", 2)
    server.signal(signal.SIGTTIN)
    wait_for(lambda: len(server.workers()) == 3, "three workers")
    reload(server)
    wait_for(lambda: len(server.workers()) == 2, "two workers")


def test_directory_that_is_a_link(bicorn, life, tmp_path):  # noqa: F811
    """A deployment turns the link and reloads."""
    for name in "a", "b":
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("a")
    server = bicorn("--chdir", tmp_path / "current", life)
    assert who(server)["cwd"] == str(tmp_path / "a")
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("b")
    reload(server)
    assert who(server)["cwd"] == str(tmp_path / "b")


def test_environment_of_the_application(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text('raw_env = ["A=1", "B=2"];\n')
    server = bicorn("-c", conf, life)
    conf.write_text('raw_env = ["B=3"];\n')
    reload(server)
    assert server.get("/env/A").body == b"(unset)"
    assert server.get("/env/B").body == b"3"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_path_that_was_removed(bicorn, life, tmp_path, preload):  # noqa: F811
    """A reload brings it back; who is connected notices nothing."""
    path, boot = tmp_path / "s", tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-w", 2, "-e", "LIFE_BOOT=%s" % boot, *preload, life,
                    bind="unix:%s" % path)
    with server.connect() as slow:
        slow.send(harness.request(target="/sleep/700"))
        wait_for(lambda: busy(server) == 1, "a request running")
        path.unlink()
        boot.write_text("fail")
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Reload failed", since=mark)
        boot.write_text("ok")
        mark = reload(server)
        server.wait_log(r"\[WARNING\] bind = unix:.*: the path is gone",
                        since=mark)
        assert server.get("/").status == 200
        assert slow.response().status == 200
    mark = reload(server)
    assert "the path is gone" not in "\n".join(
        server.log.text().split("\n")[mark:])
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert not path.exists()


def test_listeners_come_and_go(bicorn, life, tmp_path):  # noqa: F811
    """Under load on one that stays."""
    conf, kept = tmp_path / "my.conf", tmp_path / "kept.sock"
    left, new = tmp_path / "left.sock", tmp_path / "new.sock"
    ports = free_port(), free_port()

    def write(*binds):
        conf.write_text("bind = [%s];\n" % ", ".join(
            '"%s"' % b for b in binds))

    write("unix:%s" % kept, "unix:%s" % left, "127.0.0.1:%d" % ports[0])
    server = bicorn("-c", conf, "-w", 2, life, bind=None, wait=False)
    server.wait_log("Ready")
    server.address = str(kept)
    inode = kept.stat().st_ino
    with Load(server) as load:
        write("unix:%s" % kept, "unix:%s" % new, "127.0.0.1:%d" % ports[1])
        mark = reload(server)
        server.wait_log(r"Listening at: unix:%s,unix:%s,http://127\.0\.0\.1:"
                        r"%d \(%d\)" % (kept, new, ports[1], server.pid),
                        since=mark)
        load.more()
    assert not load.lost, (load.served, load.lost[:5])
    assert kept.stat().st_ino == inode
    assert not left.exists()
    with pytest.raises(ConnectionRefusedError):
        harness.Conn(("127.0.0.1", ports[0]))
    for address in str(new), ("127.0.0.1", ports[1]):
        with harness.Conn(address) as c:
            assert c.get("/").status == 200
    assert server.stop() == 0
    assert not kept.exists() and not new.exists()


def test_listeners_of_a_reload_overtaken(bicorn, life, tmp_path):  # noqa: F811
    """What a reload has opened is the next one's, if that comes before."""
    conf, boot = tmp_path / "my.conf", tmp_path / "boot"
    lost, new, port = tmp_path / "lost", tmp_path / "new", free_port()
    conf.write_text('bind = ["unix:%s"];\n' % lost)
    boot.write_text("ok")
    server = bicorn("-c", conf, "-e", "LIFE_BOOT=%s" % boot, life, bind=None,
                    wait=False)
    server.wait_log("Ready")
    conf.write_text('bind = ["unix:%s", "unix:%s", "127.0.0.1:%d"];\n' % (
        lost, new, port))
    lost.unlink()
    boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("life: hangs", since=mark)
    boot.write_text("ok")
    reload(server)
    for address in str(lost), str(new), ("127.0.0.1", port):
        with harness.Conn(address) as c:
            assert c.get("/").status == 200
    assert server.stop() == 0
    assert not lost.exists() and not new.exists()


def test_listener_that_cannot_be_opened(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text('bind = ["127.0.0.1:0"];\n')
    server = bicorn("-c", conf, life, bind=None)
    workers = server.workers()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        conf.write_text('bind = ["127.0.0.1:0", "unix:%s/n.sock", '
                        '"127.0.0.1:%d"];\n' % (
                            tmp_path, taken.getsockname()[1]))
        server.signal(signal.SIGHUP)
        server.wait_log(r"\[ERROR\] Reload failed: .*:%d.*in use.*; "
                        "generation 1 serves on" % taken.getsockname()[1])
    assert server.workers() == workers
    assert not (tmp_path / "n.sock").exists()
    assert server.get("/").status == 200
    reload(server)
    assert (tmp_path / "n.sock").exists()


def test_listener_of_a_candidate_that_fails(bicorn, life,  # noqa: F811
                                            tmp_path):
    conf, boot = tmp_path / "my.conf", tmp_path / "boot"
    boot.write_text("ok")
    conf.write_text('bind = ["unix:%s/a.sock"];\n' % tmp_path)
    server = bicorn("-c", conf, "-e", "LIFE_BOOT=%s" % boot, life, bind=None)
    boot.write_text("fail")
    conf.write_text('bind = ["unix:%s/a.sock", "unix:%s/b.sock"];\n' % (
        tmp_path, tmp_path))
    server.signal(signal.SIGHUP)
    server.wait_log("Reload failed: worker")
    wait_for(lambda: not (tmp_path / "b.sock").exists(), "b.sock to go")
    assert (tmp_path / "a.sock").exists()
    assert server.get("/").status == 200


def test_listener_of_settings_that_fail(bicorn, life,  # noqa: F811
                                        tmp_path):
    """It was opened before the log could not be."""
    conf = tmp_path / "my.conf"
    conf.write_text('bind = ["unix:%s/a.sock"];\n' % tmp_path)
    server = bicorn("-c", conf, life, bind=None)
    conf.write_text('bind = ["unix:%s/a.sock", "unix:%s/b.sock"];\n'
                    'errorlog = "/no/such/dir/e.log";\n'
                    % (tmp_path, tmp_path))
    server.signal(signal.SIGHUP)
    server.wait_log("Reload failed: .*/no/such/dir/e.log")
    assert not (tmp_path / "b.sock").exists()
    assert server.get("/").status == 200


def test_log_of_a_candidate_that_fails(bicorn, life, tmp_path):  # noqa: F811
    """What comes of it is said where one looks, now as before."""
    conf, boot = tmp_path / "my.conf", tmp_path / "boot"
    boot.write_text("ok")
    conf.write_text("")
    server = bicorn("-c", conf, "-e", "LIFE_BOOT=%s" % boot, life,
                    cwd=tmp_path)
    boot.write_text("fail")
    conf.write_text('errorlog = "b.log";\n')
    server.signal(signal.SIGHUP)
    server.wait_log("Reload failed: worker")
    said = (tmp_path / "b.log").read_text()
    server.signal(signal.SIGUSR1)
    assert server.stop() == 0
    assert (tmp_path / "b.log").read_text() == said
    assert "Shutting down: Master" in server.log.text()


def test_logs_change(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text('accesslog = "a.log";\n')
    server = bicorn("-c", conf, life, cwd=tmp_path)
    server.get("/first")
    wait_for(lambda: "/first" in (tmp_path / "a.log").read_text(), "a line")
    conf.write_text('accesslog = "b.log"; errorlog = "e.log"; '
                    'access_log_format = "%(m)s %(U)s";\n'
                    'loglevel = "warning";\n')
    old = server.workers()
    server.signal(signal.SIGHUP)
    wait_for(lambda: server.workers() and
             not set(old) & set(server.workers()), "new workers")
    server.get("/second")
    wait_for(lambda: (tmp_path / "b.log").read_text() == "GET /second\n",
             "a line")
    assert "/second" not in (tmp_path / "a.log").read_text()
    assert (tmp_path / "e.log").read_text() == ""
    # A reload that fails leaves the log of the one that serves.
    conf.write_text('errorlog = "/no/such/dir/e.log";\n')
    server.signal(signal.SIGHUP)
    wait_for(lambda: "Reload failed: " in (tmp_path / "e.log").read_text(),
             "the error in the log")
    assert server.get("/third").status == 200


def test_what_cannot_change_is_said(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text("")
    server = bicorn("-c", conf, "-p", tmp_path / "one.pid", life)
    conf.write_text('chdir = "/"; user = "nobody"; reuse_port = true;\n')
    mark = reload(server)
    server.wait_log(r"\[WARNING\] chdir was changed: that counts from the "
                    r"next start on", since=mark)
    server.wait_log(r"\[WARNING\] user was changed", since=mark)
    server.wait_log(r"\[WARNING\] reuse_port was changed", since=mark)
    said = who(server)
    assert said["cwd"] != "/" and said["uid"] == str(os.getuid())
    mark = reload(server)
    server.wait_log(r"Ready", since=mark)


def test_pid_file_is_written_again(booted, tmp_path):
    path = tmp_path / "pid"
    server = booted("-p", path)
    path.unlink()
    reload(server)
    assert path.read_text() == "%d\n" % server.pid
    assert server.stop() == 0
    assert not path.exists()


def test_title_changes(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "my.conf"
    conf.write_text('proc_name = "one";\n')
    server = bicorn("-c", conf, life)
    assert title(server.pid) == "bicorn: master [one]"
    conf.write_text('proc_name = "the second name";\n')
    reload(server)
    assert title(server.pid) == "bicorn: master [the second name]"
    assert title(server.workers()[0]) == "bicorn: worker [the second name]"


def test_graceful_timeout_bounds_the_old(booted):
    server = booted("--graceful-timeout", 1)
    old = server.workers()
    with server.connect() as c:
        c.send(harness.request(target="/sleep/30000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        start = time.monotonic()
        reload(server)
        assert 0.9 < time.monotonic() - start < 5
    server.wait_log(r"Worker \(pid:%d\) was running: GET /sleep/30000" % old[0])
    assert server.get("/").status == 200


def test_long_request_is_finished_by_the_old(booted):
    server = booted()
    with server.connect() as c:
        c.send(harness.request(target="/sleep/1500"))
        wait_for(lambda: busy(server) == 1, "a request running")
        server.boot.write_text("ok two")
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Ready", since=mark)
        wait_for(lambda: server.get("/").body == b"two", "the new one")
        assert c.response().body == b"one"


def test_arbiter_listens_while_it_reloads(booted):
    """A boot that hangs holds up nothing; the next reload replaces it."""
    server = booted("-w", 2, "--timeout", 2)
    server.boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)",
                              since=mark).group(1))
    server.wait_log("life: hangs", since=mark)  # it has read the file
    assert server.get("/").body == b"one"
    # A silent worker of those that serve is still found out.
    silent = [w for w in server.workers() if w != pid][0]
    server.boot.write_text("ok two")
    os.kill(silent, signal.SIGSTOP)
    server.wait_log(r"WORKER TIMEOUT \(pid:%d\)" % silent)
    wait_for(lambda: silent not in server.workers() and
             len(server.workers()) == 3, "a replacement")
    reload(server)
    assert pid not in server.workers()
    assert server.get("/").body == b"two"
    server.boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"Booting", since=mark)
    assert server.stop(timeout=5) == 0


def test_hurried_reloads(booted):
    """Each begins anew with the newest settings; the last one counts."""
    server = booted("-w", 2)
    with Load(server) as load:
        for i in range(10):
            server.boot.write_text("ok %d" % i)
            server.signal(signal.SIGHUP)
            load.more(3)
        wait_for(lambda: server.get("/").body == b"9", "the newest")
        wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert not load.lost, (load.served, load.lost[:5])
    assert server.stop() == 0


def test_candidate_that_is_killed(booted):
    server = booted("-w", 2)
    server.boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)",
                              since=mark).group(1))
    os.kill(pid, signal.SIGKILL)
    server.wait_log(r"Reload failed: worker \(pid:%d\) did not boot" % pid)
    assert server.get("/").body == b"one"
    assert len(server.workers()) == 2


def test_candidate_that_does_not_come_to_an_end(booted):
    server = booted("-w", 2, "--boot-timeout", "500ms")
    server.boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"\[ERROR\] Reload failed: worker \(pid:\d+\) did not "
                    r"boot within boot_timeout; generation 1 serves on",
                    since=mark)
    assert server.get("/").body == b"one"
    server.boot.write_text("ok two")
    reload(server)
    assert server.get("/").body == b"two"
    assert server.stop() == 0


def test_reload_before_the_start_is_through(bicorn, life,  # noqa: F811
                                            tmp_path):
    boot = tmp_path / "boot"
    boot.write_text("hang")
    server = bicorn("-e", "LIFE_BOOT=%s" % boot, "-w", 2, life, wait=False)
    server.wait_log("life: hangs")
    boot.write_text("ok")
    server.signal(signal.SIGHUP)
    server.wait_ready()
    wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert server.get("/").status == 200
    assert server.stop() == 0


def test_reuse_port(booted):
    server = booted("-w", 2, "--reuse-port")
    server.boot.write_text("ok two")
    reload(server)
    for _ in range(20):
        assert server.get("/").body == b"two"
    server.boot.write_text("fail")
    server.signal(signal.SIGHUP)
    server.wait_log("Reload failed")
    for _ in range(20):
        assert server.get("/").body == b"two"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_dropped_user(bicorn, life, open_dir):  # noqa: F811
    tmp_path = open_dir
    server = bicorn("-u", "nobody", "-g", "nogroup", "-b",
                    "unix:%s/s.sock" % tmp_path, life, bind=None, wait=False)
    server.wait_log("Ready")
    server.address = "%s/s.sock" % tmp_path
    reload(server)
    assert who(server)["uid"] == "65534"


MODULE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


@pytest.mark.python
def test_python_code(bicorn, tmp_path):
    """New code is served; code that does not compile is not."""
    module = tmp_path / "webapp.py"
    module.write_text(MODULE % "one")
    server = bicorn("-w", 2, "webapp:app", cwd=tmp_path)
    assert server.get("/").body == b"one"
    module.write_text(MODULE % "two, longer")
    reload(server)
    assert server.get("/").body == b"two, longer"
    workers = server.workers()
    for broken in "def app(:\n", "import nosuchmodule\n", "app = 1\n":
        module.write_text(broken)
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Reload failed: worker", since=mark)
        assert server.workers() == workers
        assert server.get("/").body == b"two, longer"
    assert server.log.text().count("\nSyntaxError") == 1
    assert server.log.text().count("\nModuleNotFoundError") == 1
    assert server.stop() == 0


@pytest.mark.python
def test_python_under_load(bicorn, tmp_path):
    module = tmp_path / "webapp.py"
    module.write_text(MODULE % "0")
    server = bicorn("-w", 2, "webapp:app", cwd=tmp_path)
    with Load(server) as load:
        for i in range(1, 6):
            module.write_text(MODULE % ("x" * i))
            reload(server)
            load.more()
    assert not load.lost, (load.served, load.lost[:5])
    assert b"xxxxx" in load.bodies
