# SPDX-License-Identifier: MIT
"""The samples in etc/, with the real programs: nginx (TCP, unix, uwsgi),
HAProxy (PROXY version 2, health checks) and Apache in front of bicorn.  One
of three is killed or reloads, requests are smuggled, and the containers'
files name what there is."""
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness

pytestmark = pytest.mark.python

PROXIES = harness.SOURCE / "etc/proxies"
CONTAINERS = harness.SOURCE / "etc/containers"

APP = '''
    import hashlib
    import json
    import time


    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/sleep":
            end = time.monotonic() + float(environ["QUERY_STRING"])
            while time.monotonic() < end:
                time.sleep(0.02)
        if path == "/stream":
            start_response("200 OK", [])
            return iter([b"a" * 1000] * 100)
        said = {k: v for k, v in environ.items() if isinstance(v, str)}
        said["sha256"] = hashlib.sha256(environ["wsgi.input"].read()
                                        ).hexdigest()
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"),
                                  ("Content-Length", str(len(body)))])
        return [body]
'''


def program(name):
    path = "/usr/sbin/" + name
    return shutil.which(name) or (path if os.path.exists(path) else None)


def needs(name, package):
    return pytest.mark.skipif(
        program(name) is None,
        reason="%s is missing (Debian: %s)" % (name, package))


nginx_there = needs("nginx", "nginx-light")
haproxy_there = needs("haproxy", "haproxy")
apache_there = needs("apache2", "apache2-bin")


