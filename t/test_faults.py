# SPDX-License-Identifier: MIT
"""System calls and allocations that fail, at random and one by one: the
server survives, and an answer is right, or an error, or cut, never wrong.

t/faults.c is what makes them fail.  BICORN_FAULTS=SEED repeats a run.
"""
import concurrent.futures
import mmap
import os
import random
import shutil
import ssl
import struct
import subprocess
import time

import pytest

import harness

APPS = harness.SOURCE / "t/apps"
SEED = int(os.environ.get("BICORN_FAULTS", random.randrange(1 << 30)))

# As in t/faults.c.
OPS = ["recv", "send", "sendfile", "read", "write", "pread", "pwrite",
       "accept", "epoll_ctl", "epoll_wait", "poll", "open", "fcntl", "malloc",
       "mmap", "io_setup", "io_submit"]
SHORT = -1
HEAD = struct.Struct("=II")
RULE = struct.Struct("=IiQQQ")

# Statuses that say that it did not work.
FAILED = (408, 500, 503, 507)
QUICK = ("--header-timeout", 2, "--body-timeout", 2, "--send-timeout", 2,
         "--keep-alive", 3, "--threads", 3, "--access-logfile", "-",
         "--response-buffer", "64k", "--response-spool", "500k")

PAGES = """
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/body":
            return [environ["wsgi.input"].read()]
        if path == "/pieces":
            return (b"%06d " % i * 1000 for i in range(300))
        if path == "/file":
            return environ["wsgi.file_wrapper"](open("data", "rb"), 8192)
        return [b"Hello, World!\\n"]
"""


class Faults:
    """The file that the library looks at."""

    def __init__(self, path):
        path.write_bytes(b"\0" * (HEAD.size + RULE.size * len(OPS)))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)
        self.path = path

    def rule(self, op, chance=0, error=0, nth=0):
        RULE.pack_into(self.map, HEAD.size + OPS.index(op) * RULE.size,
                       int(chance * 65536), error, nth, 0, 0)

    def hits(self, op):
        return RULE.unpack_from(
            self.map, HEAD.size + OPS.index(op) * RULE.size)[4]

    def calls(self, op):
        return RULE.unpack_from(
            self.map, HEAD.size + OPS.index(op) * RULE.size)[3]

    def start(self):
        HEAD.pack_into(self.map, 0, 1, SEED & 0xffffffff)

    def stop(self):
        HEAD.pack_into(self.map, 0, 0, SEED & 0xffffffff)
        for op in OPS:
            RULE.pack_into(self.map, HEAD.size + OPS.index(op) * RULE.size,
                           0, 0, 0, 0, self.hits(op))

    def clear(self):
        for op in OPS:
            self.rule(op)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run(
        [*harness.CC.split(), "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g",
         "-shared", "-fPIC", "-fvisibility=hidden",
         str(harness.SOURCE / "t/faults.c"), "-o", str(out), "-ldl"],
        check=True)
    return out


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    module = tmp_path_factory.mktemp("faults") / "probe.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(APPS / "probe.c"), "-o", str(module)], check=True)
    return module


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def environment(library, faults):
    env = {"LD_PRELOAD": library, "FAULTS": faults.path}
    if harness.SANITIZERS:
        env["ASAN_OPTIONS"] = harness.environment()["ASAN_OPTIONS"] + \
            ":verify_asan_link_order=0"
    return env


# --- what is asked, and what is right -----------------------------------------

DATA = b"".join(b"%07d," % i for i in range(125001))[:1000003]
ALPHABET = bytes(range(ord("a"), ord("a") + 23))


