# SPDX-License-Identifier: MIT
"""Instructions in user space for each request, and whether they rose.

    make bench-instructions [BENCHFLAGS='--functions 20'] [BENCH=native,wsgi]
    BICORN=build/bicorn python3 t/bench/instructions.py \\
        [--record] [--functions N] [--baseline FILE] [--json FILE] [ROW...]

valgrind counts what a worker with one thread executes, for a number of
requests on one connection and for ten times as many; the difference is free
of start, stop and the connection.  Each request finds all threads asleep.
The figures come from counting, not from a clock: they are the same on a busy
machine and on an idle one.

    server    bicorn itself          the two together are judged: 5 % above
    host      static.so, wsgi.so     the baseline is a rise, and exit code 1
    others    libc, Mbed TLS and so on; judged where the same versions run
    python    libpython: shown, as it is not ours

The baseline was recorded with the compiler, the flags, the architecture and
the libraries that it names.  With another compiler, architecture or flags the
figures are shown, and nothing is judged.  --record writes it anew: that is
right after a change that is worth its price, and the commit says why.
Exit code 2: it could not be measured, and 77: valgrind is missing.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import harness  # noqa: E402
import pki  # noqa: E402

LIMIT = 1.05
FEW, MANY = 320, 3200
DEADLINE = 120
PARTS = "server", "host", "others", "python"

APP = '''
DATA = b"Hello, World!\\n"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "14")])
    return [DATA]
'''

# name: (which application, path, requests at a time, TLS)
ROWS = {
    "native": ("hello.so", "/", 1, False),
    "pipelined": ("hello.so", "/", 16, False),
    "static": ("www/", "/14", 1, False),
    "wsgi": ("instructions_app:app", "/", 1, False),
    "tls": ("hello.so", "/", 1, True),
}


class Failed(Exception):
    pass


# --- what valgrind found ------------------------------------------------------

class Names:
    """Of one kind in its output: "(3) name" at first, then "(3)"."""

    def __init__(self):
        self.known = {}

    def read(self, text):
        number, _, name = text.partition(" ")
        if not number.startswith("("):
            return text
        return self.known.setdefault(number, name)


def own_costs(path):
    """(object, function): its instructions, without what it called."""
    objects, functions = Names(), Names()
    found = Counter()
    obj = fn = ""
    called = False
    for line in path.read_text(errors="replace").splitlines():
        key, is_pair, value = line.partition("=")
        if line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            # "LINE COST"; the line after calls= is what was called.
            if not called:
                found[obj, fn] += int((line.split() + ["0"])[1])
            called = False
        elif not is_pair:
            continue
        elif key == "ob":
            obj = objects.read(value)
        elif key == "cob":
            objects.read(value)
        elif key == "fn":
            fn = functions.read(value)
        elif key == "cfn":
            functions.read(value)
        elif key == "calls":
            called = True
    return found


def part_of(obj):
    name = os.path.basename(obj)
    if name.startswith("bicorn"):
        return "server"
    if name in ("wsgi.so", "static.so", "hello.so"):
        return "host"
    return "python" if name.startswith(("libpython", "python")) else "others"


# --- one run ------------------------------------------------------------------

def worker_of(log, process):
    """Waits until it serves: the worker's pid, and its port."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and process.poll() is None:
        text = log.read_text(errors="replace")
        if "Ready: 1 worker" in text:
            return (int(re.search(r"worker with pid: (\d+)", text)[1]),
                    int(re.search(r"Listening at: \w+://[\d.]+:(\d+)",
                                  text)[1]))
        time.sleep(.02)
    raise Failed("it does not start:\n" + log.read_text(errors="replace"))


