# SPDX-License-Identifier: MIT
"""bicorn behind nginx: over TCP and unix sockets, with and without
keep-alive to it, buffered and not."""
import concurrent.futures
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

import harness

NGINX = shutil.which("nginx") or (
    "/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)

pytestmark = [
    pytest.mark.python,
    pytest.mark.skipif(NGINX is None,
                       reason="nginx is missing (Debian: nginx-light)"),
]

APP = '''
    import hashlib
    import json
    import time


    def app(environ, start_response):
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        if path == "/large":
            start_response("200 OK", [("Content-Length", query)])
            piece = bytes(65536)
            return (piece[:min(65536, int(query) - at)]
                    for at in range(0, int(query), 65536))
        if path == "/drip":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return drip(int(query))
        if path == "/sleep":
            time.sleep(float(query))
        digest = hashlib.sha256(environ["wsgi.input"].read())
        said = {k: v for k, v in environ.items() if isinstance(v, str)}
        said["sha256"] = digest.hexdigest()
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"),
                                  ("Content-Length", str(len(body)))])
        return [body]


    def drip(count):
        for i in range(count):
            yield b"%d\\n" % i
            time.sleep(0.2)
'''

CONF = """
daemon off;
worker_processes 1;
error_log {folder}/error.log info;
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    {http}
    upstream app {{
        server {upstream};
        {up}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {location}
        }}
    }}
}}
"""

KEEPALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'
UNBUFFERED = "proxy_buffering off; proxy_request_buffering off; "


class Nginx:
    def __init__(self, folder, server, location="", up="", http=""):
        self.folder = folder
        name = server.listeners[0]
        upstream = name if name.startswith("unix:") else \
            "%s:%d" % server.address
        for _ in range(20):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            (folder / "conf").write_text(CONF.format(
                folder=folder, port=self.port, upstream=upstream,
                location=location, up=up, http=http))
            user = ["-g", "user root;"] if os.geteuid() == 0 else []
            self.process = subprocess.Popen(
                [NGINX, "-p", str(folder), "-c", str(folder / "conf"), *user],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if self.came_up():
                break
        self.address = ("127.0.0.1", self.port)

    def came_up(self):
        """False when somebody else took the port in the meantime."""
        end = time.monotonic() + harness.DEADLINE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                said = self.process.stdout.read().decode()
                assert "Address already in use" in said, said
                return False
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise AssertionError("nginx does not listen")

    def connect(self):
        return harness.Conn(self.address)

    def get(self, *args, **kw):
        with self.connect() as c:
            return c.get(*args, close=True, **kw)

    def errors(self):
        """What nginx has to say about its upstream."""
        return [line for line in
                (self.folder / "error.log").read_text().split("\n")
                if "upstream" in line and "[info]" not in line
                # That is nginx's own affair, when its client reads slowly.
                and "buffered to a temporary file" not in line]

    def stop(self):
        self.process.terminate()
        self.process.wait(harness.DEADLINE)
        self.process.stdout.close()


@pytest.fixture
def nginx(tmp_path_factory):
    running = []

    def start(server, *args, **kw):
        folder = tmp_path_factory.mktemp("nginx")
        running.append(Nginx(folder, server, *args, **kw))
        return running[-1]

    yield start
    for n in running:
        n.stop()


WAYS = {
    "plain": ("", ""),
    "keep-alive": (KEEPALIVE, "keepalive 8;"),
    "unbuffered": (UNBUFFERED, ""),
    "unbuffered keep-alive": (UNBUFFERED + KEEPALIVE, "keepalive 8;"),
}


@pytest.fixture(params=["tcp", "unix"])
def server(request, wsgi, tmp_path):
    bind = "127.0.0.1:0" if request.param == "tcp" else \
        "unix:%s/s" % tmp_path
    return wsgi(APP, "--workers", "2", "--access-logfile", "-", bind=bind)


@pytest.fixture(params=WAYS)
def front(request, server, nginx):
    location, up = WAYS[request.param]
    return nginx(server, location, up)


def said(response):
    assert response.status == 200, response
    return json.loads(response.body)


def test_requests(front):
    with front.connect() as c:
        for i in range(50):
            env = said(c.get("/a%%20b?%d" % i))
            assert env["PATH_INFO"] == "/a b"
            assert env["QUERY_STRING"] == str(i)
    assert front.errors() == []


@pytest.mark.parametrize("size", [0, 10, 100000, 5000000])
def test_uploads(front, size):
    data = os.urandom(size)
    env = said(front.get("/", method="POST", body=data))
    assert env["sha256"] == hashlib.sha256(data).hexdigest()
    assert front.errors() == []


def test_chunked_upload(front):
    data = os.urandom(200000)
    with front.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\n"
               "Transfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(data), 1000):
            c.send(b"3e8\r\n" + data[at:at + 1000] + b"\r\n")
        c.send("0\r\n\r\n")
        env = said(c.response())
    assert env["sha256"] == hashlib.sha256(data).hexdigest()


def test_downloads(front):
    for size in (0, 1, 70000, 5000000):
        r = front.get("/large?%d" % size)
        assert r.status == 200 and len(r.body) == size
    assert front.errors() == []


def test_head(front):
    with front.connect() as c:
        r = c.get("/large?1000", method="HEAD")
        assert r.header("Content-Length") == "1000"
        assert said(c.get("/"))


def test_many_at_once(front):
    def one(number):
        with front.connect() as c:
            for i in range(10):
                text = "%d-%d" % (number, i)
                env = said(c.get("/?" + text, method="POST",
                                 body=text.encode()))
                assert env["QUERY_STRING"] == text
                assert env["sha256"] == \
                    hashlib.sha256(text.encode()).hexdigest()
        return True

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(32)))
    assert front.errors() == []


