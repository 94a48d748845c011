# SPDX-License-Identifier: MIT
"""The hooks of the arbiter, which run in a helper process: those of a
settings file in Python and those of an application in C."""
import os
import re
import signal
import socket
import textwrap

import pytest

import harness
from harness import wait_for
from test_dropin import ROWS

python = pytest.mark.skipif(not harness.HAS_PYTHON,
                            reason="built without Python")

APP = '''
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
'''


@pytest.fixture
def conf(tmp_path):
    def write(text):
        (tmp_path / "gunicorn.conf.py").write_text(textwrap.dedent(text))
        (tmp_path / "app.py").write_text(APP)
        return tmp_path
    return write


def helper_of(server):
    found = [pid for pid in harness.children(server.pid)
             if harness.is_helper(pid)]
    return found[0] if found else None


ALL = '''
    import os
    count = 0
    def on_starting(server):
        global count
        count = 1
        server.log.info("H on_starting %s", server.pid == os.getppid())
    def when_ready(server):
        server.log.info("H when_ready %d %s", count, server.num_workers)
    def pre_fork(server, worker):
        server.log.info("H pre_fork %s", worker.age)
    def child_exit(server, worker):
        server.log.info("H child_exit %s %s", worker.pid, worker.age)
    def nworkers_changed(server, new, old):
        server.log.info("H nworkers_changed %s %s", new, old)
    def on_reload(server):
        server.log.info("H on_reload")
    def on_exit(server):
        server.log.info("H on_exit")
'''


@python
def test_all_of_them(bicorn, conf):
    server = bicorn("app:app", "-w", "2", cwd=conf(ALL))
    for line in ("H on_starting True", "H pre_fork 1", "H pre_fork 2",
                 "H nworkers_changed 2 None", "H when_ready 1 2"):
        server.wait_log(line)
    log = server.log.text()
    assert log.index("H on_starting") < log.index("Listening at")
    first = server.workers()[0]
    server.signal(signal.SIGTTIN)
    server.wait_log("H nworkers_changed 3 2")
    server.wait_log("H pre_fork 3")
    os.kill(first, signal.SIGKILL)
    server.wait_log("H child_exit %d " % first)
    for _ in range(2):  # after the first there are as many as before
        at = server.log.count()
        server.signal(signal.SIGHUP)
        server.log.wait("H on_reload", since=at)
        server.log.wait("Ready: 2 workers", since=at)
    wait_for(lambda: sum(map(harness.is_helper,
                             harness.children(server.pid))) == 1, "one helper")
    assert server.stop() == 0
    log = server.log.text()
    assert log.count("H on_exit") == 1 and log.count("H when_ready") == 1
    assert log.count("H child_exit") == log.count("H pre_fork")
    assert re.findall("H nworkers_changed (.*)", log) == [
        "2 None", "3 2", "2 3"]
    assert harness.processes(server.pid) == []


@python
def test_requests_are_told_beside_a_log_of_errors(bicorn, conf):
    """Python has the error log only, and the hooks of requests go on."""
    where = conf('''
        logconfig_dict = {
            "version": 1, "disable_existing_loggers": False,
            "handlers": {"h": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["h"]},
            "loggers": {"gunicorn.error": {
                "handlers": ["h"], "level": "INFO", "propagate": False}}}
        def pre_request(worker, req):
            worker.log.info("H pre_request %s", req.path)
    ''')
    server = bicorn("app:app", cwd=where)
    server.get("/there")
    server.wait_log("H pre_request /there")


@python
def test_no_helper_without_hooks(bicorn, conf):
    server = bicorn("app:app", cwd=conf("threads = 2"))
    assert helper_of(server) is None


@python
def test_on_starting_that_fails(run, conf):
    proc = run("app:app", "-b", "127.0.0.1:0", cwd=conf('''
        def on_starting(server): raise RuntimeError("not today")
    '''))
    assert proc.returncode == 1
    assert "not today" in proc.stderr and "on_starting failed" in proc.stderr
    assert "Listening" not in proc.stderr


SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGTTIN", "SIGUSR2"]


@python
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_that_nobody_reads(run, conf, number):
    """Of a start that fails: it ends as it would without."""
    proc = run("app:app", "-b", "127.0.0.1:0", cwd=conf('''
        import os, signal
        def on_starting(server):
            os.kill(os.getppid(), signal.%s)
            raise RuntimeError("not today")
    ''' % number))
    assert proc.returncode == 1
    assert "on_starting failed" in proc.stderr


@python
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_at_the_very_end(bicorn, conf, number):
    server = bicorn("app:app", cwd=conf('''
        import os, signal
        def on_exit(server):
            os.kill(os.getppid(), signal.%s)
    ''' % number))
    assert server.stop() == 0


@python
def test_hook_that_fails(bicorn, conf):
    server = bicorn("app:app", cwd=conf('''
        def when_ready(server): raise RuntimeError("oops")
        def on_exit(server): server.log.info("H on_exit")
    '''))
    server.wait_log("Exception in when_ready hook")
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert "H on_exit" in server.log.text()


LISTENERS = '''
    def told(log, what, listeners):
        log.info("H %s %s", what, " ".join(
            ("%s=%r=%r=%d" % (l, l.getsockname(), l.cfg_addr, l.is_ssl))
            .replace(" ", "") for l in listeners))
    def on_starting(server): told(server.log, "on_starting", server.LISTENERS)
    def when_ready(server): told(server.log, "when_ready", server.LISTENERS)
    def on_reload(server): told(server.log, "on_reload", server.LISTENERS)
    def post_fork(server, worker):
        told(server.log, "post_fork", server.LISTENERS)
    def post_worker_init(worker):
        told(worker.log, "post_worker_init", worker.sockets)
        try:
            worker.sockets[0].fileno()
        except OSError as e:
            worker.log.info("H no fileno: %s", e)
    def worker_exit(server, worker):
        told(server.log, "worker_exit", server.LISTENERS)
    preload_app = PRELOAD
'''


@python
@pytest.mark.parametrize("preload", [False, True])
def test_listeners_that_there_are(bicorn, conf, preload, tmp_path):
    """server.LISTENERS and worker.sockets, as texts and as addresses."""
    path = tmp_path / "s.sock"
    server = bicorn("app:app", "-b", "unix:%s" % path, "-b", "[::1]:0",
                    cwd=conf(LISTENERS.replace("PRELOAD", str(preload))))
    first, second = server.listeners[0], server.listeners[2]
    port = int(second.rsplit(":", 1)[1])
    assert re.search(r"H on_starting *$", server.log.text(), re.M)
    wanted = " ".join((
        "%s=('127.0.0.1',%d)=('127.0.0.1',0)=0" % (first, server.port),
        "unix:%s='%s'='%s'=0" % (path, path, path),
        "%s=('::1',%d,0,0)=('::1',0)=0" % (second, port)))
    for what in "when_ready", "post_fork", "post_worker_init":
        assert server.wait_log("H %s (.+)" % what).group(1) == wanted
    server.wait_log("H no fileno: ")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    said = server.wait_log("H post_fork (.+)", since=mark).group(1)
    assert said == wanted
    said = server.wait_log("H on_reload (.+)", since=mark).group(1)
    assert said == wanted
    assert server.wait_log("H worker_exit (.+)").group(1) == wanted


