# SPDX-License-Identifier: MIT
"""Applications in C: loading them, and every function of bicorn/app.h."""
import os
import random
import re
import shutil
import subprocess

import pytest

import harness

APPS = harness.SOURCE / "t/apps"
EXAMPLES = harness.SOURCE / "etc/examples"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror"]
OK, GONE, INVALID, STATE, IO, TIMEOUT = 0, -1, -2, -3, -5, -6


def compile_file(source, module, *flags, compiler=None):
    subprocess.run(
        [*(compiler or harness.CC).split(), "-shared", "-fPIC", "-O1", "-g",
         "-I", str(harness.SOURCE / "include"), *flags, str(source), "-o",
         str(module)], check=True)
    return module


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """The module made of t/apps/probe.c."""
    return compile_file(APPS / "probe.c",
                        tmp_path_factory.mktemp("apps") / "probe.so", *STRICT)


@pytest.fixture
def broken(tmp_path):
    """Builds a variant of t/apps/broken.c."""

    def build(*macros):
        return compile_file(APPS / "broken.c", tmp_path / "broken.so",
                            *STRICT, *["-D" + m for m in macros])

    return build


@pytest.fixture
def data_file(tmp_path):
    """1,000,003 bytes in which every place is different."""
    path = tmp_path / "data"
    path.write_bytes(b"".join(b"%07d," % i for i in range(125001))[:1000003])
    return path


@pytest.fixture
def server(bicorn, probe):
    def start(*args, **kw):
        return bicorn(*args, probe, **kw)

    return start


def report(response):
    """The lines NAME=VALUE of a page of the probe; lists of values."""
    assert response.status == 200, response
    out = {}
    for line in response.body.decode("latin-1").split("\n")[:-1]:
        name, _, value = line.partition("=")
        out.setdefault(name, []).append(value)
    return out


def one(response, name):
    values = report(response)[name]
    assert len(values) == 1
    return values[0]


