# SPDX-License-Identifier: MIT
"""PEP 3333 over real sockets: environ, input, errors, and the response."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import textwrap
import threading
import time

import pytest

import harness

pytestmark = pytest.mark.python

DUMP = """
    import json

    def app(environ, start_response):
        out = {k: v if isinstance(v, (str, int, bool, tuple)) else
               type(v).__name__ for k, v in environ.items()}
        data = json.dumps(out).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [data]
"""


def dump(server, *args, **kw):
    response = server.get(*args, **kw)
    assert response.status == 200, response
    return json.loads(response.body)


# ---- environ ---------------------------------------------------------------

def test_environ_every_key(wsgi):
    server = wsgi(DUMP)
    with server.connect() as c:
        c.send("GET /a%20b/%C3%A9?x=1&y=%20 HTTP/1.1\r\nHost: example.org\r\n"
               "User-Agent: t\r\nX-One-two: 3\r\n\r\n")
        env = json.loads(c.response().body)
        port = c.sock.getsockname()[1]
    assert env == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\u00c3\u00a9",
        "QUERY_STRING": "x=1&y=%20",
        "RAW_URI": "/a%20b/%C3%A9?x=1&y=%20",
        "REQUEST_URI": "/a%20b/%C3%A9?x=1&y=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": env["SERVER_SOFTWARE"],
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "example.org",
        "HTTP_USER_AGENT": "t",
        "HTTP_X_ONE_TWO": "3",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.input": "Input",
        "wsgi.errors": "Errors",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": "type",
        "wsgi.early_hints": "builtin_function_or_method",
        "bicorn.client_gone": "builtin_function_or_method",
    }
    assert re.fullmatch(r"bicorn/\d+\.\d+\.\d+", env["SERVER_SOFTWARE"])


def test_environ_is_new_for_each_request(wsgi):
    """Nothing of one request, nor what an application adds, in the next."""
    server = wsgi("""
        import json

        def app(environ, start_response):
            out = {k: v for k, v in environ.items() if isinstance(v, str)}
            environ["mine"] = environ["HTTP_X_A"] = "left over"
            environ["PATH_INFO"] = "changed"
            start_response("200 OK", [])
            return [json.dumps(out).encode()]
    """, "--threads", "1")
    with server.connect() as c:
        first = json.loads(c.get("/1?q", {"X-B": "b", "Content-Type": "t"},
                                 "POST", b"xyz").body)
        assert first["PATH_INFO"] == "/1" and first["HTTP_X_B"] == "b"
        assert first["CONTENT_LENGTH"] == "3"
        for path in "/2", "/2", "/3":
            env = json.loads(c.get(path).body)
            assert env["PATH_INFO"] == path == env["RAW_URI"]
            assert env["QUERY_STRING"] == ""
            assert env["REQUEST_METHOD"] == "GET"
            assert not {"mine", "HTTP_X_A", "HTTP_X_B", "CONTENT_TYPE",
                        "CONTENT_LENGTH"} & set(env)


def test_environ_types(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            assert type(environ) is dict
            for key, value in environ.items():
                assert type(key) is str
                if "." not in key:
                    assert type(value) is str, key
            assert environ["wsgi.version"] == (1, 0)
            assert type(environ["wsgi.multithread"]) is bool
            start_response("200 OK", [])
            return [b"fine"]
    """)
    assert server.get("/", {"X": "\xe9\xff"}).body == b"fine"


def test_environ_repeated_fields(wsgi):
    server = wsgi(DUMP)
    env = dump(server, "/", [("Host", "h"), ("Accept", "a"), ("ACCEPT", "b"),
                             ("accept", "b"), ("Cookie", "a=1"),
                             ("cookie", "b=2"), ("X-Empty", "")])
    assert env["HTTP_ACCEPT"] == "a,b,b"
    assert env["HTTP_COOKIE"] == "a=1; b=2"
    assert env["HTTP_X_EMPTY"] == ""


def test_environ_many_and_long_names(wsgi):
    """More names than the cache of a thread has room for."""
    server = wsgi(DUMP, "--threads", "1", "--limit-request-fields", "500")
    with server.connect() as c:
        for turn in range(4):
            fields = [("X-%d-%d" % (turn, i), "v%d" % i) for i in range(300)]
            fields += [("X-" + "long" * n, str(n)) for n in range(10, 80)]
            env = json.loads(c.get("/", fields).body)
            for name, value in fields:
                key = "HTTP_" + name.upper().replace("-", "_")
                assert env[key] == value


def test_environ_latin1(wsgi):
    server = wsgi(DUMP)
    env = dump(server, "/%ff%00x", {"X-Name": "\xe9t\xe9"})
    assert env["PATH_INFO"] == "/\xff\0x"
    assert env["HTTP_X_NAME"] == "\xe9t\xe9"


def test_environ_body_fields(wsgi):
    server = wsgi(DUMP)
    env = dump(server, "/", {"Content-Type": "text/x"}, "POST", b"abc")
    assert env["CONTENT_TYPE"] == "text/x"
    assert env["CONTENT_LENGTH"] == "3"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(env)
    env = dump(server, "/")
    assert not {"CONTENT_TYPE", "CONTENT_LENGTH"} & set(env)


def test_environ_chunked_body_has_a_length(wsgi):
    server = wsgi(DUMP)
    for body, length in ((b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "5"),
                         (b"0\r\n\r\n", "0")):
        env = dump(server, "/", {"Transfer-Encoding": "chunked"}, "POST",
                   body)
        assert env["CONTENT_LENGTH"] == length
        assert "HTTP_TRANSFER_ENCODING" not in env


def test_environ_absolute_target(wsgi):
    server = wsgi(DUMP)
    env = dump(server, "http://other.example:81/p%41?q", {"Host": "h"})
    assert env["RAW_URI"] == "http://other.example:81/p%41?q"
    assert env["PATH_INFO"] == "/pA"
    assert env["QUERY_STRING"] == "q"


def test_environ_asterisk(wsgi):
    server = wsgi(DUMP)
    assert dump(server, "*", method="OPTIONS")["PATH_INFO"] == "*"


def test_environ_http10(wsgi):
    server = wsgi(DUMP)
    out = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert b'"SERVER_PROTOCOL": "HTTP/1.0"' in out
    assert b"HTTP_HOST" not in out


def test_environ_unix_socket(wsgi, tmp_path):
    server = wsgi(DUMP, bind="unix:%s/s" % tmp_path)
    for host, name, port in (("example.org", "example.org", "80"),
                             ("example.org:81", "example.org", "81"),
                             ("[::1]:82", "[::1]", "82"),
                             ("[::1]", "[::1]", "80")):
        env = dump(server, "/", {"Host": host})
        assert (env["SERVER_NAME"], env["SERVER_PORT"]) == (name, port)
        assert env["REMOTE_ADDR"] == ""
        assert "REMOTE_PORT" not in env
    env = dump(server, "/", {"Host": "h", "X-Forwarded-Proto": "https"})
    assert env["SERVER_PORT"] == "443"
    assert env["wsgi.url_scheme"] == "https"


def test_environ_unix_and_tcp(wsgi, tmp_path):
    """One thread, two kinds of listener: neither leaves traces."""
    server = wsgi(DUMP, "--threads", "1", "--bind", "unix:%s/s" % tmp_path)
    server.address = ("127.0.0.1", server.port)
    for _ in range(2):
        env = dump(server, "/", {"Host": "h:1"})
        assert env["SERVER_PORT"] == str(server.port)
        assert env["REMOTE_ADDR"] == "127.0.0.1" and env["REMOTE_PORT"]
        with harness.Conn("%s/s" % tmp_path) as c:
            env = json.loads(c.get("/", {"Host": "h:1"}).body)
        assert env["SERVER_PORT"] == "1" and "REMOTE_PORT" not in env


def test_environ_multiprocess(wsgi):
    assert dump(wsgi(DUMP, "--workers", "2"))["wsgi.multiprocess"] is True


def test_environ_scheme_of_a_proxy(wsgi):
    server = wsgi(DUMP)
    env = dump(server, "/", {"X-Forwarded-Proto": "https"})
    assert env["wsgi.url_scheme"] == "https"
    assert dump(server, "/")["wsgi.url_scheme"] == "http"
    server = wsgi(DUMP, "--forwarded-allow-ips", "192.0.2.1")
    env = dump(server, "/", {"X-Forwarded-Proto": "https"})
    assert env["wsgi.url_scheme"] == "http"


def test_script_name_of_the_process(wsgi):
    server = wsgi(DUMP, env={"SCRIPT_NAME": "/app"})
    env = dump(server, "/app/x%20y?q")
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/app", "/x y")
    assert env["RAW_URI"] == "/app/x%20y?q"
    assert dump(server, "/app")["PATH_INFO"] == ""
    for path in "/other", "/application", "/":
        assert server.get(path).status == 500
        server.wait_log(r"Error handling request GET %s$" % path)


def test_script_name_set_by_the_application(wsgi):
    server = wsgi("import os; os.environ['SCRIPT_NAME'] = '/mod'\n" +
                  textwrap.dedent(DUMP))
    assert dump(server, "/mod/x")["PATH_INFO"] == "/x"


def test_script_name_of_a_proxy(wsgi):
    server = wsgi(DUMP, env={"SCRIPT_NAME": "/app"})
    for _ in range(2):
        env = dump(server, "/pre/x", {"SCRIPT_NAME": "/pre"})
        assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/pre", "/x")
        assert env["HTTP_SCRIPT_NAME"] == "/pre"
        assert dump(server, "/app/x")["SCRIPT_NAME"] == "/app"
        env = dump(server, "/x", {"SCRIPT_NAME": ""})
        assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("", "/x")
        # A slash at the end is that of the path.
        for script, mount in ("/pre/", "/pre"), ("/", ""):
            env = dump(server, mount + "/x", {"SCRIPT_NAME": script})
            assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == (mount, "/x")
            assert env["HTTP_SCRIPT_NAME"] == script
    # Not believed: the field does not exist.
    server = wsgi(DUMP, "--forwarded-allow-ips", "192.0.2.1")
    env = dump(server, "/pre/x", {"SCRIPT_NAME": "/pre", "A_B": "c"})
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("", "/pre/x")
    assert not {"HTTP_SCRIPT_NAME", "HTTP_A_B"} & set(env)


