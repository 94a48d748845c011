# SPDX-License-Identifier: MIT
"""HTTP/1.1 over real sockets: framing, refusals, order, keep-alive."""
import random
import re
import socket
import subprocess
import time

import pytest

import harness
from harness import wait_for

CRLF = "\r\n"
PROBE = harness.SOURCE / "t/apps/probe.c"


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    module = tmp_path_factory.mktemp("http") / "probe.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"), str(PROBE),
                    "-o", str(module)], check=True)
    return module


@pytest.fixture(scope="module")
def server(probe):
    """One server for all tests of this file that need nothing special."""
    s = harness.Server("--threads", "2", "--access-logfile", "-",
                       "--limit-request-line", "200",
                       "--limit-request-fields", "20",
                       "--limit-request-field_size", "300",
                       "--limit-request-body", "1M", probe)
    yield s
    try:
        assert s.stop() == 0
    finally:
        s.kill()
    assert not s.alarms(), s.log.text()


def head(line, *fields):
    return CRLF.join([line, *fields, "", ""])


def alive(server):
    assert server.get("/").status == 200


# --- what is right and what is not --------------------------------------------

HOST = "Host: x"
BODY = "POST /body HTTP/1.1"

GOOD = {
    "plain": (head("GET / HTTP/1.1", HOST), 200),
    "no fields in 1.0": (head("GET / HTTP/1.0"), 200),
    "absolute form": (head("GET http://x/ HTTP/1.1", HOST), 200),
    "absolute form, other host": (head("GET http://y:1/ HTTP/1.1", HOST), 200),
    "absolute form, no path": (head("GET http://x HTTP/1.1", HOST), 200),
    "absolute form, query alone": (head("GET http://x?a HTTP/1.1", HOST), 200),
    "absolute form, upper case": (head("GET HTTP://x/ HTTP/1.1", HOST), 200),
    "two empty lines before": (CRLF * 2 + head("GET / HTTP/1.1", HOST), 200),
    "host of v6": (head("GET / HTTP/1.1", "Host: [::1]:80"), 200),
    "empty host": (head("GET / HTTP/1.1", "Host:"), 200),
    "space around a value": (head("GET / HTTP/1.1", "Host: \t x \t"), 200),
    "empty value": (head("GET / HTTP/1.1", HOST, "A:", "B: "), 200),
    "name of odd characters": (head("GET / HTTP/1.1", HOST,
                                    "!#$%&'*+-.^`|~09: 1"), 200),
    "bytes above 127 in a value": (head("GET / HTTP/1.1", HOST,
                                        "A: \x80\xff"), 200),
    "tab in a value": (head("GET / HTTP/1.1", HOST, "A: b\tc"), 200),
    "version 1.2": (head("GET / HTTP/1.2", HOST), 200),
    "query with question marks": (head("GET /?a?b?? HTTP/1.1", HOST), 200),
    "length 0": (head(BODY, HOST, "Content-Length: 0"), 200),
    "length with zeros": (head(BODY, HOST, "Content-Length: 003") + "abc", 200),
    "length of GET": (head("GET / HTTP/1.1", HOST, "Content-Length: 2")
                      + "ab", 200),
    "chunked": (head(BODY, HOST, "Transfer-Encoding: chunked")
                + "3\r\nabc\r\n0\r\n\r\n", 200),
    "chunked, any case": (head(BODY, HOST, "transfer-encoding: ChunKed")
                          + "3\r\nabc\r\n0\r\n\r\n", 200),
    "chunk extensions": (head(BODY, HOST, "Transfer-Encoding: chunked")
                         + "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n", 200),
    "space before a chunk extension": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "3 \t; a=b\r\nabc\r\n0 ;x\r\n\r\n", 200),
    "chunk sizes in both cases": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "A\r\n0123456789\r\n00a\r\n0123456789\r\n0\r\n\r\n", 200),
    "trailers": (head(BODY, HOST, "Transfer-Encoding: chunked")
                 + "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", 200),
    "many fields": (head("GET / HTTP/1.1", HOST,
                         *["F%d: x" % i for i in range(19)]), 200),
    "a field at its limit": (head("GET / HTTP/1.1", HOST,
                                  "A: " + "x" * 297), 200),
    "a line at its limit": (head("GET /?%s HTTP/1.1" % ("x" * 185), HOST), 200),
    "options of the server": (head("OPTIONS * HTTP/1.1", HOST), 200),
    "options of a path": (head("OPTIONS / HTTP/1.1", HOST), 200),
    "a method of their own": (head("BREW / HTTP/1.1", HOST), 200),
    "expectation twice in a list": (
        head(BODY, HOST, "Expect: 100-continue, 100-continue",
             "Content-Length: 0"), 200),
    "connection lists": (head("GET / HTTP/1.1", HOST, "Connection: a,, b"),
                         200),
    "percent that is none": (head("GET /%zz HTTP/1.1", HOST), 404),
}