def said(response):
    assert response.status == 200, response
    return json.loads(response.body)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Front:
    """A proxy that runs with one of the samples, whose addresses are
    replaced by others."""

    def __init__(self, folder, sample, fronts, replaced, **details):
        self.folder = folder
        for _ in range(20):
            self.ports = {port: free_port() for port in fronts}
            text = (PROXIES / sample).read_text()
            for old, new in {**replaced, **{
                    "127.0.0.1:%d" % old: "127.0.0.1:%d" % new
                    for old, new in self.ports.items()}}.items():
                assert old in text, old
                text = text.replace(old, new)
            command = self.configure(text, **details)
            self.output = open(folder / "output", "wb")
            self.process = subprocess.Popen(
                command, stdout=self.output, stderr=subprocess.STDOUT,
                start_new_session=True)
            if self.came_up():
                return
        raise AssertionError("no port for it")

    def came_up(self):
        end = time.monotonic() + harness.DEADLINE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                text = (self.folder / "output").read_text()
                assert re.search("in use|cannot bind", text), text
                return False
            try:
                for port in self.ports.values():
                    socket.create_connection(("127.0.0.1", port)).close()
                return True
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise AssertionError("it does not listen")

    def connect(self, port=None):
        port = self.ports[port] if port else next(iter(self.ports.values()))
        return harness.Conn(("127.0.0.1", port))

    def get(self, target="/", headers=(), method="GET", body=None, port=None):
        with self.connect(port) as c:
            return c.get(target, headers, method, body, close=True)

    def stop(self):
        """With its children, as Apache has some."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()


class Nginx(Front):
    CONF = """
        daemon off;
        master_process off;
        error_log {folder}/error.log info;
        pid {folder}/pid;
        events {{ worker_connections 512; }}
        http {{
            log_format requests "$request_method $request_uri";
            access_log {folder}/requests requests;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {more}
            include {folder}/sample;
        }}
    """

    def configure(self, text, more=""):
        (self.folder / "sample").write_text(text)
        (self.folder / "conf").write_text(self.CONF.format(
            folder=self.folder, more=more))
        return [program("nginx"), "-p", str(self.folder), "-c",
                str(self.folder / "conf")]

    def requests(self):
        return (self.folder / "requests").read_text().split("\n")[:-1]


class Haproxy(Front):
    def configure(self, text, more=""):
        # Its log goes to the output, one line a request.
        text = text.replace("global\n", "global\n    log stdout format raw "
                            "local0\n", 1)
        text = text.replace("frontend web\n", "frontend web\n    log global\n"
                            '    log-format "request %HM %HU"\n' + more, 1)
        (self.folder / "conf").write_text(text)
        return [program("haproxy"), "-db", "-f", str(self.folder / "conf")]

    def requests(self):
        return re.findall(r"^request (.*)$",
                          (self.folder / "output").read_text(), re.M)


class Apache(Front):
    MODULES = ("mpm_event authz_core headers proxy proxy_http proxy_uwsgi "
               "proxy_balancer lbmethod_byrequests slotmem_shm").split()

    def configure(self, text):
        # The sample says nothing about where it listens.
        self.ports = {80: free_port()}
        folder = self.folder
        lines = ["LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so"
                 % (m, m) for m in self.MODULES]
        lines += ["ServerRoot %s" % folder, "PidFile %s/pid" % folder,
                  "DefaultRuntimeDir %s" % folder, "ServerName localhost",
                  "ErrorLog %s/error.log" % folder,
                  "Listen 127.0.0.1:%d" % next(iter(self.ports.values()))]
        (folder / "conf").write_text("\n".join(lines) + "\n" + text)
        return [program("apache2"), "-f", str(folder / "conf"),
                "-DFOREGROUND"]


@pytest.fixture
def front(tmp_path_factory):
    running = []

    def start(kind, *args, **kw):
        folder = tmp_path_factory.mktemp(kind.__name__.lower())
        running.append(kind(folder, *args, **kw))
        return running[-1]

    yield start
    for f in running:
        f.stop()


@pytest.fixture
def three(bicorn, tmp_path):
    """Three bicorns with the same application, on ports of their own."""
    lines = APP.split("\n")
    (tmp_path / "webapp.py").write_text(
        "\n".join(line[4:] for line in lines))

    def start(*args):
        return [bicorn(*args, "--health-path", "/health", "--access-logfile",
                       "-", "webapp:app", cwd=tmp_path) for _ in range(3)]

    return start


def addresses(servers):
    return {"127.0.0.1:800%d" % (i + 1): "127.0.0.1:%d" % s.port
            for i, s in enumerate(servers)}


TCP, UNIX, UWSGI = 8081, 8082, 8083


@pytest.fixture
def nginx_tcp(three, front):
    def start(*args, **kw):
        servers = three(*args)
        return front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI),
                     addresses(servers), **kw), servers
    return start


@pytest.fixture
def haproxy(three, front):
    def start(*args, **kw):
        servers = three("--proxy-protocol", "required", *args)
        f = front(Haproxy, "haproxy.cfg", (8080,), addresses(servers), **kw)
        return f, servers
    return start


@pytest.fixture(params=[
    pytest.param("nginx_tcp", marks=nginx_there),
    pytest.param("haproxy", marks=haproxy_there)])
def balanced(request):
    return request.getfixturevalue(request.param)


# --- the samples work --------------------------------------------------------

@nginx_there
def test_nginx_tcp(nginx_tcp):
    f, servers = nginx_tcp("--remote-addr-header", "X-Forwarded-For")
    ports = set()
    for i in range(12):
        env = said(f.get("/a%%20b?%d" % i, [("X-Forwarded-For", "1.1.1.1"),
                                            ("X-Forwarded-Proto", "https")]))
        assert env["PATH_INFO"] == "/a b"
        assert env["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
        assert env["REMOTE_ADDR"] == "127.0.0.1"
        assert "REMOTE_PORT" not in env
        assert env["wsgi.url_scheme"] == "http"
        ports.add(env["SERVER_PORT"])
    assert len(ports) == 3


@nginx_there
def test_nginx_unix(wsgi, front, tmp_path):
    path = "%s/bicorn.sock" % tmp_path
    wsgi(APP, bind="unix:" + path)
    f = front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI),
              {"/run/bicorn/bicorn.sock": path})
    for _ in range(5):
        env = said(f.get("/a", [("X-Forwarded-Proto", "https"),
                                ("Host", "x.org")], port=UNIX))
        assert env["wsgi.url_scheme"] == "http"
        assert env["SERVER_NAME"] == "x.org"


@nginx_there
def test_nginx_uwsgi(wsgi, front):
    server = wsgi(APP, "--protocol", "uwsgi", "--access-logfile", "-")
    f = front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI),
              {"127.0.0.1:3031": "127.0.0.1:%d" % server.port})
    with f.connect(UWSGI) as c:
        for i in range(5):
            c.send(harness.request("GET", "/a%%20b/%%e9?n=%d" % i, [
                ("Host", "x.org:99"), ("X-Forwarded-Proto", "https"),
                ("Cookie", "a=b")]))
            r = c.response()
            env = said(r)
            port = str(c.sock.getsockname()[1])
            for name, value in {
                    "REQUEST_METHOD": "GET", "PATH_INFO": "/a b/\xe9",
                    "QUERY_STRING": "n=%d" % i, "REMOTE_ADDR": "127.0.0.1",
                    "REMOTE_PORT": port, "REQUEST_SCHEME": "http",
                    "SERVER_PROTOCOL": "HTTP/1.1",
                    "HTTP_COOKIE": "a=b", "wsgi.url_scheme": "http",
                    "SERVER_PORT": str(f.ports[UWSGI]),
                    "SCRIPT_NAME": ""}.items():
                assert env.get(name) == value, (name, env)
            assert env["DOCUMENT_ROOT"]
            # Debian's uwsgi_params leave the port out.
            assert env["HTTP_HOST"] in ("x.org", "x.org:99")
    server.wait_out(r'^127\.0\.0\.1 .*"GET /a%20b/%e9\?n=4 HTTP/1\.1" 200')
    for size in (0, 1, 100000, 1000000):
        body = os.urandom(size)
        env = said(f.get("/", method="POST", body=body, port=UWSGI))
        assert env.get("CONTENT_LENGTH", "0") == str(size)
        assert env["sha256"] == hashlib.sha256(body).hexdigest()
    with f.connect(UWSGI) as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
               "\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        env = said(c.response())
        assert env["CONTENT_LENGTH"] == "5"
        assert "HTTP_TRANSFER_ENCODING" not in env
    r = f.get("/stream", port=UWSGI)
    assert r.status == 200 and r.body == b"a" * 100000
    with f.connect(UWSGI) as c:
        r = c.get("/", method="HEAD")
        assert r.status == 200 and r.body == b""


@nginx_there
def test_nginx_uwsgi_below_a_path(wsgi, front):
    server = wsgi(APP, "--protocol", "uwsgi")
    f = front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI), {
        "127.0.0.1:3031": "127.0.0.1:%d" % server.port,
        "# Below a path:  uwsgi_param": "uwsgi_param"})
    for target, path in (("/app", ""), ("/app/a%20b?c", "/a b"),
                         ("/app/app/x", "/app/x"), ("/app//x", "/x")):
        env = said(f.get(target, port=UWSGI))
        assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/app", path)


@haproxy_there
def test_haproxy(haproxy):
    f, servers = haproxy()
    with f.connect() as c:
        for i in range(6):
            env = said(c.get("/?%d" % i, [("X-Forwarded-Ssl", "on"),
                                          ("X-Forwarded-Proto", "https")]))
            assert env["REMOTE_ADDR"] == "127.0.0.1"
            assert env["REMOTE_PORT"] == str(c.sock.getsockname()[1])
            assert env["PROXY_PROTOCOL"] == "TCP4"
            assert env["PROXY_PORT"] == str(next(iter(f.ports.values())))
            assert env["wsgi.url_scheme"] == "http"
    # Its health checks are not somebody's connection.
    for s in servers:
        s.wait_out(r"GET /health ")


@haproxy_there
@pytest.mark.parametrize("tcp, options", [
    (False, "send-proxy"), (True, "send-proxy"), (True, "send-proxy-v2"),
    (True, "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority")])
def test_haproxy_ways(three, front, tcp, options):
    """As a balancer of connections, too."""
    servers = three("--proxy-protocol")
    replaced = {**addresses(servers),
                "send-proxy-v2 proxy-v2-options crc32c": options}
    if tcp:
        text = (PROXIES / "haproxy.cfg").read_text()
        replaced["mode http"] = "mode tcp"
        for line in re.findall(r"^ +(?:http-request|retry-on).*\n", text,
                               re.M):
            replaced[line] = ""
    f = front(Haproxy, "haproxy.cfg", (8080,), replaced) if not tcp else \
        front(PlainHaproxy, "haproxy.cfg", (8080,), replaced)
    with f.connect() as c:
        for _ in range(3):
            env = said(c.get("/"))
            assert env["REMOTE_PORT"] == str(c.sock.getsockname()[1])


class PlainHaproxy(Haproxy):
    """No log of requests, which it does not know in mode tcp."""

    def configure(self, text, more=""):
        (self.folder / "conf").write_text(text)
        return [program("haproxy"), "-db", "-f", str(self.folder / "conf")]


@apache_there
def test_apache(three, bicorn, front, tmp_path):
    servers = three()
    path = "%s/bicorn.sock" % tmp_path
    bicorn("webapp:app", bind="unix:" + path, cwd=tmp_path)
    uwsgi = bicorn("--protocol", "uwsgi", "webapp:app", cwd=tmp_path)
    f = front(Apache, "apache.conf", (), {
        **addresses(servers), "/run/bicorn/bicorn.sock": path,
        "127.0.0.1:3031": "127.0.0.1:%d" % uwsgi.port})
    assert subprocess.run(
        [program("apache2"), "-t", "-f", str(f.folder / "conf")],
        capture_output=True, check=False).returncode == 0
    forged = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "on")]
    env = said(f.get("/a%20b?c=d", forged))
    assert env["PATH_INFO"] == "/a b" and env["QUERY_STRING"] == "c=d"
    assert env["wsgi.url_scheme"] == "http"
    assert env["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    env = said(f.get("/unix/x", forged))
    assert env["PATH_INFO"] == "/x" and env["wsgi.url_scheme"] == "http"
    env = said(f.get("/uwsgi/a%20b?c=d", forged, "POST", b"hello"))
    assert env["SCRIPT_NAME"] == "/uwsgi" and env["PATH_INFO"] == "/a b"
    assert env["QUERY_STRING"] == "c=d" and env["CONTENT_LENGTH"] == "5"
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert env["wsgi.url_scheme"] == "http"


# --- one of three fails ------------------------------------------------------

class Hammer:
    """Clients that ask without a pause, and what they were answered."""

    def __init__(self, f, clients=4):
        self.f, self.stop = f, threading.Event()
        self.statuses = collections.Counter()
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.running = [self.pool.submit(self.run, i) for i in range(clients)]

    def run(self, number):
        # Some keep their connections, some do not; some send a body.
        while not self.stop.is_set():
            with self.f.connect() as c:
                for _ in range(10 if number % 2 else 1):
                    r = c.get("/", close=not number % 2)
                    self.statuses[r.status] += 1
                    if self.stop.is_set() or \
                            r.header("Connection") == "close":
                        break

    def wait(self, more):
        """Until so many more were answered."""
        goal = sum(self.statuses.values()) + more
        harness.wait_for(lambda: sum(self.statuses.values()) >= goal or
                         any(r.done() for r in self.running),
                         "requests are answered")

    def end(self):
        self.stop.set()
        for r in self.running:
            r.result()
        self.pool.shutdown()
        return self.statuses


def test_one_is_killed(balanced):
    f, servers = balanced("--workers", "2")
    hammer = Hammer(f)
    try:
        hammer.wait(100)
        servers[0].kill()
        hammer.wait(300)
    finally:
        statuses = hammer.end()
    assert set(statuses) == {200}, statuses


def test_one_stops_and_comes_back(balanced, bicorn, tmp_path):
    f, servers = balanced("--workers", "2", "--shutdown-delay", "1")
    hammer = Hammer(f)
    try:
        hammer.wait(100)
        assert servers[0].stop() == 0
        hammer.wait(100)
    finally:
        statuses = hammer.end()
    assert set(statuses) == {200}, statuses


def test_reloads(balanced):
    f, servers = balanced("--workers", "2")
    hammer = Hammer(f)
    try:
        for s in servers:
            mark = s.mark()
            s.signal(1)
            s.wait_log(r"\] Ready", since=mark)
            hammer.wait(50)
    finally:
        statuses = hammer.end()
    assert set(statuses) == {200}, statuses


def test_whose_fault(balanced):
    """502 or 503 when there is nobody, 504 when the application hangs."""
    f, servers = balanced("--request-timeout", "1")
    r = f.get("/sleep?30")
    assert r.status == 504 and b"<h1><p>Gateway Timeout" in r.body
    for s in servers:
        s.kill()
    status = f.get("/").status
    if isinstance(f, Haproxy):
        assert status == 503
    else:
        assert status == 502


def test_too_much_to_do(balanced):
    """bicorn's own 503, once every one of them says so."""
    f, servers = balanced("--threads", "1", "--queue-size", "1")
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: f.get("/sleep?0.5"), range(24)))
    statuses = collections.Counter(r.status for r in answers)
    assert set(statuses) == {200, 503}, statuses
    assert all(r.header("Retry-After") for r in answers if r.status == 503
               and r.header("Server", "").startswith("bicorn"))