# ---- wsgi.input ------------------------------------------------------------

INPUT = """
    import json, hashlib

    def app(environ, start_response):
        body, out = environ["wsgi.input"], []
        for name, *args in json.loads(environ["HTTP_X_CALLS"]):
            try:
                if name == "iter":
                    got = list(body)
                else:
                    got = getattr(body, name)(*args)
                if isinstance(got, bytes) and len(got) > 10000:
                    got = [len(got), hashlib.sha256(got).hexdigest()]
                elif isinstance(got, list):
                    got = [x.decode("latin-1") for x in got]
                else:
                    got = got.decode("latin-1")
            except Exception as e:
                got = type(e).__name__
            out.append(got)
        start_response("200 OK", [])
        return [json.dumps(out).encode()]
"""


def calls(server, body, *todo, chunks=None):
    headers = [("X-Calls", json.dumps(todo))]
    if chunks:
        headers.append(("Transfer-Encoding", "chunked"))
        body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + chunks]),
                                           body[i:i + chunks])
                        for i in range(0, len(body), chunks)) + b"0\r\n\r\n"
    response = server.get("/", headers, "POST", body)
    assert response.status == 200
    return json.loads(response.body)


@pytest.fixture
def reader(wsgi):
    return wsgi(INPUT, "--body-buffer", "4096")


def test_input_read(reader):
    body = b"line 1\nline 2\r\n\nrest"
    for chunks in None, 3:
        def ask(*todo):
            return calls(reader, body, *todo, chunks=chunks)
        text = body.decode()
        assert ask(["read"], ["read"]) == [text, ""]
        assert ask(["read", None]) == [text]
        assert ask(["read", -1]) == [text]
        assert ask(["read", 10 ** 30]) == [text]
        assert ask(["read", 0], ["read", 5], ["read", 3], ["read"]) == \
            ["", text[:5], text[5:8], text[8:]]
        assert ask(["read", 1000], ["read", 1]) == [text, ""]
        assert ask(["read", "1"], ["read", 1.5], ["read", 1, 2]) == \
            ["TypeError"] * 3


def test_input_lines(reader):
    body = b"line 1\nline 2\r\n\nrest"
    lines = ["line 1\n", "line 2\r\n", "\n", "rest"]

    def ask(*todo):
        return calls(reader, body, *todo)

    assert ask(*[["readline"]] * 6) == lines + ["", ""]
    assert ask(["readline", None], ["readline", -1]) == lines[:2]
    assert ask(["readline", 3], ["readline", 100], ["readline", 0]) == \
        ["lin", "e 1\n", ""]
    assert ask(["readlines"], ["readlines"]) == [lines, []]
    assert ask(["readlines", 8], ["readline"]) == [lines[:2], "\n"]
    assert ask(["readlines", None]) == [lines]
    assert ask(["iter"], ["iter"]) == [lines, []]
    assert ask(["readline"], ["read", 4], ["readlines"]) == \
        [lines[0], "line", [" 2\r\n", "\n", "rest"]]
    assert ask(["readline", "x"], ["readlines", "x"]) == ["TypeError"] * 2


def test_input_empty(reader):
    assert calls(reader, b"", ["read"], ["read", 5], ["readline"],
                 ["readlines"], ["iter"]) == ["", "", "", [], []]
    # No body at all.
    response = reader.get("/", {"X-Calls": '[["read"], ["readline"]]'})
    assert json.loads(response.body) == ["", ""]


def test_input_spooled(reader):
    """Bodies that are larger than the memory for them."""
    import hashlib
    line = b"x" * 99 + b"\n"
    body = line * 5000 + b"y" * 200_000 + b"\nend"
    sha = hashlib.sha256(body).hexdigest()
    assert calls(reader, body, ["read"], ["read"]) == [[len(body), sha], ""]
    assert calls(reader, body, ["read", len(body) + 1]) == [[len(body), sha]]
    got = calls(reader, body, ["readline"], ["read", 99], ["readline"],
                ["readlines", 100 * 4997], ["readline"], ["read"])
    assert got[0] == line.decode() and got[1] == "x" * 99 and got[2] == "\n"
    assert len(got[3]) == 4997
    assert got[4] == "x" * 99 + "\n"
    assert got[5][0] == 200_004
    got = calls(reader, body, ["iter"])[0]
    assert len(got) == 5002
    assert got[-2:] == ["y" * 200_000 + "\n", "end"]


def test_input_unread_body_does_not_spoil_the_next_request(reader):
    with reader.connect() as c:
        for _ in range(3):
            assert c.get("/", {"X-Calls": '[["read", 2]]'}, "POST",
                         b"abcdef").body == b'["ab"]'


def test_input_on_other_threads(wsgi):
    server = wsgi("""
        import threading

        def app(environ, start_response):
            got = []
            def work():
                while True:
                    data = environ["wsgi.input"].read(1000)
                    if not data:
                        break
                    got.append(len(data))
            threads = [threading.Thread(target=work) for _ in range(4)]
            for t in threads: t.start()
            for t in threads: t.join()
            start_response("200 OK", [])
            return [str(sum(got)).encode()]
    """, "--body-buffer", "4096")
    for size in 3000, 1_000_000:
        assert server.get("/", (), "POST", b"x" * size).body == b"%d" % size


def test_objects_kept_after_the_request(wsgi):
    """They are harmless: an application may keep what it was given."""
    server = wsgi("""
        kept = []

        def app(environ, start_response):
            out = []
            for env, start, write in kept:
                for f in (env["wsgi.input"].read, env["wsgi.input"].readline,
                          lambda: start("200 OK", []),
                          lambda: write(b"smuggled"),
                          lambda: env["wsgi.early_hints"]([]),
                          env["bicorn.client_gone"]):
                    try:
                        out.append(repr(f()))
                    except RuntimeError as e:
                        out.append(str(e))
            environ["wsgi.input"].read(1)
            write = start_response("200 OK", [])
            kept.append((environ, start_response, write))
            return ["\\n".join(out).encode()]
    """, "--threads", "1")
    with server.connect() as c:
        assert c.get("/", (), "POST", b"body").body == b""
        for n in 1, 2, 3:
            body = c.get("/", (), "POST", b"body").body
            assert body == b"\n".join([b"the request is over"] * 6 * n)


def test_input_cannot_be_made_up(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            out = []
            for o in environ["wsgi.input"], environ["wsgi.errors"], \\
                    start_response.__self__:
                try:
                    type(o)()
                    type(o).__new__(type(o))
                    out.append(b"made")
                except TypeError:
                    out.append(b"TypeError")
            start_response("200 OK", [])
            return [b" ".join(out)]
    """)
    assert server.get("/").body == b"TypeError TypeError TypeError"


# ---- wsgi.errors -----------------------------------------------------------

def test_errors(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            errors = environ["wsgi.errors"]
            assert errors.write("one line\\n") == 9
            errors.write("in ")
            errors.write("pieces")
            errors.write("\\n")
            errors.writelines(["a\\n", "b\\n"])
            print("printed", 1, file=errors)
            errors.write("flushed")
            errors.flush()
            errors.write("caf\\xe9 \\u20ac\\n")
            errors.write("left at the end")
            try:
                errors.write(b"bytes")
            except TypeError:
                errors.flush()
                errors.write("no bytes\\n")
            start_response("200 OK", [])
            return [b""]
    """)
    server.get("/")
    for line in ("one line", "in pieces", "a", "b", "printed 1", "flushed",
                 "caf\xe9 \u20ac", "left at the end", "no bytes"):
        server.wait_log(r"^%s$" % line)


def test_errors_are_logged_as_they_are(wsgi):
    """What writes there is mostly a handler of logging, with a level and a
    format of its own: Flask's is one, and lines may be JSON."""
    server = wsgi("""
        def app(environ, start_response):
            environ["wsgi.errors"].write(
                '{"level": "info", "message": "a \\\\"word\\\\""}\\n')
            environ["wsgi.errors"].write("no \\x1b[2J\\n")
            start_response("200 OK", [])
            return []
    """)
    server.get("/")
    server.wait_log(r'^\{"level": "info", "message": "a \\"word\\""\}$')
    server.wait_log(r"^no \\x1b\[2J$")


LOGGERS = """
    %s
    log = logging.getLogger("gunicorn.error")
    mine = logging.getLogger("shop")
    mine.handlers = log.handlers
    mine.setLevel(log.level)
    mine.propagate = False
    mine.info("at import")
    mine.debug("not this")
    other = logging.getLogger("other")
    other.handlers = list(log.handlers)
    other.setLevel(5)
    other.propagate = False
    other.log(5, "below the level")

    def app(environ, start_response):
        mine.warning("in a view \\u20ac %%s", 1)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("caught")
        logging.getLogger("gunicorn.access").info("dropped")
        for handler in log.handlers:
            handler.setFormatter(logging.Formatter('{"m": "%%(message)s"}'))
        mine.error("in another form")
        start_response("200 OK", [])
        return []
"""


@pytest.mark.parametrize("how", ["import logging",
                                 "import logging.config, logging.handlers",
                                 "import flask, logging",
                                 "import importlib.util\n"
                                 "    importlib.util.find_spec('logging')\n"
                                 "    import logging"])
@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_loggers_of_gunicorn(wsgi, how, options):
    """Recipes have an application log through what gunicorn.error has."""
    if "flask" in how:
        pytest.importorskip("flask")
    server = wsgi(LOGGERS % how, *options)
    server.get("/")
    head = r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] "
    server.wait_log(head + r"\[INFO\] at import$")
    server.wait_log(head + r"\[Level 5\] below the level$")
    server.wait_log(head + "\\[WARNING\\] in a view \u20ac 1$")
    server.wait_log(head + r"\[ERROR\] caught$")
    server.wait_log(r"^Traceback \(most recent call last\):$")
    server.wait_log(r'^\{"m": "in another form"\}$')
    assert "not this" not in server.log.text()
    assert "dropped" not in server.log.text()


