# SPDX-License-Identifier: MIT
"""bicorn beside its peers on the same work: make bench [BENCH=ROW,...]

    BICORN=build/bicorn LOAD=build/t/bench/load python3 t/bench/run.py \\
        [--secs 2] [--rounds 3] [--json FILE] [ROW...]

Each round runs the servers of a row in turn, so that a machine whose speed
drifts drifts for all; what is shown is the median.  CPU is user and system
time of all processes of the server, per request: the figure to trust, since
the load generator has the same processors.  Peers that are not installed are
left out.  Nothing is asserted; the last column says what is aimed at.
"""
import argparse
import concurrent.futures
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
BICORN = os.path.abspath(os.environ.get("BICORN", "bicorn"))
LOAD = os.path.abspath(os.environ.get("LOAD", "load"))
PARSER = os.path.join(os.path.dirname(LOAD), "http_head")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") \
    else sys.executable

APPS = '''
DATA = b"Hello, World!\\n"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(DATA)))])
    return [DATA]

def sink(environ, start_response):
    n, read = 0, environ["wsgi.input"].read
    while True:
        data = read(1 << 20)
        if not data:
            break
        n += len(data)
    text = b"%d\\n" % n
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
'''

# A module of its own: importing Flask takes five times what Python does.
FLASK = '''
import time
from flask import Flask
flask = Flask(__name__)

@flask.route("/")
def index():
    return "Hello, World!\\n"

def call(environ):
    body = flask(dict(environ), lambda *a: None)
    for piece in body:
        pass
    body.close()

def bare(environ, start_response):
    """Microseconds of the application in a loop, without a server."""
    environ = dict(environ, PATH_INFO="/")
    for _ in range(2000):
        call(environ)
    best = 1e9
    for _ in range(5):
        begun = time.thread_time()
        for _ in range(4000):
            call(environ)
        best = min(best, (time.thread_time() - begun) / 4000)
    start_response("200 OK", [])
    return [b"%.2f us" % (best * 1e6)]
'''

# The least that a server in Python can be: nothing is parsed, one thread in
# each of two processes.  What it adds is what kernel and cold caches cost.
LOOP = '''
import importlib, io, os, select, socket, sys
sys.path.insert(0, os.getcwd())
module, name = sys.argv[2].split(":")
app = getattr(importlib.import_module(module), name)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
listener.setblocking(False)
os.fork()

def answer():
    body = app({
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/",
        "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
        "wsgi.multithread": False, "wsgi.multiprocess": True,
        "wsgi.run_once": False}, lambda *a: None)
    text = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (
        len(text), text)

epoll, clients = select.epoll(), {}
epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
while True:
    for fd, _ in epoll.poll():
        try:
            if fd == listener.fileno():
                c = listener.accept()[0]
                c.setblocking(False)
                clients[c.fileno()] = c
                epoll.register(c, select.EPOLLIN | select.EPOLLET)
            elif clients[fd].recv(8192):
                clients[fd].send(answer())
            else:
                clients.pop(fd).close()
        except BlockingIOError:
            pass
        except OSError:
            clients.pop(fd).close()
'''

SINK = r"""
#include <stdio.h>
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	static _Thread_local char buf[1 << 20];
	char text[32];
	long long sum = 0, n;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0)
		sum += n;
	n = snprintf(text, sizeof(text), "%lld\n", sum);
	bicorn_respond(x, 200, NULL, 0, n);
	bicorn_write(x, text, (size_t)n);
}

BICORN_APP(.handle = handle)
"""


def which(name):
    return shutil.which(name, path=PATH)


# --- servers ------------------------------------------------------------------