BAD = {
    # The request line.
    "no host": (head("GET / HTTP/1.1"), 400),
    "two hosts": (head("GET / HTTP/1.1", HOST, HOST), 400),
    "host with a path": (head("GET / HTTP/1.1", "Host: x/y"), 400),
    "host with user": (head("GET / HTTP/1.1", "Host: a@b"), 400),
    "host list": (head("GET / HTTP/1.1", "Host: a, b"), 400),
    "host with a bad port": (head("GET / HTTP/1.1", "Host: a:b"), 400),
    "lower case method": (head("get / HTTP/1.1", HOST), 400),
    "short method": (head("GE / HTTP/1.1", HOST), 400),
    "long method": (head("A" * 21 + " / HTTP/1.1", HOST), 400),
    "odd method": (head("GE(T / HTTP/1.1", HOST), 400),
    "two spaces": (head("GET  / HTTP/1.1", HOST), 400),
    "space in the target": (head("GET /a b HTTP/1.1", HOST), 400),
    "tab as a space": (head("GET\t/ HTTP/1.1", HOST), 400),
    "space at the end": (head("GET / HTTP/1.1 ", HOST), 400),
    "space before": (head(" GET / HTTP/1.1", HOST), 400),
    "no target": (head("GET HTTP/1.1", HOST), 400),
    "relative target": (head("GET a HTTP/1.1", HOST), 400),
    "star with GET": (head("GET * HTTP/1.1", HOST), 400),
    "fragment": (head("GET /#a HTTP/1.1", HOST), 400),
    "control byte in the target": (head("GET /\x01 HTTP/1.1", HOST), 400),
    "NUL in the target": (head("GET /\0 HTTP/1.1", HOST), 400),
    "DEL in the target": (head("GET /\x7f HTTP/1.1", HOST), 400),
    "no version": ("GET /\r\n\r\n", 400),
    "lower case version": (head("GET / http/1.1", HOST), 400),
    "version of one digit": (head("GET / HTTP/1", HOST), 400),
    "version with zeros": (head("GET / HTTP/01.1", HOST), 400),
    "version of many digits": (head("GET / HTTP/1.11", HOST), 400),
    "version 2.0": (head("GET / HTTP/2.0", HOST), 505),
    "version 0.9": (head("GET / HTTP/0.9", HOST), 505),
    "the preface of h2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "three empty lines before": (CRLF * 3 + head("GET / HTTP/1.1", HOST), 400),
    "bare LF": ("GET / HTTP/1.1\nHost: x\n\n", 400),
    "bare CR": ("GET / HTTP/1.1\rHost: x\r\r", 400),
    "line too long": (head("GET /%s HTTP/1.1" % ("x" * 300), HOST), 414),
    "line one too long": (head("GET /?%s HTTP/1.1" % ("x" * 186), HOST), 414),
    # Fields.
    "space before the colon": (head("GET / HTTP/1.1", HOST, "A : b"), 400),
    "tab before the colon": (head("GET / HTTP/1.1", HOST, "A\t: b"), 400),
    "no colon": (head("GET / HTTP/1.1", HOST, "A"), 400),
    "no name": (head("GET / HTTP/1.1", HOST, ": b"), 400),
    "folded": (head("GET / HTTP/1.1", HOST, "A: b", " c"), 400),
    "folded first": (head("GET / HTTP/1.1", " Host: x"), 400),
    "name with a bracket": (head("GET / HTTP/1.1", HOST, "A[b: c"), 400),
    "name above 127": (head("GET / HTTP/1.1", HOST, "\xe4: c"), 400),
    "NUL in a value": (head("GET / HTTP/1.1", HOST, "A: b\0c"), 400),
    "CR in a value": (head("GET / HTTP/1.1", HOST, "A: b\rc"), 400),
    "LF in a value": (head("GET / HTTP/1.1", HOST, "A: b\nc: d"), 400),
    "escape in a value": (head("GET / HTTP/1.1", HOST, "A: \x1b[2J"), 400),
    "too many fields": (head("GET / HTTP/1.1", HOST,
                             *["F%d: x" % i for i in range(20)]), 431),
    "field too long": (head("GET / HTTP/1.1", HOST, "A: " + "x" * 298), 431),
    "endless field": (head("GET / HTTP/1.1", HOST)[:-2] + "A: " + "x" * 5000,
                      431),
    "two content types": (head(BODY, HOST, "Content-Type: a/b",
                               "Content-Type: c/d", "Content-Length: 0"), 400),
    # Framing.
    "length and chunked": (head(BODY, HOST, "Content-Length: 3",
                                "Transfer-Encoding: chunked")
                           + "0\r\n\r\n", 400),
    "chunked and length": (head(BODY, HOST, "Transfer-Encoding: chunked",
                                "Content-Length: 3") + "0\r\n\r\n", 400),
    "two lengths": (head(BODY, HOST, "Content-Length: 3",
                         "Content-Length: 3") + "abc", 400),
    "two lengths that differ": (head(BODY, HOST, "Content-Length: 3",
                                     "Content-Length: 4") + "abc", 400),
    "list of lengths": (head(BODY, HOST, "Content-Length: 3, 3") + "abc", 400),
    "length with a sign": (head(BODY, HOST, "Content-Length: +3") + "abc", 400),
    "negative length": (head(BODY, HOST, "Content-Length: -1"), 400),
    "length in hex": (head(BODY, HOST, "Content-Length: 0x3") + "abc", 400),
    "length with a space": (head(BODY, HOST, "Content-Length: 1 2"), 400),
    "no length in the field": (head(BODY, HOST, "Content-Length:"), 400),
    "huge length": (head(BODY, HOST, "Content-Length: " + "9" * 30), 400),
    "length of 2^64": (head(BODY, HOST, "Content-Length: %d" % 2 ** 64), 400),
    "body too large": (head(BODY, HOST, "Content-Length: 1048577"), 413),
    "unknown coding": (head(BODY, HOST, "Transfer-Encoding: rot13"), 501),
    "gzip, chunked": (head(BODY, HOST, "Transfer-Encoding: gzip, chunked")
                      + "0\r\n\r\n", 501),
    "chunked twice": (head(BODY, HOST, "Transfer-Encoding: chunked, chunked")
                      + "0\r\n\r\n", 400),
    "chunked on two lines": (head(BODY, HOST, "Transfer-Encoding: chunked",
                                  "Transfer-Encoding: chunked")
                             + "0\r\n\r\n", 400),
    "chunked, then gzip": (head(BODY, HOST, "Transfer-Encoding: chunked, gzip")
                           + "0\r\n\r\n", (400, 501)),
    "chunked, then identity": (head(BODY, HOST,
                                    "Transfer-Encoding: chunked, identity")
                               + "0\r\n\r\n", (400, 501)),
    "nearly chunked": (head(BODY, HOST, "Transfer-Encoding: xchunked")
                       + "0\r\n\r\n", 501),
    "chunked with a vertical tab": (head(BODY, HOST,
                                         "Transfer-Encoding: \x0bchunked")
                                    + "0\r\n\r\n", 400),
    "chunked in quotes": (head(BODY, HOST, 'Transfer-Encoding: "chunked"')
                          + "0\r\n\r\n", (400, 501)),
    "empty coding": (head(BODY, HOST, "Transfer-Encoding:"), (400, 501)),
    "chunked in 1.0": (head("POST /body HTTP/1.0", HOST,
                            "Transfer-Encoding: chunked") + "0\r\n\r\n", 400),
    "chunk size of nothing": (head(BODY, HOST, "Transfer-Encoding: chunked")
                              + "\r\n", 400),
    "chunk size that is none": (head(BODY, HOST, "Transfer-Encoding: chunked")
                                + "x\r\n", 400),
    "chunk size with 0x": (head(BODY, HOST, "Transfer-Encoding: chunked")
                           + "0x3\r\nabc\r\n0\r\n\r\n", 400),
    "chunk size with a sign": (head(BODY, HOST, "Transfer-Encoding: chunked")
                               + "+3\r\nabc\r\n0\r\n\r\n", 400),
    "negative chunk size": (head(BODY, HOST, "Transfer-Encoding: chunked")
                            + "-3\r\nabc\r\n0\r\n\r\n", 400),
    "space before the chunk size": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + " 3\r\nabc\r\n0\r\n\r\n", 400),
    "space behind the chunk size": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "3 \r\nabc\r\n0\r\n\r\n", 400),
    "chunk size that overflows": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "ffffffffffffffffff\r\n", 400),
    "chunk size beyond the limit": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "100001\r\nx", 413),
    "chunk size with bare LF": (head(BODY, HOST, "Transfer-Encoding: chunked")
                                + "3\nabc\r\n0\r\n\r\n", 400),
    "chunk longer than its size": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "3\r\nabcd\r\n0\r\n\r\n", 400),
    "chunk with bare LF behind": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "3\r\nabc\n0\r\n\r\n", 400),
    "LF in a chunk extension": (
        head(BODY, HOST, "Transfer-Encoding: chunked")
        + "3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
    "forbidden trailer": (head(BODY, HOST, "Transfer-Encoding: chunked")
                          + "0\r\nContent-Length: 3\r\n\r\n", 400),
    "forbidden trailer host": (head(BODY, HOST, "Transfer-Encoding: chunked")
                               + "0\r\nhost: y\r\n\r\n", 400),
    "trailer that is none": (head(BODY, HOST, "Transfer-Encoding: chunked")
                             + "0\r\nfoo\r\n\r\n", 400),
    "trailer too long": (head(BODY, HOST, "Transfer-Encoding: chunked")
                         + "0\r\nA: " + "x" * 400 + "\r\n\r\n", 431),
    "too many trailers": (head(BODY, HOST, "Transfer-Encoding: chunked")
                          + "0\r\n" + "A: b\r\n" * 21 + "\r\n", 431),
    "unknown expectation": (head(BODY, HOST, "Expect: cake",
                                 "Content-Length: 0"), 417),
}