def test_loggers_write_to_the_file(wsgi, tmp_path):
    server = wsgi("""
        import logging
        log = logging.getLogger("gunicorn.error")

        def app(environ, start_response):
            log.info("before or after")
            log.debug("details")
            start_response("200 OK", [])
            return []
    """, "--log-file", "err.log", "--log-level", "debug", wait=False)
    path = tmp_path / "err.log"
    harness.wait_for(lambda: path.exists() and "] Ready" in path.read_text(),
                     "a server that is ready")
    address = re.search(r"http://127.0.0.1:(\d+)", path.read_text())
    with harness.Conn(("127.0.0.1", int(address[1]))) as c:
        c.get("/")
    assert "[INFO] before or after\n" in path.read_text()
    assert "[DEBUG] details\n" in path.read_text()
    path.rename(tmp_path / "old.log")
    os.kill(server.pid, signal.SIGUSR1)

    def reopened():
        with harness.Conn(("127.0.0.1", int(address[1]))) as c:
            c.get("/")
        return path.exists() and "before or after" in path.read_text()
    harness.wait_for(reopened, "the line in the new file")


def test_errors_traceback_in_one_piece(wsgi):
    server = wsgi("""
        import logging

        def app(environ, start_response):
            log = logging.getLogger("x")
            handler = logging.StreamHandler(environ["wsgi.errors"])
            log.addHandler(handler)
            try:
                1 / 0
            except ZeroDivisionError:
                log.exception("caught")
            log.removeHandler(handler)
            start_response("200 OK", [])
            return []
    """)
    server.get("/")
    server.wait_log("^ZeroDivisionError")
    lines = server.log.text().split("\n")
    at = next(i for i, line in enumerate(lines) if "caught" in line)
    assert lines[at + 1].startswith("Traceback")


def test_traceback_without_its_module(wsgi):
    """It is imported late, when perhaps nothing can be any more."""
    server = wsgi("""
        import sys

        def inner():
            raise ValueError("odd")

        def app(environ, start_response):
            sys.modules["traceback"] = None
            inner()
    """)
    assert server.get("/").status == 500
    server.wait_log("^ValueError: odd")
    text = server.log.text()
    assert "Error handling request GET /\nTraceback (most recent" in text
    assert re.search(r'File ".*", line \d+, in inner', text), text


def test_errors_go_to_the_file(wsgi, tmp_path):
    wsgi("""
        import sys

        def app(environ, start_response):
            environ["wsgi.errors"].write("to the file\\n")
            start_response("200 OK", [])
            return []
    """, "--error-logfile", "err.log", wait=False)
    path = tmp_path / "err.log"
    harness.wait_for(lambda: path.exists() and "] Ready" in path.read_text(),
                     "a server that is ready")
    port = int(re.search(r"http://127.0.0.1:(\d+)", path.read_text()).group(1))
    with harness.Conn(("127.0.0.1", port)) as c:
        c.get("/")
    harness.wait_for(lambda: "\nto the file\n" in path.read_text(),
                     "the line of the application")


def test_prints_appear_at_once(wsgi):
    server = wsgi("""
        import sys

        def app(environ, start_response):
            print("on stdout")
            print("on stderr", file=sys.stderr)
            start_response("200 OK", [])
            return []
    """)
    server.get("/")
    server.wait_out("^on stdout$")
    server.wait_log("^on stderr$")


# ---- start_response, write() and the body ----------------------------------

def test_hello(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 Very good", [("Content-Type", "text/plain"),
                ("Content-Length", "5"), ("X-A", "1"), ("X-A", " 2\\t"),
                ("X-Empty", ""), ("X-Latin", "\\xe9")])
            return iter([b"hello"])
    """)
    r = server.get("/")
    assert (r.status, r.reason, r.body) == (200, "Very good", b"hello")
    assert r.all("X-A") == ["1", "2"]
    assert r.header("X-Empty") == ""
    assert r.header("X-Latin") == "\xe9"
    assert r.header("Content-Length") == "5"
    assert r.header("Server") == "bicorn"
    assert r.header("Date").endswith(" GMT")


@pytest.mark.parametrize("body", [
    "[b'one']", "[b'one', b'', b'two']", "(b'one', b'two')",
    "iter([b'one', b'two'])", "iter((b'one',))", "[]", "[b'']", "iter([])",
    "(x for x in [])", "(x for x in [b'', b''])", "[b'x' * 999] * 1000",
    "[b'a'] * 100", "[b'x' * 5000000]",
])
def test_body_without_length(wsgi, body):
    """Where the whole body is known, its length is stated."""
    data = b"".join(eval(body))
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return %s
    """ % body)
    with server.connect() as c:
        for _ in range(2):
            r = c.get("/")
            assert r.body == data
            assert r.header("Content-Length") == str(len(data))


def test_body_generator_is_chunked(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"one"
            yield b""
            yield b"two"
    """)
    with server.connect() as c:
        for _ in range(2):
            r = c.get("/")
            assert r.body == b"onetwo"
            assert r.header("Transfer-Encoding") == "chunked"
    # An old client gets the same, up to the close.
    out = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert out.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in out


def test_body_large_list_iterator(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return iter([b"x" * 1000] * 1000)
    """)
    assert server.get("/").body == b"x" * 1000000


def test_stream_each_piece_as_it_comes(wsgi, tmp_path):
    server = wsgi("""
        import os, time

        def wait(name):
            while not os.path.exists(name):
                time.sleep(0.002)

        def app(environ, start_response):
            length = environ["QUERY_STRING"]
            start_response("200 OK", [("Content-Length", length)] if length
                           else [])
            for name in "abc":
                yield name.encode()
                wait(name)
    """)
    with server.connect() as c:
        c.send(harness.request())
        assert c.head()[1] == 200
        for name in "abc":
            assert c.chunk() == name.encode()
            (tmp_path / name).touch()
        assert c.chunk() == b""
    for name in "abc":
        (tmp_path / name).unlink()
    with server.connect() as c:
        c.send(harness.request("GET", "/?3"))
        assert c.head()[1] == 200
        for name in "abc":
            assert c.exactly(1) == name.encode()
            (tmp_path / name).touch()


def test_write(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"one ")
            write(b"")
            write(b"two ")
            return [b"three"]
    """)
    r = server.get("/")
    assert r.body == b"one two three"
    assert r.header("Transfer-Encoding") == "chunked"


def test_write_is_sent_at_once(wsgi, tmp_path):
    server = wsgi("""
        import os, time

        def app(environ, start_response):
            write = start_response("200 OK", [("Content-Length", "3")])
            write(b"abc")
            while not os.path.exists("go"):
                time.sleep(0.002)
            return []
    """)
    with server.connect() as c:
        assert c.get("/").body == b"abc"
        (tmp_path / "go").touch()


@pytest.mark.parametrize("call, error", [
    ("start_response()", "TypeError"),
    ("start_response('200 OK')", "TypeError"),
    ("start_response('200 OK', [], None, None)", "TypeError"),
    ("start_response('200 OK', [], nonsense=1)", "TypeError"),
    ("start_response(200, [])", "TypeError"),
    ("start_response(b'200 OK', [])", "TypeError"),
    ("start_response('OK', [])", "ValueError"),
    ("start_response('20 OK', [])", "ValueError"),
    ("start_response('2000 OK', [])", "ValueError"),
    ("start_response('100 Continue', [])", "ValueError"),
    ("start_response('199 x', [])", "ValueError"),
    ("start_response('200 OK\\r\\nX: y', [])", "ValueError"),
    ("start_response('200 \\u20ac', [])", "ValueError"),
    ("start_response('200 OK', None)", "TypeError"),
    ("start_response('200 OK', [('a',)])", "ValueError"),
    ("start_response('200 OK', [('a', 'b', 'c')])", "ValueError"),
    ("start_response('200 OK', ['ab', 'abc'])", "ValueError"),
    ("start_response('200 OK', [1])", "TypeError"),
    ("start_response('200 OK', [('a', 1)])", "TypeError"),
    ("start_response('200 OK', [('a', b'b')])", "TypeError"),
    ("start_response('200 OK', [(b'a', 'b')])", "TypeError"),
    ("start_response('200 OK', [('', 'b')])", "ValueError"),
    ("start_response('200 OK', [('a b', 'b')])", "ValueError"),
    ("start_response('200 OK', [('a:', 'b')])", "ValueError"),
    ("start_response('200 OK', [('a\\n', 'b')])", "ValueError"),
    ("start_response('200 OK', [('a', 'b\\r\\nEvil: 1')])", "ValueError"),
    ("start_response('200 OK', [('a', 'b\\n')])", "ValueError"),
    ("start_response('200 OK', [('a', 'b\\0')])", "ValueError"),
    ("start_response('200 OK', [('a', '\\u20ac')])", "ValueError"),
    ("start_response('200 OK', [('Content-Length', 'x')])", "ValueError"),
    ("start_response('200 OK', [('Content-Length', '-1')])", "ValueError"),
    ("start_response('200 OK', [('Content-Length', '')])", "ValueError"),
    ("start_response('200 OK', [('Content-Length', '9' * 30)])",
     "ValueError"),
    ("start_response('200 OK', [('Content-Length', '1'),"
     " ('content-length', '2')])", "ValueError"),
    ("start_response('200 OK', [], 'exc')", "TypeError"),
    ("start_response('200 OK', [], (1, 2, 3))", "TypeError"),
])
def test_start_response_refuses(wsgi, call, error):
    """The client gets a 500, the log the reason, and nobody the header."""
    server = wsgi("""
        def app(environ, start_response):
            %s
            return [b"secret"]
    """ % call)
    out = server.raw(harness.request(close=True))
    assert out.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in out and b"Evil" not in out
    assert b"\r\nConnection: close\r\n" in out
    server.wait_log(r"Error handling request GET /$")
    server.wait_log(r"^%s: " % error)


def test_start_response_may_try_again(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            try:
                start_response("200 OK", [("X", "\\n")])
            except ValueError:
                start_response("400 Bad", [("Y", "1")])
            return [b"recovered"]
    """)
    r = server.get("/")
    assert (r.status, r.reason, r.body) == (400, "Bad", b"recovered")


def test_start_response_odd_but_right(wsgi):
    server = wsgi("""
        class S(str):
            pass

        def app(environ, start_response):
            start_response(status=S("299"), exc_info=None,
                           headers=[[S("A"), S("b")], ("C", "d")])
            return [b"x"]
    """)
    r = server.get("/")
    assert r.status == 299 and r.header("A") == "b" and r.header("C") == "d"


