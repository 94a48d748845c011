# SPDX-License-Identifier: MIT
"""Settings files in Python, as gunicorn has them: values, mistakes, hooks."""
import os
import re
import signal
import textwrap
import time

import pytest

import harness
from harness import wait_for
from test_dropin import ROWS, explained

pytestmark = pytest.mark.skipif(not harness.HAS_PYTHON,
                                reason="built without Python")

APP = '''
import os
def app(environ, start_response):
    body = repr(dict(os.environ)).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''


@pytest.fixture
def conf(tmp_path):
    """Writes ./gunicorn.conf.py, or another file, and gives the folder."""
    def write(text, name="gunicorn.conf.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        (tmp_path / "app.py").write_text(APP)
        return tmp_path
    return write


def refused(proc, *texts):
    assert proc.returncode == 1, proc.stderr
    for text in texts:
        assert text in proc.stderr, proc.stderr


# ---- values ----

def test_values(run, conf):
    table = explained(run, cwd=conf('''
        import multiprocessing
        import ssl
        from os import path
        from pathlib import Path
        workers = multiprocessing.cpu_count() * 2 + 1
        bind = ["127.0.0.1:1", "unix:/x"]
        timeout = 12.5
        umask = 0o022
        pidfile = Path("/tmp") / "x.pid"
        accesslog = None
        errorlog = ""
        raw_env = ("A=1,2", "B=3")
        forwarded_allow_ips = "10.0.0.1,::1"
        secure_scheme_headers = {"X-P": "https", "X-Q": "on"}
        daemon = True
        sendfile = None
        threads = "7"
        request_timeout = "90s"
        if True:
            max_requests = 100
        proc_name, worker_connections = "x", 50
        user = 0
        worker_tmp_dir = Path("/dev/shm")
    '''))
    cpus = os.cpu_count()
    for name, value, line in [
            ("workers", str(cpus * 2 + 1), 6), ("bind", "127.0.0.1:1,unix:/x", 7),
            ("timeout", "12.5", 8), ("umask", "18", 9),
            ("pidfile", "/tmp/x.pid", 10), ("raw_env", "A=1\\,2,B=3", 13),
            ("forwarded_allow_ips", "10.0.0.1,::1", 14),
            ("secure_scheme_headers", "X-P=https,X-Q=on", 15),
            ("daemon", "true", 16), ("threads", "7", 18),
            ("request_timeout", "90", 19), ("max_requests", "100", 21),
            ("proc_name", "x", 22), ("worker_connections", "50", 22),
            ("user", "0", 23), ("worker_tmp_dir", "/dev/shm", 24)]:
        assert table[name][:2] == (value, "gunicorn.conf.py, line %d" % line)
    for name in ("accesslog", "errorlog", "sendfile"):
        assert table[name][1] == "default"
    assert table["worker_tmp_dir"][2] == "ignored"


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_setting_in_a_file(run, conf, row):
    """Each is known, and what becomes of it is what the list says."""
    name, options, value, verdict = row
    if name in ("config", "check_config", "print_config"):
        pytest.skip("an option, not for the file")
    if value == "-" or not options.endswith("+") and options != "-":
        value = "True" if "--no-" not in options else "False"
    elif options != "-":
        value = repr(value)
    if name == "proxy_protocol":
        value = "True"
    if name in ("accesslog", "errorlog"):
        value = "'x.log'"
    if name == "control_socket_disable":
        value = "True"
    extra = ""
    if name in ("keyfile", "ssl_context"):
        extra = "\ncertfile = 'y'"
    if name == "paste":
        (conf("") / "x.ini").write_text("[app:main]\n")
    entry = explained(run, cwd=conf("%s = %s%s\n" % (name, value, extra)))[name]
    assert entry[1] == "gunicorn.conf.py, line 1"
    assert verdict == entry[2]


def test_which_file(run, conf):
    where = conf("threads = 5")
    conf("threads = 6", "other.py")
    conf("threads = 7", "gunicorn_conf")
    (where / "pkg").mkdir()
    (where / "pkg/__init__.py").write_text("")
    (where / "pkg/conf.py").write_text("threads = 8")
    for words, value in [((), "5"), (("-c", "other.py"), "6"),
                         (("-c", "file:other.py"), "6"),
                         (("-c", "gunicorn_conf"), "7"),
                         (("-c", "python:pkg.conf"), "8"),
                         (("-c", str(where / "other.py")), "6")]:
        assert explained(run, *words, cwd=where)["threads"][0] == value
    env = {"GUNICORN_CMD_ARGS": "-c other.py"}
    assert explained(run, cwd=where, env=env)["threads"][0] == "6"
    # bicorn's own file comes first; what comes after the file still does.
    env = {"BICORN_THREADS": "9"}
    assert explained(run, cwd=where, env=env)["threads"][0] == "9"
    assert explained(run, "--threads", "3", cwd=where, env=env)["threads"][0] == "3"
    (where / "bicorn.conf").write_text("threads = 2;")
    assert explained(run, cwd=where)["threads"][0] == "2"


def test_classes_and_helpers(run, conf):
    """A program may have names of its own; what is nearly a setting is told."""
    proc = run("--explain", cwd=conf('''
        from multiprocessing import cpu_count
        from dataclasses import dataclass
        class Thing: pass
        def helper(): return 4
        def post_frok(server, worker): pass
        wrokers = 3
        LOG_DIR = "/var/log"
        max_cpu = cpu_count()
        _hidden = 1
        threads = helper()
    '''))
    notes = [line[2:] for line in proc.stdout.splitlines()[1:] if line.startswith("# g")]
    assert notes == [
        "gunicorn.conf.py: no settings: LOG_DIR, max_cpu"] or set(notes) == {
        "gunicorn.conf.py: no settings: LOG_DIR, max_cpu"}
    assert "post_frok = a function (gunicorn.conf.py, line 6): no such " \
        "setting; did you mean post_fork?" in proc.stdout
    assert "wrokers = 3 (gunicorn.conf.py, line 7): no such setting; did you " \
        "mean workers?" in proc.stdout
    assert re.search(r"^threads +4 ", proc.stdout, re.M)


def test_worker_class_as_a_class(run, conf):
    where = conf('''
        class ThreadWorker: pass
        ThreadWorker.__module__ = "gunicorn.workers.gthread"
        worker_class = ThreadWorker
    ''')
    assert explained(run, cwd=where)["worker_class"][2] == "translated"


# ---- mistakes ----

@pytest.mark.parametrize("text, error", [
    ("workers = 0", "workers = 0 (gunicorn.conf.py, line 1): must be 1..1024"),
    ("\n\nworkers = 'x'", "workers = x (gunicorn.conf.py, line 3): must be"),
    ("workers = [1]", "workers = 1 (gunicorn.conf.py, line 1): must be a whole number"),
    ("workers = True", "must be a whole number"),
    ("workers = 1.5", "must be a whole number"),
    ("daemon = 'maybe'", "must be True or False"
     if False else "must be true or false"),
    ("loglevel = 'loud'", "debug, info, warning, error or critical"),
    ("post_fork = 1", "post_fork = 1 (gunicorn.conf.py, line 1): must be a function"),
    ("bind = lambda: 1", "must be a list of strings, or one"),
    ("worker_class = 'gevent'", "gunicorn.conf.py, line 1): bicorn waits for"),
    ("certfile = 'y'\ndef ssl_context(config, default): pass",
     "certfile, keyfile"),
    ("dirty_workers = 2", "task queue"),
    ("import nothing_of_that_name",
     "gunicorn.conf.py, line 1: ModuleNotFoundError: No module named"),
    ("x = 1\nworkers = = 3", "gunicorn.conf.py, line 2: SyntaxError: invalid syntax"),
    ("def f():\n    1/0\n\nf()", "gunicorn.conf.py, line 2: ZeroDivisionError"),
    ("import sys; sys.exit(5)", "SystemExit: 5"),
    ("import os; os._exit(5)", "ended without a result"),
    ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
])
def test_wrong_file(run, conf, text, error):
    proc = run("app:app", cwd=conf(text))
    refused(proc, error)
    assert proc.stderr.splitlines()[-1].startswith("bicorn: error: ")


def test_threads_of_a_file(run, conf):
    """One that ends is waited for, one that does not holds nobody up."""
    where = conf("""
        import threading, time
        def write():
            time.sleep(0.2)
            open("written", "w").close()
        threading.Thread(target=write).start()
        workers = 3
    """)
    assert explained(run, cwd=where)["workers"][0] == "3"
    assert (where / "written").exists()
    where = conf("""
        import threading, time
        threading.Thread(target=time.sleep, args=(1000,)).start()
        workers = 4
    """)
    start = time.monotonic()
    proc = run("--check-config", "app:app", cwd=where)
    assert proc.returncode == 0, proc.stderr
    assert time.monotonic() - start < 15
    assert "[WARNING] gunicorn.conf.py starts threads" in proc.stderr


def test_traceback_is_shown(run, conf):
    proc = run("app:app", cwd=conf("x = 1\nworkers = = 3"))
    assert "Failed to read config file: gunicorn.conf.py" in proc.stderr
    assert "workers = = 3" in proc.stderr
    proc = run("app:app", cwd=conf("def f():\n    1/0\nf()"))
    assert "Traceback" in proc.stderr and "support.py" not in proc.stderr


def test_defaults_are_no_refusal(run, conf):
    """Whoever writes gunicorn's defaults down hears nothing."""
    proc = run("--check-config", "app:app", cwd=conf('''
        dirty_workers = 0
        dirty_apps = []
        http_protocols = "h1"
        worker_tmp_dir = None
        strip_header_spaces = False
        suppress_ragged_eofs = True
        ssl_context = None
        post_fork = None
    '''))
    assert proc.returncode == 0, proc.stderr
    assert "ignored" not in proc.stderr


def test_no_text_is_nothing(run, conf):
    """... as of a variable that is not set."""
    proc = run("--print-config", "app:app", cwd=conf('''
        import os
        certfile = os.environ.get("NO_SUCH_CERT", "")
        keyfile = os.environ.get("NO_SUCH_KEY", "")
        ca_certs = pidfile = user = raw_env = ""
        loglevel = "warn"
    '''))
    assert proc.returncode == 0, proc.stderr
    assert 'certfile = [ ];' in proc.stdout or "certfile = [];" in proc.stdout
    proc = run("--check-config", "--certfile", "", "-e", "", "app:app",
               cwd=conf(""))
    assert proc.returncode == 0, proc.stderr


@pytest.mark.parametrize("text", [
    "import os\nworkers = os.cpu_count()\n", "bind = ':8000'\n",
    "def post_fork(server, worker):\n    pass\n", "accesslog = None\n"])
def test_python_by_another_name(run, conf, text):
    """gunicorn takes it; here the name says what it is."""
    where = conf(text, "web.conf")
    for name in "web.conf", "file:web.conf":
        refused(run("-c", name, "app:app", cwd=where),
                "web.conf", "let its name end in .py")
    (where / "web.conf").write_text("workers = 0;\n")
    proc = run("-c", "web.conf", "app:app", cwd=where)
    refused(proc, "must be 1..1024")
    assert "Python" not in proc.stderr


def test_tls_context_without_tls(run, conf):
    """gunicorn's sample of a settings file has one."""
    where = conf("def ssl_context(config, default): return default()")
    proc = run("--check-config", "app:app", cwd=where)
    assert proc.returncode == 0, proc.stderr
    assert "ignored: a context of Python's ssl" in proc.stderr
    assert explained(run, cwd=where)["ssl_context"][2] == "ignored"


def test_check_config_tells_what_a_start_would(run, conf):
    proc = run("--check-config", "app:app", cwd=conf("""
        worker_tmp_dir = "/dev/shm"
        max_request = 5
    """))
    assert proc.returncode == 0, proc.stderr
    first, second = proc.stderr.splitlines()
    assert first.startswith("bicorn: warning: ") and "max_requests?" in first
    assert second.startswith("bicorn: warning: ") and "ignored" in second
    assert "are fine" in proc.stdout


# ---- a server ----

def test_environment_is_handed_on(bicorn, conf):
    server = bicorn("app:app", cwd=conf('''
        import os
        os.environ["FROM_FILE"] = "yes"
        os.environ["OVER"] = "file"
        del os.environ["GONE"]
        raw_env = ["OVER=raw"]
    '''), env={"GONE": "x"})
    env = eval(server.get("/").body)
    assert env["FROM_FILE"] == "yes" and env["OVER"] == "raw"
    assert "GONE" not in env
    server.wait_log("Settings: gunicorn.conf.py")
    # The arbiter itself has no Python in it.
    maps = open("/proc/%d/maps" % server.pid).read()
    assert "libpython" not in maps and "wsgi.so" not in maps


def test_reload_with_a_broken_file(bicorn, conf):
    where = conf("threads = 2\n")
    server = bicorn("app:app", cwd=where)
    first = server.workers()
    (where / "gunicorn.conf.py").write_text("threads = = 3\n")
    server.signal(signal.SIGHUP)
    server.wait_log(r"threads = = 3")
    server.wait_log(r"Reload failed: gunicorn.conf.py, line 1: SyntaxError")
    assert server.get("/").status == 200 and server.workers() == first
    (where / "gunicorn.conf.py").write_text("threads = 3\nraw_env = ['X=new']\n")
    server.signal(signal.SIGHUP)
    wait_for(lambda: b"'X': 'new'" in server.get("/").body, "the new settings")


def test_chdir(bicorn, conf, tmp_path):
    """The file is found again from where the workers are."""
    where = conf('''
        chdir = "sub"
        def post_fork(server, worker): server.log.info("hook of %s", __file__)
    ''')
    (where / "sub").mkdir()
    (where / "app.py").rename(where / "sub/app.py")
    server = bicorn("app:app", cwd=where)
    assert server.get("/").status == 200
    server.wait_log("hook of %s" % re.escape(str(where / "gunicorn.conf.py")))


# ---- hooks of the worker ----

HOOKS = '''
    import os
    def post_fork(server, worker):
        assert worker.pid == os.getpid() and server.pid == os.getppid()
        server.log.info("H post_fork %s", worker.age)
    def post_worker_init(worker):
        worker.log.info("H post_worker_init %s", worker.wsgi.__name__)
    def worker_int(worker):
        worker.log.info("H worker_int %s", worker.pid)
    def worker_exit(server, worker):
        worker.log.info("H worker_exit %s nr=%d", worker.pid, worker.nr)
    def pre_request(worker, req):
        worker.log.info("H pre %s %s %s %s %s", req.method, req.path,
                        req.query, dict(req.headers)["X-A"], req.version)
    def post_request(worker, req, environ, resp):
        worker.log.info("H post %s %s %s %s", environ["PATH_INFO"],
                        resp.status, resp.status_code, resp.sent)