def pattern(count):
    text = bytes(range(ord("a"), ord("a") + 23))
    return (text * (count // 23 + 1))[:count]


# --- loading ------------------------------------------------------------------

def test_hello_is_under_ten_lines():
    text = (EXAMPLES / "hello.c").read_text()
    assert len(text.splitlines()) < 10


def test_examples_compile_without_a_warning(tmp_path):
    for name in ("hello", "tour"):
        compile_file(EXAMPLES / (name + ".c"), tmp_path / (name + ".so"),
                     *STRICT)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17"])
def test_header_in_c(tmp_path, compiler, standard):
    if shutil.which(compiler) is None:
        pytest.skip("no " + compiler)
    source = tmp_path / "a.c"
    source.write_text('#include <bicorn/app.h>\n')
    compile_file(source, tmp_path / "a.so", "-std=" + standard, "-Wall",
                 "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes",
                 "-Wmissing-prototypes", "-pedantic", "-Werror",
                 compiler=compiler)


CXX = """
#include <bicorn/app.h>

static void
handle(bicorn_exchange *x)
{
	struct bicorn_str name = bicorn_header(x, "X-Name");

	bicorn_logf(x->server, BICORN_LOG_INFO, "C++: %d", 1);
	bicorn_respond(x, 200, nullptr, 0, BICORN_LENGTH_UNKNOWN);
	bicorn_reply(x, 200, "text/plain", name.ptr, name.len);
}

#if __cplusplus >= 202002L
BICORN_APP(.handle = handle)
#else
BICORN_QUIET
extern "C" BICORN_EXPORT const struct bicorn_app bicorn_app;
const struct bicorn_app bicorn_app = { sizeof(struct bicorn_app),
    BICORN_ABI_MAJOR, BICORN_ABI_MINOR, handle };
BICORN_LOUD
#endif
"""


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_header_in_cxx(tmp_path, bicorn, compiler, standard):
    if shutil.which(compiler) is None:
        pytest.skip("no " + compiler)
    source = tmp_path / "a.cc"
    source.write_text(CXX)
    module = compile_file(source, tmp_path / "a.so", "-std=" + standard,
                          "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
                          "-Wold-style-cast", "-pedantic", "-Werror",
                          compiler=compiler)
    server = bicorn(module)
    assert server.get(headers={"X-Name": "Bjarne"}).body == b"Bjarne"
    server.wait_log(r"C\+\+: 1")


def test_hello(bicorn, tmp_path):
    compile_file(EXAMPLES / "hello.c", tmp_path / "hello.so")
    server = bicorn("./hello.so", cwd=tmp_path)
    r = server.get()
    assert (r.status, r.body) == (200, b"Hello, World!\n")
    assert r.header("Content-Type") == "text/plain"
    assert r.header("Content-Length") == "14"


def test_named_symbol(bicorn, probe):
    server = bicorn("./%s:second_app" % probe.name, cwd=probe.parent)
    assert server.get("/request").body == b"Hello, World!\n"


def test_prefix(bicorn, probe):
    server = bicorn("native=%s" % probe)
    assert server.get().body == b"Hello, World!\n"
    server.wait_log('probe: load target "" threads 4')


def test_path_without_slash(bicorn, probe):
    server = bicorn(probe.name, cwd=probe.parent)
    assert server.get().body == b"Hello, World!\n"


def refused(run, app, code, *words, **kw):
    """bicorn does not start, says why in one line, and not more than once."""
    r = run("--bind", "127.0.0.1:0", app, **kw)
    assert r.returncode == code, r.stderr
    lines = [line for line in r.stderr.split("\n")
             if "[ERROR]" in line or "[CRITICAL]" in line
             or line.startswith("bicorn:")]
    telling = [line for line in lines if all(w in line for w in words)]
    assert len(telling) == 1, r.stderr
    assert "Traceback" not in r.stderr
    # --check-config finds it as well, without listening.
    r = run("--check-config", app, **kw)
    assert r.returncode == 1, r.stderr
    assert all(w in r.stderr for w in words), r.stderr


def test_load_error_of_any_bytes(run, compile_app):
    """It is shown in one line, and does not speak to the terminal."""
    app = compile_app(r'''
        #include <bicorn/app.h>
        #include <stdio.h>
        static int load(struct bicorn_load *l)
        {
            snprintf(l->error, l->error_size, "one\ntwo \033[31mred\001");
            return BICORN_LOAD_FAILED;
        }
        static void handle(struct bicorn_exchange *e) { (void)e; }
        BICORN_APP(.handle = handle, .load = load)
    ''')
    for args in ([], ["--check-config"]):
        r = run("--bind", "127.0.0.1:0", *args, app)
        assert r"one\x0atwo \x1b[31mred\x01" in r.stderr


def test_missing_file(run, tmp_path):
    refused(run, "./none.so", 4, "./none.so", "No such file", cwd=tmp_path)


def test_missing_file_with_symbol(run, tmp_path):
    refused(run, "./none.so:app", 4, "./none.so", "No such file", cwd=tmp_path)


def test_not_an_object(run, tmp_path):
    (tmp_path / "text.so").write_text("this is no object\n")
    refused(run, "./text.so", 4, "text.so", cwd=tmp_path)


def test_empty_file(run, tmp_path):
    (tmp_path / "empty.so").write_text("")
    refused(run, "./empty.so", 4, "empty.so", cwd=tmp_path)


def test_directory_of_that_name(run, tmp_path):
    (tmp_path / "dir.so").mkdir()
    refused(run, "native=./dir.so", 4, "dir.so", cwd=tmp_path)


def test_undefined_symbol(run, broken):
    refused(run, broken("UNDEFINED_SYMBOL"), 4, "nobody_defines_this")


def test_missing_symbol(run, broken):
    refused(run, broken("NO_SYMBOL"), 4, "broken.so", "bicorn_app")


def test_missing_named_symbol(run, probe):
    refused(run, "%s:third_app" % probe, 4, "probe.so", "third_app")


MINOR = re.search(r"define BICORN_ABI_MINOR (\d+)",
                  (harness.SOURCE / "include/bicorn/app.h").read_text()).group(1)


def test_variables(server):
    """What a PROXY header says; nothing without one."""
    s = server("--proxy-protocol")
    assert report(s.get("/variables"))["count"] == ["0"]
    with s.connect() as c:
        c.send("PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n")
        said = report(c.get("/variables"))
    assert said["peer"] == ["192.0.2.1"]
    assert dict(zip(said["name"], said["value"])) == {
        "PROXY_PROTOCOL": "TCP4", "PROXY_ADDR": "10.0.0.1",
        "PROXY_PORT": "443"}


@pytest.mark.parametrize("macros,said", [
    (("MAJOR=2",), "2." + MINOR),
    (("MAJOR=0",), "0." + MINOR),
    (("MINOR=9",), "1.9"),
])
def test_other_version(run, broken, macros, said):
    refused(run, broken(*macros), 4, "broken.so", said, "1." + MINOR)


@pytest.mark.parametrize("macros", [
    ("SIZE=0",), ("SIZE=8",), ("SIZE=16",), ("NO_HANDLE",)])
def test_small_struct(run, broken, macros):
    refused(run, broken(*macros), 4, "broken.so", "handle")


def test_struct_that_ends_after_handle(bicorn, broken):
    """An older module: the members behind its size do not exist."""
    module = broken("SIZE=offsetof(struct bicorn_app,handle)+sizeof(void*)")
    assert bicorn(module).get().body == b"still here\n"


def test_load_fails(run, broken):
    refused(run, broken("LOAD_FAILS"), 3, "the moon is in the wrong phase")


def test_load_finds_nothing(run, broken):
    refused(run, broken("LOAD_NOT_FOUND"), 4, "the moon is in the wrong phase")


def test_load_fails_without_a_word(run, broken):
    refused(run, broken("LOAD_SILENT"), 3, "broken.so")


def test_load_says_too_much(run, broken):
    refused(run, broken("LOAD_LONG"), 3, "broken.so", "xxxx")


@pytest.mark.parametrize("code,said", [
    ("abort();", "was sent SIGABRT"), ("_exit(7);", "exited with code 7"),
    ("pause();", "was not ready within boot_timeout")])
def test_object_that_ends_who_opens_it(run, compile_app, code, said):
    """It says which one, and how."""
    app = compile_app("""
        #include <bicorn/app.h>
        #include <stdlib.h>
        #include <unistd.h>
        __attribute__((constructor)) static void begin(void) { %s }
        static void handle(struct bicorn_exchange *x) { (void)x; }
        BICORN_APP(.handle = handle)
    """ % code)
    r = run("--bind", "127.0.0.1:0", "--boot-timeout", "2", app)
    assert r.returncode == 1
    assert "%s: the helper process, which runs the hooks, %s" % (
        app, said) in r.stderr


@pytest.mark.parametrize("code,said", [
    ("(void)l;", "%s: its helper() failed"),
    ("memset(l->error, 'A', l->error_size);", "[ERROR] " + 511 * "A")])
def test_helper_fails(run, compile_app, code, said):
    """With no word, and with more than there is room for."""
    app = compile_app("""
        #include <bicorn/app.h>
        static void handle(struct bicorn_exchange *x) { (void)x; }
        static int helper(struct bicorn_load *l) { %s return 3; }
        static int event(void *app, const struct bicorn_event *e)
        {
            return app != NULL && e != NULL;
        }
        BICORN_APP(.handle = handle, .helper = helper, .event = event,
            .events = BICORN_MOMENT(BICORN_WHEN_READY))
    """ % code)
    r = run("--bind", "127.0.0.1:0", app)
    assert r.returncode == 1
    assert (said % app if "%" in said else said) + (
        "," if "%" in said else "\n") in r.stderr


def test_load_closes_the_standard_descriptors(bicorn, compile_app):
    """No socket gets their numbers, into which logs would be written."""
    server = bicorn(compile_app("""
        #include <bicorn/app.h>
        #include <sys/stat.h>
        #include <unistd.h>
        static int load(struct bicorn_load *l)
        {
            (void)l;
            return close(0) + close(1) + close(2);
        }
        static void handle(struct bicorn_exchange *x)
        {
            char kinds[3];
            int fd;
            for (fd = 0; fd < 3; fd++) {
                struct stat st;
                int rc = fstat(fd, &st);
                kinds[fd] = rc == 0 && S_ISCHR(st.st_mode) ? 'c' : '?';
            }
            bicorn_reply(x, 200, NULL, kinds, 3);
        }
        BICORN_APP(.handle = handle, .load = load)
    """))
    for _ in range(3):
        assert server.get().body == b"ccc"


def test_load_blocks_signals(bicorn, compile_app):
    """So that the threads it starts have peace; the worker hears them."""
    server = bicorn("--graceful-timeout", "600", compile_app("""
        #define _GNU_SOURCE
        #include <bicorn/app.h>
        #include <signal.h>
        static int load(struct bicorn_load *l)
        {
            sigset_t all;
            (void)l;
            sigfillset(&all);
            return sigprocmask(SIG_BLOCK, &all, NULL);
        }
        static void handle(struct bicorn_exchange *x)
        {
            bicorn_reply(x, 200, NULL, "here", 4);
        }
        BICORN_APP(.handle = handle, .load = load)
    """))
    assert server.get().body == b"here"
    assert server.stop() == 0


@pytest.mark.skipif(bool(harness.SANITIZERS),
                    reason="ASan does not see that a stack is unwound")
def test_thread_that_the_application_ends(bicorn, compile_app):
    """The worker is replaced, as after a crash: no request waits for ever."""
    server = bicorn("--threads", "2", compile_app("""
        #include <bicorn/app.h>
        #include <pthread.h>
        static void handle(struct bicorn_exchange *x)
        {
            if (bicorn_str_eq(x->request->path, "/end"))
                pthread_exit(NULL);
            bicorn_reply(x, 200, NULL, "here", 4);
        }
        BICORN_APP(.handle = handle)
    """))
    for _ in range(2):
        with server.connect() as c:
            c.send(harness.request(target="/end"))
            assert c.rest() == b""
        server.wait_log(r"\[CRITICAL\] The application has ended thread pool-")
        assert server.get().body == b"here"


def test_load_finds_a_trait(bicorn, compile_app):
    """What load() learns of the application: all threads serve it still."""
    server = bicorn("--threads", "4", compile_app("""
        #include <bicorn/app.h>

        static int
        load(struct bicorn_load *l)
        {
            if (l->size < sizeof(*l) || l->traits != 0)
                return BICORN_LOAD_FAILED;
            l->traits = BICORN_TRAIT_SERIAL;
            return BICORN_LOADED;
        }

        static void
        handle(struct bicorn_exchange *x)
        {
            bicorn_reply(x, 200, "text/plain", "hello\\n", 6);
        }

        BICORN_APP(.load = load, .handle = handle)
    """))
    clients = [server.connect() for _ in range(8)]
    for c in clients:
        c.send(harness.request())
    for c in clients:
        assert c.response().body == b"hello\n"
        c.close()


def test_threads_say_that_they_wait(bicorn, compile_app):
    """thread_idle() before each wait and the end, never within handle()."""
    server = bicorn("--threads", "2", compile_app("""
        #include <bicorn/app.h>
        #include <stdio.h>
        #include <stdlib.h>

        struct thread { int idle, inside, served; };

        static int
        start(void *app, unsigned number, void **out)
        {
            (void)app, (void)number;
            return (*out = calloc(1, sizeof(struct thread))) == NULL;
        }

        static void
        idle(void *app, void *thread)
        {
            struct thread *t = thread;

            (void)app;
            if (t->inside)
                abort();
            t->idle++;
            t->served = 0;
        }

        static void
        stop(void *app, void *thread)
        {
            struct thread *t = thread;

            (void)app;
            fprintf(stderr, "idle %d served %d\\n", t->idle, t->served);
            free(t);
        }

        static void
        handle(struct bicorn_exchange *x)
        {
            struct thread *t = x->thread;
            char text[64];
            int n;

            t->inside = 1;
            t->served++;
            n = snprintf(text, sizeof(text), "%d", t->idle);
            bicorn_reply(x, 200, "text/plain", text, (size_t)n);
            t->inside = 0;
        }

        BICORN_APP(.thread_start = start, .thread_stop = stop,
            .thread_idle = idle, .handle = handle)
    """))
    with server.connect() as c:
        for _ in range(20):
            assert int(c.get().body) >= 1
    assert server.stop() == 0
    said = re.findall(r"idle (\d+) served (\d+)", server.log.text())
    assert len(said) == 2
    assert all(int(idle) >= 1 and served == "0" for idle, served in said)


def test_thread_does_not_start(run, broken):
    module = broken("THREAD_FAILS")
    r = run("--bind", "127.0.0.1:0", "--threads", 3, module)
    assert r.returncode == 3, r.stderr
    assert "thread" in r.stderr


def test_life_cycle(server):
    s = server("--threads", 3)
    assert s.get().status == 200
    assert s.stop() == 0
    said = re.findall(r"probe: (\w+(?: thread \d)?)", s.log.text())
    assert said[0] == "load"
    assert sorted(said[1:4]) == ["start thread %d" % i for i in range(3)]
    assert sorted(said[4:7]) == ["stop thread %d" % i for i in range(3)]
    assert said[7:] == ["unload"]


def test_each_worker_loads(server):
    s = server("--workers", 2)
    assert len(re.findall("probe: load", s.log.text())) == 2


def test_threads_keep_their_own(server):
    s = server("--threads", 2)
    with s.connect() as a, s.connect() as b:
        for c in (a, b):
            c.send(harness.request(target="/thread?wait=200"))
        seen = [report(c.response()) for c in (a, b)]
    assert {r["number"][0] for r in seen} == {"0", "1"}
    for r in seen:
        assert r["threads"] == ["2"]
        assert r["same_server"] == ["1"]
        assert r["size_ok"] == ["1"]
        assert r["major"] == ["1"]
        assert re.fullmatch(r"bicorn/\d+\.\d+\.\d+", r["software"][0])


# --- the request --------------------------------------------------------------

def test_request(server):
    s = server()
    with s.connect() as c:
        port = c.sock.getsockname()[1]
        r = report(c.get("/request?a=%20b&c", headers=[
            ("Host", "Example.org:81"), ("X-One", "  first\t"),
            ("x-one", "second"), ("X-Empty", ""), ("X_Under", "hidden")]))
    assert r["method"] == ["GET"]
    assert r["target"] == ["/request?a=%20b&c"]
    assert r["path"] == r["raw_path"] == ["/request"]
    assert r["query"] == ["a=%20b&c"]
    assert r["protocol"] == ["HTTP/1.1"]
    assert r["scheme"] == ["http"]
    assert r["host"] == ["Example.org:81"]
    assert r["peer_address"] == ["127.0.0.1"]
    assert r["peer_port"] == [str(port)]
    assert r["local_address"] == ["127.0.0.1"]
    assert r["local_port"] == [str(s.port)]
    assert r["local_unix"] == r["tls"] == ["0"]
    assert r["name"] == ["Host", "X-One", "x-one", "X-Empty"]
    assert r["value"] == ["Example.org:81", "first", "second", ""]
    assert r["header_count"] == ["4"]
    assert r["x-one"] == ["first"]
    assert r["x-none"] == ["1"]


def test_request_path(server):
    r = report(server().get("/a%20b%2Fc%zz?%20", headers={"X-Show": "1"}))
    assert r["path"] == ["/a b/c%zz"]
    assert r["raw_path"] == ["/a%20b%2Fc%zz"]
    assert r["query"] == ["%20"]


def test_request_forms(server):
    s = server()
    r = report(s.get("http://Example.org:81/a?b",
                     headers={"X-Show": "1", "Host": "other"}))
    assert r["path"] == ["/a"]
    assert r["host"] == ["Example.org:81"]
    assert r["target"] == ["http://Example.org:81/a?b"]
    r = report(s.get("http://Example.org", headers={"X-Show": "1"}))
    assert r["path"] == ["/"]
    r = report(s.get("*", method="OPTIONS"))
    assert r["path"] == ["*"]
    assert r["method"] == ["OPTIONS"]


def test_request_of_http_1_0(server):
    with server().connect() as c:
        c.send("GET /request HTTP/1.0\r\n\r\n")
        r = report(c.response())
    assert r["protocol"] == ["HTTP/1.0"]
    assert r["host"] == [""]


def test_request_over_unix_socket(bicorn, probe, tmp_path):
    path = str(tmp_path / "sock")
    s = bicorn(probe, bind="unix:" + path)
    r = report(s.get("/request"))
    assert r["peer_address"] == [""]
    assert r["peer_port"] == r["local_port"] == ["0"]
    assert r["local_address"] == [path]
    assert r["local_unix"] == ["1"]


def test_methods_of_ones_own(server):
    s = server()
    assert one(s.get("/request", method="BREW"), "method") == "BREW"
    assert one(s.get("/request", method="X-1"), "method") == "X-1"


# --- the body of the request --------------------------------------------------

BODIES = [0, 1, 5, 65535, 65536, 65537, 300000, 3000000]


@pytest.mark.parametrize("size", BODIES)
def test_body_whole(server, size):
    body = os.urandom(size)
    s = server()
    assert s.get("/body", method="POST", body=body).body == body


@pytest.mark.parametrize("piece", [1, 7, 4096, 1000000])
def test_body_read(server, piece):
    body = os.urandom(100000 if piece > 1 else 5000)
    r = server().get("/read?piece=%d" % piece, method="POST", body=body)
    assert r.body == body


def test_body_chunked(server):
    body = pattern(200000)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in
                      (body[i:i + 777] for i in range(0, len(body), 777)))
    s = server()
    for page in ("/body", "/read"):
        with s.connect() as c:
            c.send(harness.request("POST", page, {"Transfer-Encoding": "chunked"}))
            c.send(chunks + b"0\r\n\r\n")
            assert c.response().body == body


def test_body_both_ways(server):
    r = report(server().get("/both", method="POST", body=b"abcdefgh"))
    assert r["first"] == ["abcd"]
    assert r["body"] == ["0"]
    assert r["whole"] == ["abcdefgh"]
    assert r["rest"] == ["efgh"]
    assert r["end"] == r["end-again"] == ["0"]


def test_body_both_ways_spooled(server):
    s = server("--body-buffer", 1024)
    r = report(s.get("/both", method="POST", body=b"abcd" + b"x" * 8000))
    assert r["first"] == ["abcd"]
    assert r["length"] == ["8004"]
    assert r["rest"] == ["x" * 16]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body_spooled_in_order(server, framing):
    """However the pieces come, and whatever stands behind them."""
    body = random.Random(framing).randbytes(1000000)
    cut = [body[i:i + 40009] for i in range(0, len(body), 40009)]
    if framing == "chunked":
        fields = {"Transfer-Encoding": "chunked"}
        cut = [b"%x\r\n%s\r\n" % (len(p), p) for p in cut] + [b"0\r\n\r\n"]
    else:
        fields = {"Content-Length": str(len(body))}
    cut[-1] += harness.request("GET", "/request")
    with server("--body-buffer", 1024).connect() as c:
        c.send(harness.request("POST", "/read", fields))
        for piece in cut:
            c.send(piece)
        assert c.response().body == body
        assert c.response().status == 200


def test_body_of_none(server):
    r = report(server().get("/both"))
    assert r["length"] == ["0"]
    assert r["first"] == r["whole"] == [""]


def test_body_not_read(server):
    """The next request begins behind a body that nobody looked at."""
    with server("--body-buffer", 1024).connect() as c:
        for size in (10, 100000):
            assert c.get("/", method="POST", body=b"x" * size).status == 200
        assert c.get("/request").status == 200


def test_body_limit(server):
    s = server("--limit-request-body", 1000)
    assert s.get("/body", method="POST", body=b"x" * 1000).status == 200
    assert s.get("/body", method="POST", body=b"x" * 1001).status == 413


def test_request_trailers(server):
    with server().connect() as c:
        c.send(harness.request("POST", "/request-trailers", {
            "Transfer-Encoding": "chunked"}))
        c.send("3\r\nabc\r\n0\r\nX-Sum: 42 \r\nx-two:2\r\n\r\n")
        r = report(c.response())
    assert r["count"] == ["2"]
    assert r["name"] == ["X-Sum", "x-two"]
    assert r["value"] == ["42", "2"]


def test_request_trailers_of_others(server):
    """Those of one request are not those of the next, on any connection."""
    s = server("--threads", 1)
    for _ in range(2):
        with s.connect() as c:
            for name in "X-One", "X-Two":
                c.send(harness.request("POST", "/request-trailers", {
                    "Transfer-Encoding": "chunked"}))
                c.send("1\r\na\r\n0\r\n%s: b\r\n\r\n" % name)
                r = c.response()
                assert one(r, "count") == "1" and name.encode() in r.body


def test_no_request_trailers(server):
    s = server()
    assert one(s.get("/request-trailers"), "count") == "0"
    assert one(s.get("/request-trailers", method="POST", body=b"x"),
               "count") == "0"


STAYS = """
#include <bicorn/app.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 64

/* What earlier buffers were becomes something else. */
static void
use_memory(void)
{
	for (size_t size = 512; size <= 65536; size *= 2) {
		void *p = malloc(size - 16);

		memset(p, '#', size - 16);
		free(p);
	}
}

static void
handle(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct bicorn_str all[TEXTS] = { r->method, r->target, r->path,
		r->query, r->host };
	char *copies[TEXTS], buf[4096], text[64];
	size_t n = 5, sum = 0, changed = 0;
	struct bicorn_str body;
	int64_t got;

	for (size_t i = 0; i < r->header_count; i++) {
		all[n++] = r->headers[i].name;
		all[n++] = r->headers[i].value;
	}
	for (size_t i = 0; i < n; i++) {
		copies[i] = malloc(all[i].len + 1);
		memcpy(copies[i], all[i].ptr, all[i].len);
	}
	if (bicorn_str_eq(r->path, "/whole")) {
		if (bicorn_body(x, &body) == BICORN_OK)
			sum = body.len;
	} else {
		while ((got = bicorn_read(x, buf, sizeof(buf))) > 0) {
			sum += (size_t)got;
			use_memory();
		}
	}
	use_memory();
	for (size_t i = 0; i < n; i++) {
		changed += memcmp(copies[i], all[i].ptr, all[i].len) != 0;
		free(copies[i]);
	}
	snprintf(text, sizeof(text), "%zu changed, %zu bytes", changed, sum);
	bicorn_reply(x, 200, "text/plain", text, strlen(text));
}

BICORN_APP(.handle = handle)
"""


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/read", "/whole"])
def test_streamed_body_leaves_the_request_as_it_was(bicorn, compile_app, path,
                                                    chunked):
    """However much comes, the application's strings stay where they are."""
    server = bicorn("--stream-body", compile_app(STAYS), "--body-buffer",
                    "64k", "--threads", "4")
    size = 200000
    conns = [server.connect() for _ in range(8)]
    for fill in 0, 3000, 3900:
        for c in conns:
            c.send(harness.request("POST", path + "?query", {
                "X-Fill": "f" * fill,
                **({"Transfer-Encoding": "chunked"} if chunked else
                   {"Content-Length": str(size)})}))
        for part in range(0, size, 10000):
            for c in conns:
                c.send((b"2710\r\n" if chunked else b"") + b"b" * 10000 +
                       (b"\r\n" if chunked else b""))
        # All of them: four hold the threads, and which four is not told.
        for c in conns:
            if chunked:
                c.send("0\r\n\r\n")
        for c in conns:
            assert c.response().body == b"0 changed, %d bytes" % size
    for c in conns:
        c.close()


GIVES_UP = """
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	char buf[100];

	while (bicorn_read(x, buf, sizeof(buf)) > 0)
		;
}

BICORN_APP(.handle = handle)
"""


@pytest.mark.parametrize("rest, status", [
    (b"3\r\nabcX", 400), (b"ffff\r\n", 413), (b"3\r\nab", 408)])
def test_streamed_body_that_does_not_come(bicorn, compile_app, rest, status):
    """The server says why to the client of an application that gives up."""
    server = bicorn("--stream-body", "--limit-request-body", "1000",
                    "--body-timeout", "0.5", compile_app(GIVES_UP))
    with server.connect() as c:
        c.send(harness.request("POST", "/", {
            "Transfer-Encoding": "chunked", "Expect": "100-continue"}))
        c.until(b"100 Continue\r\n\r\n")
        c.send(rest)
        assert c.response().status == status
    assert "did not respond" not in server.log.text()


HALF = """
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	char buf[4096];
	int64_t n;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0)
		bicorn_logf(x->server, BICORN_LOG_INFO, "read some");
	bicorn_logf(x->server, BICORN_LOG_INFO, "read %d", (int)n);
}

BICORN_APP(.handle = handle)
"""


def test_streamed_body_of_a_client_that_resets(bicorn, compile_app):
    """It is gone, not late."""
    server = bicorn("--stream-body", compile_app(HALF))
    with server.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        server.wait_log("read some")
        c.reset()
    assert server.wait_log("read (-[0-9]+)").group(1) == "-1"  # GONE


@pytest.mark.parametrize("framing, begin", [
    ("Content-Length: 100", "GET /"),
    ("Transfer-Encoding: chunked", "64\r\nGET /")])
def test_streamed_body_that_nobody_reads(server, framing, begin):
    """What is left of it is not taken for a request."""
    with server("--stream-body").connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s"
               % (framing, begin))
        r = c.response()
        assert r.body == b"Hello, World!\n"
        assert r.header("Connection") == "close"
        c.send(b" HTTP/1.1\r\nHost: x\r\n\r\n" + harness.request())
        assert c.rest() == b""