def test_second_start_response(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            start_response("200 OK", [])
            return [b""]
    """)
    assert server.get("/").status == 500
    server.wait_log("^AssertionError: start_response")


def test_exc_info_before_the_head(wsgi):
    server = wsgi("""
        import sys

        def app(environ, start_response):
            start_response("200 OK", [("X-Old", "1"), ("Content-Length", "9")])
            try:
                raise ValueError("oops")
            except ValueError:
                start_response("503 Oops", [("X-New", "2")], sys.exc_info())
            return [b"sorry"]
    """)
    r = server.get("/")
    assert (r.status, r.body, r.header("X-New")) == (503, b"sorry", "2")
    assert r.header("X-Old") is None


def test_exc_info_after_the_head(wsgi):
    server = wsgi("""
        import sys

        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"begun"
            try:
                raise LookupError("too late for this")
            except LookupError:
                start_response("503 Oops", [], sys.exc_info())
            yield b"never"
    """)
    with server.connect() as c:
        c.send(harness.request())
        c.head()
        assert c.chunk() == b"begun"
        assert c.rest() == b""          # no last chunk
    server.wait_log("Error handling request GET /$")
    server.wait_log("^LookupError: too late for this")


def test_hop_by_hop_fields_are_dropped(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [("Connection", "x-secret"),
                ("Keep-Alive", "timeout=99"), ("Transfer-Encoding", "gzip"),
                ("Upgrade", "foo"), ("Server", "mine"), ("Date", "never"),
                ("TE", "x"), ("X-Kept", "1")])
            return [b"x"]
    """)
    r = server.get("/")
    assert r.body == b"x" and r.header("X-Kept") == "1"
    assert r.header("Server") == "bicorn"
    assert r.header("Date") != "never"
    assert r.header("Connection") == "close"  # as the request asked
    for name in "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE":
        assert r.header(name) is None


def test_no_start_response(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            return [b"data"] if environ["PATH_INFO"] == "/data" else []
    """)
    for path in "/data", "/none":
        assert server.get(path).status == 500
        server.wait_log("Error handling request GET %s$" % path)
    server.wait_log("did not call start_response")


@pytest.mark.parametrize("body", [
    "['text']", "'text'", "b'bytes'", "None", "5", "[5]", "[b'x', 'y']",
    "(x for x in ['text'])", "[bytearray(b'x')]",
])
def test_body_of_the_wrong_type(wsgi, body):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return %s
    """ % body)
    assert server.get("/").status == 500
    server.wait_log("^TypeError: ")


def test_write_of_the_wrong_type(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])("text")
            return []
    """)
    assert server.get("/").status == 500


def test_body_shorter_than_its_length(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "10")])
            return [b"short"]
    """)
    with server.connect() as c:
        c.send(harness.request())
        fields = c.head()[3]
        assert c.rest() == b"short"  # and closed: the client can tell
        assert ("Connection", "close") in fields


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_failing_behind_a_whole_body(wsgi, method):
    """Nothing is missing, and the client may ask again already."""
    server = wsgi("""
        def app(environ, start_response):
            write = start_response("200 OK", [("Content-Length", "4")])
            write(b"body")
            raise RuntimeError("too late")
    """)
    with server.connect() as c:
        c.send(harness.request(method) * 2)
        for _ in range(2):
            assert c.response(method).status == 200
        server.wait_log("RuntimeError: too late")
        c.send(harness.request(method))
        assert c.response(method).status == 200


def test_body_longer_than_its_length(wsgi):
    server = wsgi("""
        done = []

        def many():
            try:
                while True:
                    yield b"abcdef"
            finally:
                done.append(1)

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/done":
                start_response("200 OK", [])
                return [b"%d" % len(done)]
            start_response("200 OK", [("Content-Length", "10")])
            if environ["PATH_INFO"] == "/list":
                return [b"abcdef"] * 5
            return many()
    """)
    with server.connect() as c:
        for path in "/list", "/stream":
            assert c.get(path).body == b"abcdefabcd"
            assert c.get(path).body == b"abcdefabcd"
        assert c.get("/done").body == b"2"


def test_head(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            kind = environ["PATH_INFO"]
            start_response("200 OK", [("Content-Length", "7")]
                           if kind == "/length" else [])
            if kind == "/stream":
                return (x for x in [b"one", b"two"])
            if kind == "/empty":
                return []
            return [b"content"]
    """)
    with server.connect() as c:
        for path, length in (("/length", "7"), ("/list", "7"),
                             ("/empty", None), ("/stream", None)):
            r = c.get(path, method="HEAD")
            assert (r.status, r.body) == (200, b"")
            assert r.header("Content-Length") == length
        assert c.get("/list").body == b"content"


def test_head_of_an_endless_stream(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [("X-Stream", "1")])
            try:
                while True:
                    yield b"x" * 100
            finally:
                environ["wsgi.errors"].write("stream closed\\n")
    """, "--threads", "1")
    with server.connect() as c:
        for _ in range(2):
            r = c.get("/", method="HEAD")
            assert (r.status, r.header("X-Stream")) == (200, "1")
    server.wait_log("stream closed")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_status_without_body(wsgi, status):
    server = wsgi("""
        def app(environ, start_response):
            start_response("%s", [])
            return [b"not allowed"] if environ["PATH_INFO"] == "/" else []
    """ % status)
    with server.connect() as c:
        for path in "/", "/empty":
            r = c.get(path)
            assert r.status == int(status[:3])
            assert r.header("Content-Length") is None
            assert r.header("Transfer-Encoding") is None


def test_close_is_called_once(wsgi):
    server = wsgi("""
        class Body:
            def __init__(self, chunks):
                self.chunks = iter(chunks)
            def __iter__(self):
                return self
            def __next__(self):
                chunk = next(self.chunks)
                if chunk is None:
                    raise RuntimeError("midway")
                return chunk
            def close(self):
                log("closed")

        def app(environ, start_response):
            global log
            errors = environ["wsgi.errors"]
            path = environ["PATH_INFO"]
            log = lambda what: errors.write("%s %s\\n" % (path, what))
            if path != "/nostart":
                start_response("200 OK", [("Content-Length", "3")])
            return Body({"/whole": [b"abc"], "/over": [b"abcd", b"e"],
                         "/str": ["abc"], "/midway": [b"a", None],
                         "/first": [None], "/nostart": [b"abc"],
                         "/none": []}[path])
    """)
    for path in ("/whole", "/over", "/str", "/midway", "/first", "/nostart",
                 "/none"):
        server.raw(harness.request("GET", path, close=True))
        server.wait_log("%s closed" % path)
    text = server.log.text()
    assert text.count("closed") == 7


@pytest.mark.parametrize("kind, length", [
    ("list", ""), ("list", "5"), ("iterable", ""), ("iterable", "5"),
    ("file", ""), ("file", "5"), ("generator", "5"),
])
def test_close_comes_after_the_response(wsgi, tmp_path, kind, length):
    """Work that the client need not wait for may be done there."""
    (tmp_path / "data").write_bytes(b"hello")
    server = wsgi("""
        import io, os, time

        class List(list):
            def close(self):
                while not os.path.exists("go"):
                    time.sleep(0.002)

        class Iterable:
            close = List.close
            def __iter__(self):
                return iter([b"hello"])

        class File(io.FileIO):
            def close(self):
                List.close(self)

        def generator():
            try:
                yield b"hello"
                List.close(None)
            finally:
                List.close(None)

        def app(environ, start_response):
            kind, length = environ["PATH_INFO"][1:].split("/")
            start_response("200 OK", [("Content-Length", length)] if length
                           else [])
            return {"list": lambda: List([b"hello"]), "iterable": Iterable,
                    "generator": generator, "file": lambda:
                    environ["wsgi.file_wrapper"](File("data"))}[kind]()
    """)
    with server.connect() as c:
        assert c.get("/%s/%s" % (kind, length)).body == b"hello"
        (tmp_path / "go").touch()
        assert c.get("/%s/%s" % (kind, length)).body == b"hello"


def test_close_that_fails(wsgi):
    """The response was whole: the client has it, the log the rest."""
    server = wsgi("""
        class Body(list):
            def close(self):
                raise RuntimeError("in close")

        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "3")])
            return Body([b"abc"])
    """)
    assert server.get("/").body == b"abc"
    server.wait_log("^RuntimeError: in close")


def test_client_gone_ends_the_stream(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            try:
                while True:
                    yield b"x" * 65536
            finally:
                environ["wsgi.errors"].write("stream ended\\n")
    """)
    with server.connect() as c:
        c.send(harness.request())
        c.head()
        c.chunk()
        c.reset()
    server.wait_log("stream ended")
    assert "Traceback" not in server.log.text()


def test_client_gone_makes_write_fail(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            write = start_response("200 OK", [])
            try:
                while True:
                    write(b"x" * 65536)
            except OSError as e:
                environ["wsgi.errors"].write(type(e).__name__ + "\\n")
                raise
    """)
    with server.connect() as c:
        c.send(harness.request())
        c.head()
        c.reset()
    server.wait_log("BrokenPipeError")
    assert "Traceback" not in server.log.text()


@pytest.mark.parametrize("way", ["stream", "write", "file", "list"])
def test_half_close_gets_the_answer_to_head(wsgi, way, tmp_path):
    """Who ended its side has not left: it waits for the head."""
    server = wsgi("""
        import io, time

        def app(environ, start_response):
            gone = environ["bicorn.client_gone"]
            end = time.monotonic() + 5
            while not gone() and time.monotonic() < end:
                time.sleep(0.002)
            write = start_response("200 OK", [("X-Own", "1")])
            way = environ["PATH_INFO"]
            if way == "/write":
                write(b"a")
                write(b"b")
                return []
            if way == "/file":
                return environ["wsgi.file_wrapper"](open("empty", "rb"))
            if way == "/list":
                return iter([b"a" * 10000] * 4)
            return (part for part in (b"a", b"b"))
    """)
    (tmp_path / "empty").write_bytes(b"")
    with server.connect() as c:
        c.send(harness.request("HEAD", "/" + way))
        c.half_close()
        r = c.response("HEAD")
    assert (r.status, r.header("X-Own")) == (200, "1")
    assert "Error" not in server.log.text()


def test_client_gone_can_be_asked(wsgi):
    server = wsgi("""
        import time

        def app(environ, start_response):
            gone = environ["bicorn.client_gone"]
            environ["wsgi.errors"].write("at first %s\\n" % gone())
            while not gone():
                time.sleep(0.002)
            environ["wsgi.errors"].write("now gone\\n")
            start_response("200 OK", [])
            return [b""]
    """)
    with server.connect() as c:
        c.send(harness.request())
        server.wait_log("at first False")
    server.wait_log("now gone")