@python
def test_workers_that_there_are(bicorn, conf):
    """server.WORKERS: pid to worker, as they come and go."""
    server = bicorn("app:app", "-w", "2", cwd=conf('''
        def told(server, what):
            server.log.info("H %s %s", what, " ".join(
                "%d=%d" % (pid, worker.age)
                for pid, worker in sorted(server.WORKERS.items())
                if worker.pid == pid))
        def when_ready(server):
            told(server, "ready")
        def child_exit(server, worker):
            told(server, "after %d" % worker.age)
        def nworkers_changed(server, new, old):
            told(server, "of %d" % new)
    '''))
    first, second = server.workers()
    both = {"%d=1" % first, "%d=2" % second}, {"%d=2" % first, "%d=1" % second}
    assert set(server.wait_log(r"H ready (.+)").group(1).split()) in both
    one = int(re.search(r"(\d+)=1", server.log.text()).group(1))
    other = first + second - one
    os.kill(one, signal.SIGKILL)
    assert server.wait_log(r"H after 1 (.*)").group(1) == "%d=2" % other
    wait_for(lambda: len(server.workers()) == 2, "the next worker")
    third = [pid for pid in server.workers() if pid != other][0]
    server.signal(signal.SIGTTIN)
    assert set(server.wait_log(r"H of 3 (.*)").group(1).split()) >= {
        "%d=2" % other, "%d=3" % third}


@python
def test_pre_exec(bicorn, conf):
    """Before USR2 starts the executable again, which waits for it."""
    server = bicorn("app:app", cwd=conf('''
        import os, time
        def pre_exec(server):
            time.sleep(0.2)
            server.log.info("H pre_exec %s", server.pid == os.getppid())
    '''))
    server.signal(signal.SIGUSR2)
    new = int(server.wait_log(r"Upgrade: the new arbiter is pid (\d+)")
              .group(1))
    log = server.log.text()
    assert "H pre_exec True" in log
    assert log.index("H pre_exec") < log.index("Upgrade: the new arbiter")
    server.wait_log(r"\[%d\] \[INFO\] Ready" % new)
    os.kill(new, signal.SIGTERM)
    server.wait_log("Upgrade: .*%d" % new, since=server.log.count())
    assert server.get("/").status == 200


@python
def test_helper_that_dies(bicorn, conf):
    server = bicorn("app:app", cwd=conf('''
        import os
        def when_ready(server): os._exit(9)
        def child_exit(server, worker): server.log.info("H child_exit")
    '''))
    wait_for(lambda: helper_of(server) is None, "the end of the helper")
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_log(r"The helper process \(pid:\d+\) has ended")
    wait_for(lambda: server.get("/").status == 200, "the next worker")


@python
def test_helper_with_a_handler(bicorn, conf):
    """A signal that the settings file handles does not end the helper."""
    server = bicorn("app:app", cwd=conf('''
        import signal
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        def child_exit(server, worker): server.log.info("H seen %s", seen)
    '''))
    os.kill(helper_of(server), signal.SIGUSR1)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_log(r"H seen \[1\]")


@python
def test_helper_does_not_outlive(bicorn, conf):
    server = bicorn("app:app", cwd=conf('''
        def on_exit(server): pass
    '''))
    helper = helper_of(server)
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: helper not in harness.processes(server.pid),
             "the end of the helper")
    wait_for(lambda: not harness.processes(server.pid), "the workers' end")


@python
def test_slow_hook_holds_up_nobody(bicorn, conf):
    server = bicorn("app:app", "-w", "2", cwd=conf('''
        import time
        def when_ready(server): time.sleep(600)
    '''))
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert "a hook does not end" in server.log.text()


@python
def test_sockets_are_not_kept(bicorn, conf):
    """The helper has nothing of the arbiter's open: not the listeners."""
    server = bicorn("app:app", cwd=conf(ALL))
    server.wait_log("H when_ready")
    at = server.log.count()
    server.signal(signal.SIGHUP)
    server.log.wait("Ready", since=at)
    wait_for(lambda: sum(map(harness.is_helper,
                             harness.children(server.pid))) == 1, "one helper")
    folder = "/proc/%d/fd/" % helper_of(server)
    links = [os.readlink(folder + fd) for fd in os.listdir(folder)]
    assert sum(link.startswith("socket:") for link in links) <= 1, links