READ_FIRST = """
#include <stdio.h>

#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	struct bicorn_str body;
	char buf[4], text[64];
	int read = (int)bicorn_read(x, buf, sizeof(buf));
	int rc = bicorn_body(x, &body);

	snprintf(text, sizeof(text), "%d %d %.*s", read, rc, (int)body.len,
	    body.ptr);
	bicorn_reply(x, 200, "text/plain", text, strlen(text));
}

BICORN_APP(.handle = handle)
"""


@pytest.mark.parametrize("args, said", [
    ((), b"4 0 abcdefgh"), (("--stream-body",), b"4 %d " % STATE)])
def test_body_after_read(bicorn, compile_app, args, said):
    """Of a streamed one the beginning is gone."""
    s = bicorn(*args, compile_app(READ_FIRST))
    assert s.get("/", method="POST", body=b"abcdefgh").body == said


READ_LATE = """
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	char buf[3];
	int64_t n;

	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	bicorn_write(x, "begun", 5);
	bicorn_flush(x);
	n = bicorn_read(x, buf, sizeof(buf));
	if (n > 0)
		bicorn_write(x, buf, (size_t)n);
}

BICORN_APP(.handle = handle)
"""


def test_no_100_within_a_response(bicorn, compile_app):
    """The client that waits for it sees that it is answered, and goes on."""
    with bicorn("--stream-body", compile_app(READ_LATE)).connect() as c:
        c.send(harness.request("POST", "/", {
            "Content-Length": "3", "Expect": "100-continue"}))
        said = c.until(b"begun\r\n")
        c.send("xyz")
        said += c.until(b"0\r\n\r\n")
    assert said.count(b"HTTP/1.1") == 1 and b"\r\nxyz\r\n" in said


