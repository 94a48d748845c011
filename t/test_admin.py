# SPDX-License-Identifier: MIT
"""The admin listener: numbers, health, and what it does not let through."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest

import harness
from harness import SOURCE, Conn, wait_for

pytestmark = pytest.mark.skipif(
    "#define HAVE_ADMIN 1" not in harness._CONFIG,
    reason="built without jansson")

APP = r"""
#include <bicorn/app.h>
#include <stdlib.h>
#include <unistd.h>

/* /STATUS answers so; /hang never does; /die ends the process. */
static void
handle(struct bicorn_exchange *x)
{
	char path[64];
	size_t len = x->request->path.len;
	int status;

	len = len < sizeof(path) - 1 ? len : sizeof(path) - 1;
	memcpy(path, x->request->path.ptr, len);
	path[len] = '\0';
	if (strcmp(path, "/hang") == 0)
		for (;;)
			pause();
	if (strcmp(path, "/die") == 0)
		_exit(9);
	if (strcmp(path, "/sleep") == 0)
		usleep(300000);
	if (strcmp(path, "/big") == 0) {
		static char text[300000];

		bicorn_reply(x, 200, "text/plain", text, sizeof(text));
		return;
	}
	if (strcmp(path, "/waited") == 0) {
		bicorn_waited(x, 250000);
		bicorn_waited(x, -1);
	}
	status = atoi(path + 1);
	bicorn_reply(x, status > 0 ? (unsigned)status : 200, "text/plain",
	    "hello", 5);
}

