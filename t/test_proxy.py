# SPDX-License-Identifier: MIT
"""Behind proxies: the PROXY protocol, uwsgi, fields that proxies add, and
what may be permitted for their sake.  The real proxies are in test_nginx.py
and test_fronts.py."""
import json
import socket
import ssl
import struct
import subprocess

import pytest

import harness

pytestmark = pytest.mark.python

APP = '''
    import json


    def app(environ, start_response):
        said = {k: v for k, v in environ.items() if isinstance(v, str)}
        said["body"] = environ["wsgi.input"].read().decode("latin-1")
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"),
                                  ("Content-Length", str(len(body)))])
        return [body]
'''

MARK = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n"


def said(response):
    assert response.status == 200, response
    return json.loads(response.body)


# --- the PROXY protocol ------------------------------------------------------

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(source="192.0.2.1", dest="10.0.0.1", ports=(12345, 443), tlvs=b"",
       command=1, family=None, crc=False):
    six = ":" in source
    kind = socket.AF_INET6 if six else socket.AF_INET
    block = socket.inet_pton(kind, source) + socket.inet_pton(kind, dest) \
        + struct.pack("!HH", *ports) + tlvs
    if family is None:
        family = 0x21 if six else 0x11
    if crc:
        block += tlv(3, bytes(4))
    head = MARK + struct.pack("!BBH", 0x20 | command, family, len(block))
    if crc:
        block = block[:-4] + struct.pack("!I", crc32c(head + block))
    return head + block


def ask(server, header, target="/", headers=(), tls=None):
    with server.connect() as c:
        c.send(header)
        if tls is not None:
            c.sock = tls.wrap_socket(c.sock, server_hostname="localhost")
        return c.get(target, headers)


def outcome(server, header, request=None):
    """The status of what comes back, or None when it is closed at once."""
    with server.connect() as c:
        c.send(header + (request or harness.request("GET", "/")))
        try:
            return c.response().status
        except (harness.Closed, ConnectionResetError):
            return None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


def context():
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls


def test_v1(wsgi):
    server = wsgi(APP, "--proxy-protocol", "--access-logfile", "-")
    env = said(ask(server, LINE))
    assert env["REMOTE_ADDR"] == "192.0.2.1"
    assert env["REMOTE_PORT"] == "12345"
    assert env["PROXY_PROTOCOL"] == "TCP4"
    assert env["PROXY_ADDR"] == "10.0.0.1"
    assert env["PROXY_PORT"] == "443"
    assert env["wsgi.url_scheme"] == "http"
    server.wait_out(r"^192\.0\.2\.1 - - ")
    env = said(ask(server, b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"))
    assert env["REMOTE_ADDR"] == "2001:db8::1"
    assert env["PROXY_PROTOCOL"] == "TCP6"


def test_keep_alive(wsgi):
    """The header is about the connection, and so about all its requests."""
    server = wsgi(APP, "--proxy-protocol")
    with server.connect() as c:
        c.send(v2())
        for _ in range(3):
            assert said(c.get("/"))["REMOTE_ADDR"] == "192.0.2.1"
    with server.connect() as c:
        c.send(LINE)
        said(c.get("/"))
        c.send(LINE + harness.request("GET", "/"))
        assert c.response().status == 400


@pytest.mark.parametrize("header", [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 anything at all\r\n",
    v2(command=0),
    MARK + b"\x20\xff\0\3xyz",
    MARK + b"\x21\0\0\0",
    v2(family=0x12),
])
def test_without_addresses(wsgi, header):
    """UNKNOWN, LOCAL and what is not TCP: the connection's own addresses."""
    server = wsgi(APP, "--proxy-protocol", "required")
    env = said(ask(server, header))
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert int(env["REMOTE_PORT"]) > 0
    assert env["PROXY_PROTOCOL"] in ("UNKNOWN", "LOCAL")
    assert "PROXY_ADDR" not in env


def test_tlvs(wsgi):
    server = wsgi(APP, "--proxy-protocol=v2")
    inner = tlv(0x21, b"TLSv1.3") + tlv(0x22, b"jane") + tlv(0x23, b"AES")
    tlvs = tlv(1, b"h2") + tlv(2, b"example.org") + tlv(5, b"\1\2id") \
        + tlv(0x20, b"\3" + bytes(4) + inner) + tlv(0x30, b"blue") \
        + tlv(0xea, b"\1vpce-1") + tlv(0xe0, bytes(8)) + tlv(4, bytes(9))
    env = said(ask(server, v2("2001:db8::1", "::1", tlvs=tlvs, crc=True)))
    assert env["REMOTE_ADDR"] == "2001:db8::1"
    assert env["wsgi.url_scheme"] == "https"
    assert {k: v for k, v in env.items() if k.startswith("PROXY_")} == {
        "PROXY_PROTOCOL": "TCP6", "PROXY_ADDR": "::1", "PROXY_PORT": "443",
        "PROXY_ALPN": "h2", "PROXY_AUTHORITY": "example.org",
        "PROXY_UNIQUE_ID": "\1\2id", "PROXY_SSL": "on",
        "PROXY_SSL_VERIFY": "0", "PROXY_SSL_VERSION": "TLSv1.3",
        "PROXY_SSL_CN": "jane", "PROXY_SSL_CIPHER": "AES",
        "PROXY_NETNS": "blue", "PROXY_AWS_VPCE_ID": "vpce-1",
        "PROXY_TLV_E0": "00" * 8}


def test_large_header(wsgi):
    server = wsgi(APP, "--proxy-protocol")
    most = 16384 - 16 - 12 - 3
    assert said(ask(server, v2(tlvs=tlv(4, bytes(most)))))
    assert outcome(server, v2(tlvs=tlv(4, bytes(most + 1)))) == 400


@pytest.mark.parametrize("header", [
    LINE, v2(tlvs=tlv(2, b"example.org"), crc=True)])
def test_split_at_every_byte(wsgi, header):
    server = wsgi(APP, "--proxy-protocol=required")
    for at in range(1, len(header) + 1):
        with server.connect() as c:
            c.send(header[:at])
            # What is sent is received: no sleep needed, only an answer of
            # another connection that came later.
            c.send(header[at:])
            assert said(c.get("/"))["REMOTE_ADDR"] == "192.0.2.1"
    with server.connect() as c:
        for byte in header + harness.request("GET", "/"):
            c.send(bytes([byte]))
        assert said(c.response())["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("how, line, binary, none", [
    ("auto", 200, 200, 200), ("v1", 200, 400, 200), ("v2", 400, 200, 200),
    ("required", 200, 200, 400), ("required-v1", 200, 400, 400),
    ("required-v2", 400, 200, 400), ("off", 400, 400, 200)])
def test_versions(wsgi, how, line, binary, none):
    server = wsgi(APP, "--proxy-protocol", how)
    assert outcome(server, LINE) == line
    assert outcome(server, v2()) == binary
    assert outcome(server, b"") == none
    # The first bytes are those of a header, and then they are not.
    assert outcome(server, b"", b"PROPFIND / HTTP/1.1\r\nHost: x\r\n"
                   b"Connection: close\r\n\r\n") == none


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 1 99999\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
    b"PROXY TCP7 a b 1 2\r\n",
    b"PROXY " + b"x" * 200 + b"\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n\n",
    MARK + b"\x11\x11\0\0", MARK + b"\x21\x11\0\4abcd",
    v2(command=5), v2(family=0x51), v2(tlvs=b"\1\xff\xffx"),
    v2(tlvs=tlv(3, b"abcd")), v2(tlvs=tlv(0x20, b"\1")),
])
def test_wrong_headers(wsgi, header):
    server = wsgi(APP, "--proxy-protocol")
    assert outcome(server, header) == 400
    assert said(server.get("/"))