def test_keep_alive_to_the_server(server, nginx):
    """nginx keeps its connection, and bicorn does not take it away."""
    front = nginx(server, KEEPALIVE, "keepalive 1;")
    if isinstance(server.address, str):
        pytest.skip("unix sockets have no ports to tell connections apart")
    ports = {said(front.get("/"))["REMOTE_PORT"] for _ in range(20)}
    assert len(ports) == 1


def test_scheme(server, nginx):
    front = nginx(server, "proxy_set_header X-Forwarded-Proto https;")
    assert said(front.get("/"))["wsgi.url_scheme"] == "https"
    front = nginx(server, "proxy_set_header X-Forwarded-Proto $scheme;")
    assert said(front.get("/"))["wsgi.url_scheme"] == "http"


def test_scheme_of_strangers(wsgi, nginx):
    """Who is not in forwarded_allow_ips is not believed."""
    server = wsgi(APP, "--forwarded-allow-ips", "192.0.2.0/24")
    front = nginx(server, "proxy_set_header X-Forwarded-Proto https;")
    assert said(front.get("/"))["wsgi.url_scheme"] == "http"


def test_underscores(server, nginx):
    """What a client sends with an underscore reaches nobody, what the proxy
    sends reaches the application if forwarder_headers names it."""
    front = nginx(server, "proxy_set_header SCRIPT_NAME /sub;"
                  "proxy_set_header X_Other 1;",
                  http="underscores_in_headers on;")
    env = said(front.get("/sub/a", [("X_Real", "forged"), ("X-Real", "1")]))
    assert env["SCRIPT_NAME"] == "/sub"
    assert env["PATH_INFO"] == "/a"
    assert env["HTTP_X_REAL"] == "1"
    assert "HTTP_X_OTHER" not in env


def test_forwarded_for(front):
    env = said(front.get("/", [("X-Forwarded-For", "192.0.2.1")]))
    assert env["HTTP_X_FORWARDED_FOR"] == "192.0.2.1, 127.0.0.1"
    assert env["REMOTE_ADDR"] in ("127.0.0.1", "")


def test_host(front):
    env = said(front.get("/", [("Host", "example.org:8080")]))
    assert env["HTTP_HOST"] == "example.org:8080"


@pytest.mark.alone
def test_streaming_is_passed_on(server, nginx):
    """Without buffering each piece arrives when it was made."""
    front = nginx(server, UNBUFFERED + KEEPALIVE, "keepalive 8;")
    with front.connect() as c:
        c.send(harness.request("GET", "/drip?5"))
        before = time.monotonic()
        c.head()
        assert c.chunk() == b"0\n"
        assert time.monotonic() - before < 0.8  # not after all five
        assert c.chunked()[0] == b"1\n2\n3\n4\n"


def test_clients_that_leave(server, nginx):
    """nginx closes its side too, and the server goes on."""
    front = nginx(server, UNBUFFERED)
    for i in range(20):
        with front.connect() as c:
            c.send(harness.request("GET", "/large?50000000"))
            c.until(b"\r\n\r\n")
            c.reset()
        with front.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000"
                   "\r\n\r\n" + "x" * 1000)
            c.reset()
    assert said(front.get("/"))


def test_timeout_of_nginx(server, nginx):
    """The proxy gives up; the request ends by itself and harms nobody."""
    front = nginx(server, "proxy_read_timeout 1s;")
    assert front.get("/sleep?2").status == 504
    assert said(front.get("/"))
    server.wait_out(r'"GET /sleep\?2 ')


def test_refusal_reaches_the_client(wsgi, nginx):
    server = wsgi(APP, "--limit-request-body", "1000")
    front = nginx(server, UNBUFFERED)
    assert front.get("/", method="POST", body=b"x" * 100000).status == 413
    front = nginx(server, KEEPALIVE, "keepalive 1;")
    assert front.get("/", method="POST", body=b"x" * 100000).status == 413
    assert said(front.get("/"))


def test_restart_behind_nginx(wsgi, nginx, tmp_path):
    """A unix socket that is made anew is found again."""
    bind = "unix:%s/s" % tmp_path
    server = wsgi(APP, bind=bind)
    front = nginx(server, KEEPALIVE, "keepalive 4;")
    assert said(front.get("/"))
    assert server.stop() == 0
    assert front.get("/").status == 502
    wsgi(APP, bind=bind)
    assert said(front.get("/"))


def test_reloads_lose_nothing(server, nginx):
    """A request through nginx is answered, whatever happens behind it."""
    front = nginx(server, KEEPALIVE, "keepalive 8;")
    stop, bad, good = [], [], []

    def hammer():
        while not stop:
            r = front.get("/")
            (good if r.status == 200 else bad).append(r.status)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(hammer) for _ in range(4)]
        try:
            for _ in range(3):
                mark = server.mark()
                server.signal(1)
                server.wait_log(r"\] Ready", since=mark)
        finally:
            stop.append(True)
        for c in clients:
            c.result()
    assert good and not bad, (len(good), bad, front.errors())


def test_log_of_both(server, nginx):
    """Each request is in both logs, once."""
    front = nginx(server)
    for i in range(10):
        said(front.get("/?n=%d" % i))
    for i in range(10):
        server.wait_out(r"\?n=%d " % i)
    assert server.out.count() == 10