@nginx_there
def test_504_of_nginx(three, front):
    servers = three()
    f = front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI), {
        **addresses(servers), "proxy_read_timeout 60s":
        "proxy_read_timeout 1s",
        "error timeout invalid_header": "error invalid_header"})
    r = f.get("/sleep?3")
    assert r.status == 504 and b"nginx" in r.body
    assert said(f.get("/"))


# --- smuggling ---------------------------------------------------------------

def attack(*fields, body, line="POST /front HTTP/1.1"):
    return "\r\n".join([line, "Host: x", *fields, "", ""]) + body


HIDDEN = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
SHORT = "0\r\n\r\n" + HIDDEN
LENGTH = "Content-Length: %d" % len(SHORT)
# What is a chunk to one that does not see the length, and the reverse.
LONG = "%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)

ATTACKS = {
    "CL.TE": attack(LENGTH, CHUNKED, body=SHORT),
    "TE.CL": attack("Content-Length: 4", CHUNKED, body=LONG),
    "TE before CL": attack(CHUNKED, "Content-Length: 4", body=LONG),
    "CL.CL": attack("Content-Length: 0", "Content-Length: %d" % len(HIDDEN),
                    body=HIDDEN),
    "CL.CL, the other way": attack("Content-Length: %d" % len(HIDDEN),
                                   "Content-Length: 0", body=HIDDEN),
    "a list of lengths": attack("Content-Length: 0, %d" % len(HIDDEN),
                                body=HIDDEN),
    "a length with a sign": attack("Content-Length: +%d" % len(HIDDEN),
                                   body=HIDDEN),
    "a length in hex": attack("Content-Length: 0x10", body=HIDDEN),
    "a length with a space": attack("Content-Length : %d" % len(HIDDEN),
                                    body=HIDDEN),
    "a coding with a space": attack("Transfer-Encoding : chunked", LENGTH,
                                    body=SHORT),
    "a coding with a tab": attack("Transfer-Encoding:\tchunked", LENGTH,
                                  body=SHORT),
    "a coding with a vertical tab": attack("Transfer-Encoding:\vchunked",
                                           LENGTH, body=SHORT),
    "a coding in quotes": attack('Transfer-Encoding: "chunked"', LENGTH,
                                 body=SHORT),
    "xchunked": attack("Transfer-Encoding: xchunked", LENGTH, body=SHORT),
    "chunked, identity": attack("Transfer-Encoding: chunked, identity",
                                LENGTH, body=SHORT),
    "identity, chunked": attack("Transfer-Encoding: identity, chunked",
                                LENGTH, body=SHORT),
    "two codings": attack(CHUNKED, "Transfer-Encoding: x", LENGTH,
                          body=SHORT),
    "a folded coding": attack("Transfer-Encoding:\r\n chunked", LENGTH,
                              body=SHORT),
    "a folded length": attack("X: y\r\n " + LENGTH, body=SHORT),
    "a coding with NUL": attack("Transfer-Encoding: chunked\0", LENGTH,
                                body=SHORT),
    "Transfer_Encoding": attack("Transfer_Encoding: chunked", LENGTH,
                                body=SHORT),
    "a bare CR": attack("X: y\rTransfer-Encoding: chunked", LENGTH,
                        body=SHORT),
    "a bare LF": attack("X: y\nTransfer-Encoding: chunked", LENGTH,
                        body=SHORT),
    "a chunk size with a sign": attack(CHUNKED, body="+0\r\n\r\n" + HIDDEN),
    "a chunk size that wraps": attack(
        CHUNKED, body="100000000\r\n" + HIDDEN + "0\r\n\r\n"),
    "a chunk size that overflows": attack(
        CHUNKED, body="10000000000000000\r\n" + HIDDEN + "0\r\n\r\n"),
    "a chunk extension with LF": attack(
        CHUNKED, body="2;\nxx\r\n" + "%x\r\n" % len(HIDDEN) + HIDDEN
        + "0\r\n\r\n"),
    "a chunk that ends in LF": attack(CHUNKED, body="1\nx\n0\n\n" + HIDDEN),
    "a chunk without an end": attack(CHUNKED, body="1\r\nxx0\r\n\r\n"
                                     + HIDDEN),
    "a length in a trailer": attack(
        CHUNKED, body="0\r\nContent-Length: 50\r\n\r\n" + HIDDEN),
    "chunked in HTTP/1.0": attack(
        CHUNKED, "Connection: keep-alive", body=SHORT,
        line="POST /front HTTP/1.0"),
    "GET with a body": attack(LENGTH, body=SHORT,
                              line="GET /front HTTP/1.1"),
    "HTTP/0.9 behind it": attack("Content-Length: 0", body="GET /hidden\r\n"),
    "Connection: Content-Length": attack(
        "Connection: Content-Length", LENGTH, body=SHORT),
    "Connection: Transfer-Encoding": attack(
        "Connection: Transfer-Encoding", CHUNKED, body=SHORT),
    "two hosts": attack("Host: y", "Content-Length: 0", body=HIDDEN),
    "an empty line first": "\r\n" + attack(LENGTH, CHUNKED, body=SHORT),
    "Expect": attack("Expect: 100-continue", LENGTH, CHUNKED, body=SHORT),
    "Upgrade": attack("Connection: Upgrade", "Upgrade: h2c", LENGTH,
                      body=SHORT),
    "absolute": attack("Content-Length: 0", body=HIDDEN,
                       line="POST http://y/front HTTP/1.1"),
}