'''


def test_hooks_of_the_worker(bicorn, conf):
    server = bicorn("app:app", cwd=conf(HOOKS))
    server.wait_log("H post_fork 1")
    server.wait_log("H post_worker_init app")
    with server.connect() as c:
        body = c.get("/a%20b?c=d", headers=[("X-A", "1")]).body
        server.wait_log(r"H pre GET /a%20b c=d 1 \(1, 1\)")
        server.wait_log("H post /a b 200 OK 200 %d" % len(body))
    pid = server.workers()[0]
    server.signal(signal.SIGINT)
    server.wait_log("H worker_int %d" % pid)
    server.wait_log("H worker_exit %d nr=1" % pid)


def test_request_that_a_hook_changes(bicorn, conf):
    """The application gets it as pre_request left it."""
    where = conf('''
        def pre_request(worker, req):
            req.headers.append(("X-FORWARDED-PROTO", "https"))
            req.headers.append(("X-A", "2"))
            req.headers = [h for h in req.headers if h[0] != "X-GONE"]
            req.scheme = "https"
            if req.path == "/old":
                req.method, req.path, req.query = "POST", "/n%20w", "q=1"
                req.uri = "/n%20w?q=1"
    ''')
    (where / "app.py").write_text(textwrap.dedent('''
        def app(environ, start_response):
            start_response("200 OK", [])
            return [repr([environ.get(key) for key in (
                "HTTP_X_FORWARDED_PROTO", "HTTP_X_A", "HTTP_X_GONE",
                "wsgi.url_scheme", "REQUEST_METHOD", "PATH_INFO",
                "QUERY_STRING", "RAW_URI", "HTTP_X_B")]).encode()]
    '''))
    server = bicorn("app:app", cwd=where)
    fields = {"X-A": "1", "X-Gone": "x", "X-B": "b"}
    assert eval(server.get("/x", headers=fields).body) == [
        "https", "1,2", None, "https", "GET", "/x", "", "/x", "b"]
    assert eval(server.get("/old").body) == [
        "https", "2", None, "https", "POST", "/n w", "q=1", "/n%20w?q=1",
        None]


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_application_that_a_hook_wants_early(bicorn, conf, options):
    """worker.app.wsgi() loads it, once, where it was not loaded."""
    where = conf('''
        def on_starting(server):
            server.log.info("H in the helper: %s", server.app.wsgi().name)
        def post_fork(server, worker):
            worker.app.wsgi().name += " of %s" % worker.age
        def worker_exit(server, worker):
            worker.log.info("H at the end: %s", server.app.wsgi().name)
    ''')
    (where / "app.py").write_text(textwrap.dedent('''
        import os
        print("H imported", flush=True)
        class App:
            name = "shop"
            def __call__(self, environ, start_response):
                start_response("200 OK", [])
                return [self.name.encode()]
        def make():
            return App()
    '''))
    server = bicorn(*options, "app:make()", cwd=where)
    server.wait_log("H in the helper: shop$")
    assert server.get("/").body == b"shop of 1"
    assert server.stop() == 0
    server.wait_log("H at the end: shop of 1$")
    assert server.out.text().count("H imported") == 2


def test_setting_that_a_hook_sets(run, conf):
    proc = run("app:app", "-b", "127.0.0.1:0", cwd=conf('''
        def on_starting(server): server.cfg.set("threads", 128)
    '''))
    assert proc.returncode == 1
    assert "write threads = 128 in the settings file" in proc.stderr


def test_application_that_a_hook_cannot_have(run, conf):
    proc = run("nowhere:app", "-b", "127.0.0.1:0", cwd=conf('''
        def post_fork(server, worker): worker.app.wsgi()
    '''))
    assert proc.returncode == 3
    assert "No module named 'nowhere'" in proc.stderr


def test_post_request_after_a_failure(bicorn, conf):
    where = conf('''
        def post_request(worker, req, environ):
            worker.log.info("H three %s", req.uri)
    ''')
    (where / "app.py").write_text("def app(e, s): 1/0\n")
    server = bicorn("app:app", cwd=where)
    assert server.get("/x").status == 500
    server.wait_log("H three /x")


def test_hooks_that_fail(bicorn, conf):
    where = conf('''
        def pre_request(worker, req):
            if req.path == "/bad": raise ValueError("no")
        def post_request(worker, req, environ, resp):
            raise KeyError("nor this")
    ''')
    server = bicorn("app:app", cwd=where)
    assert server.get("/good").status == 200
    server.wait_log("Exception in post_request hook")
    assert server.get("/bad").status == 500
    server.wait_log("ValueError: no")
    assert server.get("/good").status == 200


def test_what_hooks_find(bicorn, conf):
    """As gunicorn has it: what is off, and lines that do not fit."""
    server = bicorn("app:app", cwd=conf('''
        import sys
        def pre_fork(server, worker):
            server.log.info("H %s", worker.pid)
        def post_fork(server, worker):
            worker.log.info("H %d and %s", worker.pid)
            worker.log.info("H %d", worker.nr < worker.max_requests)
    '''))
    text = server.log.text()
    assert "H [booting]" in text and "H %d and %s (" in text
    assert "H 1\n" in text


def test_post_fork_that_fails(run, conf):
    proc = run("app:app", "-b", "127.0.0.1:0", cwd=conf('''
        def post_fork(server, worker): raise ValueError("not today")
    '''))
    assert proc.returncode == 3
    assert "Exception in post_fork hook" in proc.stderr
    assert "not today" in proc.stderr


def test_worker_abort(bicorn, conf):
    """A worker that is frozen may still say a last word."""
    server = bicorn("app:app", "-t", "2", cwd=conf('''
        import os
        def worker_abort(worker):
            worker.log.critical("H worker_abort %s", worker.pid)
    '''))
    pid = server.workers()[0]
    os.kill(pid, signal.SIGABRT)
    server.wait_log("H worker_abort %d" % pid)
    server.wait_log(r"Worker \(pid:%d\) exited with code 1" % pid)


def test_logconfig_dict(bicorn, conf, tmp_path):
    where = conf('''
        logconfig_dict = {
            "root": {"level": "INFO", "handlers": ["file"]}, "loggers": {},
            "handlers": {"file": {"class": "logging.FileHandler",
                                  "filename": "py.log"}},
        }
    ''')
    (where / "app.py").write_text(
        "import logging\ndef app(e, s):\n"
        "    logging.getLogger('x').info('from the application')\n"
        "    s('200 OK', [('Content-Length', '0')])\n    return []\n")
    server = bicorn("app:app", cwd=where)
    assert server.get("/").status == 200
    assert "from the application" in (where / "py.log").read_text()


# ---- a reload whose file takes its time ----

# It is read for the settings, then by the helper: each waits for its file.
WAITS = '''
    import os, time
    def wait_for(name):
        open("read.log", "a").write(name + "\\n")
        while not os.path.exists(name):
            time.sleep(0.005)
    wait_for("2" if os.path.exists("1") else "1")
    workers = 2