BICORN_APP(.handle = handle)
"""


@pytest.fixture
def app(compile_app):
    return compile_app(APP)


def admin_of(server):
    """The address of its admin listener."""
    return harness.address_of(
        server.wait_log(r"Admin listening at: (\S+)").group(1))


class Admin:
    def __init__(self, server):
        self.address = admin_of(server)

    def get(self, path, headers=(), method="GET", body=None):
        with Conn(self.address) as c:
            return c.get(path, headers, method, body, close=True)

    def status(self):
        r = self.get("/status")
        assert r.status == 200
        return json.loads(r.body)

    def metrics(self):
        """name{labels} -> value"""
        out = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out


@pytest.fixture
def watched(bicorn, app):
    def start(*args, **kw):
        server = bicorn("--admin-bind", "127.0.0.1:0", *args, app, **kw)
        return server, Admin(server)
    return start


def codes(admin):
    return {k: v for k, v in
            admin.status()["counters"]["requests"].items() if v}


# --- numbers ----------------------------------------------------------------

def test_exact_numbers(watched):
    server, admin = watched("--workers", 2, "--threads", 3)
    wanted = {"2xx": 70, "3xx": 30, "4xx": 20, "5xx": 10}

    def load(path, count):
        with server.connect() as c:
            for _ in range(count):
                c.get(path)

    threads = [threading.Thread(target=load, args=a) for a in
               [("/", 35), ("/204", 35), ("/302", 30), ("/404", 20),
                ("/500", 10)]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_for(lambda: codes(admin) == wanted, "the numbers")
    status = admin.status()
    assert status["requests"] == 130
    assert status["counters"]["accepted_connections"] == 5
    assert status["counters"]["reused_requests"] == 125
    assert status["counters"]["response_bytes"] == 5 * (130 - 35)
    for part in status["latency"].values():
        assert part["count"] == 130
        assert part["p50"] <= part["p90"] <= part["p99"] <= part["max"]
    m = admin.metrics()
    assert m['bicorn_requests_total{code="2xx"}'] == 70
    assert m["bicorn_request_duration_seconds_count"] == 130
    assert m['bicorn_request_duration_seconds_bucket{le="+Inf"}'] == 130
    assert sum(w["requests"] for w in status["workers"]) == 130


def test_never_back(watched):
    """Over a reload, a death, and workers that are replaced."""
    server, admin = watched("--workers", 2, "--max-requests", 40)
    seen, sent, stop = [], 0, threading.Event()

    def look():
        while not stop.is_set():
            seen.append(admin.metrics()['bicorn_requests_total{code="2xx"}'])

    watcher = threading.Thread(target=look)
    watcher.start()
    for round in range(4):
        for _ in range(50):
            assert server.get("/").status == 200
            sent += 1
        if round == 1:
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log(r"\] Ready", since=mark)
        if round == 2:
            mark = server.mark()
            # Only idle ones: no request is lost.
            wait_for(lambda: codes(admin).get("2xx") == sent, "the count")
            os.kill(admin.status()["workers"][0]["pid"], signal.SIGKILL)
            server.wait_log(r"SIGKILL", since=mark)
    wait_for(lambda: codes(admin) == {"2xx": sent}, "the count")
    stop.set()
    watcher.join()
    assert seen == sorted(seen)
    m = admin.metrics()
    assert m["bicorn_request_duration_seconds_count"] == sent
    assert m['bicorn_worker_exits_total{reason="killed"}'] == 1
    assert m['bicorn_worker_exits_total{reason="reload"}'] >= 1
    assert m["bicorn_reloads_total"] == 1


def test_failed_reloads(watched, tmp_path):
    conf = tmp_path / "c"
    conf.write_text("threads = 2;")
    server, admin = watched("-c", conf)
    conf.write_text("threads = none;")
    for count in 1, 2:
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Reload failed", since=mark)
        wait_for(lambda: admin.metrics()["bicorn_failed_reloads_total"] ==
                 count, "the count")
    assert admin.metrics()["bicorn_reloads_total"] == 0


def test_lost_requests(watched):
    server, admin = watched("--threads", 2)
    with server.connect() as c:
        c.send("GET /hang?secret HTTP/1.1\r\nHost: x\r\n\r\n")
        # Either thread may take it.
        wait_for(lambda: ["GET /hang?secret"] == [
            t["request"] for t in admin.status()["workers"][0]["threads"]
            if "request" in t], "busy")
        worker = admin.status()["workers"][0]
        mark = server.mark()
        os.kill(worker["pid"], signal.SIGKILL)
        server.wait_log(r"was running: GET /hang\?secret", since=mark)
    wait_for(lambda: admin.status()["requests_lost"] == 1, "the count")


def test_queued_requests_are_lost_too(watched):
    """They have no names, but a number."""
    server, admin = watched("--threads", 1)
    some = [server.connect() for _ in range(6)]
    for c in some[:4]:
        c.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    for c in some[4:]:
        c.send("GET /half")

    def now():
        w = admin.status()["workers"][0]
        return w["queued"], w["connections"]

    wait_for(lambda: now() == (3, 6), "three that wait")
    pid = admin.status()["workers"][0]["pid"]
    mark = server.mark()
    os.kill(pid, signal.SIGKILL)
    server.wait_log(r"\[ERROR\] Worker \(pid:%d\) had 3 requests queued that "
                    r"did not run, and 2 other connections$" % pid, since=mark)
    wait_for(lambda: admin.status()["requests_lost"] == 4, "the count")
    for c in some:
        c.close()


def test_refusals_and_reasons(watched):
    server, admin = watched("--limit-request-body", 100, "--keep-alive", "1s",
                            "--header-timeout", "0.5s")
    assert server.raw(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert b" 413 " in server.raw(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n")
    assert b" 431 " in server.raw(
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n")
    with server.connect() as c:
        c.send("GET / HT")
        assert c.response().status == 408
    refused = admin.status()["counters"]["refused"]
    assert {k: v for k, v in refused.items() if v} == {
        "malformed": 1, "body_too_large": 1, "fields_too_large": 1,
        "timeout": 1}
    with server.connect() as c:
        c.get("/")
        assert c.rest() == b""
    timeouts = admin.status()["counters"]["timeouts"]
    assert timeouts["header"] == 1
    assert timeouts["keepalive"] == 1
    assert codes(admin) == {"2xx": 1, "4xx": 4}


def test_connection_states(watched):
    server, admin = watched()

    def states():
        return {k: v for k, v in admin.status()["workers"][0]
                ["connection_states"].items() if v}

    with server.connect() as idle, server.connect() as head, \
            server.connect() as body, server.connect() as busy:
        idle.get("/")
        head.send("GET / HT")
        body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        busy.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: states() == {"idle": 1, "reading_head": 1,
                                      "reading_body": 1, "active": 1},
                 "the states")
        os.kill(admin.status()["workers"][0]["pid"], signal.SIGKILL)


def test_what_the_acceptor_sends_counts(watched):
    """A response that its client takes late is in each histogram, once."""
    server, admin = watched()
    with server.connect() as c:
        c.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 40)
        wait_for(lambda: admin.status()["requests"] > 0, "the first")
        for _ in range(40):
            assert len(c.response().body) == 300000
    wait_for(lambda: all(p["count"] == 40 for p in
                         admin.status()["latency"].values()), "the counts")


def test_lock_waits(watched):
    server, admin = watched("--slow-request", "0.1s")
    server.get("/waited")
    wait_for(lambda: admin.status()["requests"] == 1, "the request")
    counters = admin.status()["counters"]
    assert counters["interpreter_lock_waits"] == 1
    assert counters["interpreter_lock_wait_seconds"] == 0.25


@pytest.mark.python
def test_lock_waits_in_python(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            for _ in range(100000):
                pass
            start_response("200 OK", [])
            return [b""]
    """, "--admin-bind", "127.0.0.1:0", "--threads", 2)
    admin = Admin(server)
    for _ in range(5):
        server.get("/")
    wait_for(lambda: admin.status()["requests"] == 5, "the requests")
    assert admin.status()["counters"]["interpreter_lock_waits"] >= 5