class Server:
    """A server of its own session, so that all of it can be found."""

    def __init__(self, command, port, env=None, cwd=None):
        self.port = port
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [str(c) for c in command], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=cwd,
            env=dict(os.environ, **(env or {})))
        self.first = self.wait()

    def wait(self):
        """Seconds until the first answer."""
        while True:
            try:
                with socket.create_connection(
                        ("127.0.0.1", self.port), 15) as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n"
                              b"Connection: close\r\n\r\n")
                    self.text = s.recv(4096).decode("latin-1")
                    if " 200 " in self.text:
                        return time.monotonic() - self.begun
            except OSError:
                pass
            if self.process.poll() is not None or \
                    time.monotonic() - self.begun > 15:
                self.stop()
                raise RuntimeError("does not start")
            time.sleep(.0005)

    def pids(self):
        out = []
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                rest = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1]
            except OSError:
                continue
            if int(rest.split()[3]) == self.process.pid:
                out.append(int(p))
        return out

    def cpu(self):
        """Seconds, from the scheduler, which counts nanoseconds."""
        total = 0
        for p in self.pids():
            try:
                for t in os.listdir("/proc/%d/task" % p):
                    with open("/proc/%d/task/%s/schedstat" % (p, t)) as f:
                        total += int(f.read().split()[0])
            except OSError:
                pass
        return total / 1e9

    def memory(self, field="Pss"):
        """Bytes."""
        total = 0
        for p in self.pids():
            try:
                for line in open("/proc/%d/smaps_rollup" % p):
                    if line.startswith(field + ":"):
                        total += int(line.split()[1]) * 1024
            except OSError:
                pass
        return total

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stop()


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.found = {}
        (folder / "bench_apps.py").write_text(APPS)
        (folder / "bench_flask.py").write_text(FLASK)
        (folder / "bench_loop.py").write_text(LOOP)
        (folder / "www").mkdir()
        os.chmod(folder, 0o755)
        for name, size in ("14", 14), ("16k", 16384), ("1m", 1 << 20):
            (folder / "www" / name).write_bytes(b"x" * size)
        (folder / "www/index.html").write_text("Hello, World!\n")
        self.hello = self.module("hello", SOURCE / "etc/examples/hello.c")

    def module(self, name, source):
        """An application in C, compiled."""
        out = self.folder / (name + ".so")
        subprocess.run(
            [*os.environ.get("CC", "cc").split(), "-O2", "-shared", "-fPIC",
             "-I", SOURCE / "include", source, "-o", out], check=True)
        return out

    def sink_module(self):
        source = self.folder / "sink.c"
        source.write_text(SINK)
        return self.module("sink", source)

    # Servers, by name: functions that start them.

    def bicorn(self, app, *args, threads=4):
        def start():
            p = port()
            return Server([BICORN, "-w", 2, "--threads", threads, "-b",
                           "127.0.0.1:%d" % p, "--worker-connections", 20000,
                           "--chdir", self.folder, *args, app], p)
        return start

    def gunicorn(self, app):
        def start():
            p = port()
            return Server([which("gunicorn"), "-k", "gthread", "-w", 2,
                           "--threads", 4, "-b", "127.0.0.1:%d" % p, "--chdir",
                           self.folder, app], p)
        return start if which("gunicorn") else None

    def uwsgi(self, app):
        def start():
            p = port()
            return Server([which("uwsgi"), "--plugin", "python3",
                           "--http11-socket", "127.0.0.1:%d" % p,
                           "--processes", 2, "--threads", 4, "--master",
                           "--disable-logging", "--chdir", self.folder,
                           "--module", app], p)
        return start if which("uwsgi") else None

    def loop(self, app):
        def start():
            p = port()
            return Server([PYTHON, "bench_loop.py", p, app], p,
                          cwd=self.folder)
        return start

    def nginx(self, static):
        def start():
            p = port()
            conf = self.folder / "nginx.conf"
            where = "root %s/www;" % self.folder if static else \
                'location / { default_type text/plain; ' \
                'return 200 "Hello, World!\\n"; }'
            conf.write_text("""
worker_processes 2; pid %s/nginx.pid; error_log %s/nginx.err;
events { worker_connections 8192; }
http { access_log off; sendfile on; tcp_nopush on;
  keepalive_requests 1000000000;
  server { listen 127.0.0.1:%d reuseport; %s } }
""" % (self.folder, self.folder, p, where))
            return Server([which("nginx"), "-c", conf, "-g", "daemon off;"],
                          p)
        return start if which("nginx") else None

    # Measuring.

    def load(self, server, *args, target="/"):
        """One run of the load generator: its figures, and the CPU."""
        before = server.cpu()
        out = subprocess.run(
            [LOAD, *map(str, args), str(server.port), target],
            capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr.strip() or "load failed")
        found = json.loads(out.stdout)
        found["rate"] = found["requests"] / found["seconds"]
        found["cpu_us"] = (server.cpu() - before) * 1e6 / \
            max(found["requests"], 1)
        return found

    def row(self, name, aim, servers, *args, target="/", versus=None):
        """Runs each server in each round; prints a line for each."""
        rounds = {n: [] for n, s in servers.items() if s}
        for _ in range(self.options.rounds):
            for n in rounds:
                try:
                    with servers[n]() as server:
                        self.load(server, "-d", .3, *args, target=target)
                        got = self.load(server, "-d", self.options.secs,
                                        *args, target=target)
                        got["pss"] = server.memory()
                        rounds[n].append(got)
                except RuntimeError as e:
                    print("%-12s %-22s %s" % (name, n, e))
        rows = {n: {k: statistics.median(r[k] for r in got)
                    for k in got[0]} for n, got in rounds.items() if got}
        self.found[name] = rows
        first = next(iter(rows.values()), None)
        for n, r in rows.items():
            even = "%.2f" % (r["least"] / r["most"]) if r["most"] else "-"
            ratio = "" if r is first else "%5.2fx %5.2fx" % (
                first["rate"] / r["rate"], first["cpu_us"] / r["cpu_us"])
            print("%-12s %-22s %9.0f %7.1f %8.0f %8.0f %6s %6.1f  %-13s %s" % (
                name, n, r["rate"], r["cpu_us"], r["p50_us"], r["p99_us"],
                even, r["pss"] / 2**20, ratio, aim if r is first else ""),
                flush=True)
        return rows

    def say(self, name, what, value, aim=""):
        self.found.setdefault(name, {})[what] = value
        text = "%.3g" % value if isinstance(value, float) else str(value)
        print("%-12s %-46s %14s  %s" % (name, what, text, aim), flush=True)


