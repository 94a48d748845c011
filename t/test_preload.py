# SPDX-License-Identifier: MIT
"""preload_app: the application is loaded once, and workers are forked."""
import os
import signal
from pathlib import Path

import pytest

import harness
from harness import wait_for
from test_reload import Load

APP = '''
    import os

    LOADED = os.getpid()
    forked = None

    def after():
        global forked
        forked = os.getpid()

    os.register_at_fork(after_in_child=after)

    def app(environ, start_response):
        import gc, random
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(map(str, (
            "one", os.getpid(), LOADED, forked, os.getppid(),
            gc.get_freeze_count() > 1000, random.random()))).encode()]
'''


def named(server, what):
    """The pids of the children that are called so."""
    found = []
    for pid in server.workers():
        try:
            comm = Path("/proc/%d/comm" % pid).read_text().strip()
        except OSError:
            continue
        if comm == "bicorn-" + what:
            found.append(pid)
    return found


def ask(server):
    words = server.get("/").body.decode().split()
    return words[0], *map(int, words[1:5]), words[5] == "True", words[6]


def ask_all(server, count):
    """What `count` different workers say, by pid."""
    said = {}

    def more():
        answer = ask(server)
        said[answer[1]] = answer
        return len(said) >= count

    wait_for(more, "%d workers" % count)
    return said


def test_loads_once(wsgi):
    server = wsgi(APP, "-w", 3, "--preload")
    template, = named(server, "template")
    workers = named(server, "worker")
    assert len(workers) == 3
    said = ask_all(server, 3)
    assert sorted(said) == sorted(workers)
    for pid, (_, _, loaded, forked, parent, frozen, _) in said.items():
        assert loaded == template
        assert forked == pid            # os.register_at_fork
        assert parent == server.pid     # the arbiter sees it die
        assert frozen
    assert len({a[6] for a in said.values()}) == 3  # random is not shared
    assert server.stop() == 0
    assert not harness.processes(server.pid)


def test_reload_loads_anew(wsgi, tmp_path):
    server = wsgi(APP, "-w", 2, "--preload")
    old = server.workers()
    text = (tmp_path / "webapp.py").read_text()
    (tmp_path / "webapp.py").write_text(text.replace('"one"', '"two"'))
    with Load(server) as load:
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"\] Ready", since=mark)
        wait_for(lambda: not set(old) & set(server.workers()),
                 "the old to leave")
        load.more()
    assert not load.lost, load.lost[:5]
    assert ask(server)[0] == "two"
    assert len(named(server, "template")) == 1
    assert len(named(server, "worker")) == 2
    assert server.stop() == 0


@pytest.mark.parametrize("how", ["broken", "slow"])
def test_reload_that_fails(wsgi, tmp_path, how):
    server = wsgi(APP, "-w", 2, "--preload", "--boot-timeout",
                  "2" if how == "slow" else "60")
    before = set(server.workers())
    (tmp_path / "webapp.py").write_text(
        "1/0" if how == "broken" else "import time; time.sleep(60)")
    with Load(server) as load:
        for _ in range(2):
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log(r"\[ERROR\] Reload failed: .*"
                            r"generation 1 serves on", since=mark)
            load.more()
    assert not load.lost, load.lost[:5]
    assert set(server.workers()) == before
    assert ask(server)[0] == "one"
    assert server.stop() == 0


def test_start_that_fails(wsgi):
    server = wsgi("1/0", "--preload", "-w", 3, wait=False)
    assert server.wait() == 3
    assert server.log.text().count("ZeroDivisionError") >= 1
    assert server.log.text().count("Traceback") == 1
    server = wsgi("", "--preload", "-w", 3, target="webapp:nothing",
                  wait=False)
    assert server.wait() == 4


def test_start_that_hangs(wsgi):
    server = wsgi("import time; time.sleep(60)", "--preload",
                  "--boot-timeout", 1, wait=False)
    assert server.wait() == 3
    server.wait_log("not ready within boot_timeout")


def test_successors_come_from_it(wsgi):
    """max_requests, TTIN and a worker that was killed."""
    server = wsgi(APP, "-w", 2, "--preload", "--max-requests", 5)
    template, = named(server, "template")
    first = set(named(server, "worker"))
    with Load(server) as load:
        load.more(100)
    assert not load.lost, load.lost[:5]
    wait_for(lambda: not first & set(named(server, "worker")), "new workers")
    server.signal(signal.SIGTTIN)
    wait_for(lambda: len(named(server, "worker")) >= 3, "a third worker")
    os.kill(named(server, "worker")[0], signal.SIGKILL)
    wait_for(lambda: len(named(server, "worker")) >= 3, "a third worker")
    assert {a[2] for a in ask_all(server, 3).values()} == {template}
    assert server.stop() == 0


def test_template_that_dies_is_made_anew(wsgi):
    server = wsgi(APP, "-w", 2, "--preload")
    template, = named(server, "template")
    os.kill(template, signal.SIGKILL)
    server.wait_log(r"\[ERROR\] Template \(pid:%d\) was ended by SIGKILL"
                    % template)
    with Load(server) as load:
        server.signal(signal.SIGTTIN)
        wait_for(lambda: len(named(server, "worker")) == 3, "a worker")
        load.more()
    assert not load.lost
    said = ask_all(server, 3)
    assert len({a[2] for a in said.values()}) == 2
    assert server.stop() == 0