def answers(raw):
    """The responses in a stream of bytes: (status, headers, body)."""
    found = []
    while raw:
        top, mark, rest = raw.partition(b"\r\n\r\n")
        assert mark, raw
        lines = top.decode("latin-1").split(CRLF)
        fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        lengths = [v for k, v in fields if k.lower() == "content-length"]
        size = int(lengths[0]) if lengths else len(rest)
        assert len(rest) >= size, raw
        found.append((int(lines[0].split()[1]), fields, rest[:size]))
        raw = rest[size:]
    return found


@pytest.mark.parametrize("name", GOOD)
def test_accepted(server, name):
    """Right, answered, and the connection goes on."""
    raw, status = GOOD[name]
    seen = server.out.count()
    goes_on = " HTTP/1.0" not in raw.split(CRLF)[0]
    with server.connect() as c:
        c.send(raw)
        r = c.response()
        assert r.status == status
        if goes_on:
            c.send(head("GET / HTTP/1.1", HOST))
            assert c.response().status == 200
        else:
            assert c.rest() == b""
    # No line of it is left that the next test could take for its own.
    wait_for(lambda: server.out.count() >= seen + 1 + goes_on, "the lines")


@pytest.mark.parametrize("name", BAD)
def test_refused(server, name):
    """Wrong: one answer, a closed connection, a line in the access log; and
    nothing of what stands behind is taken for a request."""
    raw, expected = BAD[name]
    expected = expected if isinstance(expected, tuple) else (expected,)
    seen = server.out.count()
    smuggled = head("GET /smuggled HTTP/1.1", HOST)
    with server.connect() as c:
        try:
            c.send(raw + smuggled)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = answers(c.rest())
    assert len(found) == 1, found
    status, fields, _ = found[0]
    assert status in expected
    names = [k.lower() for k, _ in fields]
    assert ("Connection", "close") in fields
    assert {"date", "server", "content-length"} <= set(names)
    line = server.wait_out(r'" %d ' % status, since=seen)
    assert "smuggled" not in line.string
    assert server.out.count() == seen + 1, server.out.text()