# ---- errors of the application ---------------------------------------------

def test_exception_before_the_head(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [("X-Secret", "1")])
            raise RuntimeError("kaputt")
    """)
    r = server.get("/path?query")
    assert (r.status, r.reason) == (500, "Internal Server Error")
    assert r.header("Content-Type").startswith("text/html")
    assert r.header("Connection") == "close"
    assert r.header("X-Secret") is None
    assert b"kaputt" not in r.body
    server.wait_log(r"\[ERROR\] Error handling request GET /path\?query$")
    server.wait_log("^Traceback")
    server.wait_log("^RuntimeError: kaputt")


def test_exception_in_a_generator(wsgi):
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/late":
                yield b"some"
            raise RuntimeError("kaputt")
    """)
    assert server.get("/").status == 500
    with server.connect() as c:
        c.send(harness.request("GET", "/late"))
        assert c.head()[1] == 200
        assert c.chunk() == b"some"
        assert c.rest() == b""
    server.wait_log("Error handling request GET /late$")


@pytest.mark.parametrize("what", [
    "SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()",
    "BaseException('base')", "MemoryError()", "RecursionError()",
])
def test_exceptions_that_do_not_end_the_worker(wsgi, what):
    server = wsgi("""
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/":
                raise %s
            start_response("200 OK", [])
            return [b"alive"]
    """ % what)
    workers = server.workers()
    assert server.get("/").status == 500
    assert server.get("/ok").body == b"alive"
    assert server.workers() == workers


def test_deep_recursion(wsgi):
    server = wsgi("""
        def f(n):
            return f(n + 1)

        def app(environ, start_response):
            f(0)
    """)
    assert server.get("/").status == 500
    server.wait_log("^RecursionError")


def test_error_with_odd_text(wsgi):
    server = wsgi("""
        class E(Exception):
            def __str__(self):
                raise ValueError("no text")

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/1":
                raise E()
            raise ValueError("\\ud800 \\u20ac\\r\\n[2026-01-01] forged")
    """)
    assert server.get("/1").status == 500
    assert server.get("/2").status == 500
    server.wait_log("GET /2$")
    server.wait_log("forged")


# ---- file_wrapper ----------------------------------------------------------

FILES = """
    import gzip, io, os, tempfile

    def start(start_response, *headers):
        start_response("200 OK", list(headers))

    def app(environ, start_response):
        wrap = environ["wsgi.file_wrapper"]
        kind = environ["PATH_INFO"][1:]
        f = open("data", "rb")
        start(start_response)
        return make(kind, wrap, f, start_response, environ)

    def make(kind, wrap, f, start_response, environ):
        if kind == "offset":
            f.seek(1000)
        if kind == "readahead":
            f.read(10)
        if kind == "raw":
            f = open("data", "rb", buffering=0)
            f.read(10)
        if kind == "bytesio":
            f = io.BytesIO(f.read())
        if kind == "gzip":
            f = gzip.open("data.gz", "rb")
        if kind == "temporary":
            f = tempfile.NamedTemporaryFile()
            f.write(b"in a temporary file")
            f.seek(0)
        if kind == "empty":
            f.seek(0, 2)
        if kind == "beyond":
            f.seek(10, 2)
        if kind == "inside":
            class Inside:
                file = gzip.open("data.gz", "rb")
                read, fileno = file.read, file.fileno
            return wrap(Inside())
        if kind == "sizeless":
            f = open("/proc/version", "rb")
        if kind == "blksize":
            return wrap(f, 100)
        if kind == "keyword":
            return wrap(filelike=f, blksize=7)
        if kind == "noclose":
            class Reader:
                def __init__(self, f): self.read = f.read
            return wrap(Reader(f))
        if kind == "closed":
            class Closing:
                def __init__(self, f):
                    self.f = f
                    self.read, self.fileno = f.read, f.fileno
                def close(self):
                    self.f.close()
                    environ["wsgi.errors"].write("file closed\\n")
            return wrap(Closing(f))
        if kind == "iterated":
            return list(wrap(f))
        if kind == "indexed":
            w = wrap(f, 10)
            return [w[0], w[0]]
        if kind == "pipe":
            r, w = os.pipe()
            os.write(w, b"from a pipe")
            os.close(w)
            return wrap(os.fdopen(r, "rb"))
        if kind == "afterwards":
            pos = []
            class Watched:
                def __init__(self, f):
                    self.read, self.fileno, self.tell = \\
                        f.read, f.fileno, f.tell
                    self.f = f
                def close(self):
                    environ["wsgi.errors"].write("offset %d\\n" %
                        os.lseek(self.f.fileno(), 0, 1))
            return wrap(Watched(f))
        return wrap(f)
"""


@pytest.fixture
def files(wsgi, tmp_path):
    import gzip
    data = os.urandom(300_000)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "data.gz").write_bytes(gzip.compress(b"plain text" * 1000))

    def start(*args):
        return wsgi(FILES, *args), data

    return start


@pytest.mark.parametrize("args", [[], ["--no-sendfile"]])
def test_file_wrapper(files, args):
    server, data = files(*args)
    for kind, body in (
            ("plain", data), ("offset", data[1000:]),
            ("readahead", data[10:]), ("raw", data[10:]), ("empty", b""),
            ("blksize", data), ("keyword", data), ("noclose", data),
            ("bytesio", data), ("gzip", b"plain text" * 1000),
            ("inside", b"plain text" * 1000), ("beyond", b""),
            ("iterated", data), ("indexed", data[:20]),
            ("temporary", b"in a temporary file"), ("closed", data),
            ("sizeless", open("/proc/version", "rb").read()),
            ("pipe", b"from a pipe")):
        r = server.get("/" + kind)
        assert r.status == 200 and r.body == body, kind
    server.wait_log("file closed")


def test_file_wrapper_states_the_length(files):
    server, data = files()
    with server.connect() as c:
        for _ in range(2):
            r = c.get("/offset")
            assert r.header("Content-Length") == str(len(data) - 1000)
        r = c.get("/offset", method="HEAD")
        assert r.header("Content-Length") == str(len(data) - 1000)
        assert c.get("/afterwards").body == data
    server.wait_log("offset 0$")


def test_file_wrapper_and_content_length(wsgi, tmp_path):
    (tmp_path / "data").write_bytes(b"0123456789")
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK",
                [("Content-Length", environ["QUERY_STRING"])])
            return environ["wsgi.file_wrapper"](open("data", "rb"))
    """)
    with server.connect() as c:
        assert c.get("/?4").body == b"0123"
        assert c.get("/?10").body == b"0123456789"
        assert c.get("/?0").body == b""
        c.send(harness.request("GET", "/?20"))
        assert c.head()[3]
        assert c.rest() == b"0123456789"


def test_file_wrapper_without_a_head(wsgi, tmp_path):
    (tmp_path / "data").write_bytes(b"0123456789")
    server = wsgi("""
        def app(environ, start_response):
            return environ["wsgi.file_wrapper"](open("data", "rb"))
    """)
    assert server.get("/").status == 500


def test_file_wrapper_uses_sendfile(files, tmp_path):
    """strace sees the call, where it may look."""
    server, data = files()
    try:
        tracer = subprocess.Popen(
            ["strace", "-f", "-e", "trace=sendfile", "-p",
             str(server.workers()[0])], stderr=subprocess.PIPE, text=True)
    except OSError:
        pytest.skip("strace is not installed")
    lines = harness.Lines(tracer.stderr.detach())
    try:
        try:
            lines.wait("attached", timeout=10)
        except AssertionError:
            pytest.skip("strace may not attach")
        assert server.get("/plain").body == data
        lines.wait("sendfile")
    finally:
        tracer.terminate()
        tracer.wait()


# ---- early hints -----------------------------------------------------------

HINTS = """
    def app(environ, start_response):
        hint = environ["wsgi.early_hints"]
        hint([("Link", "</a.css>; rel=preload")])
        hint([(b"Link", b"</b.css>; rel=preload"), ["X-Y", "z"],
              ("Content-Length", "4"), ("Transfer-Encoding", "chunked"),
              ("Connection", "close")])
        for bad in ([("a b", "c")], [("a", "b\\r\\nc: d")], [("a",)], 5,
                    [(1, 2)], [("a", "\\u20ac")]):
            try:
                hint(bad)
                raise AssertionError(bad)
            except (ValueError, TypeError):
                pass
        start_response("200 OK", [])
        yield b"done"
        hint([("Too", "late")])