NO_ERRORS = """
#include <stdio.h>

#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	char text[64];

	snprintf(text, sizeof(text), "%d %d %d", bicorn_error(x, 200, NULL, 0),
	    bicorn_error(x, 399, NULL, 0), bicorn_error(x, 600, NULL, 0));
	bicorn_reply(x, 200, "text/plain", text, strlen(text));
}

BICORN_APP(.handle = handle)
"""


def test_error_that_is_none(bicorn, compile_app):
    r = bicorn(compile_app(NO_ERRORS)).get("/")
    assert r.body == b"%d %d %d" % (INVALID, INVALID, INVALID)


# --- respond ------------------------------------------------------------------

def test_respond_twice(server):
    r = server().get("/twice")
    assert (r.status, r.body) == (201, b"after")
    assert r.header("X-First") is None
    assert r.header("X-Second") == "2"
    assert r.header("Content-Length") == "5"


def test_respond_late(server):
    r = server().get("/late")
    assert (r.status, r.body) == (200, b"sent %d %d" % (STATE, STATE))


def test_respond_invalid(server):
    r = server().get("/invalid")
    rows = report(r)
    assert len(rows) > 15
    assert {k: v for k, v in rows.items() if v != [str(INVALID)]} == {}
    assert r.header("X-Evil") is None


def test_respond_only_invalid(server):
    r = server().get("/only-invalid")
    assert r.status == 500
    assert r.header("X-Evil") is None


def test_respond_nothing(server):
    s = server()
    assert s.get("/nothing").status == 500
    assert s.get("/nothing", method="HEAD").status == 500


def test_too_early(server):
    rows = report(server().get("/early"))
    assert {k: v for k, v in rows.items() if v != [str(STATE)]} == {}
    assert len(rows) == 8


@pytest.mark.parametrize("code", [200, 201, 203, 299, 404, 418, 500, 599, 700, 999])
def test_status(server, code):
    r = server().get("/status?code=%d" % code)
    assert (r.status, r.body) == (code, b"body")
    assert r.header("X-Page") == "status"
    assert r.reason


def test_reason(server):
    s = server()
    assert s.get("/status?code=404").reason == "Not Found"
    assert s.get("/status?code=404&reason=Elsewhere").reason == "Elsewhere"