def test_prometheus(bicorn, conf):
    """The recipe for more than one worker: child_exit ends their files."""
    pytest.importorskip("prometheus_client")
    if not harness.HAS_PYTHON:
        pytest.skip("built without Python")
    where = conf('''
        from prometheus_client import multiprocess
        def child_exit(server, worker):
            multiprocess.mark_process_dead(worker.pid)
            server.log.info("H dead %s", worker.pid)
    ''')
    (where / "metrics").mkdir()
    (where / "app.py").write_text(textwrap.dedent('''
        from prometheus_client import (CollectorRegistry, Counter, Gauge,
                                       generate_latest, multiprocess)
        SEEN = Counter("seen", "requests")
        LIVE = Gauge("live", "workers", multiprocess_mode="livesum")
        LIVE.set(1)
        def app(environ, start_response):
            SEEN.inc()
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [generate_latest(registry)]
    '''))
    server = bicorn("app:app", "-w", "2", cwd=where,
                    env={"PROMETHEUS_MULTIPROC_DIR": str(where / "metrics")})

    def value(name):
        """None while the library finds a file that another one is making."""
        text = server.get("/").body.decode()
        found = re.search(r"^%s ([\d.]+)" % name, text, re.M)
        return found and float(found[1])
    assert value("live") == 2.0
    seen = value("seen_total")
    first = server.workers()[0]
    os.kill(first, signal.SIGKILL)
    server.wait_log("H dead %d" % first)
    wait_for(lambda: len(server.workers()) == 2, "two workers")
    wait_for(lambda: value("live") == 2.0, "the gauge of those that live")
    assert value("seen_total") > seen


@python
def test_settings_that_there_are(bicorn, conf):
    """A hook may ask for each of gunicorn's, set or not."""
    where = conf("""
        import os
        NAMES = %r
        statsd_prefix = "shop"
        user, group = os.getuid(), os.getgid()
        secure_scheme_headers = {"X-P": "https"}
        def post_fork(server, worker):
            cfg = server.cfg
            for name in NAMES:
                value = getattr(cfg, name)
                assert cfg.settings[name].get() == value, name
            assert cfg.statsd_host is None and cfg.pythonpath is None
            assert cfg.statsd_prefix == "shop"
            assert cfg.raw_env == [] and cfg.env == {}
            assert cfg.chdir == os.getcwd() and not cfg.is_ssl
            assert cfg.proc_name == cfg.default_proc_name == "app:app"
            assert cfg.uid == cfg.user == os.getuid()
            assert cfg.gid == cfg.group == os.getgid()
            assert cfg.secure_scheme_headers == {"X-P": "https"}
            assert cfg.post_fork is post_fork and cfg.worker_int(worker) is None
            assert cfg.worker_class_str == "gthread"
            assert worker.tmp.last_update() > 0
            assert server.log.error_log.name == "gunicorn.error"
            worker.log.info("H all of them")
    """ % [row[0] for row in ROWS if row[3] not in ("ignored", "refused")
           and row[0] not in ("protocol", "control_socket")])
    server = bicorn("app:app", cwd=where)
    assert "H all of them" in server.log.text()


@python
@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_application_that_a_hook_wraps(bicorn, conf, options):
    where = conf("""
        def post_worker_init(worker):
            inner = worker.wsgi
            assert worker.app.callable is inner is worker.app.wsgi()
            def wrapped(environ, start_response):
                return [b.upper() for b in inner(environ, start_response)]
            worker.wsgi = wrapped
    """)
    server = bicorn("-w", "2", *options, "app:app", cwd=where)
    assert server.get("/").body == b"OK"


@python
def test_hook_that_spoils_the_application(run, conf):
    proc = run("app:app", cwd=conf("""
        bind = "127.0.0.1:0"
        def post_worker_init(worker):
            worker.wsgi = None
    """))
    assert proc.returncode == 3, proc.stderr
    assert "worker.wsgi is not callable" in proc.stderr