def test_refused_head_has_no_body(server):
    raw = server.raw(head("HEAD / HTTP/1.1", HOST, "A : b"))
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert raw.endswith(b"\r\n\r\n") and raw.count(b"\r\n\r\n") == 1


# --- in any pieces ------------------------------------------------------------

WHOLE = (head("POST /body?x HTTP/1.1", HOST, "Transfer-Encoding: chunked",
              "X-Long: " + "y" * 100)
         + "5;e=f\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
         + head("GET /request HTTP/1.1", HOST, "X-One: 1"))


def test_every_split(server):
    """Two requests in two pieces, cut at each place."""
    with server.connect() as c:
        for at in range(1, len(WHOLE)):
            c.send(WHOLE[:at])
            if at % 4 == 0:  # let the server see the first piece alone
                time.sleep(0.001)
            c.send(WHOLE[at:])
            assert c.response().body == b"hello world"
            assert b"\nx-one=1\n" in c.response().body


def test_byte_by_byte(server):
    with server.connect() as c:
        for byte in WHOLE:
            c.send(byte)
        assert c.response().body == b"hello world"
        assert b"\nx-one=1\n" in c.response().body


def test_bad_in_every_split(server):
    """The verdict does not depend on the pieces."""
    raw = head(BODY, HOST, "Content-Length: 3", "Transfer-Encoding: chunked")
    for at in range(1, len(raw), 3):
        with server.connect() as c:
            c.send(raw[:at])
            time.sleep(0.001)
            c.send(raw[at:])
            found = answers(c.rest())
            assert [status for status, _, _ in found] == [400]