# --- the rows -----------------------------------------------------------------

def wsgi(b):
    b.row("wsgi", ">= 9x gunicorn's rate, <= 0.65x uWSGI's CPU", {
        "bicorn": b.bicorn("bench_apps:app"),
        "gunicorn": b.gunicorn("bench_apps:app"),
        "uwsgi": b.uwsgi("bench_apps:app")})


def bare_loops(b, start):
    """What a call takes in each of two processes that do it at once."""
    def run(_):
        with start() as server:
            return float(re.search(r"([\d.]+) us", server.text)[1])

    with concurrent.futures.ThreadPoolExecutor(2) as two:
        return statistics.median(t for _ in range(b.options.rounds)
                                 for t in two.map(run, range(2)))


def flask(b):
    """What the server adds to the application in a bare loop.

    The loop runs in a worker: python3 may be another build of Python than
    its library is, and a faster one.  Two run at once, as the server's two
    workers do: one alone has the caches of the machine for itself.  The
    least of servers runs in python3, and is compared with a loop there."""
    if subprocess.run([PYTHON, "-c", "import flask"],
                      capture_output=True).returncode:
        return b.say("flask", "left out", "Flask is not installed")
    bare = bare_loops(b, b.bicorn("bench_flask:bare"))
    least = bare_loops(b, b.loop("bench_flask:bare"))
    rows = b.row("flask", "", {"bicorn": b.bicorn("bench_flask:flask"),
                               "gunicorn": b.gunicorn("bench_flask:flask"),
                               "bare epoll loop":
                               b.loop("bench_flask:flask")})
    b.say("flask", "CPU us of a bare loop, two at once", bare)
    b.say("flask", "CPU us that the server adds",
          rows["bicorn"]["cpu_us"] - bare, "<= 8")
    b.say("flask", "CPU us that a bare epoll loop adds",
          rows["bare epoll loop"]["cpu_us"] - least,
          "no parser, no threads, no limits")


def native(b):
    b.row("native", ">= 1x nginx's rate, <= 1.1x its CPU", {
        "bicorn": b.bicorn(b.hello), "nginx return": b.nginx(False)})


def static(b):
    for name in "14", "16k", "1m":
        b.row("static " + name, ">= 1x nginx's rate", {
            "bicorn": b.bicorn(b.folder / "www/"),
            "nginx sendfile": b.nginx(True)}, target="/" + name)


def connections(b):
    servers = {"bicorn": b.bicorn(b.hello), "nginx return": b.nginx(False)}
    few = b.row("64 conns", "", servers, "-c", 64)
    many = b.row("2000 conns", "", servers, "-c", 2000)
    for name in list(many):
        b.say("2000 conns", "CPU beside 64 connections, " + name,
              many[name]["cpu_us"] / few[name]["cpu_us"],
              "<= 1.1" if name == "bicorn" else
              "what the kernel's part grows by")