@python
def test_thread_of_a_hook(bicorn, conf):
    """Like prometheus_client.start_http_server() in when_ready: it runs
    while the helper waits for the next moment."""
    where = conf('''
        import socket, threading
        def serve(listener):
            while True:
                c = listener.accept()[0]
                c.sendall(b"hits 1")
                c.close()
        def when_ready(server):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind("metrics.sock")
            listener.listen()
            threading.Thread(target=serve, args=(listener,),
                             daemon=True).start()
            server.log.error_log.info("H listens")
    ''')
    server = bicorn("app:app", cwd=where)
    server.wait_log(r"\[INFO\] H listens")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(harness.DEADLINE)
            c.connect(str(where / "metrics.sock"))
            assert c.recv(100) == b"hits 1"


@python
def test_agent_in_post_fork(bicorn, conf):
    """Like the agents of New Relic or Sentry: started after the fork, with a
    thread that reports what the wrapped application did."""
    where = conf('''
        import os
        def post_fork(server, worker):
            import agent
            agent.start(worker.pid)
        def worker_exit(server, worker):
            import agent
            agent.stop()
    ''')
    (where / "agent.py").write_text(textwrap.dedent('''
        import os, queue, threading
        events = queue.Queue()
        def report():
            while True:
                item = events.get()
                if item is None: return
                os.write(2, ("agent %d: %s\\n" % (os.getpid(), item)).encode())
        def start(pid):
            global thread
            assert pid == os.getpid()
            thread = threading.Thread(target=report, daemon=True)
            thread.start()
        def stop():
            events.put("flushed"); events.put(None); thread.join()
    '''))
    (where / "app.py").write_text(textwrap.dedent('''
        import agent
        def app(environ, start_response):
            agent.events.put(environ["PATH_INFO"])
            start_response("200 OK", [("Content-Length", "0")])
            return []
    '''))
    server = bicorn("app:app", cwd=where)
    pid = server.workers()[0]
    server.get("/seen")
    server.wait_log("agent %d: /seen" % pid)
    server.stop()
    assert "agent %d: flushed" % pid in server.log.text()


@python
def test_post_request_keeps_nothing(bicorn, conf):
    """What is made for the hook goes with the request."""
    where = conf('''
        def post_request(worker, req, environ, resp):
            pass
    ''')
    (where / "app.py").write_text(textwrap.dedent("""
        import sys

        def app(environ, start_response):
            start_response("200 A reason of some length", [])
            return [b"%d" % sys.getallocatedblocks()]
    """))
    server = bicorn("-c", "gunicorn.conf.py", "--workers", "1", "--threads",
                    "1", "app:app", cwd=where)
    with server.connect() as c:
        for _ in range(1000):
            before = int(c.get("/").body)
        for _ in range(1000):
            after = int(c.get("/").body)
    assert after - before < 500