"""


def test_early_hints(wsgi):
    server = wsgi(HINTS)
    with server.connect() as c:
        c.send(harness.request())
        _, status, reason, headers = c.head()
        assert (status, reason) == (103, "Early Hints")
        assert headers == [("Link", "</a.css>; rel=preload")]
        _, status, _, headers = c.head()
        assert status == 103
        assert headers == [("Link", "</b.css>; rel=preload"), ("X-Y", "z")]
        r = c.response()
        assert (r.status, r.body) == (200, b"done")
    out = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert out.startswith(b"HTTP/1.1 200") and out.endswith(b"done")


# ---- the application and its surroundings ----------------------------------

def test_wsgiref_validator(wsgi):
    server = wsgi("""
        from wsgiref.validate import validator

        def inner(environ, start_response):
            body = environ["wsgi.input"].read(4)
            environ["wsgi.input"].readline(10)
            environ["wsgi.errors"].write("validated\\n")
            environ["wsgi.errors"].flush()
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"got ", body]

        app = validator(inner)
    """)
    for method, body in (("GET", None), ("POST", b"data\nmore"),
                         ("HEAD", None)):
        r = server.get("/x?y", {"Content-Type": "text/plain"}, method, body)
        assert r.status == 200, server.log.text()
        if body:
            assert r.body == b"got data"
    assert "AssertionError" not in server.log.text()


def test_forms_of_target(wsgi, tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "site.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [__name__.encode()]\n"
        "class Factory:\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        self.said = repr((args, kwargs)).encode()\n"
        "    def __call__(self, environ, start_response):\n"
        "        start_response('200 OK', [])\n"
        "        return [self.said]\n"
        "def make():\n"
        "    return application\n")
    for target, body in (
            ("pkg.site", b"pkg.site"),
            ("pkg.site:application", b"pkg.site"),
            ("pkg.site:make()", b"pkg.site"),
            ("wsgi=pkg.site:make()", b"pkg.site"),
            ('pkg.site:Factory("x", k=1)', b"(('x',), {'k': 1})"),
            ("pkg.site:Factory([1, {'a': (None, True)}], -2.5, b'c')",
             b"(([1, {'a': (None, True)}], -2.5, b'c'), {})")):
        assert wsgi("", target=target).get("/").body == body


@pytest.mark.parametrize("target, code, says", [
    ("nosuch", 3, "ModuleNotFoundError: No module named 'nosuch'"),
    ("nosuch.sub:app", 3, "No module named 'nosuch'"),
    ("there.nosuch:app", 3, "nosuch"),
    ("broken:app", 3, "ZeroDivisionError"),
    ("syntax:app", 3, "SyntaxError"),
    ("imports:app", 3, "No module named 'notinstalled'"),
    ("leaves:app", 3, "SystemExit"),
    ("there:nosuch", 4, "has no attribute 'nosuch'"),
    ("there", 4, "has no attribute 'application'"),
    ("there:none", 4, "None"),
    ("there:number", 4, "called"),
    ("there:later", 4, "one for ASGI"),
    ("there:fast", 4, "one for ASGI"),
    ("there:a.b", 4, "neither a name nor the call"),
    ("there:make(", 4, "neither a name nor the call"),
    ("there:", 4, "neither a name nor the call"),
    ("there:make(x)", 4, "literal"),
    ("there:make(*[1])", 4, "literal"),
    ("there:make(**{})", 4, "literal"),
    ("there:os.system('true')", 4, "neither a name nor the call"),
    ("there:make(1, 2)", 4, "takes 0 positional arguments"),
    ("there:make_fails()", 3, "inside the factory"),
    ("there:make()", 4, "None"),
    ("there.py", 3, "did you mean there:application?"),
    ("there.py:app", 3, "did you mean there:app?"),
    ("pkg/wsgi.py", 3, "did you mean pkg.wsgi:application?"),
    ("./pkg/wsgi.py:app", 3, "did you mean pkg.wsgi:app?"),
    ("./nowhere/", 3, "neither a directory nor the name of a module"),
    ("nowhere/wsgi.py:app", 3, "neither a directory nor the name of a mod"),
])
def test_targets_that_fail(run, tmp_path, target, code, says):
    (tmp_path / "there.py").write_text(
        "import os\n"
        "none, number = None, 5\n"
        "def app(e, s): pass\n"
        "async def later(scope, receive, send): pass\n"
        "class Fast:\n"
        "    async def __call__(self, scope, receive, send): pass\n"
        "fast = Fast()\n"
        "def make(): pass\n"
        "def make_fails(): raise TypeError('inside the factory')\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "syntax.py").write_text("def (\n")
    (tmp_path / "imports.py").write_text("import notinstalled\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "wsgi.py").write_text("def application(e, s): pass\n")
    r = run("--bind", "127.0.0.1:0", target, cwd=tmp_path)
    assert r.returncode == code, r.stderr
    assert says in r.stderr
    assert sum(says in line for line in r.stderr.splitlines()) >= 1
    # A traceback where it helps, once; otherwise the line says it all.
    helps = target in ("broken:app", "imports:app", "leaves:app",
                       "there:make_fails()")
    assert r.stderr.count("Traceback (most recent call last)") == helps


def test_check_config_loads_the_application(run, tmp_path):
    (tmp_path / "good.py").write_text("def app(e, s): pass\n")
    (tmp_path / "bad.py").write_text("import notinstalled\n")
    assert run("--check-config", "good:app", cwd=tmp_path).returncode == 0
    r = run("--check-config", "bad:app", cwd=tmp_path)
    assert r.returncode != 0 and "notinstalled" in r.stderr


def test_path_and_arguments(wsgi, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "webapp.py").write_text(
        "import json, os, sys, threading, first, second\n"
        "main = threading.main_thread() is threading.current_thread()\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [json.dumps({'path': sys.path[:4], 'argv': sys.argv,\n"
        "        'cwd': os.getcwd(), 'main': main, 'name':\n"
        "        threading.current_thread().name}).encode()]\n")
    (tmp_path / "one" / "first.py").write_text("")
    (tmp_path / "two" / "second.py").write_text("")
    server = wsgi("", "--chdir", "app", "--pythonpath",
                  "../one,%s" % (tmp_path / "two"))
    out = json.loads(server.get("/").body)
    assert out["cwd"] == str(tmp_path / "app")
    # Those of gunicorn, in its order.
    assert out["path"] == [str(tmp_path / name)
                           for name in ("two", "one", "app", ".")]
    assert out["argv"][0].endswith("bicorn")
    assert out["argv"][1:] == [*map(str, server.process.args[1:])]
    assert out["argv"][-1] == "webapp:app"
    assert out["main"] is True
    assert out["name"].startswith("bicorn-")


def test_arguments_are_there_from_the_first(wsgi, tmp_path):
    """sitecustomize of an agent looks at them."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.seen = list(sys.argv)\n")
    server = wsgi("""
        import sys

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"%d" % (sys.seen == sys.argv), sys.seen[-2].encode()]
    """, "--name", "b\xe9", env={"PYTHONPATH": str(tmp_path)})
    assert server.get("/").body == b"1b\xc3\xa9"


def test_modules_of_the_first_directory(wsgi, tmp_path):
    """chdir takes nothing away, and pythonpath goes before what is there."""
    for name in ("shop", "src/shop"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "wsgi.py").write_text(
            "def app(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    return [%r]\n" % name.encode())
    for options, name in ((("--chdir", "src"), b"src/shop"),
                          (("--chdir", "shop"), b"shop"),
                          (("--pythonpath", "src"), b"src/shop"),
                          (("--pythonpath", ".,src,."), b"src/shop")):
        server = wsgi("", *options, target="shop.wsgi:app")
        assert server.get("/").body == name


def test_symlinked_working_directory(wsgi, tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    (tmp_path / "release" / "webapp.py").write_text(
        "import sys\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [sys.path[0].encode()]\n")
    server = wsgi("", cwd=tmp_path / "current",
                  env={"PWD": str(tmp_path / "current")})
    assert server.get("/").body == str(tmp_path / "current").encode()


WHERE = """
    import json, sys

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            import only_in_venv
            found = only_in_venv.__file__
        except ImportError:
            found = None
        try:
            import flask
            flask = True
        except ImportError:
            flask = False
        return [json.dumps({"executable": sys.executable, "prefix": sys.prefix,
            "base": sys.base_prefix, "found": found, "flask": flask,
            "version": list(sys.version_info[:2])}).encode()]
"""


def python_says(python, expression):
    return subprocess.run(
        [python, "-c", "import sys; print(%s)" % expression], check=True,
        capture_output=True, text=True,
        env=harness.environment()).stdout.strip()


def make_venv(path, *args):
    subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", *args,
                    str(path)], check=True, env=harness.environment())
    site = python_says(path / "bin/python",
                       "next(p for p in sys.path if 'site-packages' in p)")
    with open(site + "/only_in_venv.py", "w") as f:
        f.write("")
    return site


def test_interpreter_is_the_configured_one(wsgi):
    out = json.loads(wsgi(WHERE).get("/").body)
    assert out["prefix"] == python_says(harness.PYTHON, "sys.prefix")
    assert out["base"] == python_says(harness.PYTHON, "sys.base_prefix")
    assert os.path.samefile(out["executable"], harness.PYTHON)
    assert out["found"] is None


@pytest.mark.parametrize("how", ["option", "variable", "relative", "both"])
def test_virtual_environment(wsgi, tmp_path, how):
    venv, other = tmp_path / "venv", tmp_path / "other"
    site = make_venv(venv)
    args, env = [], {}
    if how == "option":
        args = ["--venv", str(venv)]
    elif how == "relative":
        args = ["--venv", "venv"]
    elif how == "variable":
        env = {"VIRTUAL_ENV": str(venv)}
    else:
        make_venv(other)
        args, env = ["--venv", str(venv)], {"VIRTUAL_ENV": str(other)}
    out = json.loads(wsgi(WHERE, *args, env=env).get("/").body)
    assert out["executable"] == str(venv / "bin/python")
    assert out["prefix"] == str(venv)
    assert out["base"] == python_says(harness.PYTHON, "sys.base_prefix")
    assert out["found"] == site + "/only_in_venv.py"
    assert out["flask"] is False


def test_virtual_environment_with_system_packages(wsgi, tmp_path):
    venv = tmp_path / "venv"
    make_venv(venv, "--system-site-packages")
    out = json.loads(wsgi(WHERE, "--venv", venv).get("/").body)
    assert out["found"] and out["prefix"] == str(venv)
    has = subprocess.run([harness.PYTHON, "-c", "import flask"],
                         env=harness.environment(), capture_output=True)
    assert out["flask"] is (has.returncode == 0)


def test_virtual_environment_of_another_build(wsgi, tmp_path):
    """Its packages are used, with the standard library that fits."""
    venv, home = tmp_path / "venv", tmp_path / "other" / "bin"
    site = make_venv(venv)
    home.mkdir(parents=True)
    name = python_says(harness.PYTHON, "'python%d.%d' % sys.version_info[:2]")
    shutil.copy(os.path.realpath(harness.PYTHON), home / name)
    config = venv / "pyvenv.cfg"
    config.write_text(re.sub(r"(?m)^home = .*", "home = %s" % home,
                             config.read_text()))
    server = wsgi(WHERE, "--venv", venv)
    server.wait_log("made by %s/" % re.escape(str(home)))
    out = json.loads(server.get("/").body)
    assert out["base"] == python_says(harness.PYTHON, "sys.base_prefix")
    assert out["prefix"] == str(venv)
    assert out["found"] == site + "/only_in_venv.py"


def test_virtual_environment_runs_children(wsgi, tmp_path):
    venv = tmp_path / "venv"
    make_venv(venv)
    server = wsgi("""
        import subprocess, sys

        def app(environ, start_response):
            out = subprocess.run([sys.executable, "-c",
                "import only_in_venv, sys; print(sys.prefix)"],
                capture_output=True, check=True).stdout
            start_response("200 OK", [])
            return [out]
    """, "--venv", venv)
    assert server.get("/").body.decode().strip() == str(venv)