def connect(port, tls):
    s = socket.create_connection(("127.0.0.1", port), DEADLINE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls:
        return s
    # One suite, so that all libraries choose the same.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    return context.wrap_socket(s)


def exchange(s, requests, size):
    """Sends them, reads answers of so many bytes."""
    s.sendall(requests)
    while size > 0:
        data = s.recv(1 << 16)
        if not data:
            raise Failed("a connection was closed")
        size -= len(data)


def wait_asleep(pid):
    """
    Until all its threads sleep.  What a request takes depends on who is
    quicker, the client with the next one or the thread on its way to sleep:
    here it is always the thread, so that all runs are alike.
    """
    folder = "/proc/%d/task/" % pid
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        for task in os.listdir(folder):
            with open(folder + task + "/stat", "rb") as f:
                if f.read().rpartition(b") ")[2][:1] != b"S":
                    break
        else:
            return
        os.sched_yield()
    raise Failed("the worker does not come to rest")


def ask(worker, port, count, path, depth, tls):
    one = ("GET %s HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
           "User-Agent: instructions\r\nAccept: */*\r\n\r\n" % path).encode()
    with connect(port, tls) as s:
        s.sendall(one)
        answer = b""
        while not answer.endswith((b"Hello, World!\n", b"xxxxxxxxxx")):
            answer += s.recv(1 << 16)
            if not answer.startswith(b"HTTP/1.1 200 ") or len(answer) > 4096:
                raise Failed("not what was asked for: %r" % answer)
        for _ in range(count // depth):
            wait_asleep(worker)
            exchange(s, one * depth, len(answer) * depth)


def stop(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(folder, name, count):
    """The worker's instructions of a whole life with so many requests."""
    app, path, depth, tls = ROWS[name]
    out, log = folder / "out", folder / "log"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    args = ["--certfile", folder / "a.pem", "--keyfile", folder / "a.key"] \
        if tls else []
    env = harness.environment({"PYTHONHASHSEED": "0",
                               "PYTHONDONTWRITEBYTECODE": "1"})
    with open(log, "wb") as f:
        process = subprocess.Popen(
            ["valgrind", "-q", "--tool=callgrind",
             "--callgrind-out-file=%s/%%p" % out, harness.BICORN,
             "-w", "1", "--threads", "1", "-b", "127.0.0.1:0", "--chdir",
             folder, *args, folder / app if "/" in app or
             app.endswith(".so") else app],
            stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env,
            cwd=folder, start_new_session=True)
    try:
        worker, port = worker_of(log, process)
        ask(worker, port, count, path, depth, tls)
    finally:
        stop(process)
    if not (out / str(worker)).exists():
        raise Failed("valgrind wrote nothing:\n" + log.read_text())
    return own_costs(out / str(worker))


def measure(folder, name, few, many):
    """(part, function): instructions for each request."""
    found = run(folder, name, many)
    found.subtract(run(folder, name, few))
    each = Counter()
    for (obj, fn), n in found.items():
        each[part_of(obj), fn] += n / (many - few)
    return each


# --- the baseline -------------------------------------------------------------

def first_line(*command):
    out = subprocess.run(command, capture_output=True, text=True)
    return (out.stdout.splitlines() or ["unknown"])[0]


def flags():
    """Those that change code: no warnings, nothing for debuggers."""
    words = " ".join(map(harness.make_variable, (
        "CPPFLAGS", "CFLAGS", "BICORN_CFLAGS", "BICORN_SANITIZERS"))).split()
    return " ".join(w for w in words if not w.startswith(("-W", "-g", "-I")))


def version():
    """What bicorn was built with: {"TLS": "Mbed TLS 3.6.2", ...}"""
    text = subprocess.run([harness.BICORN, "--version"], text=True,
                          capture_output=True).stdout
    return dict(re.findall(r"^(\w+): (.*)$", text, re.M))


def circumstances():
    """What the figures depend on."""
    about = version()
    compiler = first_line(*harness.CC.split(), "--version")
    number = re.search(r" (\d+)\.\d", compiler)
    return {
        "compiler": compiler,
        "major": "%s %s" % ("clang" if "clang" in compiler else "gcc",
                            number[1] if number else "?"),
        "machine": platform.machine(),
        "flags": flags(),
        "libraries": ", ".join([" ".join(platform.libc_ver()),
                                about["TLS"], about["WSGI"]]),
    }


def incomparable(now, then):
    """Why nothing can be judged, or ""."""
    return ", ".join(
        "%s is %r and was %r" % (what, now[what], then.get(what))
        for what in ("major", "machine", "flags")
        if now[what] != then.get(what))


def judge(name, parts, before, with_libraries):
    """Lines about what rose."""
    def rose(what, now, then):
        if now > then * LIMIT:
            yield "%s: %s rose by %.1f %%, from %.0f to %.0f" % (
                name, what, (now / then - 1) * 100, then, now)

    ours = ("server", "host")
    yield from rose("server and host", sum(parts[p] for p in ours),
                    sum(before[p] for p in ours))
    if with_libraries:
        yield from rose("with libraries",
                        sum(parts[p] for p in (*ours, "others")),
                        sum(before[p] for p in (*ours, "others")))


# --- all of it ----------------------------------------------------------------

def prepare(folder):
    (folder / "www").mkdir()
    (folder / "www/14").write_bytes(b"x" * 14)
    (folder / "instructions_app.py").write_text(APP)
    pki.make_pair(folder, "a")
    subprocess.run(
        [*harness.CC.split(), "-O2", "-shared", "-fPIC", "-I",
         harness.SOURCE / "include", harness.SOURCE / "etc/examples/hello.c",
         "-o", folder / "hello.so"], check=True)


def show(name, parts, before):
    total = sum(parts.values())
    text = ""
    if before:
        then = sum(before[p] for p in ("server", "host"))
        text = "%+7.2f %%" % (
            ((parts["server"] + parts["host"]) / then - 1) * 100)
    print("%-10s %9.0f %9.0f %9.0f %9.0f %9.0f  %s" % (
        name, *(parts[p] for p in PARTS), total, text), flush=True)


def show_functions(each, count):
    for (part, fn), n in each.most_common(count):
        print("    %9.1f  %-7s %s" % (n, part, fn))


def can_run(name):
    return harness.HAS_PYTHON if name == "wsgi" else \
        "Mbed" in version().get("TLS", "") if name == "tls" else True


def read_baseline(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {"rows": {}}


def compare(options, wanted):
    here = circumstances()
    baseline = read_baseline(options.baseline)
    rows = baseline["rows"]
    why = incomparable(here, baseline) if rows else "there is no baseline"
    same_libraries = here["libraries"] == baseline.get("libraries")
    print("%-10s %9s %9s %9s %9s %9s  %s" % (
        "row", "server", "host", "others", "python", "total",
        "server and host beside the baseline"))
    got, rises = {}, []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder)
        for name in filter(can_run, wanted):
            each = measure(folder, name, options.few, options.many)
            parts = Counter({p: 0 for p in PARTS})
            for (part, _), n in each.items():
                parts[part] += n
            got[name] = {p: round(n, 1) for p, n in parts.items()}
            show(name, parts, rows.get(name))
            show_functions(each, options.functions)
            if name in rows:
                rises += judge(name, parts, rows[name], same_libraries)
    if options.json:
        write(options.json, here, got)
    if options.record:
        # Rows that were not run stay, if they are of the same kind.
        write(options.baseline, here, got if why else {**rows, **got})
        return 0
    if why:
        print("nothing is judged: %s" % why)
        return 0
    print("\n".join(rises) or "no row rose by more than 5 %")
    return 1 if rises else 0


def write(path, about, rows):
    path.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def main():
    a = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--record", action="store_true")
    a.add_argument("--functions", type=int, default=0, metavar="N",
                   help="show the N that take the most")
    a.add_argument("--baseline", type=Path,
                   default=HERE / "instructions.json")
    a.add_argument("--json", type=Path, help="write the figures there")
    a.add_argument("--few", type=int, default=FEW, help="requests")
    a.add_argument("--many", type=int, default=MANY, help="requests")
    a.add_argument("rows", nargs="*", metavar="ROW", help=" ".join(ROWS))
    options = a.parse_args()
    wanted = [n for arg in options.rows for n in arg.split(",")] or list(ROWS)
    unknown = set(wanted) - set(ROWS)
    if unknown:
        a.error("no such row: %s" % ", ".join(sorted(unknown)))
    if options.few % 16 or options.many % 16 or options.few >= options.many:
        a.error("--few and --many: multiples of 16, the second is larger")
    if not shutil.which("valgrind"):
        print("valgrind is not installed", file=sys.stderr)
        return 77
    try:
        return compare(options, wanted)
    except Failed as e:
        print(e, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