def test_who_may_send(wsgi, tmp_path):
    server = wsgi(APP, "--proxy-protocol", "--proxy-allow-from",
                  "192.0.2.0/24")
    assert outcome(server, LINE) == 403
    assert outcome(server, v2()) == 403
    assert said(server.get("/"))["REMOTE_ADDR"] == "127.0.0.1"
    server = wsgi(APP, "--proxy-protocol", "--proxy-allow-from", "*")
    assert outcome(server, LINE) == 200
    server = wsgi(APP, "--proxy-protocol", "--proxy-allow-from", "10.0.0.1",
                  bind="unix:%s/s" % tmp_path)
    env = said(ask(server, LINE))
    assert env["REMOTE_ADDR"] == "192.0.2.1" and env["REMOTE_PORT"] == "12345"


def test_silent_ones_make_room(wsgi):
    """Long before their time is over."""
    server = wsgi(APP, "--proxy-protocol", "--worker-connections", 5,
                  "--header-timeout", 300)
    silent = [server.connect() for _ in range(5)]
    assert said(ask(server, LINE))["REMOTE_ADDR"] == "192.0.2.1"
    assert silent[0].rest() == b""


def test_late_header(wsgi):
    """It has the time of a head."""
    server = wsgi(APP, "--proxy-protocol=required", "--header-timeout", "1")
    with server.connect() as c:
        c.send(LINE[:20])
        assert c.rest() == b""
    with server.connect() as c:
        c.send(MARK)
        c.half_close()
        assert c.rest() == b""


def test_before_tls(wsgi, certificate):
    server = wsgi(APP, "--proxy-protocol", "--certfile",
                  certificate / "cert.pem", "--keyfile",
                  certificate / "key.pem")
    for header in (LINE, v2(), v2(tlvs=tlv(2, b"x"), crc=True)):
        env = said(ask(server, header, tls=context()))
        assert env["REMOTE_ADDR"] == "192.0.2.1"
        assert env["wsgi.url_scheme"] == "https"
    with server.connect(tls=context()) as c:
        assert said(c.get("/"))["REMOTE_ADDR"] == "127.0.0.1"
    with server.connect() as c:
        c.send(b"PROXY nonsense\r\n")
        assert c.rest() == b""


def test_clienthello_with_the_header(wsgi, certificate):
    """In one packet, and with the header alone in the first ones."""
    server = wsgi(APP, "--proxy-protocol=required", "--certfile",
                  certificate / "cert.pem", "--keyfile",
                  certificate / "key.pem")
    for cut in (0, 5, len(LINE), len(LINE) + 3):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(incoming, outgoing)
        with server.connect() as c:
            data = LINE
            answer = b""
            sent = False
            while True:
                try:
                    tls.do_handshake()
                    if not sent:
                        tls.write(harness.request("GET", "/", close=True))
                        sent = True
                    answer += tls.read(65536)
                    break
                except ssl.SSLWantReadError:
                    data += outgoing.read()
                    if cut:
                        c.send(data[:cut])
                        data, cut = data[cut:], 0
                    c.send(data)
                    data = b""
                    incoming.write(c.sock.recv(65536))
            assert b'"192.0.2.1"' in answer


def test_per_listener(wsgi, tmp_path):
    conf = tmp_path / "bicorn.conf"
    conf.write_text('''
        listen = (
            { bind = "unix:%s/plain"; },
            { bind = "unix:%s/proxy"; proxy_protocol = "required"; },
            { bind = "unix:%s/uwsgi"; protocol = "uwsgi"; });
    ''' % (tmp_path, tmp_path, tmp_path))
    wsgi(APP, "-c", str(conf), bind=None)

    def connect(name):
        return harness.Conn("%s/%s" % (tmp_path, name))

    with connect("plain") as c:
        assert said(c.get("/"))["REMOTE_ADDR"] == ""
    with connect("proxy") as c:
        assert c.get("/").status == 400
    with connect("proxy") as c:
        c.send(LINE)
        assert said(c.get("/"))["REMOTE_ADDR"] == "192.0.2.1"
    with connect("uwsgi") as c:
        c.send(uwsgi())
        assert said(c.response())["PATH_INFO"] == "/"