def test_virtual_environment_wrong(run, tmp_path):
    (tmp_path / "good.py").write_text("def app(e, s): pass\n")

    def attempt(*args, **env):
        r = run("--bind", "127.0.0.1:0", *args, "good:app", cwd=tmp_path,
                env=env)
        assert r.returncode not in (0, None)
        assert "Fatal Python error" not in r.stderr
        return r.stderr

    assert "nowhere" in attempt("--venv", "nowhere")
    assert "nowhere" in attempt(VIRTUAL_ENV=tmp_path / "nowhere")
    venv = tmp_path / "venv"
    make_venv(venv)
    config = venv / "pyvenv.cfg"
    text = config.read_text()
    config.write_text(re.sub(r"(?m)^version = .*", "version = 3.99.1", text))
    said = attempt("--venv", venv)
    ours = python_says(harness.PYTHON, "'%d.%d' % sys.version_info[:2]")
    assert any("3.99" in line and ours in line
               for line in said.splitlines()), said
    config.write_text(re.sub(r"(?m)^home = .*", "home = /nowhere", text))
    said = attempt("--venv", venv)
    assert "/nowhere" in said


def test_missing_host_names_those_there_are(run, tmp_path):
    (tmp_path / "good.py").write_text("def app(e, s): pass\n")
    venv, modules = tmp_path / "venv", tmp_path / "modules"
    make_venv(venv)
    config = venv / "pyvenv.cfg"
    config.write_text(re.sub(r"(?m)^version = .*", "version = 3.99.1",
                             config.read_text()))
    for tag in "cpython-313t", "cpython-39", "cpython-313":
        (modules / tag).mkdir(parents=True)
        (modules / tag / "wsgi.so").touch()
    r = run("--bind", "127.0.0.1:0", "--venv", venv, "good:app", cwd=tmp_path,
            env={"BICORN_MODULES": modules})
    assert r.returncode == 4
    assert "made for Python 3.99" in r.stderr
    assert "for Python 3.9, 3.13, 3.13t only" in r.stderr


def test_broken_home(run, tmp_path):
    (tmp_path / "good.py").write_text("def app(e, s): pass\n")
    r = run("--bind", "127.0.0.1:0", "good:app", cwd=tmp_path,
            env={"PYTHONHOME": "/nowhere"})
    assert r.returncode == 3
    assert "PYTHONHOME=/nowhere" in r.stderr
    assert "Fatal Python error" not in r.stderr


def test_environment_of_python_counts(wsgi, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "extra.py").write_text("value = b'from PYTHONPATH'\n")
    server = wsgi("""
        import extra

        def app(environ, start_response):
            start_response("200 OK", [])
            return [extra.value]
    """, env={"PYTHONPATH": tmp_path / "lib"})
    assert server.get("/").body == b"from PYTHONPATH"


def test_extension_modules(wsgi):
    """They find the names of libpython, though the host is loaded alone."""
    server = wsgi("""
        import _ctypes, _decimal, _elementtree, _json, _ssl, _sqlite3, \\
            array, ctypes, decimal, hashlib, math, socket, sqlite3, zlib

        def app(environ, start_response):
            start_response("200 OK", [])
            value = ctypes.pythonapi.PyLong_FromLong(42)
            return [hashlib.sha256(b"x").hexdigest().encode()]
    """)
    assert len(server.get("/").body) == 64


def test_callbacks_from_foreign_threads(wsgi):
    """PyGILState_Ensure() finds the state of the pool thread."""
    server = wsgi("""
        import ctypes

        libc = ctypes.CDLL(None)
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int),
                                   ctypes.POINTER(ctypes.c_int))

        def app(environ, start_response):
            numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
            libc.qsort(numbers, 5, ctypes.sizeof(ctypes.c_int),
                       compare(lambda a, b: a[0] - b[0]))
            start_response("200 OK", [])
            return [bytes(numbers)[::4]]
    """)
    for _ in range(8):
        assert server.get("/").body == b"\1\2\3\4\5"


def test_thread_locals_and_contexts(wsgi):
    server = wsgi("""
        import asyncio, threading

        local = threading.local()

        async def work():
            await asyncio.sleep(0)
            return b"async"

        def app(environ, start_response):
            local.n = getattr(local, "n", 0) + 1
            start_response("200 OK", [])
            return [asyncio.run(work()), b" %d" % local.n]
    """, "--threads", "1")
    with server.connect() as c:
        assert [c.get("/").body for _ in range(3)] == \
            [b"async 1", b"async 2", b"async 3"]


def test_child_processes(wsgi):
    server = wsgi("""
        import os, subprocess, sys

        def app(environ, start_response):
            how = environ["PATH_INFO"][1:]
            if how == "run":
                out = subprocess.run(["echo", "hello"],
                                     capture_output=True).stdout
            elif how == "fork":
                pid = os.fork()
                if pid == 0:
                    sys.exit(7)
                out = b"%d" % os.waitstatus_to_exitcode(
                    os.waitpid(pid, 0)[1])
            elif how == "fails":
                pid = os.fork()
                if pid == 0:
                    raise RuntimeError("in the child")
                out = b"%d" % os.waitstatus_to_exitcode(
                    os.waitpid(pid, 0)[1])
            start_response("200 OK", [])
            return [out]
    """)
    with server.connect() as c:
        assert c.get("/fork").body == b"7"
        assert c.get("/run").body == b"hello\n"
        assert c.get("/fails").body == b"1"
        server.wait_log("in the child")


def test_forked_child_can_be_terminated(wsgi):
    server = wsgi("""
        import os, signal, time

        def app(environ, start_response):
            number = int(environ["QUERY_STRING"])
            r, w = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(w, b"x")
                time.sleep(60)
                os._exit(0)
            os.read(r, 1)
            os.kill(pid, number)
            status = os.waitpid(pid, 0)[1]
            start_response("200 OK", [])
            return [b"%d" % os.WTERMSIG(status)]
    """)
    for number in 15, 2, 3, 10:
        assert server.get("/?%d" % number).body == b"%d" % number
    assert len(server.workers()) == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"])
def test_signal_for_a_forked_process(wsgi, name):
    """It is not one for the worker, and ends the process."""
    server = wsgi("""
        import os, signal, time

        def app(environ, start_response):
            start_response("200 OK", [])
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            os.kill(pid, signal.%s)
            status = os.waitpid(pid, 0)[1]
            return [str(os.WTERMSIG(status) == signal.%s).encode()]
    """ % (name, name))
    workers = server.workers()
    for _ in range(3):
        assert server.get("/").body == b"True"
    assert server.workers() == workers


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_multiprocessing(wsgi, how):
    server = wsgi("""
        import multiprocessing

        def square(n):
            return n * n

        def app(environ, start_response):
            with multiprocessing.get_context("%s").Pool(2) as pool:
                out = repr(pool.map(square, range(4))).encode()
            start_response("200 OK", [])
            return [out]
    """ % how)
    assert server.get("/").body == b"[0, 1, 4, 9]"


def test_threads_run_at_once(wsgi):
    server = wsgi("""
        import threading

        barrier = threading.Barrier(4)

        def app(environ, start_response):
            barrier.wait(10)
            start_response("200 OK", [])
            return [b"together"]
    """, "--threads", "4")
    conns = [server.connect() for _ in range(4)]
    for c in conns:
        c.send(harness.request())
    for c in conns:
        assert c.response().body == b"together"
        c.close()


BACKGROUND = """
    import threading
    import time

    ticks = 0

    def tick():
        global ticks
        while True:
            ticks += 1
            with open(%r, "w") as f:
                f.write(str(ticks))
            time.sleep(.001)

    def spin(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    def app(environ, start_response):
        if ticks == 0:
            threading.Thread(target=tick, daemon=True).start()
        if environ["PATH_INFO"] == "/spin":
            spin(2)
        start_response("200 OK", [])
        return [b"%%d" %% threading.get_ident()]
"""


def comes_further(path, ticks, deadline=20):
    """A file's number gets on so far."""
    def number():
        try:
            return int(path.read_text() or 0)
        except FileNotFoundError:
            return 0
    first, end = number(), time.monotonic() + deadline
    while number() < first + ticks:
        if time.monotonic() > end:
            return False
        time.sleep(.01)
    return True


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_of_the_application_run(wsgi, tmp_path, threads):
    """While no request is there, and while there is always one."""
    path = tmp_path / "ticks"
    server = wsgi(BACKGROUND % str(path), "--threads", threads)
    stop = threading.Event()
    counts = []

    def ask():
        with server.connect() as c:
            n = 0
            while not stop.is_set():
                assert c.get().status == 200
                n += 1
            counts.append(n)

    assert server.get("/").status == 200
    assert comes_further(path, 20)
    asking = [threading.Thread(target=ask) for _ in range(6)]
    for t in asking:
        t.start()
    busy = comes_further(path, 20)
    stop.set()
    for t in asking:
        t.join()
    assert busy
    assert len(counts) == 6 and min(counts) > 0
    assert comes_further(path, 20)


def test_a_view_that_computes_lets_others_by(wsgi, tmp_path):
    """Others wait for the interpreter's switch interval, not for its end."""
    server = wsgi(BACKGROUND % str(tmp_path / "ticks"), "--threads", "2")
    server.get("/")
    with server.connect() as slow, server.connect() as quick:
        slow.send(harness.request(target="/spin"))
        spinning = None
        for _ in range(20):
            assert quick.get().status == 200
            slow.sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                slow.sock.recv(1, socket.MSG_PEEK)
            slow.sock.setblocking(True)
        spinning = slow.response()
        assert spinning.status == 200


def test_views_that_wait_run_side_by_side(wsgi):
    """Short waits are not taken for work that keeps Python's lock."""
    server = wsgi("""
        import threading
        import time

        def app(environ, start_response):
            time.sleep(.0005)
            start_response("200 OK", [])
            return [b"%d" % threading.get_ident()]
    """, "--threads", "4")
    seen = set()

    def ask():
        with server.connect() as c:
            for _ in range(100):
                seen.add(c.get().body)

    asking = [threading.Thread(target=ask) for _ in range(12)]
    for t in asking:
        t.start()
    for t in asking:
        t.join()
    assert len(seen) >= 3