def test_leaves_with_the_arbiter(wsgi):
    server = wsgi(APP, "-w", 2, "--preload")
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    wait_for(lambda: not harness.processes(server.pid), "all to leave")
    again = wsgi(APP, "-w", 2, "--preload",
                 bind="127.0.0.1:%d" % server.port)
    assert ask(again)[0] == "one"


def test_threads_are_warned_of(wsgi):
    server = wsgi('''
        import threading, time
        threading.Thread(target=time.sleep, args=(600,), daemon=True,
                         name="ticker").start()

        def app(environ, start_response):
            start_response("200 OK", [])
            return [",".join(t.name for t in threading.enumerate()).encode()]
    ''', "-w", 2, "--preload")
    server.wait_log(r"\[WARNING\] 1 thread of the application will not run in "
                    r"the workers.*: ticker")
    assert b"ticker" not in server.get("/").body
    assert b"MainThread" in server.get("/").body


def test_hook_that_hangs(wsgi):
    """An application that keeps the template from forking is no reason to
    hang: this one does so from the third fork on."""
    server = wsgi('''
        import os, time
        count = 0

        def before():
            global count
            count += 1
            if count > 2:
                time.sleep(600)

        os.register_at_fork(before=before)

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"ok"]
    ''', "-w", 2, "--preload")
    server.signal(signal.SIGTTIN)
    server.wait_log(r"Template \(pid:\d+\) was ended by SIGKILL", timeout=40)
    assert server.get("/").body == b"ok"
    wait_for(lambda: len(named(server, "worker")) == 3, "a third", 40)
    assert server.stop() == 0


def test_logs_are_reopened_in_new_workers(wsgi, tmp_path):
    log = tmp_path / "access.log"
    server = wsgi(APP, "-w", 1, "--preload", "--access-logfile", log)
    ask(server)
    log.rename(tmp_path / "old.log")
    server.signal(signal.SIGUSR1)
    wait_for(log.exists, "a new log")
    first, = named(server, "worker")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: named(server, "worker") not in ([], [first]), "a worker")
    assert ask(server)[1] != first
    wait_for(lambda: "GET /" in log.read_text(), "a line")


def test_an_application_in_c(bicorn, compile_app):
    module = compile_app(r'''
        #include <bicorn/app.h>
        #include <stdlib.h>
        #include <unistd.h>

        struct app { int loaded, prepared, child; };

        static int
        load(struct bicorn_load *l)
        {
            struct app *a = calloc(1, sizeof(*a));

            a->loaded = (int)getpid();
            a->child = -(int)l->flags;
            l->app = a;
            return BICORN_LOADED;
        }

        static void
        prepare(void *app)
        {
            ((struct app *)app)->prepared++;
        }

        static void
        child(void *app)
        {
            ((struct app *)app)->child = (int)getpid();
        }

        static void
        handle(struct bicorn_exchange *x)
        {
            struct app *a = x->app;
            char text[64];
            int n = snprintf(text, sizeof(text), "%d %d %d %d", (int)getpid(),
                a->loaded, a->prepared, a->child);

            bicorn_reply(x, 200, "text/plain", text, (size_t)n);
        }

        BICORN_APP(.handle = handle, .load = load, .fork_prepare = prepare,
            .fork_child = child)
    ''')
    server = bicorn("-w", 3, "--preload", module)
    template, = named(server, "template")
    said = {}

    def all_three():
        pid, *rest = map(int, server.get("/").body.split())
        said[pid] = rest
        return len(said) == 3

    wait_for(all_three, "three workers")
    assert {rest[0] for rest in said.values()} == {template}
    assert sorted(rest[1] for rest in said.values()) == [1, 2, 3]
    assert all(rest[2] == pid for pid, rest in said.items())
    assert server.stop() == 0


def test_a_directory(bicorn, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    server = bicorn("-w", 2, "--preload", "%s/" % tmp_path)
    assert [server.get("/a.txt").body for _ in range(4)] == [b"text"] * 4
    assert server.stop() == 0


def test_stacks_are_each_workers_own(wsgi):
    """Two workers show a stack at the same time."""
    server = wsgi('''
        import os, time

        def view_that_is_slow():
            while True:
                time.sleep(0.05)

        def app(environ, start_response):
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/slow":
                view_that_is_slow()
            return [b"%d" % os.getpid()]
    ''', "-w", 2, "--threads", 1, "--preload", "--request-timeout", 1)
    conns = [server.connect() for _ in range(2)]
    for c in conns:
        c.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [c.response().status for c in conns] == [504, 504]
    assert server.log.text().count("in view_that_is_slow") >= 2
    assert server.stop() == 0


def test_settings_files_reloads_and_preload_off(wsgi, tmp_path):
    """A reload may turn it off, and on again."""
    conf = tmp_path / "bicorn.conf"
    conf.write_text("preload_app = true;\nworkers = 2;\n")
    server = wsgi(APP, "-c", conf)
    assert len(named(server, "template")) == 1
    for value, count in ("false", 0), ("true", 1):
        conf.write_text("preload_app = %s;\nworkers = 2;\n" % value)
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"\] Ready", since=mark)
        wait_for(lambda: len(named(server, "template")) == count and
                 len(named(server, "worker")) == 2, "the new ones")
        assert server.get("/").body.startswith(b"one ")
    assert server.stop() == 0