def pattern(count):
    return (ALPHABET * (count // 23 + 1))[:count]


def chunked(body, piece):
    out = b""
    for at in range(0, len(body), piece):
        part = body[at:at + piece]
        out += b"%x\r\n%s\r\n" % (len(part), part)
    return out + b"0\r\n\r\n"


def get(target):
    return harness.request(target=target)


def post(target, body):
    return harness.request("POST", target, body=body)


def post_chunked(target, body):
    return harness.request("POST", target,
                           [("Transfer-Encoding", "chunked")],
                           chunked(body, 5000))


HELLO = b"Hello, World!\n"
SMALL, LARGE = pattern(3000), pattern(300000)

IN_C = {
    "hello": (get("/"), HELLO),
    "escaped": (get("/%72equest?a=b"), None),
    "post": (post("/body", SMALL), SMALL),
    "post large": (post("/body", LARGE), LARGE),
    "post read": (post("/read?piece=999", LARGE), LARGE),
    "post chunked": (post_chunked("/body", LARGE), LARGE),
    "expect": (None, SMALL),
    "large": (get("/pattern?bytes=3000000"), pattern(3000000)),
    "length": (get("/pattern?bytes=3000000&length=3000000"),
               pattern(3000000)),
    "flushed": (get("/pattern?bytes=1000000&piece=7000&flush=1"),
                pattern(1000000)),
    "file": (get("/file?around=1"), b"<<" + DATA + b">>"),
    "trailers": (get("/trailers"), None),
    "inform": (get("/inform"), None),
}
IN_PYTHON = {
    "hello": (get("/"), HELLO),
    "post": (post("/body", SMALL), SMALL),
    "post large": (post("/body", LARGE), LARGE),
    "pieces": (get("/pieces"),
               b"".join(b"%06d " % i * 1000 for i in range(300))),
    "file": (get("/file"), DATA),
}
STATIC = {
    "small": (get("/small"), SMALL),
    "large": (get("/large"), DATA),
    "index": (get("/folder/"), HELLO),
    "moved": (get("/folder"), None),
    "missing": (get("/missing"), None),
}
STATUSES = {"moved": 301, "missing": 404}


def expect_continue(c):
    """Sends the body when it is asked for, or after a while."""
    c.send("POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
           "Content-Length: %d\r\n\r\n" % len(SMALL))
    c.sock.settimeout(0.3)
    try:
        if not c._fill():
            raise harness.Closed("before the 100")
    except AssertionError as e:
        if isinstance(e, harness.Closed):
            raise
    finally:
        c.sock.settimeout(c.timeout)
    c.send(SMALL)


def ask(c, kind, pages):
    """"right", "failed" or "cut"; anything else is an error."""
    text, body = pages[kind]
    try:
        if text is None:
            expect_continue(c)
        else:
            try:
                c.send(text)
            except OSError:
                pass    # refused already, maybe: there may be an answer
        r = c.response()
        while r.status < 200:
            r = c.response()
    except (harness.Closed, OSError):
        return "cut"
    if r.status in FAILED:
        return "failed"
    assert r.status == STATUSES.get(kind, 200), (kind, r)
    if body is not None and r.body != body:
        # Without a length the end of the connection may be one of a cut;
        # all requests here are HTTP/1.1, so that there is a length.
        raise AssertionError("%s: wrong body of %d bytes: %r" % (
            kind, len(r.body), r))
    return "right"


def client(server, pages, number, rounds, tls):
    """Asks for everything, keeping connections while they last."""
    found = {"right": 0, "failed": 0, "cut": 0}
    order = random.Random(SEED + number)
    c = None
    for _ in range(rounds):
        for kind in order.sample(sorted(pages), len(pages)):
            try:
                c = c or server.connect(timeout=15, tls=tls)
            except OSError:
                found["cut"] += 1
                continue
            said = ask(c, kind, pages)
            found[said] += 1
            if said != "right" or order.random() < 0.3:
                c.close()
                c = None
    if c is not None:
        c.close()
    return found


def all_right(server, pages, tls=None):
    """Everything works, at once."""
    before = time.monotonic()
    with server.connect(tls=tls) as c:
        for kind in pages:
            assert ask(c, kind, pages) == "right", kind
    assert time.monotonic() - before < 10


def torture(server, faults, pages, rules, errors=None, rounds=2, clients=4,
            tls=None):
    """Runs clients while the rules hold; then all is as before."""
    workers = server.workers()
    faults.clear()
    for op, chance in rules.items():
        faults.rule(op, chance, (errors or {}).get(op, 0))
    faults.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            runs = [pool.submit(client, server, pages, i, rounds, tls)
                    for i in range(clients)]
            found = [run.result() for run in runs]
    finally:
        faults.stop()
    time.sleep(0.15)    # a pause of accepting may be under way
    all_right(server, pages, tls)
    assert server.workers() == workers
    return {k: sum(f[k] for f in found) for k in found[0]}


# --- at random ----------------------------------------------------------------

# Where a call is rare, it fails more often.
CHANCES = {"recv": .15, "send": .15, "sendfile": .3, "read": .3, "write": .3,
           "pread": .1, "pwrite": .1, "accept": .3, "epoll_ctl": .15,
           "epoll_wait": .2, "poll": .3, "open": .3, "fcntl": .3,
           "malloc": .05, "mmap": .5}


@pytest.fixture
def in_c(bicorn, probe, environment, tmp_path):
    (tmp_path / "data").write_bytes(DATA)
    return bicorn(*QUICK, "--tmp-upload-dir", tmp_path, probe,
                  env=dict(environment, PROBE_FILE=tmp_path / "data"))


def test_each_call_at_random(in_c, faults):
    all_right(in_c, IN_C)
    for op, chance in CHANCES.items():
        for _ in range(10):
            found = torture(in_c, faults, IN_C, {op: chance}, rounds=1)
            print(op, faults.hits(op), found)
            assert found["right"] > 0, (op, found)
            if faults.hits(op) > 0:
                break
        else:
            pytest.fail("%s was never called" % op)


def test_all_calls_at_random(in_c, faults):
    found = torture(in_c, faults, IN_C,
                    {op: chance / 4 for op, chance in CHANCES.items()},
                    rounds=6)
    print(found)
    assert found["right"] > 0 and found["failed"] + found["cut"] > 0


@pytest.mark.skipif("HAVE_TLS 1" not in harness._CONFIG
                    or not shutil.which("openssl"), reason="no TLS")
def test_tls_at_random(bicorn, probe, environment, faults, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    (tmp_path / "data").write_bytes(DATA)
    s = bicorn(*QUICK, "--certfile", cert, "--keyfile", key,
               "--tmp-upload-dir", tmp_path, probe,
               env=dict(environment, PROBE_FILE=tmp_path / "data"))
    tls = ssl.create_default_context(cafile=str(cert))
    all_right(s, IN_C, tls)
    # A handshake allocates hundreds of times.
    chances = dict(CHANCES, malloc=.0005)
    for share in (4, 16):
        found = torture(s, faults, IN_C,
                        {op: chance / share
                         for op, chance in chances.items()},
                        {"send": SHORT}, tls=tls)
        print(found)
    assert found["right"] > 0


@pytest.mark.python
def test_python_at_random(wsgi, environment, faults, tmp_path):
    (tmp_path / "data").write_bytes(DATA)
    s = wsgi(PAGES, *QUICK, "--tmp-upload-dir", tmp_path, env=environment)
    all_right(s, IN_PYTHON)
    for share in (1, 4):
        found = torture(s, faults, IN_PYTHON,
                        {op: chance / share
                         for op, chance in CHANCES.items()}, rounds=6)
        print(found)
    assert found["right"] > 0


def test_static_at_random(bicorn, environment, faults, tmp_path):
    site = tmp_path / "site"
    (site / "folder").mkdir(parents=True)
    (site / "small").write_bytes(SMALL)
    (site / "large").write_bytes(DATA)
    (site / "folder/index.html").write_bytes(HELLO)
    s = bicorn(*QUICK, str(site) + "/", env=environment)
    all_right(s, STATIC)
    for share in (1, 4):
        found = torture(s, faults, STATIC,
                        {op: chance / share
                         for op, chance in CHANCES.items()}, rounds=6)
        print(found)
    assert found["right"] > 0


# --- one by one ---------------------------------------------------------------

SWEPT = {"malloc": 0, "send": 32, "recv": 104, "sendfile": 5, "pwrite": 28,
         "pread": 5, "epoll_ctl": 12, "fcntl": 24, "mmap": 12, "open": 24,
         "accept": 24, "write": 28}


def test_each_call_once(in_c, faults):
    """The first, the second ... call of each kind, until there are no more
    of them in what is asked."""
    workers = in_c.workers()
    for op, error in SWEPT.items():
        for kind in IN_C:
            for nth in range(1, 40):
                faults.clear()
                faults.rule(op, error=error, nth=nth)
                faults.start()
                try:
                    with in_c.connect(timeout=15) as c:
                        ask(c, kind, IN_C)
                finally:
                    hit = faults.hits(op)
                    faults.stop()
                if not hit:
                    break
        time.sleep(0.15)
        all_right(in_c, IN_C)
    assert in_c.workers() == workers
