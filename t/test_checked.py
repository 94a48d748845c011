# SPDX-License-Identifier: MIT
"""Clients of every kind at once, for a while: each answer belongs to its
request, in order, once, framed right, whatever happens to the server.

t/checked.c is the client.  BICORN_SLOW=1 runs it for longer, with settings
and disturbances that are drawn by lot: BICORN_CHECKED=SEED repeats a draw, and
BICORN_CHECKED_SECONDS says for how long each runs.
"""
import json
import os
import random
import signal
import subprocess
import time

import pytest

import harness
import pki

CLIENT = harness.BUILD / "t/checked"
SEED = int(os.environ.get("BICORN_CHECKED", random.randrange(1 << 30)))
SECONDS = float(os.environ.get("BICORN_CHECKED_SECONDS", 25))

pytestmark = pytest.mark.skipif(
    not CLIENT.exists(), reason="t/checked was not built: make tests")

HAS_TLS = CLIENT.exists() and "#define HAVE_TLS 1" in (
    harness.BUILD / "config.h").read_text()

# As t/apps/checked.c.
PAGES = '''\
import tempfile
import time
import zlib

def body_sum(stream):
    size, value = 0, 1
    while data := stream.read(5000):
        size, value = size + len(data), zlib.adler32(data, value)
    return "%d-%d" % (size, value)

def broken(data):
    yield data
    raise ValueError("as it was asked for")

def app(environ, start_response):
    kind, reading = environ["PATH_INFO"][1:]
    number, length, us = map(int, environ["QUERY_STRING"].split("&"))
    fields = [("X-Id", str(number))]
    if reading == "a":
        fields.append(("X-Sum", body_sum(environ["wsgi.input"])))
    elif reading == "s":
        environ["wsgi.input"].read(7)
    if us:
        time.sleep(us / 1e6)
    unit = b"%010d|" % number
    data = (unit * (length // len(unit) + 1))[:length]
    if kind in "lfb":
        fields.append(("Content-Length", str(length)))
    start_response("204 No Content" if kind == "n" else "200 OK", fields)
    if kind == "n":
        return []
    if kind == "l":
        return [data]
    if kind == "b":
        return broken(data[:length // 2])
    if kind == "f":
        file = tempfile.TemporaryFile()
        file.write(data)
        file.seek(0)
        return environ["wsgi.file_wrapper"](file)
    return (data[i:i + 7000] for i in range(0, length, 7000))
'''


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """The module made of t/apps/checked.c."""
    out = tmp_path_factory.mktemp("checked") / "checked.so"
    subprocess.run(
        [*harness.CC.split(), "-shared", "-fPIC", "-O1", "-g", "-Wall",
         "-I", str(harness.SOURCE / "include"),
         str(harness.SOURCE / "t/apps/checked.c"), "-o", str(out)],
        check=True)
    return out


@pytest.fixture
def serve(bicorn, module, tmp_path):
    """serve("native", ...): a server on TCP, TLS and a unix socket; also the
    addresses for the client."""
    def start(kind, *args):
        (tmp_path / "pages.py").write_text(PAGES)
        app = module if kind == "native" else "pages:app"
        path = tmp_path / "s"
        args = ["--bind", "unix:%s" % path, *args]
        if HAS_TLS:
            cert, key = pki.make_pair(tmp_path, "server")
            (tmp_path / "bicorn.conf").write_text(
                'listen = ( { bind = "0.0.0.0:0"; tls = { certfile = "%s"; '
                'keyfile = "%s"; }; } );\n' % (cert, key))
        server = bicorn(*args, app, cwd=tmp_path)
        found = [str(path)]
        for name in server.listeners:
            port = name.rsplit(":", 1)[1]
            if name.startswith("https:"):
                found.append("tls:" + port)
            elif name.startswith("http:"):
                found.append(port)
                if "--proxy-protocol" in args:
                    found.append("proxy:" + port)
        return server, found

    return start


def begin(addresses, seconds, *args):
    return subprocess.Popen(
        [CLIENT, "-d", str(seconds), *map(str, args), *addresses],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=harness.environment(leaks=True))