'''
HOOK = '''
    def on_reload(server):
        server.log.info("H on_reload")
'''


@pytest.fixture
def waiting(bicorn, conf):
    """A server in a reload that waits for its file."""
    def start(more="", *args):
        where = conf("workers = 1")
        server = bicorn("app:app", "--graceful-timeout", "5", *args, cwd=where)
        conf(WAITS + more)
        server.signal(signal.SIGHUP)
        wait_for((where / "read.log").exists, "the file that is read")
        return server, where
    return start


def is_served(server):
    """Workers, signals and the dead are looked after."""
    old = server.workers()[0]
    os.kill(old, signal.SIGKILL)
    server.wait_log(r"Worker \(pid:%d\) was sent SIGKILL" % old)
    wait_for(lambda: server.get("/").status == 200, "the next worker")
    server.signal(signal.SIGTTIN)
    wait_for(lambda: len([p for p in server.workers()
                          if not harness.is_helper(p)]) >= 2, "another one")
    assert "Reload failed" not in server.log.text()


@pytest.mark.parametrize("hook", ["", HOOK])
def test_reload_that_reads_for_long(waiting, hook):
    server, where = waiting(hook)
    is_served(server)
    mark = server.log.count()
    (where / "1").touch()
    if hook:
        wait_for(lambda: (where / "read.log").read_text() == "1\n2\n",
                 "the helper")
        is_served(server)
        mark = server.log.count()
        (where / "2").touch()
        server.wait_log("H on_reload", since=mark)
    # A helper that boots belongs to a generation, to which TTIN went.
    server.wait_log("Ready: %d workers" % (3 if hook else 2), since=mark)
    wait_for(lambda: len(harness.children(server.pid)) == (4 if hook else 2),
             "the end of whoever read")
    assert server.get("/").status == 200


@pytest.mark.parametrize("hook", ["", HOOK])
def test_stop_while_a_reload_reads(waiting, hook):
    server, where = waiting(hook)
    if hook:
        (where / "1").touch()
        wait_for(lambda: (where / "read.log").read_text() == "1\n2\n",
                 "the helper")
    pids = harness.processes(server.pid)
    assert server.stop() == 0
    wait_for(lambda: all(map(harness.is_dead, pids)), "the end of all")


def test_reload_upon_one_that_reads(waiting, conf):
    server, where = waiting()
    conf("workers = 3")
    server.signal(signal.SIGHUP)
    server.wait_log("Another reload: the settings are read once more")
    server.wait_log("Ready: 3 workers")
    assert "generation 2" not in server.log.text()
    wait_for(lambda: len(harness.children(server.pid)) == 3, "the end of others")


def test_upgrade_while_a_reload_reads(waiting, conf):
    server, where = waiting()
    conf("workers = 1")
    server.signal(signal.SIGUSR2)
    new = int(server.wait_log(r"Upgrade: the new arbiter is pid (\d+)")
              .group(1))
    server.wait_log(r"\[%d\] \[INFO\] Ready" % new)
    os.kill(new, signal.SIGTERM)
    server.wait_log("Upgrade: .*%d" % new, since=server.log.count())
    mark = server.log.count()
    (where / "1").touch()
    server.wait_log("Ready: 2 workers", since=mark)


@pytest.mark.skipif("#define HAVE_ADMIN 1" not in harness._CONFIG,
                    reason="built without jansson")
def test_commanded_reload_that_reads_for_long(waiting):
    import subprocess
    ctl = [harness.BUILD / "bicornctl", "-s"]
    server, where = waiting("", "--control-socket", "ctl")
    ctl.append(where / "ctl")
    asked = [subprocess.Popen([*ctl, "reload"], stdout=subprocess.PIPE,
                              text=True) for _ in range(2)]
    harness.wait_for(lambda: server.log.text().count(
        "Handling command: reload") == 2, "both commands")
    status = subprocess.run([*ctl, "--json", "status"], text=True,
                            capture_output=True, check=True).stdout
    assert '"reloading"' in status
    (where / "2").touch()
    (where / "1").touch()
    for one in asked:
        assert "generation 2 serves" in one.communicate(timeout=30)[0]
        assert one.returncode == 0