# --- many on one connection ---------------------------------------------------

@pytest.mark.parametrize("count", [2, 17, 300])
def test_pipelining_in_order(server, count):
    with server.connect() as c:
        c.send("".join(head("GET /request?n=%d HTTP/1.1" % i, HOST)
                       for i in range(count)))
        for i in range(count):
            assert b"\nquery=n=%d\n" % i in c.response().body


def test_pipelining_with_bodies(server):
    with server.connect() as c:
        parts = []
        for i in range(50):
            body = "%d" % i * (i % 7)
            if i % 2:
                parts.append(head(BODY, HOST, "Content-Length: %d"
                                  % len(body)) + body)
            else:
                chunk = "%x\r\n%s\r\n" % (len(body), body) if body else ""
                parts.append(head(BODY, HOST, "Transfer-Encoding: chunked")
                             + chunk + "0\r\n\r\n")
        c.send("".join(parts))
        for i in range(50):
            assert c.response().body == b"%d" % i * (i % 7)


def test_pipelining_behind_a_refusal(server):
    """What was right before is answered; what follows is not."""
    raw = server.raw(head("GET /request?n=1 HTTP/1.1", HOST)
                     + head("GET / HTTP/1.1")
                     + head("GET /request?n=3 HTTP/1.1", HOST))
    found = answers(raw)
    assert [status for status, _, _ in found] == [200, 400]
    assert b"query=n=1" in found[0][2]


def test_pipelining_behind_close(server):
    raw = server.raw(head("GET / HTTP/1.1", HOST, "Connection: close")
                     + head("GET / HTTP/1.1", HOST))
    assert len(answers(raw)) == 1


def test_pipelining_with_half_close(server):
    """A client that ends its side still gets all of its answers."""
    raw = server.raw(head("GET /request?n=1 HTTP/1.1", HOST) * 20,
                     half_close=True)
    assert len(answers(raw)) == 20


def test_body_is_not_the_next_request(server):
    """What looks like a request within a body is body."""
    inner = head("GET /smuggled HTTP/1.1", HOST)
    with server.connect() as c:
        c.send(head(BODY, HOST, "Content-Length: %d" % len(inner)) + inner)
        assert c.response().body.decode() == inner
        assert c.get("/").status == 200


def test_unread_body_is_not_the_next_request(server):
    inner = head("GET /smuggled HTTP/1.1", HOST)
    with server.connect() as c:
        c.send(head("POST / HTTP/1.1", HOST,
                    "Content-Length: %d" % len(inner)) + inner)
        assert c.response().status == 200
        assert b"method=GET" in c.get("/request").body


# --- keep-alive ---------------------------------------------------------------

