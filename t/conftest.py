# SPDX-License-Identifier: MIT
"""Fixtures of the test suite; the tools are in harness.py."""
import os
import resource
import signal
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest

import harness


def pytest_configure(config):
    # Some tests hold a thousand connections at once.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config.addinivalue_line(
        "markers", "python: needs a bicorn that was built with Python")
    config.addinivalue_line(
        "markers", "slow: takes long; only with BICORN_SLOW=1")
    config.addinivalue_line(
        "markers", "once: not about the server's code, or what others say "
        "beside it; does not run again with a sanitizer")
    config.addinivalue_line(
        "markers", "alone: asserts times; runs when no other test does")


def pytest_addoption(parser):
    parser.addoption("--alone", choices=["yes", "no", "only"], default="yes",
                     help="what to do with tests that are marked alone")


def pytest_report_header(config):
    return "bicorn: %s, python: %s, sanitizers: %s" % (
        harness.BICORN, harness.PYTHON if harness.HAS_PYTHON else "no",
        harness.SANITIZERS or "none")


def pytest_collection_modifyitems(config, items):
    alone = config.getoption("--alone")
    if alone != "yes":
        items[:] = [i for i in items if
                    bool(i.get_closest_marker("alone")) == (alone == "only")]
    if harness.SANITIZERS:
        items[:] = [i for i in items if not i.get_closest_marker("once")]
    for item in items:
        if item.get_closest_marker("python") and not harness.HAS_PYTHON:
            item.add_marker(pytest.mark.skip("built without Python"))
        if item.get_closest_marker("slow") and \
                not os.environ.get("BICORN_SLOW"):
            item.add_marker(pytest.mark.skip("slow: BICORN_SLOW=1 runs it"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """The last of the deadlines: no test can hold up the others."""
    def too_long(*_):
        pytest.fail("the test took longer than %d s" % limit)

    limit = 20 * harness.DEADLINE if item.get_closest_marker("slow") \
        else 6 * harness.DEADLINE
    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, limit)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def bicorn():
    """Starts servers: bicorn("myapp:app", "--workers", 2, cwd=...).

    Each is stopped at the end of the test, and must not have said that it
    or a sanitizer found a fault."""
    servers = []

    def start(*args, **kw):
        server = harness.Server(*args, **kw)
        servers.append(server)
        return server

    yield start
    alarms = []
    for server in servers:
        try:
            server.stop()
        finally:
            server.kill()
            alarms += server.alarms()
            if server.log.text():
                print("--- log of %d ---" % server.pid)
                print(server.log.text())
    assert not alarms, "\n".join(alarms)


@pytest.fixture
def open_dir(tmp_path):
    """tmp_path, which other users can reach as well."""
    for path in tmp_path, *tmp_path.parents:
        if path == Path(tempfile.gettempdir()) or path == Path.home():
            break
        if path.stat().st_mode & 0o011 != 0o011:
            path.chmod(0o755)
    return tmp_path


@pytest.fixture
def run():
    """Runs bicorn to its end: run("--version").stdout"""
    return harness.run


@pytest.fixture
def wsgi(tmp_path, bicorn):
    """Serves the text of a Python module: wsgi('def app(e, s): ...')."""
    if not harness.HAS_PYTHON:
        pytest.skip("built without Python")

    def start(text, *args, target="webapp:app", **kw):
        (tmp_path / "webapp.py").write_text(textwrap.dedent(text))
        kw.setdefault("cwd", tmp_path)
        return bicorn(*args, target, **kw)

    return start


@pytest.fixture
def compile_app(tmp_path):
    """Builds an application in C and returns the path of the module."""

    def build(text, name="app.so", flags=()):
        source = tmp_path / (name + ".c")
        source.write_text(textwrap.dedent(text))
        module = tmp_path / name
        subprocess.run(
            [*harness.CC.split(), "-shared", "-fPIC", "-O1", "-g", "-Wall",
             "-I", str(harness.SOURCE / "include"), *flags,
             str(source), "-o", str(module)], check=True)
        return module

    return build


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """The module made of t/apps/work.c."""
    module = tmp_path_factory.mktemp("work") / "work.so"
    subprocess.run(
        [*harness.CC.split(), "-shared", "-fPIC", "-O1", "-g", "-Wall",
         "-Wextra", "-I", str(harness.SOURCE / "include"),
         str(harness.SOURCE / "t/apps/work.c"), "-o", str(module)],
        check=True)
    return module


@pytest.fixture(scope="session")
def slow_app(tmp_path_factory):
    """t/apps/slow.c, for clients that are slow or in a hurry."""
    module = tmp_path_factory.mktemp("slow") / "slow.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1", "-g",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "t/apps/slow.c"), "-o", str(module)],
                   check=True)
    return module