@pytest.mark.parametrize("code", [204, 304])
@pytest.mark.parametrize("length", ["", "&length=4"])
def test_status_without_body(server, code, length):
    with server().connect() as c:
        r = c.get("/status?code=%d%s" % (code, length))
        assert (r.status, r.body) == (code, b"")
        assert r.header("Transfer-Encoding") is None
        if code == 204:
            assert r.header("Content-Length") is None
        # Nothing of the body is in the way of the next response.
        assert c.get("/").body == b"Hello, World!\n"


def test_status_205(server):
    with server().connect() as c:
        assert c.get("/status?code=205").status == 205
        assert c.get("/").status == 200


def test_head(server):
    pages = ["/", "/status?code=404", "/length-field", "/file?length=9",
             "/pattern?bytes=100000&length=100000"]
    with server(env={"PROBE_FILE": APPS / "probe.c"}).connect() as c:
        for page in pages:
            get, head = c.get(page), c.get(page, method="HEAD")
            assert head.body == b""
            assert head.status == get.status

            def fields(r):
                return [f for f in r.headers if f[0] != "Date"]

            assert fields(head) == fields(get), page
        for page in ("/chunks", "/parts", "/pattern?bytes=3000000"):
            assert c.get(page, method="HEAD").status == 200
        assert c.get("/").body == b"Hello, World!\n"


def test_hop_fields_are_the_servers(server):
    with server().connect() as c:
        r = c.get("/hop")
        assert r.body == b"body"
        assert r.header("Content-Length") == "4"
        assert r.header("X-Kept") == "yes"
        assert r.header("Transfer-Encoding") is None
        assert r.header("Keep-Alive") is None
        assert r.header("Upgrade") is None
        assert "never" not in r.all("Date")
        assert r.header("Server") != "other"
        assert r.header("Connection") in (None, "keep-alive")
        assert c.get("/").status == 200


def test_length_field(server):
    with server().connect() as c:
        r = c.get("/length-field")
        assert r.body == b"body"
        assert r.header("Content-Length") == "4"
        assert c.get("/").status == 200


# --- the body of the response -------------------------------------------------

def test_body_longer_than_said(server):
    with server().connect() as c:
        for flush in (0, 1):
            r = c.get("/pattern?bytes=100&piece=7&length=20&flush=%d" % flush)
            assert r.body == pattern(20)
            r = c.get("/pattern?bytes=100000&length=20&flush=%d" % flush)
            assert r.body == pattern(20)
        assert c.get("/").body == b"Hello, World!\n"


@pytest.mark.parametrize("target", [
    "/pattern?bytes=10&length=20",
    "/pattern?bytes=10&length=20&flush=1",
    "/pattern?bytes=100000&length=200000",
    "/status?length=5",
])
def test_body_shorter_than_said(server, target):
    """The client sees the end of the connection before that of the body."""
    s = server()
    with s.connect() as c:
        c.send(harness.request(target=target) + harness.request())
        _, status, _, headers = c.head()
        said = int(dict(headers)["Content-Length"])
        rest = c.rest()
        assert status == 200
        assert len(rest) < said
        assert b"HTTP/1.1" not in rest
    assert s.get().status == 200


def test_unknown_length(server):
    with server().connect() as c:
        r = c.get("/pattern?bytes=10&piece=3")
        assert r.body == pattern(10)
        r = c.get("/pattern?bytes=10&piece=3&flush=1")
        assert r.body == pattern(10)
        assert r.header("Transfer-Encoding") == "chunked"
        r = c.get("/pattern?bytes=0")
        assert r.body == b""


@pytest.mark.parametrize("wish", ["", "Connection: keep-alive\r\n"])
def test_unknown_length_http_1_0(server, wish):
    """The end of the connection is that of the body, whatever is wished."""
    s = server()
    r = s.raw("GET /pattern?bytes=10&piece=3&flush=1 HTTP/1.0\r\n%s\r\n"
              % wish)
    head, _, body = r.partition(b"\r\n\r\n")
    assert body == pattern(10)
    assert b"chunked" not in head
    assert b"\r\nConnection: close" in head
    assert b"Content-Length" not in head


def test_known_length_http_1_0_keeps(server):
    with server().connect() as c:
        for _ in range(3):
            r = c.get("/", headers={"Connection": "keep-alive"},
                      version="HTTP/1.0")
            assert r.body == b"Hello, World!\n"


def test_flush_sends_each_piece(server):
    with server().connect() as c:
        c.send(harness.request(target="/chunks"))
        c.head()
        chunks = []
        while not chunks or chunks[-1]:
            chunks.append(c.chunk())
        assert chunks == [b"one more", b"two", b"three", b""]


@pytest.mark.parametrize("flush", [0, 1])
def test_writev_of_many_parts(server, flush):
    r = server().get("/parts?flush=%d" % flush)
    expected = b"".join((b"", b"ab", b"c")[i % 3] for i in range(200))
    assert r.body == expected


@pytest.mark.parametrize("count,size,length", [
    (40, 1000, -1), (40, 1000, 40001), (2000, 100, -1), (2000, 100, 200001),
    (2000, 100, 150050), (512, 1000, -1), (513, 1000, -1), (3, 6000, -1)])
def test_writev_is_one_chunk(bicorn, compile_app, count, size, length):
    """However many parts there are, behind what was gathered."""
    server = bicorn(compile_app(r"""
        #include <bicorn/app.h>
        static char data[2 * %(count)d * %(size)d];
        static struct bicorn_str parts[%(count)d];
        static int load(struct bicorn_load *l)
        {
            int i;
            (void)l;
            for (i = 0; i < %(count)d; i++) {
                parts[i].ptr = data + 2 * i * %(size)d;
                parts[i].len = %(size)d;
                memset(data + 2 * i * %(size)d, 'a' + i %% 23, %(size)d);
            }
            return BICORN_LOADED;
        }
        static void handle(struct bicorn_exchange *x)
        {
            bicorn_respond(x, 200, NULL, 0, %(length)d);
            bicorn_write(x, "x", 1);
            bicorn_writev(x, parts, %(count)d);
        }
        BICORN_APP(.handle = handle, .load = load)
    """ % {"count": count, "size": size, "length": length}))
    whole = b"x" + b"".join(b"%c" % (ord("a") + i % 23) * size
                            for i in range(count))
    with server.connect() as c:
        c.send(harness.request(target="/", headers=[("Connection", "close")]))
        c.head()
        body = c.rest()
    if length >= 0:
        assert body == whole[:length]
    else:
        assert body == b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole)


@pytest.mark.parametrize("length", ["", "&length=20000000"])
def test_large_body(server, length):
    r = server().get("/pattern?bytes=20000000&piece=333333" + length)
    assert r.body == pattern(20000000)


def test_slow_reader(server):
    """More than all buffers hold, to a client that begins to read late.  The
    one thread is free as soon as what is left fits into response_buffer."""
    s = server("--threads", 1, "--response-buffer", "32M")
    with s.connect() as c:
        c.send(harness.request(target="/pattern?bytes=20000000&length=20000000"))
        s.wait_log("probe: wrote 20000000, rc 0")
        assert s.get().status == 200
        assert c.response().body == pattern(20000000)
        assert c.get("/").status == 200


def test_slow_reader_makes_a_writer_wait(server):
    s = server("--threads", 2, "--response-buffer", "64k",
               "--response-spool", 0)
    with s.connect() as c:
        c.send(harness.request(target="/pattern?bytes=14000000&piece=50000"))
        assert s.get().status == 200
        assert "probe: wrote" not in s.log.text()
        assert c.response().body == pattern(14000000)
    s.wait_log("probe: wrote 14000000, rc 0")


def test_slow_reader_is_spooled(server):
    """What memory does not hold goes to a file, and the thread is free."""
    s = server("--threads", 1, "--response-buffer", "64k",
               "--access-logfile", "-")
    with s.connect() as c:
        c.send(harness.request(target="/pattern?bytes=30000000&piece=50000"))
        s.wait_log("probe: wrote 30000000, rc 0")
        assert s.get().status == 200
        assert c.response().body == pattern(30000000)
        assert c.get("/").status == 200


def test_silent_reader_is_given_up(server):
    s = server("--response-buffer", "64k", "--send-timeout", "0.3",
               "--response-spool", 0)
    with s.connect() as c:
        c.send(harness.request(target="/pattern?bytes=300000000"))
        s.wait_log(r"probe: wrote \d+, rc %d" % GONE)


# --- files --------------------------------------------------------------------