@pytest.mark.parametrize("line, fields, keeps", [
    ("GET / HTTP/1.1", [], True),
    ("GET / HTTP/1.1", ["Connection: keep-alive"], True),
    ("GET / HTTP/1.1", ["Connection: close"], False),
    ("GET / HTTP/1.1", ["Connection: CLOSE"], False),
    ("GET / HTTP/1.1", ["Connection: keep-alive, close"], False),
    ("GET / HTTP/1.1", ["Connection: x", "Connection: close"], False),
    ("GET / HTTP/1.1", ["Connection: closed"], True),
    ("GET / HTTP/1.0", [], False),
    ("GET / HTTP/1.0", ["Connection: keep-alive"], True),
    ("GET / HTTP/1.0", ["Connection: Keep-Alive"], True),
    ("GET / HTTP/1.0", ["Connection: keep-alive, close"], False),
])
def test_keep_alive(server, line, fields, keeps):
    with server.connect() as c:
        c.send(head(line, HOST, *fields))
        r = c.response()
        assert r.status == 200
        said = (r.header("Connection") or "").lower()
        if keeps:
            assert said != "close"
            if line.endswith("1.0"):
                assert said == "keep-alive"
            assert c.get("/").status == 200
        else:
            assert said == "close"
            assert c.rest() == b""


def test_fields_of_a_response(server):
    r = server.get("/")
    assert re.fullmatch(r"bicorn(/[\d.]+)?", r.header("Server"))
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
                        r.header("Date"))
    assert r.header("Connection") == "close"
    assert r.version == "HTTP/1.1"


def test_keepalive_runs_out(bicorn, probe):
    server = bicorn("--keep-alive", "1", probe)
    with server.connect() as c:
        assert c.get("/").status == 200
        before = time.monotonic()
        assert c.rest() == b""
        assert 0.5 < time.monotonic() - before < 5


def test_no_keepalive(bicorn, probe):
    server = bicorn("--keep-alive", "0", probe)
    with server.connect() as c:
        r = c.get("/")
        assert r.header("Connection") == "close"
        assert c.rest() == b""


def test_nothing_behind_connect(server):
    """What follows may be for a tunnel, and is not taken for a request; a
    success has no framing, which would be that of the tunnel."""
    raw = server.raw(head("CONNECT x:443 HTTP/1.1", HOST)
                     + head("GET /smuggled HTTP/1.1", HOST))
    top, _, body = raw.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 " not in body
    names = [line.split(b":")[0] for line in top.lower().split(b"\r\n")]
    assert not {b"content-length", b"transfer-encoding"} & set(names)
    assert b"\r\nConnection: close" in top


# --- responses without a body -------------------------------------------------

def test_head(server):
    with server.connect() as c:
        get = c.get("/")
        r = c.get("/", method="HEAD")
        assert r.status == 200 and r.body == b""
        assert r.header("Content-Length") == str(len(get.body))
        assert c.get("/").status == 200


@pytest.mark.parametrize("code", [204, 304])
def test_no_body(server, code):
    with server.connect() as c:
        c.send(head("GET /status?code=%d HTTP/1.1" % code, HOST))
        version, status, reason, fields = c.head()
        assert status == code
        names = [k.lower() for k, _ in fields]
        assert "transfer-encoding" not in names
        if code == 204:
            assert "content-length" not in names
        assert c.get("/").status == 200


# --- Expect: 100-continue -----------------------------------------------------

def expect(*fields):
    return head(BODY, HOST, "Expect: 100-continue", *fields)


