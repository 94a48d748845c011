# SPDX-License-Identifier: MIT
"""The architecture, held by reading the sources and the objects.

src/README has the table of rooms.  An #include that the table does not
allow, a header that does not compile alone, a variable at file scope that
changes, or a symbol that leaks out of the executable fails here.
"""
import re
import shutil
import subprocess

import pytest

import harness
from harness import BUILD, SOURCE

pytestmark = pytest.mark.once

SRC = SOURCE / "src"

# Variables at file scope that may change: the log sink and the signal flags.
STATE_FILES = {
    "log/sink.c",
    "log/log.c",
    "arbiter/signals.c",
    "worker/signals.c",
    "ctl/prompt.c",     # readline's callbacks take no argument
    "worker/forked.c",  # ... nor do those of pthread_atfork()
}


def rooms_table():
    """room -> set of allowed rooms and headers, from src/README."""
    text = (SRC / "README").read_text()
    block = re.search(r"^    room +may include\n((?:    \S+ .*\n)+)", text, re.M)
    table = {}
    for line in block.group(1).splitlines():
        room, *allowed = line.split()
        table[room] = set(allowed) - {"-"}
    return table


def room_of(path):
    parts = path.relative_to(SRC).parts
    return "/".join(parts[:2]) if parts[0] == "hosts" else parts[0]


def sources():
    return sorted(p for p in SRC.rglob("*")
                  if p.suffix in (".c", ".h", ".def"))


def includes(path):
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]',
                      path.read_text(), re.M)


def test_every_folder_is_in_the_table():
    assert {room_of(p) for p in sources()} <= set(rooms_table())


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SRC)))
def test_includes(path):
    table = rooms_table()
    room = room_of(path)
    wrong = []
    for kind, name in includes(path):
        if kind == "<":
            if name.startswith("bicorn/") and room == "base":
                wrong.append(name)
            continue
        if room.startswith("hosts/"):
            # Headers of their own folder, without a room.
            if not (path.parent / name).exists():
                wrong.append(name)
            continue
        other = name.split("/")[0]
        if name == "config.h" or other == room:
            continue
        if name.endswith("_private.h"):
            wrong.append(name + " (private)")
        elif other not in table[room] and name not in table[room]:
            wrong.append(name)
    assert not wrong, "%s may not include %s" % (room, ", ".join(wrong))


def test_makefile_has_every_source():
    text = (SOURCE / "Makefile.am").read_text()
    listed = set(re.findall(r"^\t(src/\S+)", text, re.M))
    listed |= set(re.findall(r"^\w+_SOURCES = (src/\S+)", text, re.M))
    listed -= {"src/README", "src/exports.map", "src/admin/page.html",
               "src/admin/page.c"}  # made of the one before
    assert {str(p.relative_to(SOURCE)) for p in sources()} == listed


def test_makefile_has_every_unit_test():
    text = (SOURCE / "Makefile.am").read_text()
    for folder in ("unit", "fuzz"):
        there = {str(p.relative_to(SOURCE).with_suffix(""))
                 for p in (SOURCE / "t" / folder).glob("*.c")}
        assert there == set(re.findall(r"^\t(t/%s/\w+)(?= |$)" % folder,
                                       text, re.M))


# Third parties, and where they may be seen: in .c files of one room.
THIRD_PARTIES = {
    "libconfig.h": "conf",
    "jansson.h": ("admin", "ctl"),
    "readline/": "ctl",
    "sys/sdt.h": "base",
    "Python.h": "hosts/wsgi",
    "mbedtls/": "tls",
    "psa/": "tls",
    "systemd/": "arbiter",
}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SRC)))
def test_third_parties(path):
    for _, name in includes(path):
        for prefix, room in THIRD_PARTIES.items():
            if name.startswith(prefix):
                # The WSGI host is made of Python: its private headers may.
                assert room_of(path) in (
                    room if isinstance(room, tuple) else (room,)), name
                assert path.suffix == ".c" or room == "hosts/wsgi" or \
                    path.name == "compat.h", name


HEADERS = [p for p in sources() if p.suffix == ".h"]
BASICS = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]


@pytest.mark.parametrize("path", HEADERS, ids=lambda p: str(p.relative_to(SRC)))
def test_header_compiles_alone(path, tmp_path):
    flags = []
    if room_of(path) == "hosts/wsgi":
        if not harness.HAS_PYTHON:
            pytest.skip("built without Python")
        flags = harness.make_variable("PYTHON_CPPFLAGS").split()
    alone = tmp_path / "alone.c"
    alone.write_text('#include "%s"\n#include "%s"\n' % (path, path))
    subprocess.run([*harness.CC.split(), "-std=gnu11", *BASICS, "-I", str(SRC),
                    "-I", str(SOURCE / "include"), *flags, str(alone)],
                   check=True)


@pytest.mark.parametrize("path", HEADERS, ids=lambda p: str(p.relative_to(SRC)))
def test_header_guard(path):
    parts = path.relative_to(SRC).with_suffix("").parts
    text = path.read_text()
    guard = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", text, re.M)
    assert guard, "no guard"
    assert guard.group(1) == guard.group(2)
    wanted = "BICORN_" + "_".join(parts).upper().replace("-", "_")
    wanted = wanted.replace("BICORN_HOSTS_", "BICORN_")
    short = guard.group(1).replace("BICORN_HOSTS_", "BICORN_")
    assert short in (wanted + "_H", wanted)


