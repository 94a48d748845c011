# SPDX-License-Identifier: MIT
"""Installing, running what was installed, taking it away, and the other ways
to build.  Whole builds are marked slow."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from harness import BUILD, SOURCE, make_variable

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (BUILD / "Makefile").exists(),
                       reason="not in a build folder")]


def command(*args, cwd=BUILD, check=True, **env):
    done = subprocess.run(
        [str(a) for a in args], cwd=cwd, env=harness.environment(env),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check:
        assert done.returncode == 0, done.stdout
    return done


def expand(name):
    """A directory variable of the build, with its references resolved."""
    value = make_variable(name)
    while "$" in value:
        value = re.sub(r"\$[({](\w+)[)}]",
                       lambda m: make_variable(m.group(1)), value)
    return value


def files(root):
    return {"/" + str(p.relative_to(root)) for p in Path(root).rglob("*")
            if not p.is_dir()}


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """DESTDIR with an installation in it."""
    dest = tmp_path_factory.mktemp("staged")
    command("make", "install", "DESTDIR=%s" % dest)
    return dest


def test_what_is_installed(staged):
    lib, doc, man = expand("pkglibdir"), expand("docdir"), expand("mandir")
    wanted = {
        expand("bindir") + "/bicorn",
        expand("sbindir") + "/bicornctl",
        lib + "/static.so",
        expand("includedir") + "/bicorn/app.h",
        expand("pkgconfigdir") + "/bicorn.pc",
        expand("sysconfdir") + "/bicorn.conf",
        man + "/man8/bicorn.8",
        man + "/man5/bicorn.conf.5",
        man + "/man3/bicorn_app.3",
        doc + "/examples/Dockerfile",
        doc + "/examples/apache.conf",
        man + "/man7/bicorn-migrate.7",
        man + "/man7/bicorn-wsgi.7",
        expand("bashcompletiondir") + "/bicorn",
        expand("zshcompletiondir") + "/_bicorn",
        expand("fishcompletiondir") + "/bicorn.fish",
        doc + "/examples/bicorn.conf",
        doc + "/examples/bicorn.logrotate",
        doc + "/examples/bicorn.service",
        doc + "/examples/bicorn.socket",
        doc + "/examples/bicorn@.service",
        doc + "/examples/haproxy.cfg",
        doc + "/examples/hello.c",
        doc + "/examples/kubernetes.yaml",
        doc + "/examples/myapp.py",
        doc + "/examples/nginx.conf",
    }
    if "#define HAVE_ADMIN 1" in harness._CONFIG:
        wanted |= {
            expand("sbindir") + "/bicornctl",
            man + "/man8/bicornctl.8",
            expand("bashcompletiondir") + "/bicornctl",
            expand("zshcompletiondir") + "/_bicornctl",
            expand("fishcompletiondir") + "/bicornctl.fish",
        }
    if harness.HAS_PYTHON:
        wanted.add("%s/%s/wsgi.so" % (lib, make_variable("PYTHON_TAG")))
    have = files(staged)
    assert wanted <= have
    assert all(f.startswith(doc) for f in have - wanted), have - wanted
    assert not [f for f in have if f.endswith(".la")]


def test_pages_are_complete(staged):
    for page in ("man8/bicorn.8", "man5/bicorn.conf.5", "man3/bicorn_app.3",
                 "man7/bicorn-migrate.7", "man7/bicorn-wsgi.7"):
        text = Path(str(staged) + expand("mandir"), page).read_text()
        assert not re.search(r"@\w+@", text)
        assert len(text) > 2000


def installed(staged):
    return Path(str(staged) + expand("bindir")) / "bicorn"


def test_serves_from_where_it_was_put(staged, bicorn, tmp_path, monkeypatch):
    """Also when the whole of it was moved, as here by DESTDIR."""
    monkeypatch.setattr(harness, "BICORN", installed(staged))
    public = tmp_path / "public"
    public.mkdir()
    (public / "index.html").write_text("from a file")
    assert bicorn(str(public) + "/").get("/").body == b"from a file"
    if harness.HAS_PYTHON:
        server = bicorn("myapp:app", cwd=SOURCE / "etc/examples")
        assert server.get("/").body == b"Hello, World!\n"
        maps = Path("/proc/%d/maps" % server.workers()[0]).read_text()
        assert str(staged) in maps and str(BUILD / ".libs") not in maps


def test_application_against_the_installed_header(staged, bicorn, tmp_path):
    found = command("pkg-config", "--cflags", "bicorn", PKG_CONFIG_LIBDIR=str(
        staged) + expand("pkgconfigdir"), PKG_CONFIG_SYSROOT_DIR=staged)
    assert str(staged) in found.stdout
    example = Path(str(staged) + expand("docdir"), "examples/hello.c")
    module = tmp_path / "hello.so"
    command(*harness.CC.split(), "-shared", "-fPIC", "-Wall", "-Werror",
            *found.stdout.split(), example, "-o", module)
    assert bicorn(module).get("/").body == b"Hello, World!\n"
    lines = [line for line in example.read_text().splitlines()
             if line.strip() and not line.startswith("#include")]
    assert len(lines) < 10


def test_configuration_is_kept(tmp_path):
    """An edited bicorn.conf survives make install and make uninstall; an
    untouched one goes, and so does everything else."""
    dest = "DESTDIR=%s" % tmp_path
    conf = Path(str(tmp_path) + expand("sysconfdir")) / "bicorn.conf"
    command("make", "install", dest)
    command("make", "uninstall", dest)
    assert files(tmp_path) == set()
    command("make", "install", dest)
    conf.write_text("workers = 3;\n")
    command("make", "install", dest)
    assert conf.read_text() == "workers = 3;\n"
    command("make", "uninstall", dest)
    assert files(tmp_path) == {"/" + str(conf.relative_to(tmp_path))}


def test_other_names(tmp_path):
    """--program-prefix: whatever finds a program by its name finds it."""
    args = "DESTDIR=%s" % tmp_path, "program_transform_name=s,^,my-,"
    command("make", "install", *args)

    def read(variable, *names):
        folder = Path(str(tmp_path) + expand(variable))
        return [(folder / name).read_text() for name in names]
    for text in read("examplesdir", "bicorn.service", "bicorn@.service"):
        assert "\nExecStart=%s/my-bicorn -c " % expand("bindir") in text
        assert "=man:my-bicorn(8) man:my-bicorn.conf(5)\n" in text
    names = ["bicorn"] + ["bicornctl"] * (BUILD / "bicornctl").exists()
    for name in names:
        bash, = read("bashcompletiondir", "my-" + name)
        assert bash.endswith("complete -F _%s my-%s\n" % (name, name))
        assert "$(%s " % name not in bash
        zsh, = read("zshcompletiondir", "_my-" + name)
        assert zsh.startswith("#compdef my-%s\n" % name)
        fish, = read("fishcompletiondir", "my-%s.fish" % name)
        assert "\ncomplete -c my-%s " % name in fish
        assert not re.search(r"^\s*(complete -c )?%s " % name, fish, re.M)
    assert not [f for f in files(tmp_path) if re.search(
        r"/(_?bicorn(ctl)?(\.fish)?|bicorn(ctl)?\.8)$", f) and
        "/doc/" not in f and not f.endswith("/include/bicorn")]
    command("make", "uninstall", *args)
    assert files(tmp_path) == set()


def test_the_sample_is_a_valid_configuration(run):
    done = run("-c", BUILD / "etc/bicorn.conf", "--print-config")
    assert done.returncode == 0, done.stderr


# ---- whole builds ----------------------------------------------------------

def build(folder, *options, targets=("all",)):
    if (SOURCE / "config.status").exists():
        pytest.skip("the source folder itself is configured")
    folder.mkdir()
    # It need not be fast, and takes half the time.
    command(SOURCE / "configure", "-q", "CFLAGS=-g -O0", *options, cwd=folder)
    for target in targets:
        command("make", "-s", "-j2", target, cwd=folder)
    return folder


@pytest.mark.slow
def test_prefix(tmp_path, bicorn, monkeypatch):
    """./configure --prefix, make, make install, run, the build gone."""
    prefix = tmp_path / "opt"
    folder = build(tmp_path / "b", "--prefix=%s" % prefix,
                   targets=("all", "install"))
    shutil.rmtree(folder)
    monkeypatch.setattr(harness, "BICORN", prefix / "bin/bicorn")
    (prefix / "etc/bicorn.conf").write_text("workers = 2;\n")
    server = bicorn("static=%s" % (SOURCE / "etc/examples"), cwd=tmp_path)
    assert server.get("/myapp.py").status == 200
    assert len(server.workers()) == 2, "the installed bicorn.conf was not read"


@pytest.mark.slow
def test_for_another_machine(tmp_path):
    """What runs during the build is not made by the compiler for that."""
    made = ["etc/bicorn.conf", "man/options.mdoc", "etc/completion/_bicorn"]
    folder = build(tmp_path / "b", "--build=i686-linux-gnu",
                   "--host=x86_64-linux-gnu", "--without-python",
                   targets=made)
    assert not (folder / "man/generate").exists()
    for name in made:
        assert (folder / name).read_text() == (BUILD / name).read_text()


@pytest.mark.slow
def test_without_python(tmp_path, bicorn, run, monkeypatch):
    folder = build(tmp_path / "b", "--without-python", "--without-tls")
    assert not (folder / ".libs/wsgi.so").exists()
    monkeypatch.setattr(harness, "BICORN", folder / "bicorn")
    said = run("--version").stdout
    assert "WSGI: not built in" in said
    assert "TLS: not built in" in said
    done = run("myapp:app", cwd=SOURCE / "etc/examples")
    assert done.returncode == 4
    assert "without Python" in done.stderr
    assert bicorn(str(SOURCE / "etc/examples") + "/").get(
        "/hello.c").status == 200


def pythons():
    """Other Pythons of this machine that can be embedded.  To find out takes
    as long as to read all tests."""
    if not os.environ.get("BICORN_SLOW"):
        return ["any"]
    names = [shutil.which("python3.%d" % n) for n in range(9, 14)]
    names += [str(p) for p in Path(
        os.path.expanduser("~/.pyenv/versions")).glob("3.*/bin/python3")]
    return sorted({n for n in names if n and subprocess.run(
        [n, "-I", str(SOURCE / "m4/python-probe.py")],
        capture_output=True).returncode == 0})


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons())
def test_python(python, tmp_path, bicorn, monkeypatch):
    """The Python that was asked for is the one that runs, whatever other
    python3 is first in PATH."""
    folder = build(tmp_path / "b", "PYTHON=%s" % python)
    monkeypatch.setattr(harness, "BICORN", folder / "bicorn")
    (tmp_path / "who.py").write_text(
        "import os, sys, ssl, json, ctypes\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [('%s|%s|%s' % (sys.version, os.path.realpath(\n"
        "        sys.executable), sys.prefix)).encode()]\n")
    expected = command(
        python, "-c", "import os, sys; print('%s|%s|%s' % (sys.version, "
        "os.path.realpath(sys.executable), sys.prefix), end='')",
        cwd=tmp_path).stdout
    server = bicorn("who:app", cwd=tmp_path)
    assert server.get("/").body.decode() == expected


def test_python_that_cannot_be_embedded(tmp_path):
    """configure says which, why, and what the ways out are."""
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    folder = tmp_path / "b"
    folder.mkdir()
    if (SOURCE / "config.status").exists():
        pytest.skip("the source folder itself is configured")
    done = command(SOURCE / "configure", "-q", "PYTHON=%s" % fake, cwd=folder,
                   check=False)
    assert done.returncode == 1
    assert str(fake) in done.stdout
    assert "--without-python" in done.stdout