@pytest.mark.parametrize("framing, body", [
    ("Content-Length: 5", "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
])
def test_continue(server, framing, body):
    with server.connect() as c:
        c.send(expect(framing))
        assert c.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        c.send(body)
        assert c.response().body == b"hello"
        assert c.get("/").status == 200


def test_continue_not_when_the_body_is_there(server):
    with server.connect() as c:
        c.send(expect("Content-Length: 5") + "hello")
        r = c.response()
        assert r.status == 200 and r.body == b"hello"


def test_continue_not_without_a_body(server):
    with server.connect() as c:
        c.send(expect("Content-Length: 0"))
        assert c.response().status == 200
        c.send(expect())
        assert c.response().status == 200


def test_continue_not_when_refused(server):
    raw = server.raw(expect("Content-Length: 1048577"))
    assert raw.startswith(b"HTTP/1.1 413 ")
    raw = server.raw(head(BODY, HOST, "Expect: 100-continue, cake",
                          "Content-Length: 5"))
    assert raw.startswith(b"HTTP/1.1 417 ")


def test_continue_not_for_1_0(server):
    with server.connect() as c:
        c.send(head("POST /body HTTP/1.0", HOST, "Expect: 100-continue",
                    "Content-Length: 5"))
        assert c.quiet()
        c.send("hello")
        assert c.response().body == b"hello"


def test_continue_after_another_request(server):
    """Not in the middle of an answer that is still on its way."""
    with server.connect() as c:
        c.send(head("GET /request HTTP/1.1", HOST)
               + expect("Content-Length: 2"))
        assert c.response().status == 200
        assert c.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        c.send("ab")
        assert c.response().body == b"ab"


# --- targets ------------------------------------------------------------------

def report(r):
    assert r.status == 200
    return dict(line.split("=", 1)
                for line in r.body.decode("latin-1").split("\n")[:-1])


@pytest.mark.parametrize("target, path, query, host", [
    ("/request", "/request", "", "x"),
    ("/request?", "/request", "", "x"),
    ("/request?a=%20b?c", "/request", "a=%20b?c", "x"),
    ("/%72equest", "/request", "", "x"),
    ("http://other:81/request?q", "/request", "q", "other:81"),
])
def test_target(server, target, path, query, host):
    with server.connect() as c:
        c.send(head("GET %s HTTP/1.1" % target, HOST))
        said = report(c.response())
    assert said["target"] == target
    assert said["path"] == path
    assert said["query"] == query
    assert said["host"] == host


# --- clients that are slow or leave -------------------------------------------

def test_head_timeout(bicorn, probe):
    """408 to one who began, a silent end to one who never did."""
    server = bicorn("--header-timeout", "0.5", "--access-logfile", "-", probe)
    with server.connect() as slow, server.connect() as silent:
        slow.send("GET / HTTP/1.1\r\nHos")
        raw = slow.rest()
        assert raw.startswith(b"HTTP/1.1 408 ")
        assert silent.rest() == b""
    server.wait_out(r'" 408 ')


def test_head_deadline_does_not_move(bicorn, probe):
    """Dripping bytes does not help."""
    server = bicorn("--header-timeout", "1", probe)
    with server.connect() as c:
        before = time.monotonic()
        c.send("GET / HTTP/1.1\r\n")
        c.sock.settimeout(0.1)
        while time.monotonic() - before < 10:
            try:
                c.send("A: b\r\n")
                if c.sock.recv(1000):
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        assert 0.8 < time.monotonic() - before < 5


def test_body_timeout(bicorn, probe):
    server = bicorn("--body-timeout", "0.5", "--access-logfile", "-", probe)
    with server.connect() as c:
        c.send(head(BODY, HOST, "Content-Length: 10") + "abc")
        assert c.rest().startswith(b"HTTP/1.1 408 ")
    server.wait_out(r'"POST /body HTTP/1.1" 408 ')


def test_body_that_goes_on_slowly(bicorn, probe):
    """The deadline of a body is about pauses."""
    server = bicorn("--body-timeout", "1", probe)
    with server.connect() as c:
        c.send(head(BODY, HOST, "Content-Length: 10"))
        for _ in range(10):
            time.sleep(0.2)
            c.send("x")
        assert c.response().body == b"x" * 10


def test_silent_clients_hold_no_thread(bicorn, probe):
    server = bicorn("--threads", "1", probe)
    held = [server.connect() for _ in range(200)]
    for i, c in enumerate(held):
        if i % 4 == 1:
            c.send("GET / HTTP/1.1\r\n")
        elif i % 4 == 2:
            c.send(head(BODY, HOST, "Content-Length: 10") + "x")
        elif i % 4 == 3:
            c.send(head(BODY, HOST, "Transfer-Encoding: chunked") + "5\r\nx")
    before = time.monotonic()
    for _ in range(20):
        alive(server)
    assert time.monotonic() - before < 5
    for i, c in enumerate(held):
        if i % 4 == 2:
            c.send("y" * 9)
            assert c.response().body == b"x" + b"y" * 9
        c.close()


def test_ended_half_way(server):
    """Half a request and the end: an answer, not a request."""
    assert server.raw("GET / HTTP/1.1\r\nHo", half_close=True) \
        .startswith(b"HTTP/1.1 400 ")
    assert server.raw(head(BODY, HOST, "Content-Length: 5") + "abc",
                      half_close=True).startswith(b"HTTP/1.1 400 ")
    assert server.raw(head(BODY, HOST, "Transfer-Encoding: chunked")
                      + "5\r\nhello\r\n", half_close=True) \
        .startswith(b"HTTP/1.1 400 ")
    assert server.raw("", half_close=True) == b""


def test_resets_at_any_moment(server):
    for at in range(0, len(WHOLE), 7):
        c = server.connect()
        c.send(WHOLE[:at])
        c.reset()
    alive(server)


def test_answer_reaches_a_client_that_still_sends(server):
    """A refusal is not lost by a reset because bytes were unread."""
    for _ in range(10):
        with server.connect() as c:
            c.send(head(BODY, HOST, "Content-Length: 2000000"))
            try:
                for _ in range(30):
                    c.send(b"x" * 60000)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert c.rest().startswith(b"HTTP/1.1 413 ")


@pytest.fixture
def one_thread(bicorn, probe):
    return bicorn("--threads", "1", "--access-logfile", "-", probe)


def occupy(server, ms):
    """A client that has the only thread for so long."""
    c = server.connect()
    c.send(head("GET /thread?wait=%d HTTP/1.1" % ms, HOST))
    return c


def test_half_closed_while_it_waits(one_thread):
    """Who ends its side with the request waits for the answer."""
    with occupy(one_thread, 400), one_thread.connect() as c:
        c.send(head("GET /request?n=1 HTTP/1.1", HOST) * 3)
        time.sleep(0.1)  # let it be queued first
        c.half_close()
        assert [s for s, _, _ in answers(c.rest())] == [200, 200, 200]


def test_reset_while_it_waits(one_thread):
    """Nobody is left to answer: the request is not run."""
    with occupy(one_thread, 1000):
        c = one_thread.connect()
        c.send(head("GET /lost HTTP/1.1", HOST))
        time.sleep(0.1)  # let it be queued first
        c.reset()
        one_thread.wait_out('"GET /lost HTTP/1.1" 499 0 ')
    alive(one_thread)


def test_closed_after_a_while(one_thread):
    """Who waited and then left does not want it any more."""
    with occupy(one_thread, 2500):
        with one_thread.connect() as c:
            c.send(head("GET /lost HTTP/1.1", HOST))
            time.sleep(1.3)
        one_thread.wait_out('"GET /lost HTTP/1.1" 499 0 ')
    alive(one_thread)


# --- garbage ------------------------------------------------------------------

PIECES = [
    b"GET ", b"POST ", b"/", b"/body", b" HTTP/1.1", b"\r\n", b"\n", b"\r",
    b"Host: x\r\n", b"Content-Length: ", b"5\r\n", b"hello",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"\x00", b"\xff",
    b":", b" ", b"\t", b"?", b"#", b"%", b"A" * 300, b"A: b\r\n", b"*",
    b"http://", b"OPTIONS ", b"\r\n\r\n", b"f" * 17, b";", b'"',
]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(4)
        at = rng.randrange(len(data) + 1)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice(PIECES)
        elif kind == 2:
            del data[at:at + rng.randint(1, 8)]
        else:
            data[at:at] = bytes(rng.randrange(256)
                                for _ in range(rng.randint(1, 8)))
    return bytes(data)


def garbage(rng):
    kind = rng.randrange(3)
    if kind == 0:
        return b"".join(rng.choice(PIECES) for _ in range(rng.randint(1, 30)))
    if kind == 1:
        return mutate(rng, WHOLE.encode())
    return bytes(rng.randrange(256) for _ in range(rng.randint(1, 400)))


@pytest.mark.parametrize("seed", range(4))
def test_garbage(server, seed):
    """Whatever is sent, there is a right status or an end, and it goes on."""
    rng = random.Random(seed)
    for _ in range(150):
        data = garbage(rng)
        with server.connect() as c:
            try:
                c.send(data)
                c.half_close()
                raw = c.rest()
            except OSError:
                continue
        assert raw == b"" or re.match(
            rb"HTTP/1\.1 (100|200|400|404|408|413|414|417|431|501|505) ",
            raw), (data, raw)
    alive(server)


def test_garbage_behind_a_request(server):
    rng = random.Random(99)
    for _ in range(100):
        with server.connect() as c:
            try:
                c.send(head("GET /request HTTP/1.1", HOST).encode()
                       + garbage(rng))
                c.half_close()
                raw = c.rest()
            except OSError:
                continue
        assert raw.startswith(b"HTTP/1.1 200 ")
    alive(server)