@pytest.mark.parametrize("kind", ["list", "stream", "write", "file"])
def test_slow_reader_does_not_stop_others(wsgi, tmp_path, kind):
    """Who waits for a client does not hold the interpreter lock."""
    with open(tmp_path / "data", "wb") as f:
        f.truncate(30_000_000)
    server = wsgi("""
        def app(environ, start_response):
            kind = environ["PATH_INFO"][1:]
            write = start_response("200 OK", [])
            if kind == "list":
                return [b"x" * 30_000_000]
            if kind == "stream":
                return (b"x" * 100_000 for _ in range(300))
            if kind == "write":
                for _ in range(300):
                    write(b"x" * 100_000)
            if kind == "file":
                return environ["wsgi.file_wrapper"](open("data", "rb"))
            return [b"quick"]
    """, "--threads", "2", "--response-buffer", "4096")
    with server.connect() as slow:
        slow.send(harness.request("GET", "/" + kind))
        slow.head()
        for _ in range(20):
            assert server.get("/").body == b"quick"
        total = len(slow.buffer)
        while total < 30_000_000:
            data = slow.sock.recv(1 << 20)
            assert data
            total += len(data)


def test_many_requests_of_many_kinds(wsgi):
    """Objects that are used again must not carry anything along."""
    server = wsgi("""
        import sys
        kept = []

        def app(environ, start_response):
            kind = environ["QUERY_STRING"]
            body = environ["wsgi.input"].read()
            if kind == "keep":
                kept.append(environ)
                del kept[:-3]
            if kind == "cycle":
                environ["self"] = environ
            if kind == "raise":
                try:
                    raise ValueError(environ)
                except ValueError as e:
                    environ["error"] = e
            start_response("200 OK", [("X-Kind", kind)])
            if kind == "stream":
                return (bytes([x]) for x in body)
            return [body]
    """, "--threads", "2")
    with server.connect() as a, server.connect() as b:
        for n in range(300):
            for c, kinds in ((a, ["keep", "cycle", "raise", "stream", ""]),
                             (b, ["", "stream", "raise"])):
                kind = kinds[n % len(kinds)]
                body = b"%d %s" % (n, kind.encode() * (n % 7))
                r = c.get("/?" + kind, (), "POST", body)
                assert r.body == body and r.header("X-Kind") == kind


def test_end_of_the_worker(wsgi):
    """Exit functions run, and threads of the application are waited for."""
    server = wsgi("""
        import atexit, sys, threading

        stop = threading.Event()
        def work():
            stop.wait(10)
            print("thread ended", file=sys.stderr)

        atexit.register(lambda: print("exit function", file=sys.stderr))
        thread = threading.Thread(target=work)
        thread.start()

        def app(environ, start_response):
            stop.set()
            start_response("200 OK", [])
            return []
    """)
    server.get("/")
    assert server.stop() == 0
    text = server.log.text()
    assert "thread ended" in text and "exit function" in text


def test_daemon_threads_do_not_hold_the_end(wsgi):
    server = wsgi("""
        import threading, time

        def work():
            while True:
                time.sleep(0.001)

        threading.Thread(target=work, daemon=True).start()

        def app(environ, start_response):
            start_response("200 OK", [])
            return []
    """, "--graceful-timeout", "15")
    server.get("/")
    assert server.stop() == 0


@pytest.mark.parametrize("options, shown", [
    ((), b"yes bicorn/"),
    (("-e", "SERVER_SOFTWARE=gunicorn"), b"yes gunicorn")])
def test_settings_of_the_environment(wsgi, options, shown):
    server = wsgi("""
        import os

        def app(environ, start_response):
            start_response("200 OK", [])
            return [os.environ["FOR_APP"].encode(), b" ",
                    os.environ["SERVER_SOFTWARE"].encode()]
    """, "--env", "FOR_APP=yes", *options)
    assert server.get("/").body.startswith(shown)


def test_curl(wsgi, tmp_path):
    """A client that others wrote."""
    server = wsgi("""
        def app(environ, start_response):
            body = environ["wsgi.input"].read()
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [environ["REQUEST_METHOD"].encode(), b" ", body]
    """)
    (tmp_path / "big").write_bytes(b"z" * 3_000_000)
    curl = ["curl", "-sS", "--max-time", "20"]
    out = subprocess.run([*curl, server.url], capture_output=True)
    assert out.stdout == b"GET "
    out = subprocess.run([*curl, "-d", "a=b", server.url],
                         capture_output=True)
    assert out.stdout == b"POST a=b"
    for how in ["-T", str(tmp_path / "big")], \
            ["-H", "Transfer-Encoding: chunked", "--data-binary",
             "@%s" % (tmp_path / "big")]:
        out = subprocess.run([*curl, *how, server.url + "/x"],
                             capture_output=True)
        assert len(out.stdout) > 3_000_000, out.stderr


def test_programs_get_default_signals(wsgi):
    """What a view starts does not inherit an ignored signal, but PIPE's."""
    server = wsgi("""
        import subprocess

        def app(environ, start_response):
            out = subprocess.run(["grep", "SigIgn", "/proc/self/status"],
                                 stdout=subprocess.PIPE).stdout
            start_response("200 OK", [])
            return [out]
    """)
    mask = int(server.get().body.split()[1], 16)
    # Below 32: what make starts ignores one that glibc keeps for itself.
    assert mask & 0x7fffffff == 0


@pytest.mark.parametrize("rest, half_close, status", [
    (b"3\r\nabcX", False, 400),
    (b"3\r\nabc\r\n400\r\nx", False, 413),
    (b"0\r\nHost: y\r\n\r\n", False, 400),
    (b"3\r\nab", True, 400),
    (b"3\r\nab", False, 408),
])
def test_streamed_body_that_does_not_come(wsgi, rest, half_close, status):
    """The client is told what it did, the log does not blame the application,
    and what was begun does not end as if it were whole."""
    server = wsgi("""
        def app(environ, start_response):
            body = environ["wsgi.input"]
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/begun":
                return (part() for part in (lambda: b"begun", body.read))
            return [body.read()]
    """, "--stream-body", "--limit-request-body", "1000", "--body-timeout",
        "0.5", "--access-logfile", "-")
    fields = [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]
    for target, mark in ("/", b"100 Continue\r\n\r\n"), ("/begun", b"begun"):
        with server.connect() as c:
            c.send(harness.request("POST", target, fields))
            c.until(mark)
            c.send(rest)
            if half_close:
                c.half_close()
            raw = c.rest()
        if target == "/":
            assert raw.startswith(b"HTTP/1.1 %d " % status)
            server.wait_out(r'"POST / HTTP/1.1" %d ' % status)
        else:
            assert raw == b"\r\n"
            server.wait_out(r'"POST /begun HTTP/1.1" 200 5 ')
    assert "Traceback" not in server.log.text()


def test_signal_handlers_are_told(wsgi):
    """They would be run by a thread that runs no Python."""
    server = wsgi("""
        import signal
        signal.signal(signal.SIGHUP, lambda *args: print("never"))
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *args: print("never"))

        def app(environ, start_response):
            start_response("200 OK", [])
            return []
    """)
    assert server.get().status == 200
    told = re.findall(r"WARNING\] The application's handlers.*: (.*?)\. ",
                      server.log.text())
    assert told == ["SIGHUP, SIGTERM"]


def test_patched_locks_are_told(wsgi):
    """As gevent and eventlet do it, whose locks know of one thread."""
    text = """
        import threading, types
        threading.Lock = type("Lock", (), {"__module__": "green.lock"})

        def app(environ, start_response):
            start_response("200 OK", [])
            return []
    """
    said = "had green replace Python's locks"
    assert said in wsgi(text).log.text()
    assert said not in wsgi(text, "--threads", "1").log.text()


def test_a_head_that_is_refused_takes_the_first_away(wsgi):
    """... which was to be replaced; there is none then."""
    server = wsgi('''
        import sys

        def app(environ, start_response):
            start_response("200 OK", [("X-First", "1")])
            try:
                raise KeyError
            except KeyError:
                try:
                    start_response("500 x", [("a b", "c")], sys.exc_info())
                except ValueError:
                    pass
            return [b"text"]
    ''')
    r = server.get("/")
    assert r.status == 500 and b"text" not in r.body
    server.wait_log("did not call start_response")


def test_input_of_unknown_length_in_parts(wsgi):
    """As much as was asked for is enough, and none is made up."""
    server = wsgi('''
        def app(environ, start_response):
            body = environ["wsgi.input"]
            environ["wsgi.errors"].write("reading\\n")
            parts = [body.read(3), body.read(2), body.read(9), body.read(1)]
            if environ["PATH_INFO"] == "/long":
                parts = [b"%d" % len(x) for x in parts]
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [repr(parts).encode()]
    '''.replace("9", "300000"), "--stream-body")

    def asked(path, *pieces):
        """Each chunk comes when what was there is read."""
        with server.connect() as c:
            mark = server.mark()
            c.send("POST %s HTTP/1.1\r\nHost: x\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n" % path)
            server.wait_log("reading", since=mark)
            for piece in pieces:
                c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            c.send("0\r\n\r\n")
            return c.response().body

    assert asked("/", b"abcdef", b"g") == b"[b'abc', b'de', b'fg', b'']"
    assert asked("/long", b"abcde", *[b"x" * 1000] * 250) == \
        b"[b'3', b'2', b'250000', b'0']"
    assert asked("/long", b"abcde", *[b"x" * 1000] * 300, b"y") == \
        b"[b'3', b'2', b'300000', b'1']"


def test_errors_without_an_end_of_line(wsgi):
    """The end of a request ends a line, and so does a great length."""
    server = wsgi('''
        def app(environ, start_response):
            environ["wsgi.errors"].write("x" * 20000)
            environ["wsgi.errors"].write("short")
            start_response("204 No Content", [])
            return []
    ''')
    assert server.get("/").status == 204
    server.wait_log("^x{20000}$")
    server.wait_log("^short$")


def test_errors_of_the_system_are_told(wsgi):
    """They are the application's as long as the client is there."""
    server = wsgi('''
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/begun":
                start_response("200 OK", [("Content-Length", "9")])
                yield b"x"
            open("/no/such/file")
    ''')
    for path in "/", "/begun":
        mark = server.mark()
        with server.connect() as c:
            c.send(harness.request(target=path))
            _, status, _, _ = c.head()
            assert status == (500 if path == "/" else 200)
            c.rest()
        server.wait_log("FileNotFoundError: .*/no/such/file", since=mark)