PUBLIC = """
#include <bicorn/app.h>
static void hello(struct bicorn_exchange *x)
{ bicorn_reply(x, 200, "text/plain", "hello", 5); }
%s
"""
BY_NAME = "BICORN_APP(.handle = hello)"
BY_POSITION = """
extern "C" BICORN_EXPORT const struct bicorn_app bicorn_app;
const struct bicorn_app bicorn_app = {
    sizeof(struct bicorn_app), BICORN_ABI_MAJOR, BICORN_ABI_MINOR,
    hello, nullptr, nullptr, nullptr, nullptr };
"""


@pytest.mark.parametrize("compiler, standard, export", [
    ("cc", "c99", BY_NAME),
    ("cc", "c11", BY_NAME),
    ("clang", "c99", BY_NAME),
    ("c++", "c++11", BY_POSITION),
    ("c++", "c++20", BY_NAME),
    ("clang++", "c++11", BY_POSITION),
    ("clang++", "c++20", BY_NAME),
])
def test_public_header(compiler, standard, export, tmp_path):
    if not shutil.which(compiler):
        pytest.skip(compiler + " is not installed")
    language = "c++" if "++" in compiler else "c"
    source = tmp_path / "app.txt"
    source.write_text(PUBLIC % export)
    # g++ calls every member that is not named a missing one.
    subprocess.run([compiler, "-std=" + standard, "-x", language, "-Wall",
                    "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                    "-Wno-missing-field-initializers",
                    "-I", str(SOURCE / "include"), str(source)], check=True)


def test_public_header_needs_libc_only():
    names = [n for _, n in includes(SOURCE / "include/bicorn/app.h")]
    assert set(names) <= {"stdarg.h", "stddef.h", "stdint.h", "stdio.h",
                          "stdlib.h", "string.h"}


# ---- objects ---------------------------------------------------------------

sanitized = pytest.mark.skipif(
    bool(harness.SANITIZERS), reason="sanitizers add symbols of their own")


# Variables of one thread: the ranks it holds, in debug builds; the text of
# the second that it last wrote; what it does before it waits for a log.
THREAD_CACHES = {
    "base/lock.c": {"held"},
    "log/access.c": {"made", "len", "text"},
    "log/patience.c": {"before", "before_arg"},
}


def nm(*args):
    return subprocess.run(["nm", *map(str, args)], capture_output=True,
                          text=True, check=True).stdout


@sanitized
def test_no_state_at_file_scope():
    found = []
    for obj in sorted((BUILD / "src").rglob("*.o")):
        relative = obj.relative_to(BUILD / "src")
        if ".libs" in relative.parts[:-1]:
            continue
        stem = re.sub(r"^\w+?(_a|_la)?-", "", relative.stem)
        source = str(relative.parent / (stem + ".c"))
        if source in STATE_FILES:
            continue
        table = subprocess.run(["objdump", "-t", str(obj)], check=True,
                               capture_output=True, text=True).stdout
        for line in table.splitlines():
            # A constant that holds addresses is in .data.rel.ro.
            m = re.match(r"\S+ .{6}[O ] (\.data|\.bss|\.tdata|\.tbss|\*COM\*)"
                         r"(\.(?!rel\.ro)\S+)?\s+\S+\s+(?:\.hidden )?([^.\s]\S*)$",
                         line)
            if m and m.group(3).split(".")[0] not in THREAD_CACHES.get(
                    source, ()):
                found.append("%s: %s" % (source, m.group(3)))
    assert not found, "\n".join(found)


@sanitized
def test_executable_exports_nothing():
    symbols = [line.split()[-1] for line in
               nm("-D", "--defined-only", harness.BICORN).splitlines()]
    assert symbols == []


@sanitized
def test_executable_is_not_a_wrapper():
    assert harness.BICORN.read_bytes()[:4] == b"\x7fELF"


def modules():
    return sorted((BUILD / ".libs").glob("*.so"))


@sanitized
def test_modules_are_built():
    names = {p.name for p in modules()}
    assert "static.so" in names
    assert ("wsgi.so" in names) == harness.HAS_PYTHON


@sanitized
@pytest.mark.parametrize("path", modules(), ids=lambda p: p.name)
def test_modules_export_one_symbol(path):
    symbols = [line.split()[-1] for line in
               nm("-D", "--defined-only", path).splitlines()]
    assert symbols == ["bicorn_app"]


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.name)
def test_modules_need_nothing_of_the_server(path):
    dynamic = subprocess.run(["readelf", "-d", str(path)], check=True,
                             capture_output=True, text=True).stdout
    needed = re.findall(r"NEEDED.*\[(.*)\]", dynamic)
    own = ("libc.so", "libpython3", "libpthread", "libm.so", "ld-linux",
           "libasan", "libubsan", "libtsan", "libgcc_s", "libdl")
    assert all(n.startswith(own) for n in needed), needed