def pipeline(b):
    one = b.row("depth 1", "", {"bicorn": b.bicorn(b.hello)})
    more = b.row("depth 16", "", {"bicorn": b.bicorn(b.hello)}, "-p", 16)
    b.say("depth 16", "rate beside depth 1",
          more["bicorn"]["rate"] / one["bicorn"]["rate"], ">= 5")


def idle(b):
    count = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    with b.bicorn(b.hello)() as server:
        b.load(server, "-d", .3)
        before = server.memory("Private_Dirty")
        load = subprocess.Popen([LOAD, "-i", "-c", str(count),
                                 str(server.port)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        load.stdout.readline()
        each = (server.memory("Private_Dirty") - before) / count
        load.stdin.close()
        load.wait()
    b.say("idle", "bytes for each of %d idle connections" % count, each,
          "<= 1024")


def threads(b):
    """The interpreter's lock: many threads, one that may run."""
    rows = {}
    for n in 1, 2, 4, 8:
        rows[n] = b.row("threads %d" % n, "", {
            "bicorn": b.bicorn("bench_apps:app", threads=n)})["bicorn"]
    b.say("threads", "CPU per request with 8 beside 1",
          rows[8]["cpu_us"] / rows[1]["cpu_us"], "<= 1.15")


def parser(b):
    if not os.path.exists(PARSER):
        return b.say("parser", "left out", "make t/bench/http_head")
    out = subprocess.run([PARSER, "0.3"], capture_output=True, text=True)
    print("\n".join("parser       " + line
                    for line in out.stdout.splitlines()), flush=True)
    b.found["parser"] = out.stdout


def start(b):
    times = range(2 * b.options.rounds + 1)
    for name, app, aim in (("native", b.hello, "<= 15"),
                           ("WSGI", "bench_apps:app", "<= 80")):
        took = []
        for _ in times:
            with b.bicorn(app)() as server:
                took.append(server.first * 1e3)
        b.say("start", "ms to the first answer, " + name,
              statistics.median(took), aim)
    for args in ["-c", "pass"], ["-S", "-c", "pass"]:
        took = []
        for _ in times:
            begun = time.monotonic()
            subprocess.run([PYTHON, *args], check=True)
            took.append((time.monotonic() - begun) * 1e3)
        b.say("start", "ms of python3 " + " ".join(args),
              statistics.median(took))


def half(b):
    """At half of what it can do; nginx beside it says what the machine can."""
    start = b.bicorn("bench_apps:app")
    with start() as server:
        b.load(server, "-d", .5)
        full = b.load(server, "-d", b.options.secs)["rate"]
    b.row("half load", "p99 <= 1000 us", {
        "bicorn": start, "nginx return": b.nginx(False)}, "-r",
          int(full / 2))


def untraced(server, tracer):
    """Threads that it has not attached to yet."""
    n = 0
    for p in server.pids():
        try:
            for t in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/status" % (p, t)) as f:
                    n += "TracerPid:\t%d\n" % tracer not in f.read()
        except OSError:
            pass
    return n


def await_tracer(server, tracer):
    end = time.monotonic() + 10
    while untraced(server, tracer) and time.monotonic() < end:
        time.sleep(.01)


def calls_by_perf(b, server):
    """(calls by name, requests): counted without slowing anything down, which
    makes threads meet that would not.  None where that is not possible."""
    names = ("recvfrom sendto sendmsg sendfile64 read write writev close futex "
             "poll epoll_wait epoll_ctl sched_yield openat newfstatat "
             "lseek").split()
    seconds = 1.5
    command = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter," +
               ",".join("syscalls:sys_enter_" + n for n in names),
               "-p", ",".join(map(str, server.pids())), "-o",
               str(b.folder / "perf"), *map(str, (
                   "--", LOAD, "-d", seconds, server.port, "/"))]
    if not which("perf"):
        return None
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return None
    found = {}
    for line in (b.folder / "perf").read_text().splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            found[fields[2].split("sys_enter")[-1][1:]] = int(fields[0])
    if "" not in found:
        return None
    found["others"] = found.pop("") - sum(found.values())
    return found, json.loads(run.stdout)["requests"]


def calls_by_strace(b, server):
    trace = subprocess.Popen(
        ["strace", "-f", "-c", "-o", b.folder / "calls"] +
        [a for p in server.pids() for a in ("-p", str(p))],
        stderr=subprocess.DEVNULL)
    await_tracer(server, trace.pid)
    requests = b.load(server, "-d", 2)["requests"]
    trace.send_signal(signal.SIGINT)
    trace.wait()
    found = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$",
                       (b.folder / "calls").read_text(), re.M)
    return {call: int(n) for n, call in found if call != "total"}, requests