@pytest.mark.parametrize("offset,length", [
    (0, -1), (0, 0), (0, 1), (1, -1), (999999, -1), (1000003, -1),
    (2000000, -1), (5, 100), (4097, 500000)])
@pytest.mark.parametrize("sendfile", ["--sendfile", "--no-sendfile"])
def test_send_file(server, data_file, offset, length, sendfile):
    data = data_file.read_bytes()
    expected = data[offset:] if length < 0 else data[offset:offset + length]
    s = server(sendfile, env={"PROBE_FILE": data_file})
    with s.connect() as c:
        target = "/file?offset=%d&len=%d" % (offset, length)
        r = c.get(target)
        assert r.body == expected
        r = c.get(target + "&dup=1&length=%d" % len(expected))
        assert r.body == expected
        r = c.get(target + "&around=1")
        assert r.body == b"<<" + expected + b">>"
        assert c.get("/").status == 200
    # Threads may share the descriptor.
    s.wait_log("file rc")
    assert set(re.findall(r"file rc (-?\d+) offset (\d+)", s.log.text())) == \
        {("0", "0")}


def test_send_file_is_cut(server, data_file):
    with server(env={"PROBE_FILE": data_file}).connect() as c:
        assert c.get("/file?length=10").body == data_file.read_bytes()[:10]
        assert c.get("/").status == 200


@pytest.mark.parametrize("target", [
    "/file?length=1000004", "/file?len=2000000&length=2000000",
    "/file?len=2000000"])
@pytest.mark.parametrize("sendfile", ["--sendfile", "--no-sendfile"])
def test_send_file_that_is_short(server, data_file, target, sendfile):
    s = server(sendfile, env={"PROBE_FILE": data_file})
    with s.connect() as c:
        c.send(harness.request(target=target) + harness.request())
        c.head()
        rest = c.rest()
        assert b"HTTP/1.1" not in rest
        assert not rest.endswith(b"0\r\n\r\n")
    assert s.get().status == 200


def test_send_file_that_is_none(server, data_file):
    r = report(server(env={"PROBE_FILE": data_file}).get("/bad-file"))
    assert r["closed"] != ["0"]
    assert r["offset"] == [str(INVALID)]


def test_send_file_to_slow_reader(server, data_file):
    """A file waits outside of memory; the only thread is free at once."""
    with open(data_file, "ab") as f:
        f.truncate(30000000)
    s = server("--threads", 1, env={"PROBE_FILE": data_file})
    with s.connect() as c:
        c.send(harness.request(target="/file?dup=1&length=30000000"))
        s.wait_log("probe: file rc 0")
        assert s.get().status == 200
        assert c.response().body == data_file.read_bytes()


# --- trailers, informational responses ----------------------------------------

def test_trailers(server):
    with server().connect() as c:
        r = c.get("/trailers")
        assert r.header("Transfer-Encoding") == "chunked"
        assert r.trailers == [("X-Sum", "42"), ("X-Two", "2")]
        assert r.body == b"bad=%d\nframing=%d\n" % (INVALID, INVALID)
        assert c.get("/trailers?flush=0").trailers == r.trailers
        assert c.get("/trailers?length=10").trailers == []
        assert c.get("/trailers", method="HEAD").status == 200
        assert c.get("/").status == 200


def test_inform(server):
    with server().connect() as c:
        c.send(harness.request(target="/inform"))
        for _ in range(2):
            r = c.response()
            assert r.status == 103
            assert r.headers == [("Link", "</a.css>; rel=preload")]
        r = report(c.response())
        assert r["inform"] == r["again"] == [str(OK)]
        assert r["bad"] == r["final"] == r["upgrade"] == [str(INVALID)]
        assert c.get("/").status == 200


def test_inform_http_1_0(server):
    with server().connect() as c:
        r = c.get("/inform", version="HTTP/1.0")
        assert one(r, "inform") == str(OK)


# --- the end ------------------------------------------------------------------

def test_finish(server):
    s = server()
    with s.connect() as c:
        assert c.get("/finish").body == b"done\n"
        assert c.get("/").status == 200
    s.wait_log("probe: finish %d %d, write %d, respond %d" % (
        OK, OK, STATE, STATE))


def test_finish_before_the_work_is_done(server):
    s = server()
    with s.connect() as c:
        assert c.get("/finish?wait=10000").body == b"done\n"
        assert "tidied" not in s.log.text()
    s.wait_log("tidied up")


def test_abort_before_the_head(server):
    s = server()
    for when in ("first", "started"):
        assert s.get("/abort?when=" + when).status == 500
        s.wait_log("probe: aborted, write %d" % STATE)


@pytest.mark.parametrize("length", ["", "&length=100"])
def test_abort_in_the_body(server, length):
    s = server()
    with s.connect() as c:
        c.send(harness.request(target="/abort?when=sent" + length) +
               harness.request())
        _, status, _, headers = c.head()
        assert status == 200
        rest = c.rest()
        assert b"part" in rest
        assert b"HTTP/1.1" not in rest
        assert not rest.endswith(b"0\r\n\r\n")
    assert s.get().status == 200