def test_addresses_count(wsgi):
    """address_connections is about clients, not about the proxy."""
    server = wsgi(APP, "--proxy-protocol=required", "--address-connections",
                  "2")
    open_ones = []
    for i in range(6):
        c = server.connect()
        c.send(v2("192.0.2.%d" % (i // 2)))
        assert said(c.get("/"))
        open_ones.append(c)
    assert outcome(server, v2("192.0.2.0")) is None
    assert outcome(server, v2("192.0.2.9")) == 200
    for c in open_ones:
        c.close()


def test_who_is_believed(wsgi):
    """The fields come from the peer of the socket, as in gunicorn."""
    server = wsgi(APP, "--proxy-protocol")
    proto = [("X-Forwarded-Proto", "https")]
    assert said(ask(server, LINE, headers=proto))["wsgi.url_scheme"] == \
        "https"
    server = wsgi(APP, "--proxy-protocol", "--forwarded-allow-ips",
                  "192.0.2.1")
    assert said(ask(server, LINE, headers=proto))["wsgi.url_scheme"] == "http"


# --- fields ------------------------------------------------------------------

def remote(server, *fields):
    env = said(server.get("/", fields))
    return env["REMOTE_ADDR"], env.get("REMOTE_PORT")


def test_not_asked_for(wsgi):
    server = wsgi(APP)
    assert remote(server, ("X-Forwarded-For", "192.0.2.1"))[0] == "127.0.0.1"


def test_x_forwarded_for(wsgi):
    server = wsgi(APP, "--remote-addr-header", "X-Forwarded-For",
                  "--forwarded-allow-ips", "127.0.0.0/8,10.0.0.0/8,::1",
                  "--access-logfile", "-")
    name = "X-Forwarded-For"
    assert remote(server, (name, "192.0.2.1")) == ("192.0.2.1", None)
    server.wait_out(r"^192\.0\.2\.1 ")
    assert remote(server, (name, "192.0.2.1:99")) == ("192.0.2.1", "99")
    # Only what a proxy that is believed has said counts.
    assert remote(server, (name, "1.1.1.1, 192.0.2.1"))[0] == "192.0.2.1"
    assert remote(server, (name, "1.1.1.1, 192.0.2.1, 10.1.1.1"))[0] == \
        "192.0.2.1"
    # Several fields are one list.
    assert remote(server, (name, "1.1.1.1, 192.0.2.1"), ("X-A", "b"),
                  ("x-forwarded-for", "10.0.0.2,10.0.0.1"))[0] == "192.0.2.1"
    assert remote(server, (name, "10.0.0.3, 10.0.0.2"))[0] == "10.0.0.3"
    assert remote(server, (name, "192.0.2.1, unknown, 10.0.0.2"))[0] == \
        "10.0.0.2"
    assert remote(server, (name, "nonsense"))[0] == "127.0.0.1"
    assert remote(server, (name, ""))[0] == "127.0.0.1"
    assert remote(server, (name, "2001:db8::7"))[0] == "2001:db8::7"
    assert remote(server, (name, "[2001:db8::7]:8"))[1] == "8"
    assert remote(server, (name, "192.0.2.1, ::ffff:10.0.0.1"))[0] == \
        "192.0.2.1"
    # And without it the next request of the connection is the peer's own.
    with server.connect() as c:
        assert said(c.get("/", [(name, "192.0.2.1")]))["REMOTE_ADDR"] == \
            "192.0.2.1"
        env = said(c.get("/"))
        assert env["REMOTE_ADDR"] == "127.0.0.1" and "REMOTE_PORT" in env


def test_strangers_say_nothing(wsgi):
    server = wsgi(APP, "--remote-addr-header", "X-Forwarded-For",
                  "--forwarded-allow-ips", "10.0.0.0/8")
    assert remote(server, ("X-Forwarded-For", "192.0.2.1"))[0] == "127.0.0.1"


def test_unix_and_everybody(wsgi, tmp_path):
    server = wsgi(APP, "--remote-addr-header", "X-Forwarded-For",
                  bind="unix:%s/s" % tmp_path)
    assert remote(server, ("X-Forwarded-For", "1.1.1.1, 192.0.2.1")) == \
        ("192.0.2.1", None)
    server = wsgi(APP, "--remote-addr-header", "X-Forwarded-For",
                  "--forwarded-allow-ips", "*")
    assert remote(server, ("X-Forwarded-For", "1.1.1.1, 2.2.2.2"))[0] == \
        "1.1.1.1"


def test_v6_listener(wsgi):
    """A v4 client of [::] is known by its v4 address."""
    server = wsgi(APP, "--remote-addr-header", "X-Forwarded-For",
                  "--forwarded-allow-ips", "127.0.0.1", bind="[::]:0")
    port = server.address[1]
    with harness.Conn(("127.0.0.1", port)) as c:
        env = said(c.get("/", [("X-Forwarded-For", "192.0.2.1"),
                               ("X-Forwarded-Proto", "https")]))
    assert env["REMOTE_ADDR"] == "192.0.2.1"
    assert env["wsgi.url_scheme"] == "https"


def test_forwarded(wsgi):
    server = wsgi(APP, "--remote-addr-header", "Forwarded",
                  "--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8")

    def both(value, *more):
        env = said(server.get("/", [("Forwarded", value), *more]))
        return env["REMOTE_ADDR"], env["wsgi.url_scheme"]

    assert both("for=192.0.2.1") == ("192.0.2.1", "http")
    assert both("for=192.0.2.1;proto=https;by=x") == ("192.0.2.1", "https")
    assert both('For="[2001:db8::1]:4711"; Proto=https') == \
        ("2001:db8::1", "https")
    assert both("for=1.1.1.1;proto=https, for=192.0.2.1;proto=http") == \
        ("192.0.2.1", "http")
    assert both("for=192.0.2.1;proto=https, for=10.0.0.1") == \
        ("192.0.2.1", "https")
    assert both("for=unknown;proto=https") == ("127.0.0.1", "https")
    assert both('for="_gazonk"') == ("127.0.0.1", "http")
    assert both('for=", for=192.0.2.1') == ("192.0.2.1", "http")
    assert both("192.0.2.1") == ("127.0.0.1", "http")
    assert both("for=192.0.2.1;proto=https",
                ("X-Forwarded-Proto", "https"))[1] == "https"
    assert server.get("/", [("Forwarded", "for=192.0.2.1;proto=https"),
                            ("X-Forwarded-Proto", "http")]).status == 400


def test_behind_proxy_protocol(wsgi):
    """The walk begins with the address that the PROXY header says."""
    server = wsgi(APP, "--proxy-protocol", "--remote-addr-header",
                  "X-Forwarded-For", "--forwarded-allow-ips",
                  "127.0.0.1,10.0.0.5")
    field = [("X-Forwarded-For", "198.51.100.1")]
    assert said(ask(server, LINE, headers=field))["REMOTE_ADDR"] == \
        "192.0.2.1"
    assert said(ask(server, v2("10.0.0.5"), headers=field))[
        "REMOTE_ADDR"] == "198.51.100.1"


def test_schemes(wsgi):
    server = wsgi(APP)

    def scheme(*fields):
        return said(server.get("/", fields))["wsgi.url_scheme"]

    assert scheme(("X-Forwarded-Proto", "https")) == "https"
    assert scheme(("X-Forwarded-Ssl", "on")) == "https"
    assert scheme(("X-Forwarded-Protocol", "ssl")) == "https"
    assert scheme(("X-Forwarded-Proto", "http")) == "http"
    assert server.get("/", [("X-Forwarded-Proto", "https"),
                            ("X-Forwarded-Ssl", "off")]).status == 400
    env = said(server.get("/", [("X-Forwarded-Host", "x.org"),
                                ("X-Forwarded-Port", "99")]))
    assert env["HTTP_X_FORWARDED_HOST"] == "x.org"
    assert env["SERVER_PORT"] == str(server.address[1])


# --- SCRIPT_NAME -------------------------------------------------------------

def names(server, target, *fields):
    env = said(server.get(target, fields))
    return env["SCRIPT_NAME"], env["PATH_INFO"]


def test_root_path(wsgi):
    server = wsgi(APP, "--root-path", "/app/")
    assert names(server, "/app/a%20b") == ("/app", "/a b")
    assert names(server, "/app") == ("/app", "")
    # The proxy took it off.
    assert names(server, "/a") == ("/app", "/a")
    assert names(server, "/apple") == ("/app", "/apple")
    # A proxy that is believed knows better.
    assert names(server, "/sub/a", ("SCRIPT_NAME", "/sub")) == ("/sub", "/a")
    assert names(wsgi(APP, "--root-path", "/"), "/a") == ("", "/a")


def test_script_name_of_the_environment(wsgi):
    server = wsgi(APP, "--root-path", "/other",
                  env={"SCRIPT_NAME": "/env"})
    assert names(server, "/env/a") == ("/env", "/a")
    assert server.get("/a").status == 500


# --- uwsgi -------------------------------------------------------------------

def uwsgi(body=b"", modifier=0, size=None, **variables):
    said_first = {"REQUEST_METHOD": "POST" if body else "GET",
                  "REQUEST_URI": "/", "PATH_INFO": "/", "QUERY_STRING": "",
                  "SERVER_PROTOCOL": "HTTP/1.1",
                  "CONTENT_LENGTH": str(len(body)) if body else ""}
    said_first.update(variables)
    block = b""
    for name, value in said_first.items():
        name, value = name.encode("latin-1"), value.encode("latin-1")
        block += struct.pack("<H", len(name)) + name \
            + struct.pack("<H", len(value)) + value
    return struct.pack("<BHB", modifier, len(block) if size is None else size,
                       0) + block + body


@pytest.fixture
def upstream(wsgi):
    return wsgi(APP, "--protocol", "uwsgi", "--access-logfile", "-")


def spoken(server, data):
    with server.connect() as c:
        c.send(data)
        r = c.response()
        assert r.header("Connection") == "close"
        assert c.rest() == b""
        return r


def test_uwsgi(upstream):
    env = said(spoken(upstream, uwsgi(
        b"hello", REQUEST_URI="/a%20b?c=d", PATH_INFO="/a b",
        QUERY_STRING="c=d", CONTENT_TYPE="text/plain",
        REMOTE_ADDR="192.0.2.1", REMOTE_PORT="1234", SERVER_NAME="x.org",
        SERVER_PORT="8443", SERVER_PROTOCOL="HTTP/2.0", HTTPS="on",
        REQUEST_SCHEME="https", DOCUMENT_ROOT="/srv", REMOTE_USER="jane",
        HTTP_HOST="y.org", HTTP_X_REAL_IP="192.0.2.1",
        HTTP_CONTENT_LENGTH="99", HTTP_TRANSFER_ENCODING="chunked",
        UWSGI_X="y", **{"wsgi.input": "x", "bicorn.x": "x",
                        "gunicorn.x": "x"})))
    for name, value in {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/a b",
            "QUERY_STRING": "c=d", "RAW_URI": "/a%20b?c=d",
            "REQUEST_URI": "/a%20b?c=d", "CONTENT_TYPE": "text/plain",
            "CONTENT_LENGTH": "5", "body": "hello",
            "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "1234",
            "SERVER_NAME": "x.org", "SERVER_PORT": "8443",
            "SERVER_PROTOCOL": "HTTP/2.0", "HTTPS": "on",
            "wsgi.url_scheme": "https", "DOCUMENT_ROOT": "/srv",
            "REMOTE_USER": "jane", "HTTP_HOST": "y.org",
            "HTTP_X_REAL_IP": "192.0.2.1", "UWSGI_X": "y",
            "SCRIPT_NAME": ""}.items():
        assert env.get(name) == value, name
    assert not {"wsgi.input", "bicorn.x", "gunicorn.x"} & set(env)
    assert "HTTP_TRANSFER_ENCODING" not in env
    assert "HTTP_CONTENT_LENGTH" not in env
    upstream.wait_out(r'^192\.0\.2\.1 .*"POST /a%20b\?c=d HTTP/2\.0" 200 ')


def test_uwsgi_split_at_every_byte(upstream):
    data = uwsgi(b"hi", HTTP_HOST="x")
    for at in range(1, len(data)):
        with upstream.connect() as c:
            c.send(data[:at])
            c.send(data[at:])
            assert said(c.response())["body"] == "hi"
    with upstream.connect() as c:
        for byte in data:
            c.send(bytes([byte]))
        assert said(c.response())["body"] == "hi"


def test_uwsgi_script_name(upstream):
    def asked(script, path, uri, **more):
        env = said(spoken(upstream, uwsgi(
            SCRIPT_NAME=script, PATH_INFO=path, REQUEST_URI=uri, **more)))
        return env["SCRIPT_NAME"], env["PATH_INFO"]

    assert asked("/app", "/a", "/app/a") == ("/app", "/a")
    assert asked("/app", "/app/a", "/app/a") == ("/app", "/a")
    assert asked("/app", "/app/a", "/app/app/a") == ("/app", "/app/a")
    assert asked("", "/a", "/a") == ("", "/a")


@pytest.mark.parametrize("data, status", [
    (harness.request("GET", "/"), 400),
    (uwsgi(modifier=5), 400),
    (uwsgi(size=0), 400),
    (uwsgi(CONTENT_LENGTH="x"), 400),
    (uwsgi(CONTENT_LENGTH="-5"), 400),
    (uwsgi(REQUEST_METHOD=""), 400),
    (uwsgi(REQUEST_METHOD="GE T"), 400),
    (uwsgi(REQUEST_URI="/ x"), 400),
    (uwsgi(HTTP_A="b\r\nC: d"), 400),
    (uwsgi(REQUEST_URI="/" + "x" * 9000), 414),
    (uwsgi(HTTP_A="x" * 9000), 431),
    (uwsgi(**{"HTTP_A%d" % i: "" for i in range(200)}), 431),
    (uwsgi(**{"A%d" % i: "" for i in range(1100)}), 431),
])
def test_uwsgi_refused(upstream, data, status):
    if isinstance(data, str):
        data = data.encode()
    assert spoken(upstream, data).status == status
    assert said(spoken(upstream, uwsgi()))


def test_uwsgi_limits(wsgi):
    server = wsgi(APP, "--protocol", "uwsgi", "--limit-request-body", "5000",
                  "--header-timeout", "1", "--body-timeout", "1",
                  "--body-buffer", "1k")
    assert spoken(server, uwsgi(b"x" * 5001)).status == 413
    assert said(spoken(server, uwsgi(b"x" * 5000)))["body"] == "x" * 5000
    assert spoken(server, uwsgi()[:10]).status == 408
    assert spoken(server, uwsgi(b"12345")[:-2]).status == 408


def test_uwsgi_who_may(wsgi, tmp_path):
    server = wsgi(APP, "--protocol=uwsgi", "--uwsgi-allow-from",
                  "192.0.2.0/24")
    assert spoken(server, uwsgi()).status == 403
    server = wsgi(APP, "--protocol=uwsgi", "--uwsgi-allow-from", "10.0.0.1",
                  bind="unix:%s/s" % tmp_path)
    assert said(spoken(server, uwsgi()))["REMOTE_ADDR"] == ""


def test_uwsgi_of_unknown_length(wsgi):
    """The end of the connection is the end of the response."""
    server = wsgi('''
        def app(environ, start_response):
            environ["wsgi.early_hints"]([("Link", "</x>; rel=preload")])
            start_response("200 OK", [])
            yield b"a" * 10
            yield b"b" * 10
    ''', "--protocol", "uwsgi")
    with server.connect() as c:
        c.send(uwsgi())
        head, body = c.rest().split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"chunked" not in head
    assert body == b"a" * 10 + b"b" * 10


def test_uwsgi_proxied(wsgi):
    """With a PROXY header in front; what the variables say counts more."""
    server = wsgi(APP, "--protocol", "uwsgi", "--proxy-protocol")
    env = said(ask_raw(server, LINE + uwsgi()))
    assert env["REMOTE_ADDR"] == "192.0.2.1"
    assert env["PROXY_ADDR"] == "10.0.0.1"
    env = said(ask_raw(server, LINE + uwsgi(REMOTE_ADDR="192.0.2.7")))
    assert env["REMOTE_ADDR"] == "192.0.2.7"
    assert "REMOTE_PORT" not in env


def ask_raw(server, data):
    with server.connect() as c:
        c.send(data)
        return c.response()


# --- what is permitted -------------------------------------------------------

def test_permits(wsgi):
    def raw(server, text):
        with server.connect() as c:
            c.send(text)
            return c.response()

    folded = "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n  c\r\n\td \r\n" \
        "X-B:\r\n e\r\n\r\n"
    spaces = "GET / HTTP/1.1\r\nHost: x\r\nX-A \t: b\r\n\r\n"
    method = "get#ty / HTTP/1.1\r\nHost: x\r\n\r\n"
    short = "a / HTTP/1.1\r\nHost: x\r\n\r\n"
    version = "GET / HTTP/2.7\r\nHost: x\r\n\r\n"
    strict = wsgi(APP)
    for text, status in ((folded, 400), (spaces, 400), (method, 400),
                         (short, 400), (version, 505)):
        assert raw(strict, text).status == status, text
    server = wsgi(APP, "--permit-obsolete-folding")
    env = said(raw(server, folded))
    assert env["HTTP_X_A"].split() == ["b", "c", "d"]
    assert env["HTTP_X_B"] == "e"
    assert raw(server, spaces).status == 400
    assert raw(server, folded.replace("Host: x", "Host: x\r\n y")
               ).status == 400
    assert raw(server, "GET / HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n"
               ).status == 400
    server = wsgi(APP, "--strip-header-spaces")
    assert said(raw(server, spaces))["HTTP_X_A"] == "b"
    assert raw(server, folded).status == 400
    server = wsgi(APP, "--permit-unconventional-http-method")
    assert said(raw(server, method))["REQUEST_METHOD"] == "get#ty"
    assert said(raw(server, short))["REQUEST_METHOD"] == "a"
    assert raw(server, "g(t / HTTP/1.1\r\nHost: x\r\n\r\n").status == 400
    server = wsgi(APP, "--permit-unconventional-http-method",
                  "--casefold-http-method")
    assert said(raw(server, method))["REQUEST_METHOD"] == "GET#TY"
    server = wsgi(APP, "--permit-unconventional-http-version")
    assert said(raw(server, version))["SERVER_PROTOCOL"] == "HTTP/2.7"
    assert raw(server, "GET / HTTP/x.1\r\nHost: x\r\n\r\n").status == 400