# --- formats ----------------------------------------------------------------

def test_promtool(watched):
    if shutil.which("promtool") is None:
        pytest.skip("no promtool (Debian: prometheus)")
    server, admin = watched()
    server.get("/")
    text = admin.get("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=text,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == b""


def test_openmetrics(watched):
    _, admin = watched()
    plain = admin.get("/metrics")
    assert plain.header("Content-Type").startswith("text/plain; version=0.0.4")
    r = admin.get("/metrics", [("Accept",
                  "application/openmetrics-text;version=1.0.0,*/*;q=0.1")])
    assert r.header("Content-Type").startswith("application/openmetrics-text")
    text = r.body.decode()
    assert text.endswith("# EOF\n")
    assert "# TYPE bicorn_requests counter\nbicorn_requests_total{" in text
    families = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(families) == len(set(families))


def test_buckets_rise(watched):
    server, admin = watched()
    for _ in range(20):
        server.get("/")
    wait_for(lambda: admin.status()["requests"] == 20, "them")
    for name in ("queue", "application", "send", "duration"):
        values = [v for k, v in admin.metrics().items() if k.startswith(
            "bicorn_request_%s_seconds_bucket" % name)]
        assert values == sorted(values) and values[-1] == 20


def test_read_by_another_parser(watched):
    """Names, units, suffixes and the order of lines, strictly."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    server, admin = watched()
    server.get("/")
    wait_for(lambda: admin.status()["requests"] == 1, "it")
    text = admin.get("/metrics", [("Accept",
                     "application/openmetrics-text;version=1.0.0")]).body
    families = list(parser.text_string_to_metric_families(text.decode()))
    values = {s.name: s.value for f in families for s in f.samples}
    assert len(families) > 20
    assert all(f.documentation for f in families)
    assert values["bicorn_request_duration_seconds_count"] == 1


BOARD = json.loads((SOURCE / "etc/grafana.json").read_text())
TARGETS = [(p, t) for p in BOARD["panels"] for t in p.get("targets", [])]


def test_dashboard_names_what_there_is(watched):
    """etc/grafana.json asks for metrics that exist, by labels of theirs."""
    _, admin = watched()
    labels = {}
    for line in admin.metrics():
        name, _, rest = line.partition("{")
        labels.setdefault(name, {"job", "instance"}).update(
            re.findall(r'(\w+)="', rest))
    assert TARGETS
    for _, target in TARGETS:
        expr = target["expr"]
        asked = re.findall(r"bicorn_\w+", expr)
        assert asked and set(asked) <= set(labels), expr
        by = set(", ".join(re.findall(r"by \((.*?)\)", expr)).split(", "))
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        for name in asked:
            assert by - {""} <= labels[name], expr
            assert legend <= labels[name], expr
            assert set(re.findall(name + r"\{(\w+)=", expr)) <= labels[name]
        assert " by (" not in expr or legend <= by


def test_dashboard_is_whole():
    """Panels lie beside each other, and variables are there."""
    panels, taken = BOARD["panels"], set()
    assert len({p["id"] for p in panels}) == len(panels)
    for p in panels:
        at = p["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, p["title"]
        taken |= cells
        ids = [t["refId"] for t in p.get("targets", [])]
        assert len(set(ids)) == len(ids)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    own = {v["name"] for v in BOARD["templating"]["list"]}
    assert used <= own | {"__rate_interval"}


@pytest.fixture
def prometheus(tmp_path):
    """One that asks a server five times a second: ask(query) -> its rows."""
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus (Debian: prometheus)")
    started = []

    def start(address):
        (tmp_path / "p.yml").write_text(
            "scrape_configs:\n"
            "  - job_name: bicorn\n"
            "    scrape_interval: 200ms\n"
            "    scrape_timeout: 200ms\n"
            "    static_configs: [{ targets: ['%s:%d'] }]\n" % address)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        started.append(subprocess.Popen(
            ["prometheus", "--config.file", str(tmp_path / "p.yml"),
             "--storage.tsdb.path", str(tmp_path / "data"),
             "--web.listen-address", "127.0.0.1:%d" % port],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        def ask(query):
            try:
                with Conn(("127.0.0.1", port)) as c:
                    r = c.get("/api/v1/query?query=" +
                              urllib.parse.quote(query))
            except OSError:
                return []
            if r.status == 503:
                return []
            assert r.status == 200, r.body
            return json.loads(r.body)["data"]["result"]
        return ask

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_dashboard_by_prometheus(watched, prometheus):
    """Every query of etc/grafana.json, asked and answered."""
    server, admin = watched()
    ask = prometheus(admin.address)
    wait_for(lambda: ask("up == 1"), "prometheus")
    for status in 200, 404, 500:
        server.get("/%d" % status)
    server.raw("GET / HTTP/1.1\r\n\r\n")
    wait_for(lambda: admin.status()["requests"] >= 3, "the requests")
    wait_for(lambda: ask("increase(bicorn_requests_total[10s]) > 0"),
             "two numbers")
    assert ask('bicorn_build_info{job="bicorn"}')
    for panel, target in TARGETS:
        query = target["expr"].replace("$__rate_interval", "10s").replace(
            "$job", "bicorn").replace("$instance", ".*")
        assert ask(query), (panel["title"], query)


def test_script_names_what_there_is():
    """etc/bicorn.bt asks for probes of the executable, and arguments of
    theirs."""
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    notes = subprocess.run(["readelf", "-nW", str(harness.BICORN)],
                           capture_output=True, text=True).stdout
    probes = {name: len(args.split()) for name, args in re.findall(
        r"Provider: bicorn\s+Name: (\w+)\s.*?Arguments: *([^\n]*)", notes,
        re.S)}
    if not probes:
        pytest.skip("built without probes (Debian: systemtap-sdt-dev)")
    script = SOURCE / "etc/bicorn.bt"
    text = script.read_text()
    asked = re.findall(r"^usdt:[\w/]+:bicorn:(\w+)\s*(\{.*?\})", text,
                       re.M | re.S)
    told = dict(re.findall(r"^ \*\t(\w+) +((?:\w+, )*\w+) {2,}", text, re.M))
    assert {name for name, _ in asked} <= set(probes)
    assert {k: v.count(",") + 1 for k, v in told.items()} == probes
    for name, body in asked:
        for number in re.findall(r"\barg(\d)", body):
            assert int(number) < probes[name]
    if shutil.which("bpftrace") and os.geteuid() == 0:
        done = subprocess.run(
            ["bpftrace", "-d", "-e", text.replace("/usr/local/bin/bicorn",
                                                  str(harness.BICORN))],
            capture_output=True, text=True)
        assert "syntax error" not in done.stderr, done.stderr


# --- health -----------------------------------------------------------------

def test_up_when_every_worker_hangs(watched):
    server, admin = watched("--threads", 1, "--timeout", "0")
    pid = admin.status()["workers"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert admin.get("/health").status == 200
        wait_for(lambda: admin.get("/ready").status == 503, "not ready")
        assert admin.status()["ready"] is False
        assert admin.metrics()["bicorn_workers_ready"] == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: admin.get("/ready").status == 200, "ready")


def test_it_is_started_again(watched):
    server, admin = watched()
    server.get("/")
    wait_for(lambda: codes(admin) == {"2xx": 1}, "the request")
    os.kill(harness.admin_process(server.pid), signal.SIGKILL)
    server.wait_log("The admin process .* ended")
    assert admin.get("/health").status == 200
    assert codes(admin) == {"2xx": 1}


def test_a_signal_to_the_group(watched):
    """It stays until the last worker is gone, and then leaves nothing."""
    server, admin = watched()
    with server.connect() as c:
        c.send("GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: admin.status()["load"]["threads_busy"] == 1, "busy")
        os.killpg(server.pid, signal.SIGTERM)
        wait_for(lambda: admin.status()["arbiter"]["state"] == "stopping",
                 "the state")
        assert admin.get("/ready").status == 503
    assert server.wait() == 0
    assert not harness.processes(server.pid)


# --- who may see it ---------------------------------------------------------

def test_not_on_the_listener_of_the_application(watched):
    server, _ = watched()
    for path in ("/status", "/metrics", "/events", "/ready", "/"):
        assert server.get(path).body == b"hello"
    assert server.get("/control/reload", method="POST").body == b"hello"


def test_public_addresses(run, app):
    done = run("--bind", "127.0.0.1:0", "--admin-bind", "0.0.0.0:0", app)
    assert done.returncode == 1
    assert "admin_public" in done.stderr
    assert "admin_bind = 0.0.0.0:0" in done.stderr


@pytest.mark.parametrize("flag, address, setting", [
    ("--admin-bind", "unix:/nonexistent/s", "admin_bind"),
    ("--admin-bind", "192.0.2.77:0", "admin_bind"),
    ("--control-socket", "/nonexistent/s", "control_socket"),
])
def test_what_cannot_be_opened(run, app, flag, address, setting):
    """... is said of the setting that asked for it."""
    done = run("--bind", "127.0.0.1:0", "--admin-public", flag, address, app)
    assert done.returncode == 1
    assert re.search(r"\[ERROR\] %s = (unix:)?%s: .*; "
                     % (setting, address), done.stderr)


@pytest.mark.parametrize("address, text", [
    ("0.0.0.0:9100", "admin_bind = 0.0.0.0:9100: others could read it"),
    (":9100", "others could read it"),
    ("[2001:db8::1]:9100", "others could read it"),
    ("127.0.0.1:99999", "--admin-bind 127.0.0.1:99999 (command line)"),
    ("foo bar", "--admin-bind 'foo bar' (command line): must be HOST:PORT"),
])
def test_checked_beforehand(run, app, address, text):
    """--check-config opens nothing, but says what could not be."""
    done = run("--admin-bind", address, "--check-config", app)
    assert done.returncode in (1, 2) and text in done.stderr
    for good in "127.0.0.1:9100", "[::1]:9100", "unix:a.sock":
        assert run("--admin-bind", good, "--check-config", app,
                   cwd="/tmp").returncode == 0
    assert not os.path.exists("/tmp/a.sock")


def test_public_when_told(bicorn, app):
    server = bicorn("--admin-bind", "0.0.0.0:0", "--admin-public", app)
    port = admin_of(server)[1]
    with Conn(("127.0.0.1", port)) as c:
        assert c.get("/health", [("Host", "metrics.example")]).status == 200


def test_names_of_others(watched):
    """A page elsewhere cannot read us by a name that it gave to us."""
    _, admin = watched()
    assert admin.get("/status", [("Host", "evil.example")]).status == 403
    for host in ("localhost", "127.0.0.1:99", "[::1]:99"):
        with Conn(admin.address) as c:
            c.send("GET /health HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            assert c.response().status == 200


def test_unix_socket(bicorn, app, tmp_path):
    path = tmp_path / "admin.sock"
    server = bicorn("--admin-bind", "unix:%s" % path, app)
    server.wait_log("Admin listening")
    assert os.stat(path).st_mode & 0o777 == 0o660
    with Conn(str(path)) as c:
        assert c.get("/health").body == b"ok\n"
    server.stop()
    assert not path.exists()


def test_buttons(watched):
    server, admin = watched("--admin-control")
    own = [("X-Bicorn", "control")]
    assert admin.get("/control/more", method="POST").status == 403
    assert admin.get("/control/more", own + [
        ("Origin", "http://evil.example")], "POST").status == 403
    r = admin.get("/control/more", own, "POST")
    assert r.status == 200 and json.loads(r.body)["ok"]
    wait_for(lambda: admin.status()["load"]["workers_ready"] == 2, "two")
    r = admin.get("/control/fewer", own, "POST")
    wait_for(lambda: admin.status()["load"]["workers"] == 1, "one")
    r = admin.get("/control/fewer", own, "POST")
    assert r.status == 409 and not json.loads(r.body)["ok"]
    mark = server.mark()
    assert admin.get("/control/reload", own, "POST").status == 200
    server.wait_log(r"\] Ready", since=mark)
    assert admin.get("/control/stop", own, "POST").status == 404
    assert admin.get("/control/reload").status == 405


def test_no_buttons(watched):
    _, admin = watched()
    r = admin.get("/control/reload", [("X-Bicorn", "control")], "POST")
    assert r.status == 403
    assert admin.status()["controls"] is False


# --- hostile input ----------------------------------------------------------

def test_page_is_locked_down(watched):
    _, admin = watched()
    first, second = admin.get("/"), admin.get("/")
    policy = first.header("Content-Security-Policy")
    nonce = re.search(r"script-src 'nonce-(\w{32})'", policy).group(1)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert b"@NONCE@" not in first.body
    assert first.body.count(nonce.encode()) >= 2
    assert second.header("Content-Security-Policy") != policy
    assert first.header("X-Content-Type-Options") == "nosniff"
    assert not re.search(rb"(src|href)=\"?https?:", first.body)


def test_odd_requests(watched):
    _, admin = watched()
    assert admin.get("/nothing").status == 404
    assert admin.get("/status", method="DELETE").status == 405
    with Conn(admin.address) as c:
        r = c.get("/status", method="HEAD")
        assert r.status == 200 and r.body == b""
        assert c.get("/health").status == 200
        c.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
               "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
               .replace("Host: x", "Host: localhost"))
        assert c.response().body == b"ok\n"
        assert c.response().body == b"ready\n"
    for bad, code in [
            (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
            (b"GET / HTTP/9.9\r\n\r\n", b"505"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
            (b"POST /control/reload HTTP/1.1\r\nHost: localhost\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"413"),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\n"
             b"Content-Length: 99999999\r\n\r\n", b"413"),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 5000 +
             b"\r\n\r\n", b"431")]:
        with Conn(admin.address) as c:
            c.send(bad)
            assert c.rest().split()[1] == code, bad[:40]


def test_many_connections(watched):
    """More than it takes: the idle ones are closed, the workers serve on."""
    server, admin = watched()
    held = []
    for _ in range(200):
        s = socket.create_connection(admin.address)
        s.settimeout(harness.DEADLINE)
        held.append(s)
    assert server.get("/").body == b"hello"
    # The first ones had to go.
    assert held[0].recv(1) == b""
    for s in held:
        s.close()
    wait_for(lambda: admin_answers(admin), "an answer")


def admin_answers(admin):
    try:
        return admin.get("/health").status == 200
    except (AssertionError, OSError):
        return False


def test_events(watched):
    server, admin = watched()
    with Conn(admin.address) as c:
        c.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = c.until(b"\r\n\r\n")
        assert b"text/event-stream" in head
        kinds = []
        for _ in range(4):
            event = c.until(b"\n\n")
            kind, data = event.split(b"\n", 1)
            kinds.append(kind)
            json.loads(data.split(b": ", 1)[1])
        assert kinds == [b"event: history"] + [b"event: status"] * 3


def test_reader_that_does_not_read(watched):
    """It is dropped, and nobody else notices."""
    server, admin = watched("--threads", 400)
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(admin.address)
    s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n" +
              b"x" * 100000)
    for _ in range(20):
        assert admin.get("/health").status == 200
    assert server.get("/").body == b"hello"
    s.close()


@pytest.mark.parametrize("limit", ["--fsize=4096:", "--fsize=4096:4096"])
def test_limited_files(bicorn, app, limit):
    """A limit of the size of files is not one of the scoreboard."""
    if shutil.which("prlimit") is None:
        pytest.skip("no prlimit")
    server = bicorn("--admin-bind", "127.0.0.1:0", app,
                    wrapper=["prlimit", limit])
    assert server.get("/").body == b"hello"
    assert Admin(server).get("/health").status == 200
    if limit.endswith(":"):
        wait_for(lambda: codes(Admin(server)) == {"2xx": 1}, "the count")


def test_no_memory_to_share(bicorn, app, tmp_path):
    """In a sandbox; the log says what is forbidden there."""
    deny = harness.deny(tmp_path, "memfd_create", "EPERM")
    if deny is None:
        pytest.skip("no seccomp here")
    server = bicorn("--admin-bind", "127.0.0.1:0", app, wrapper=deny)
    server.wait_log("cannot be shown: memfd_create: Operation not permitted")
    assert server.get("/").body == b"hello"


def test_names_that_are_no_text(bicorn, app):
    server = bicorn("--admin-bind", "127.0.0.1:0", "--name",
                    os.fsdecode(b"caf\xe9 \x01"), app)
    assert Admin(server).status()["name"].startswith("caf?")


# --- the slow log and titles ------------------------------------------------

def test_slow_log(watched):
    server, admin = watched("--slow-request", "0.2s")
    mark = server.mark()
    server.get("/")
    server.get("/sleep?a")
    m = server.wait_log(
        r"Slow request: GET /sleep\?a took (\S+) s: (\S+) s queued, (\S+) s "
        r"in the application, (\S+) s sending; status 200, thread pool-\d",
        since=mark)
    total, queued, application, sending = map(float, m.groups())
    assert total >= 0.3 and application >= 0.3
    assert abs(total - queued - application - sending) < 0.01
    wait_for(lambda: admin.status()["counters"]["slow_requests"] == 1,
             "the count")
    assert server.log.text().count("Slow request") == 1


@pytest.mark.python
def test_slow_stack(wsgi):
    server = wsgi("""
        import time
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/slow":
                the_culprit()
            start_response("200 OK", [])
            return [b""]

        def the_culprit():
            time.sleep(1)
    """, "--slow-request", "0.2s", "--slow-request-stack")
    server.get("/slow")
    server.wait_log(r"Slow request: GET /slow is running")
    server.wait_log(r"in the_culprit")
    server.wait_log(r"Slow request: GET /slow took")


def test_titles(watched):
    server, admin = watched("--threads", 4, "--name", "shop")

    def titles():
        return {open("/proc/%d/cmdline" % p, "rb").read().strip(b"\0")
                for p in [server.pid, *harness.children(server.pid)]}

    wait_for(lambda: titles() == {
        b"bicorn: master [shop]", b"bicorn: admin [shop]",
        b"bicorn: worker [shop] 0/4 busy"}, "the titles")
    with server.connect() as c, server.connect() as d:
        for conn in (c, d):
            conn.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: b"bicorn: worker [shop] 2/4 busy" in titles(), "2/4")
        os.kill(admin.status()["workers"][0]["pid"], signal.SIGKILL)


def test_pipelines_that_fill_the_socket(watched):
    """The requests behind an answer that had to wait are not forgotten."""
    _, admin = watched()
    page = admin.get("/").body
    with Conn(admin.address) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
        for _ in range(300):
            assert len(c.response().body) == len(page)


def test_idle_connections_make_room(watched):
    """Who holds all connections open keeps nobody out."""
    server, admin = watched()
    held = [Conn(admin.address) for _ in range(40)]
    for c in held:
        assert c.get("/health").status == 200
    held += [Conn(admin.address) for _ in range(100)]
    for _ in range(3):
        assert admin.get("/health").status == 200
    # Those who get events are not idle.
    with Conn(admin.address) as c:
        c.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        c.until(b"event: status")
        held += [Conn(admin.address) for _ in range(100)]
        assert admin.get("/health").status == 200
        c.until(b"event: status")
    for c in held:
        c.close()


def test_clients_that_do_not_read_make_room(watched):
    """Who asks for much and takes none of it, or little, keeps nobody out."""
    _, admin = watched()
    asked = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300
    held = []
    for _ in range(64):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(admin.address)
        s.sendall(asked)
        held.append(s)
    for _ in range(3):
        assert admin.get("/health").status == 200
    for s in held:
        s.close()