def test_abort_of_a_body_that_the_end_would_end(server):
    """Only a reset tells an HTTP/1.0 client that it does not have it all."""
    with server().connect() as c:
        c.send("GET /abort?when=sent HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while c._fill():
                pass


def test_gone(server):
    s = server()
    with s.connect() as c:
        c.send(harness.request(target="/gone"))
        s.wait_log("probe: waiting")
    s.wait_log("probe: gone 1")


def test_not_gone(server):
    s = server()
    with s.connect() as c:
        assert c.get("/gone?wait=30").body == b"here\n"
    s.wait_log("probe: gone 0")


def test_write_to_one_who_left(server):
    s = server("--send-timeout", 5)
    c = s.connect()
    c.send(harness.request(target="/until-gone"))
    c.until(b"\r\n\r\n")
    c.reset()
    s.wait_log("probe: write failed with %d" % GONE)
    assert s.get().status == 200


def test_interrupt(server):
    """An exchange over its deadline is dumped and interrupted; the next one
    of the same thread is not."""
    s = server("--threads", 1, "--request-timeout", "0.2")
    with s.connect() as c:
        for _ in range(2):
            mark = s.mark()
            r = c.get("/long")
            assert (r.status, r.body) == (504, b"stopped\n")
            s.wait_log("probe: dump of thread 0", since=mark)
            s.wait_log("probe: interrupt thread 0", since=mark)
            assert c.get("/long?wait=20").body == b"done\n"


# --- taking the connection over -----------------------------------------------

UPGRADE = {"Connection": "Upgrade", "Upgrade": "echo"}


def test_take_over(server):
    s = server()
    with s.connect() as c:
        c.send(harness.request(target="/take-over", headers=UPGRADE))
        _, status, _, headers = c.head()
        assert status == 101
        fields = {k.lower(): v for k, v in headers}
        assert fields["connection"] == "Upgrade"
        assert fields["upgrade"] == "echo"
        assert "content-length" not in fields
        assert "transfer-encoding" not in fields
        c.send("hello")
        assert c.exactly(7) == b"[hello]"
        c.half_close()
        assert c.rest() == b""
    s.wait_log("probe: talk ended with 0, fd ok, respond %d, write %d" % (
        STATE, STATE))
    assert s.get().status == 200


def test_take_over_with_bytes_behind_the_request(server):
    """What came in the same packet belongs to the application."""
    for extra in (b"early", b"x" * 3000):
        with server().connect() as c:
            c.send(harness.request(target="/take-over", headers=UPGRADE) +
                   extra)
            assert c.head()[1] == 101
            assert c.exactly(len(extra) + 2) == b"[" + extra + b"]"
            c.send("later")
            assert c.exactly(7) == b"[later]"


def test_take_over_ends_with_handle(server):
    with server().connect() as c:
        c.send(harness.request(target="/take-over", headers=UPGRADE))
        c.head()
        c.send("quit")
        assert c.rest() == b"[quit]"


def test_take_over_after_a_request(server):
    with server().connect() as c:
        assert c.get("/").status == 200
        c.send(harness.request(target="/take-over", headers=UPGRADE))
        assert c.head()[1] == 101
        c.send("hello")
        assert c.exactly(7) == b"[hello]"


def test_take_over_refused(server):
    s = server()
    for code in (99, 199, 300, 404):
        r = s.get("/take-over?code=%d" % code, headers=UPGRADE)
        assert one(r, "take_over") == str(INVALID)


def test_take_over_timeout(server):
    with server().connect() as c:
        c.send(harness.request(target="/take-over-silent"))
        assert c.head()[1] == 200
        assert c.rest() == b"%d 1\n" % TIMEOUT


def test_take_over_and_write_much(server):
    s = server()
    with s.connect() as c:
        c.send(harness.request(target="/take-over-flood"))
        assert c.head()[1] == 200
        assert len(c.rest()) == 8 << 20
    s.wait_log("probe: flood rc 0")


def test_take_over_the_socket(server):
    s = server("--threads", 1)
    for _ in range(3):
        with s.connect() as c:
            assert c.get("/").status == 200
            c.send(harness.request(target="/take-over-bare"))
            assert c.until(b"\r\n\r\n") == b"HTTP/1.1 101 Bare\r\n\r\n"
            c.send("hello")
            assert c.exactly(5) == b"hello"
            assert c.half_close().rest() == b""
    with s.connect() as c:
        c.send(harness.request(target="/take-over-bare") + b"early")
        assert one(c.response(), "take_over") == str(INVALID)


# --- settings and the log -----------------------------------------------------

def test_settings(server):
    s = server("--threads", 3, "--forwarded-allow-ips", "10.0.0.1,10.0.0.2")

    def setting(name):
        r = s.get("/setting?name=" + name)
        return r.body.decode() if r.status == 200 else None

    assert setting("threads") == "3"
    assert setting("sendfile") == "true"
    assert setting("static_follow") == "false"
    assert setting("forwarded_allow_ips") == "10.0.0.1,10.0.0.2"
    assert setting("bind") == "127.0.0.1:0"
    assert setting("user") is None
    assert setting("nonsense") is None
    assert setting("") is None


def test_log(server):
    s = server()
    assert s.get("/log").status == 200
    s.wait_log(r"\[INFO\] probe: an info line$")
    s.wait_log(r"\[WARNING\] probe: a warning line$")
    s.wait_log(r"\[ERROR\] probe: an error line$")
    s.wait_log(r"\[CRITICAL\] probe: a critical line$")
    s.wait_log(r"\[INFO\] probe: number 7 of nine$")
    s.wait_log(r"probe: split")
    s.wait_log(r"^probe: nothing in front$")
    assert "a debug line" not in s.log.text()


def test_log_level(server):
    s = server("--log-level", "debug")
    assert s.get("/log").status == 200
    s.wait_log(r"\[DEBUG\] probe: a debug line$")


# --- the tour -----------------------------------------------------------------

@pytest.fixture
def tour(bicorn, tmp_path, data_file):
    compile_file(EXAMPLES / "tour.c", tmp_path / "tour.so", *STRICT)

    def start(*args):
        return bicorn(*args, "./tour.so", cwd=tmp_path,
                      env={"TOUR_FILE": data_file})

    return start


def test_tour(tour, data_file):
    s = tour()
    assert b"/stream" in s.get("/").body
    assert s.get("/hello").body == b"Hello, World!\n"
    assert s.get("/hello?a=b&name=you").body == b"Hello, you!\n"
    r = s.get("/stream?count=3")
    assert r.header("Transfer-Encoding") == "chunked"
    assert r.body == b"line 1 of 3\nline 2 of 3\nline 3 of 3\n"
    r = s.get("/echo", method="POST", body=b"a\nb", headers={
        "Content-Type": "text/x"})
    assert (r.body, r.header("Content-Type")) == (b"a\nb", "text/x")
    assert s.get("/echo").status == 405
    assert s.get("/length", method="PUT", body=b"a\nb\n").body == \
        b"4 bytes, 2 lines\n"
    assert s.get("/file").body == data_file.read_bytes()
    assert re.match(rb"thread \d of 4, \d+ requests", s.get("/thread").body)
    assert s.get("/nothing").status == 404
    assert s.get("/talk").status == 426
    with s.connect() as c:
        c.send(harness.request(target="/talk", headers=UPGRADE) + b"hel")
        assert c.head()[1] == 101
        assert c.exactly(3) == b"HEL"
        c.send("lo")
        assert c.exactly(2) == b"LO"


def test_tour_stream_notices_who_leaves(tour):
    s = tour()
    with s.connect() as c:
        c.send(harness.request(target="/stream?count=1000000&pause=5"))
        c.until(b"line 2 of")
    s.wait_log("tour: the client left after")


def test_tour_needs_its_file(run, tmp_path):
    compile_file(EXAMPLES / "tour.c", tmp_path / "tour.so")
    refused(run, "./tour.so", 3, "cannot open /nonexistent", cwd=tmp_path,
            env={"TOUR_FILE": "/nonexistent"})


def test_listeners(bicorn, compile_app, tmp_path):
    server = bicorn(compile_app("""
        #include <bicorn/app.h>

        static void
        handle(struct bicorn_exchange *x)
        {
            struct bicorn_listener l;
            char text[1024];
            int n = 0;
            size_t i;

            for (i = 0; bicorn_listener_at(x->server, i, &l) == BICORN_OK; i++)
                n += snprintf(text + n, sizeof(text) - n,
                    "%.*s %.*s %.*s %u %d %d\\n", (int)l.name.len,
                    l.name.ptr, (int)l.bind.len, l.bind.ptr,
                    (int)l.address.len, l.address.ptr, l.port, l.is_unix,
                    l.tls);
            bicorn_reply(x, 200, "text/plain", text, (size_t)n);
        }

        BICORN_APP(.handle = handle)
    """), "-b", "unix:%s/s" % tmp_path)
    assert server.get("/").body.decode().splitlines() == [
        "%s 127.0.0.1:0 127.0.0.1 %d 0 0" % (server.listeners[0], server.port),
        "unix:{0}/s unix:{0}/s {0}/s 0 1 0".format(tmp_path)]


STATUS = """
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	unsigned before = bicorn_status(x), begun, refused;

	bicorn_respond(x, 201, NULL, 0, BICORN_LENGTH_UNKNOWN);
	begun = bicorn_status(x);
	bicorn_respond(x, 99, NULL, 0, BICORN_LENGTH_UNKNOWN);
	refused = bicorn_status(x);
	bicorn_respond(x, 202, NULL, 0, BICORN_LENGTH_UNKNOWN);
	bicorn_abort(x);
	bicorn_logf(x->server, BICORN_LOG_INFO, "status %u, %u, %u, %u",
	    before, begun, refused, bicorn_status(x));
}

BICORN_APP(.handle = handle)
"""


def test_status(bicorn, compile_app):
    server = bicorn(compile_app(STATUS))
    for _ in range(2):
        assert server.get("/").status == 500
        server.wait_log("status 0, 201, 0, 500")


WRONG = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include <bicorn/app.h>

static struct bicorn_header fields[13];

static int
begin(struct bicorn_exchange *x)
{
	return bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
}

static void
arguments(struct bicorn_exchange *x)
{
	struct bicorn_str part = { NULL, 5 };
	struct bicorn_header bad = { { "X", (size_t)-1 }, { "y", 1 } };
	int rc[10] = { 0 };

	rc[0] = bicorn_respond(x, 200, NULL, 2, 0);
	rc[1] = bicorn_respond(x, 200, &bad, 1, 0);
	bad = (struct bicorn_header){ { "X", 1 }, { NULL, 9 } };
	rc[2] = bicorn_inform(x, 103, &bad, 1);
	begin(x);
	rc[3] = bicorn_write(x, "a", (size_t)-1);
	rc[4] = bicorn_writev(x, NULL, 3);
	rc[5] = bicorn_writev(x, &part, 1);
	rc[6] = bicorn_trailers(x, NULL, 1);
	bicorn_waited(x, INT64_MAX);
	bicorn_waited(x, INT64_MAX);
	if (!bicorn_str_eq(bicorn_header(x, "X-None"), ""))
		rc[7] = 1;
	rc[8] = bicorn_send_file(x, 0, -1, 1);
	rc[9] = bicorn_send_file(x, 0, INT64_MAX, 1);
	for (int i = 0; i < 10; i++)
		bicorn_write(x, rc[i] == BICORN_INVALID ? "i" : "0", 1);
}

/* NULL with a length, or a length that is none, in every call that has one. */
static void
places(struct bicorn_exchange *x)
{
	const struct bicorn_str none = { NULL, 5 }, huge = { "x", (size_t)-1 };
	struct bicorn_header bad = { { NULL, 5 }, { "v", 1 } };
	struct bicorn_str hello = { NULL, 5 };
	char line[1];
	int fd = open("/dev/null", O_RDONLY), rc[10], i;

	rc[0] = bicorn_respond(x, 200, &bad, 1, 0);
	rc[1] = bicorn_inform(x, 103, &bad, 1);
	rc[2] = bicorn_note(x, "n", none);
	rc[3] = bicorn_note(x, "n", huge);
	rc[4] = (int)bicorn_read(x, NULL, 5);
	rc[5] = bicorn_reply(x, 200, NULL, NULL, 5);
	rc[6] = bicorn_reply(x, 200, NULL, "x", (size_t)-1);
	rc[7] = bicorn_write(x, "x", 1) == BICORN_STATE ? BICORN_INVALID : 0;
	if (bicorn_respond_reason(x, 200, hello, NULL, 0, -1) != BICORN_OK)
		return; /* no reason is the usual one */
	rc[8] = bicorn_send_file(x, fd, 0, -5);
	rc[9] = bicorn_trailers(x, &bad, 1);
	close(fd);
	for (i = 0; i < 10; i++)
		bicorn_write(x, rc[i] == BICORN_INVALID ? "i" : "0", 1);
	bicorn_access_line(x, NULL, 0);
	bicorn_access_line(x, line, 1);
}

static void
raw_places(struct bicorn_exchange *x)
{
	bicorn_take_over(x, 101, NULL, 0, NULL);
	if (bicorn_raw_write(x, NULL, 5) == BICORN_INVALID &&
	    bicorn_raw_write(x, "x", (size_t)-1) == BICORN_INVALID &&
	    bicorn_raw_read(x, NULL, 5, 0) == BICORN_INVALID)
		bicorn_raw_write(x, "good", 4);
}

static void
half_good_trailers(struct bicorn_exchange *x)
{
	struct bicorn_header t[2];

	t[0] = bicorn_field("X-Good", "1");
	t[1] = bicorn_field("X-Bad", "a\nb");
	begin(x);
	bicorn_write(x, "b", 1);
	bicorn_flush(x);
	if (bicorn_trailers(x, t, 2) == BICORN_INVALID)
		bicorn_write(x, "i", 1);
}

static void
replaced(struct bicorn_exchange *x)
{
	struct bicorn_header t = bicorn_field("X-First", "1");

	begin(x);
	bicorn_trailers(x, &t, 1);
	begin(x);
	bicorn_write(x, "b", 1);
	bicorn_flush(x);
}

static void
framing(struct bicorn_exchange *x, int upgrade)
{
	int fd;

	fields[0] = bicorn_field("Connection", "Upgrade");
	fields[1] = bicorn_field("Upgrade", "x");
	fields[2] = bicorn_field("Content-Length", "10");
	fields[3] = bicorn_field("Transfer-Encoding", "chunked");
	fields[4] = bicorn_field("Date", "never");
	fields[5] = bicorn_field("Server", "other");
	fields[6] = bicorn_field("Link", "</a.css>");
	if (upgrade) {
		char buf[1];

		fields[7] = bicorn_field("X-Request-ID", "mine");
		bicorn_take_over(x, 101, fields, 8, &fd);
		bicorn_raw_read(x, buf, 1, INT64_MAX);
		bicorn_raw_write(x, buf, 1);
	} else {
		bicorn_inform(x, 103, fields, 7);
		bicorn_reply(x, 200, NULL, "b", 1);
	}
}

static void
error_with_fields(struct bicorn_exchange *x)
{
	for (int i = 0; i < 12; i++)
		fields[i] = bicorn_field("X-Many", "1");
	fields[12] = bicorn_field("content-type", "x/y");
	bicorn_error(x, 404, fields, 13);
}

static void
send_what_cannot_be(struct bicorn_exchange *x, const char *how)
{
	int p[2], fd, rc;

	begin(x);
	if (strcmp(how, "pipe") == 0) {
		if (pipe(p) != 0)
			return;
		rc = bicorn_send_file(x, p[0], 0, -1);
	} else if (strcmp(how, "directory") == 0) {
		fd = open("/", O_RDONLY);
		rc = bicorn_send_file(x, fd, 0, -1);
	} else if (strcmp(how, "closed") == 0) {
		rc = bicorn_send_file(x, -1, 0, 100);
	} else {
		fd = open(__FILE__, O_RDONLY);
		rc = bicorn_send_file(x, fd, 0, INT64_MAX);
	}
	bicorn_logf(x->server, BICORN_LOG_INFO, "%s: %d, then %d", how, rc,
	    bicorn_write(x, "w", 1));
}

static void
handle(struct bicorn_exchange *x)
{
	struct bicorn_str p = x->request->path;
	char how[32];

	if (bicorn_str_eq(p, "/arguments"))
		arguments(x);
	else if (bicorn_str_eq(p, "/places"))
		places(x);
	else if (bicorn_str_eq(p, "/raw"))
		raw_places(x);
	else if (bicorn_str_eq(p, "/trailers"))
		half_good_trailers(x);
	else if (bicorn_str_eq(p, "/replaced"))
		replaced(x);
	else if (bicorn_str_eq(p, "/inform"))
		framing(x, 0);
	else if (bicorn_str_eq(p, "/upgrade"))
		framing(x, 1);
	else if (bicorn_str_eq(p, "/error"))
		error_with_fields(x);
	else {
		snprintf(how, sizeof(how), "%.*s", (int)p.len - 1, p.ptr + 1);
		send_what_cannot_be(x, how);
	}
}

BICORN_APP(.handle = handle)
"""


@pytest.fixture
def wrong(bicorn, compile_app):
    return bicorn(compile_app(WRONG), "--access-logfile", "-")


def test_arguments_that_cannot_be(wrong):
    """NULL with a length, lengths that are none: nothing is sent."""
    assert wrong.get("/arguments").body == b"iiiiiii0ii"


def test_places_that_are_none(wrong):
    """Nothing that happens to be in memory is sent, and nothing crashes."""
    r = wrong.get("/places", method="POST", body=b"hello")
    assert r.body == b"i" * 10
    assert r.reason == "OK"
    with wrong.connect() as c:
        c.send("GET /raw HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
               "Upgrade: x\r\n\r\n")
        c.head()
        assert c.rest() == b"good"


def test_trailers_all_or_none(wrong):
    r = wrong.get("/trailers")
    assert r.body == b"bi"
    assert not r.trailers


def test_a_second_response_has_trailers_of_its_own(wrong):
    r = wrong.get("/replaced")
    assert r.body == b"b"
    assert not r.trailers


def test_informational_response_frames_nothing(wrong):
    with wrong.connect() as c:
        c.send(harness.request(target="/inform"))
        _, status, _, fields = c.head()
        assert status == 103
        assert [n.lower() for n, _ in fields] == ["link"]
        assert c.response().body == b"b"


@pytest.mark.parametrize("options", [
    (), ("--request-id", "X-Request-ID", "--request-id-response")])
def test_upgrade_frames_nothing(bicorn, compile_app, options):
    """No id twice; and a wait as long as can be said is one."""
    with bicorn(compile_app(WRONG), *options).connect() as c:
        c.send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
               "Upgrade: x\r\n\r\n")
        _, status, _, fields = c.head()
        assert status == 101
        assert sorted(n.lower() for n, _ in fields) == [
            "connection", "date", "link", "server", "upgrade", "x-request-id"]
        assert c.quiet()
        c.send("!")
        assert c.rest() == b"!"


def test_error_page_with_many_fields(wrong):
    r = wrong.get("/error")
    assert r.status == 404
    assert [v for n, v in r.headers if n == "X-Many"] == ["1"] * 12
    types = [v for n, v in r.headers if n.lower() == "content-type"]
    assert len(types) == 1 and types[0].startswith("text/"), types


@pytest.mark.parametrize("how", ["pipe", "directory"])
def test_send_file_to_the_end_of_what_has_none(wrong, how):
    assert wrong.get("/" + how).body == b"w"
    wrong.wait_log(r"%s: %d, then 0" % (how, INVALID))


@pytest.mark.parametrize("how", ["closed", "longer"])
def test_send_file_that_cannot_be_read(wrong, how):
    """The application hears why, and no client is said to have left."""
    with wrong.connect() as c:
        c.send(harness.request(target="/" + how))
        c.head()
        assert not c.rest().endswith(b"0\r\n\r\n")
    wrong.wait_log(r"%s: %d, then %d" % (how, IO, STATE))
    wrong.wait_out(r'"GET /%s HTTP/1.1" 200 0 ' % how)