MARKED = re.compile(r'"([A-Z]+ \S+) HTTP/')


def seen(servers):
    """The requests in the access logs, but for those about health."""
    return [m for s in servers for m in MARKED.findall(s.out.text())
            if not m.endswith("/health")]


def send_attack(f, port, data):
    """And a request behind it, which may be taken for a part of it."""
    with f.connect(port) as c:
        c.sock.settimeout(1)
        try:
            c.send(data)
            c.send("GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while c.sock.recv(65536):
                pass
        except OSError:
            pass  # refused at once, or waits for what will not come


def check_smuggling(f, servers, port=None):
    """Whatever is sent, both logs have the same requests in them."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: send_attack(f, port, data),
                      ATTACKS.values()))
    # What comes last on a connection of its own is in both logs as well.
    assert said(f.get("/last", port=port))
    harness.wait_for(lambda: "GET /last" in seen(servers) and
                     any("/last" in r for r in f.requests()), "the logs")
    front = collections.Counter(f.requests())
    back = collections.Counter(seen(servers))
    # The front answers some itself; bicorn must not see any but those.
    assert not back - front, (back, front)
    assert back["POST /front"] > 0


@nginx_there
def test_smuggling_through_nginx(nginx_tcp):
    f, servers = nginx_tcp()
    check_smuggling(f, servers)


@nginx_there
def test_smuggling_through_nginx_uwsgi(wsgi, front):
    server = wsgi(APP, "--protocol", "uwsgi", "--access-logfile", "-")
    f = front(Nginx, "nginx.conf", (TCP, UNIX, UWSGI),
              {"127.0.0.1:3031": "127.0.0.1:%d" % server.port})
    check_smuggling(f, [server], UWSGI)


@haproxy_there
def test_smuggling_through_haproxy(haproxy):
    f, servers = haproxy()
    check_smuggling(f, servers)


@haproxy_there
def test_smuggling_through_a_lax_haproxy(haproxy):
    """One that passes on what it would refuse."""
    f, servers = haproxy(more="    option accept-invalid-http-request\n")
    check_smuggling(f, servers)


# --- containers --------------------------------------------------------------

def test_kubernetes(run):
    yaml = pytest.importorskip("yaml", reason="Debian: python3-yaml")
    deployment, service = yaml.safe_load_all(
        (CONTAINERS / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    container, = pod["containers"]
    printed = run("--print-config", *container["args"])
    assert printed.returncode == 0, printed.stderr

    def setting(name):
        return re.search(r"^%s = (\S*?);" % name, printed.stdout,
                         re.M).group(1).strip('"')

    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == setting("health_path")
    delay, graceful = setting("shutdown_delay"), setting("graceful_timeout")
    assert pod["terminationGracePeriodSeconds"] > \
        float(delay.rstrip("s")) + float(graceful.rstrip("s"))
    assert container["ports"][0]["name"] == \
        service["spec"]["ports"][0]["targetPort"]
    assert setting("remote_addr_header") == "X-Forwarded-For"


def test_probes(wsgi):
    """What the probes are told, before and after SIGTERM."""
    server = wsgi(APP, "--health-path=/health", "--shutdown-delay=2")
    assert server.get("/health").status == 200
    with server.connect() as c:
        said(c.get("/"))
        server.signal(15)
        server.wait_log("serving for shutdown_delay|Handling signal: term")
        harness.wait_for(lambda: server.get("/health").status == 503,
                         "health says that it stops")
        assert said(server.get("/"))
    assert server.wait() == 0


def test_dockerfile(run):
    text = (CONTAINERS / "Dockerfile").read_text()
    assert text.count("FROM debian:bookworm-slim") == 2
    bootstrap = (harness.SOURCE / "bootstrap").read_text()
    built = re.search(r"recommends \\\n((?:.*\\\n)*.*)", text).group(1)
    for package in built.replace("\\", " ").split():
        assert package in bootstrap, package
    # The command line, with which it starts.
    words = json.loads(re.search(r"^CMD (\[(?:.|\n)*?\])", text, re.M)
                       .group(1).replace("\\\n", ""))
    printed = run("--print-config", *words)
    assert printed.returncode == 0, printed.stderr
    for source in re.findall(r"^COPY (etc/\S+)", text, re.M):
        assert (harness.SOURCE / source).exists()