def calls(b):
    """System calls of the workers for each request."""
    for name, app in ("native", b.hello), ("WSGI", "bench_apps:app"):
        with b.bicorn(app)() as server:
            b.load(server, "-d", .3)
            found, how = calls_by_perf(b, server), "perf"
            if found is None and which("strace"):
                found, how = calls_by_strace(b, server), "strace"
        if found is None:
            return b.say("calls", "left out", "no perf, no strace")
        each = {call: n / found[1] for call, n in found[0].items()}
        b.say("calls", "system calls per request, %s, by %s" % (name, how),
              sum(each.values()), "2 and a share of epoll_wait")
        print("%-12s %s" % ("", ", ".join(
            "%s %.2f" % (call, n) for call, n in
            sorted(each.items(), key=lambda i: -i[1]) if n > .005)))


def large(b):
    """1 GiB each way; the memory of the server stays what it was."""
    size = 1 << 30
    with open(b.folder / "www/big", "wb") as f:
        f.truncate(size)
    sink = b.sink_module()
    for name, app, more in (
            ("WSGI", "bench_apps:sink", []),
            ("WSGI, stream_body", "bench_apps:sink", ["--stream-body"]),
            ("native", sink, []),
            ("native, stream_body", sink, ["--stream-body"])):
        start = b.bicorn(app, "--limit-request-body", 2 * size, *more)
        with start() as server:
            # Twice: the first time the system finds the memory for the file.
            got = b.load(server, "-u", size, "-d", .1)
            got = b.load(server, "-u", size, "-d", .1)
            b.say("large", "GB/s of an upload, " + name,
                  got["bytes"] / 1e9 / got["seconds"])
            b.say("large", "CPU s per GiB, server and client", "%.2f + %.2f" % (
                got["cpu_us"] / 1e6 * got["requests"] * size / got["bytes"],
                got["cpu_s"] * size / got["bytes"]))
            b.say("large", "MiB of the server behind it",
                  server.memory() / 2**20)
    for name, start in ("bicorn", b.bicorn(b.folder / "www/")), \
            ("nginx", b.nginx(True)):
        if start is None:
            continue
        with start() as server:
            got = b.load(server, "-c", 1, "-d", 2, target="/big")
            b.say("large", "GB/s of a file of 1 GiB, " + name,
                  got["bytes"] / 1e9 / got["seconds"],
                  ">= nginx's" if name == "bicorn" else "")
            b.say("large", "MiB of the server behind it",
                  server.memory() / 2**20)


ROWS = [wsgi, flask, native, static, connections, pipeline, idle, threads,
        parser, start, half, calls, large]


def main():
    a = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--secs", type=float, default=2)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--json", default="bench.json")
    a.add_argument("rows", nargs="*", metavar="ROW",
                   help=" ".join(r.__name__ for r in ROWS))
    options = a.parse_args()
    wanted = [name for arg in options.rows for name in arg.split(",")]
    unknown = set(wanted) - {r.__name__ for r in ROWS}
    if unknown:
        a.error("no such row: %s" % ", ".join(sorted(unknown)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begun = time.monotonic()
    print("%-12s %-22s %9s %7s %8s %8s %6s %6s  %-13s %s" % (
        "work", "server", "req/s", "CPU us", "p50 us", "p99 us", "even",
        "MiB", "rate   CPU", "aim"))
    with tempfile.TemporaryDirectory() as folder:
        b = Bench(options, Path(folder))
        for r in ROWS:
            if not wanted or r.__name__ in wanted:
                r(b)
    Path(options.json).write_text(json.dumps(b.found, indent=1) + "\n")
    print("%d s; all of it in %s" % (time.monotonic() - begun, options.json))


if __name__ == "__main__":
    main()
