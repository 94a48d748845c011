# SPDX-License-Identifier: MIT
"""--reload: changed files, engines, the page of a broken module; --spew;
--check-config; PasteDeploy."""
import re
import textwrap
import time

import pytest

import harness
from harness import wait_for
from test_dropin import explained

python = pytest.mark.skipif(not harness.HAS_PYTHON,
                            reason="built without Python")


@pytest.fixture
def write(tmp_path):
    """Writes a file as an editor does, and gives the folder."""
    def put(text, name="app.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + "~")
        fresh.write_text(textwrap.dedent(text))
        fresh.rename(path)
        return tmp_path
    return put


def app(text):
    return '''
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [%r]
    ''' % text.encode()


def page(server, text):
    """The page that says so.  A moment longer the worker that leaves answers
    as well, so it is not to be asked for again."""
    def get():
        r = server.get("/x")
        return r if text in r.body else None

    return wait_for(get, "the page that says %r" % text)


def answers(server, text):
    wait_for(lambda: server.get("/").body == text.encode(), text)


@python
@pytest.mark.parametrize("engine", ["auto", "inotify", "poll"])
def test_engines(bicorn, write, engine):
    server = bicorn("app:app", "--reload", "--reload-engine", engine, "-w", "2",
                    cwd=write(app("one")))
    answers(server, "one")
    for text in ("two", "six"):     # as long as the other, in the same second
        at = server.log.count()
        write(app(text))
        server.log.wait("Worker reloading: .*app.py modified", since=at)
        answers(server, text)
        server.log.wait("Ready: 2 workers", since=at)
        # Both workers have seen it, and it counts once.
        assert server.log.text().count("Hang up") == 1 + (text == "six")
        # In place, as some editors do it.
    (write(app("six")) / "app.py").write_text(textwrap.dedent(app("end")))
    answers(server, "end")


@python
def test_preloaded(bicorn, write):
    server = bicorn("app:app", "--reload", "--preload", "-w", "2",
                    cwd=write(app("one")))
    answers(server, "one")
    write("def app(:\n")
    wait_for(lambda: b"SyntaxError" in server.get("/x").body, "the page")
    write(app("two"))
    answers(server, "two")


@python
def test_soon(bicorn, write):
    """Well under a second on a machine that is not busy; no law here."""
    server = bicorn("app:app", "--reload", cwd=write(app("one")))
    start = time.monotonic()
    write(app("two"))
    answers(server, "two")
    assert time.monotonic() - start < harness.DEADLINE / 2


@python
def test_broken_module_is_a_page(bicorn, write):
    server = bicorn("app:app", "--reload", cwd=write(app("one")))
    write("def app(:\n")
    r = page(server, b"SyntaxError")
    assert r.status == 500
    assert r.header("Content-Type").startswith("text/plain")
    assert b"app.py" in r.body and b"support.py" not in r.body
    write("import helper_of_mine\n" + textwrap.dedent(app("two")))
    wait_for(lambda: b"No module named 'helper_of_mine'" in server.get("/").body,
             "another page")
    write("1/0\n", "helper_of_mine.py")
    (write("1/0\n", "helper_of_mine.py") / "app.py").touch()
    wait_for(lambda: b"ZeroDivisionError" in server.get("/").body, "a third one")
    write("x = 1\n", "helper_of_mine.py")     # what app.py imports is watched
    answers(server, "two")


@python
def test_broken_from_the_start(bicorn, write):
    server = bicorn("app:app", "--reload", cwd=write("import nothing_there\n"))
    assert b"nothing_there" in server.get("/").body
    write("app = None\n")
    wait_for(lambda: b"is None" in server.get("/").body, "a page")
    write(app("good"))
    answers(server, "good")


@python
def test_no_page_without_reload(run, write):
    proc = run("app:app", "-b", "127.0.0.1:0", cwd=write("1/0\n"))
    assert proc.returncode == 3
    assert "ZeroDivisionError" in proc.stderr


@python
def test_extra_files(bicorn, write):
    write("1", "templates/a/b/x.html")
    server = bicorn("app:app", "--reload", "--reload-extra-file",
                    "templates/**/*.html", "--reload-extra-file", "one.txt",
                    cwd=write(app("one")))
    first = server.workers()
    for name in ("templates/a/b/x.html", "templates/new.html"):
        at = server.log.count()
        write("2", name)
        server.log.wait("Worker reloading: .*%s modified" % name.split("/")[-1],
                        since=at)
        server.log.wait("Ready", since=at)
    wait_for(lambda: not set(first) & set(server.workers()), "new workers")
    write("3", "templates/x.css")
    at = server.log.count()
    write("here", "one.txt")
    server.log.wait("one.txt modified", since=at)
    assert "x.css" not in server.log.text()


@python
def test_settings_file_reloads(bicorn, write):
    write("raw_env = ['X=1']\n", "gunicorn.conf.py")
    server = bicorn("app:app", "--reload", cwd=write('''
        import os
        def app(environ, start_response):
            start_response("200 OK", [])
            return [os.environ["X"].encode()]
    '''))
    answers(server, "1")
    write("raw_env = [\n", "gunicorn.conf.py")
    server.wait_log("Reload failed")
    answers(server, "1")
    write("raw_env = ['X=2']\n", "gunicorn.conf.py")
    answers(server, "2")


def test_application_in_c(bicorn, compile_app, tmp_path):
    def source(text):
        return '''
            #include <bicorn/app.h>
            static void handle(struct bicorn_exchange *x)
            { bicorn_reply(x, 200, "text/plain", "%s", 3); }
            BICORN_APP(.handle = handle)
        ''' % text
    served = tmp_path / "served.so"
    served.write_bytes(compile_app(source("one")).read_bytes())
    two = compile_app(source("two"))
    server = bicorn(served, "--reload")
    answers(server, "one")
    fresh = tmp_path / "fresh.so"
    fresh.write_bytes(two.read_bytes())
    fresh.rename(served)
    answers(server, "two")


# ---- spew ----

@python
def test_spew(bicorn, write):
    server = bicorn("app:app", "--spew", cwd=write('''
        def helper(n):
            return n + 1
        def app(environ, start_response):
            two = helper(1)
            start_response("200 OK", [("Content-Length", "0")])
            return []
    '''))
    assert server.get("/").status == 200
    server.wait_log(r"^app:5:     two = helper\(1\)$")
    server.wait_log(r"^app:3:     return n \+ 1$")


# ---- check-config ----

@python
@pytest.mark.parametrize("text, code, error", [
    (app("x"), 0, ""),
    ("1/0", 1, "ZeroDivisionError"),
    ("app = None", 1, "is None"),
    ("", 1, "app"),
])
@pytest.mark.parametrize("more", [(), ("--reload",)])
def test_check_config(run, write, text, code, error, more):
    proc = run("--check-config", "app:app", *more, cwd=write(text))
    assert proc.returncode == code
    assert error in proc.stderr


# ---- PasteDeploy ----

INI = '''
    [DEFAULT]
    greeting = hello

    [app:main]
    paste.app_factory = pasted:make
    name = main

    [app:other]
    paste.app_factory = pasted:make
    name = other

    [server:main]
    use = egg:gunicorn#main
    host = 127.0.0.1
    port = 0
    workers = 2
    threads = 3
'''


@pytest.fixture
def pasted(write):
    pytest.importorskip("paste.deploy")
    if not harness.HAS_PYTHON:
        pytest.skip("built without Python")
    write('''
        def make(global_conf, name):
            text = "%s %s" % (global_conf["greeting"], name)
            def app(environ, start_response):
                start_response("200 OK", [])
                return [text.encode()]
            return app
    ''', "pasted.py")
    return write(INI, "site.ini")


@pytest.mark.parametrize("words, text", [
    (["--paste", "site.ini"], "hello main"),
    (["--paster", "site.ini#other"], "hello other"),
    (["--paste", "site.ini", "--paste-global", "greeting=bye"], "bye main"),
])
def test_paste(bicorn, pasted, words, text):
    server = bicorn(*words, cwd=pasted)
    assert server.get("/").body == text.encode()
    assert len(server.workers()) == 2


def test_paste_server_section(run, pasted):
    table = explained(run, "--paste", "site.ini", cwd=pasted)
    assert table["bind"][:2] == ("127.0.0.1:0", "site.ini, line 16")
    assert table["workers"][:2] == ("2", "site.ini, line 17")
    table = explained(run, "--paste", "site.ini", "-w", "5", cwd=pasted,
                      env={"BICORN_THREADS": "7", "WEB_CONCURRENCY": "9"})
    assert table["workers"][0] == "5" and table["threads"][0] == "7"


LOGGERS = '''
    [loggers]
    keys = root, access
    [handlers]
    keys = out
    [formatters]
    keys = plain
    [logger_root]
    handlers = out
    [logger_access]
    qualname = gunicorn.access
    level = INFO
    propagate = 0
    handlers = out
    [handler_out]
    class = StreamHandler
    args = (sys.stdout,)
    formatter = plain
    [formatter_plain]
    format = of the file: %(message)s
'''


def test_paste_loggers(bicorn, pasted, write):
    """They are logconfig then, as in gunicorn."""
    write(INI + LOGGERS, "site.ini")
    server = bicorn("--paste", "site.ini", cwd=pasted)
    server.get("/")
    server.wait_out('^of the file: 127.0.0.1 .* "GET / HTTP/1.1" 200 ')


def test_paste_mistakes(run, pasted):
    proc = run("--paste", "missing.ini", cwd=pasted)
    assert proc.returncode == 1 and "missing.ini" in proc.stderr
    proc = run("--paste", "site.ini#nobody", "-b", "127.0.0.1:0", cwd=pasted)
    assert proc.returncode == 3 and "nobody" in proc.stderr
    assert re.search(r"LookupError", proc.stderr)