@python
@pytest.mark.parametrize("rest, status", [
    (b"3\r\nabcX", "400 Bad Request"),
    (b"3\r\nabc\r\n400\r\nx", "413 Content Too Large"),
    (b"3\r\nab", "408 Request Timeout"),
    (b"0\r\n\r\n", "500 Internal Server Error"),
])
def test_post_request_hears_what_was_answered(bicorn, conf, rest, status):
    """... in place of the application, and not what that had begun."""
    where = conf('''
        def post_request(worker, req, environ, resp):
            worker.log.info("H %s, %d", resp.status, resp.status_code)
    ''')
    (where / "app.py").write_text(textwrap.dedent("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.input"].read(), None]
    """))
    server = bicorn("-c", "gunicorn.conf.py", "--stream-body",
                    "--limit-request-body", "1000", "--body-timeout", "0.5",
                    "app:app", cwd=where)
    with server.connect() as c:
        c.send(harness.request("POST", "/", {
            "Transfer-Encoding": "chunked", "Expect": "100-continue"}))
        c.until(b"100 Continue\r\n\r\n")
        c.send(rest)
        assert c.rest().startswith(b"HTTP/1.1 %s\r\n" % status.encode())
    server.wait_log(r"H %s, %s$" % (status, status[:3]))


# ---- applications in C ----

NATIVE = r'''
#include <unistd.h>
#include <bicorn/app.h>

static const char *const names[] = { "post_fork", "post_worker_init",
    "worker_int", "worker_exit", "worker_abort", "pre_request",
    "post_request", "on_starting", "when_ready", "on_reload", "pre_fork",
    "child_exit", "nworkers_changed", "pre_exec", "on_exit" };

static int
hear(void *app, const struct bicorn_event *e)
{
	(void)app;
	bicorn_logf(e->server, BICORN_LOG_INFO, "H %s worker=%d number=%u "
	    "status=%d workers=%u before=%u path=%.*s", names[e->moment],
	    e->worker, e->number, e->status, e->workers, e->workers_before,
	    e->exchange != NULL ? (int)e->exchange->request->path.len : 0,
	    e->exchange != NULL ? e->exchange->request->path.ptr : "");
	if (e->moment == BICORN_PRE_REQUEST)
		return bicorn_str_eq(e->exchange->request->path, "/no");
	return 0;
}

static void
handle(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", "ok", 2);
}

BICORN_APP(.handle = handle, .event = hear, .events = 0x7fff)
'''


def test_application_in_c(bicorn, compile_app):
    app = compile_app(NATIVE)
    server = bicorn(app)
    for line in (r"H on_starting worker=0", r"H pre_fork worker=0 number=1",
                 r"H post_fork worker=[1-9]\d* number=1",
                 r"H post_worker_init worker=[1-9]\d*", "H when_ready",
                 r"H nworkers_changed .* workers=1 before=0"):
        server.wait_log(line)
    pid = server.workers()[0]
    assert server.get("/yes").status == 200
    server.wait_log("H pre_request worker=%d .*path=/yes" % pid)
    server.wait_log("H post_request worker=%d .*status=200 .*path=/yes" % pid)
    assert server.get("/no").status == 500
    server.wait_log("H post_request .*status=500 .*path=/no")
    server.signal(signal.SIGINT)
    server.wait_log("H worker_int worker=%d" % pid)
    server.wait_log("H worker_exit worker=%d" % pid)
    server.wait_log("H child_exit worker=%d number=1 status=0" % pid)
    server.wait_log("H on_exit")


@python
def test_python_hooks_of_an_application_in_c(bicorn, compile_app, conf):
    server = bicorn(compile_app(NATIVE.replace("0x7fff", "0")), cwd=conf('''
        def post_fork(server, worker): pass
        def when_ready(server): server.log.info("H when_ready")
    '''))
    server.wait_log(r"post_fork \(gunicorn.conf.py, line 2\) does not run")
    server.wait_log("H when_ready")


def test_application_in_c_without_hooks(bicorn, compile_app):
    server = bicorn(compile_app(NATIVE.replace("0x7fff", "0")))
    assert server.get("/no").status == 200
    assert "H " not in server.log.text()
    wait_for(lambda: helper_of(server) is None, "the end of the helper")


@python
def test_helpers_leave_in_reloads(bicorn, conf):
    """Nobody else keeps their sockets open, the admin process neither."""
    where = conf("""
        control_socket = "ctl"
        def on_exit(server):
            pass
    """)
    server = bicorn("app:app", "-w", "1", cwd=where)
    for _ in range(2):
        mark = server.log.count()
        server.signal(signal.SIGHUP)
        server.wait_log("Ready: 1 worker", since=mark)
    wait_for(lambda: sum(harness.is_helper(pid) for pid
                         in harness.children(server.pid)) == 1,
             "the helpers of before to leave")


@python
def test_settings_that_let_go_and_do_not_end(bicorn, conf):
    """The process that reads them is killed, and nobody waits for it."""
    where = conf("workers = 1")
    server = bicorn("app:app", "-w", "1", cwd=where)
    (where / "gunicorn.conf.py").write_text(
        "import os, time\nos.closerange(3, 1000)\ntime.sleep(1000)\n")
    server.signal(signal.SIGHUP)
    server.wait_log("Reload failed: .*gunicorn.conf.py")
    assert server.get("/").body == b"ok"