def end(client):
    """What the client counted; nothing may have been wrong."""
    out, err = client.communicate(timeout=SECONDS + 3 * harness.DEADLINE)
    assert client.returncode == 0 and not err, err + out
    counted = json.loads(out)
    print(counted)
    assert counted["answers"] > 0
    return counted


# The kind, the settings, what the client does.
CASES = {
    # Short answers to many, some late: later.c is what they go through.
    "native": ("native", ["--threads", 4],
               ["-c", 128, "-l", 20, "-b", 1000]),
    # Bodies that have not come when the application asks for them.
    "native-stream": ("native", ["--threads", 4, "--stream-body",
                                 "--body-buffer", "16k"],
                      ["-c", 64, "-b", 8]),
    "wsgi": ("wsgi", ["--threads", 3], []),
    "wsgi-stream": ("wsgi", ["--threads", 3, "--stream-body",
                             "--body-buffer", "4k"], ["-b", 8]),
}


@pytest.mark.parametrize("case", [
    pytest.param(name, marks=pytest.mark.python if "wsgi" in name else ())
    for name in CASES])
def test_steady(serve, case):
    """One worker: all is between its acceptor and its pool."""
    kind, settings, asked = CASES[case]
    server, addresses = serve(kind, "--workers", 1, *settings)
    counted = end(begin(addresses, 2, *asked))
    assert counted["unanswered"] < counted["answers"]
    assert server.stop() == 0


@pytest.mark.parametrize("kind", [
    "native", pytest.param("wsgi", marks=pytest.mark.python)])
def test_workers_come_and_go(serve, kind):
    """Reloaded again and again, and workers that are replaced meanwhile."""
    server, addresses = serve(kind, "--workers", 2, "--threads", 3,
                              "--max-requests", 500)
    client = begin(addresses, 3, "-e")
    while client.poll() is None:
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"\] Ready", since=mark)
    end(client)
    assert server.stop() == 0


# --- for longer, by lot --------------------------------------------------------

def draw(r):
    """Settings that all have to give the same answers."""
    settings = ["--workers", r.choice([1, 1, 2, 3]),
                "--threads", r.choice([1, 2, 4, 8]),
                "--body-buffer", r.choice(["1k", "4k", "64k"]),
                "--response-buffer", r.choice(["4k", "64k", "1M"])]
    for chance, more in [
            (.5, ["--stream-body"]), (.3, ["--preload"]),
            (.2, ["--reuse-port"]), (.2, ["--proxy-protocol", "auto"]),
            (.2, ["--response-spool", "100k"]),
            (.3, ["--max-requests", r.choice([50, 1000])]),
            (.2, ["--request-timeout", 60, "--slow-request", 0.01,
                  "--slow-request-stack"])]:
        if r.random() < chance:
            settings += more
    asked = ["-c", r.choice([4, 32, 200]), "-p", r.choice([1, 8, 32]),
             "-b", r.choice([5, 60, 1000]), "-l", r.choice([10, 50, 1000]),
             "-m", r.choice([4, 20, 1000]), "-s", r.randrange(1, 1 << 30)]
    return settings, asked


def disturb(server, r):
    """Until it serves again."""
    mark = server.mark()
    number = r.choice([signal.SIGHUP, signal.SIGHUP, signal.SIGTTIN,
                       signal.SIGTTOU, signal.SIGUSR1])
    server.signal(number)
    if number == signal.SIGHUP:
        server.wait_log(r"\] Ready", since=mark)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("kind", [
    "native", pytest.param("wsgi", marks=pytest.mark.python)])
def test_by_lot(serve, kind, turn):
    r = random.Random("%d %s %d" % (SEED, kind, turn))
    settings, asked = draw(r)
    print("BICORN_CHECKED=%d:" % SEED, *settings, "; t/checked", *asked)
    disturbed = r.random() < .5
    server, addresses = serve(kind, *settings)
    ends = disturbed or "--max-requests" in settings
    client = begin(addresses, SECONDS, *asked, *(["-e"] if ends else []))
    while disturbed and client.poll() is None:
        disturb(server, r)
        time.sleep(r.random() * 2)
    end(client)
    assert server.stop() == 0
