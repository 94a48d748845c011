# SPDX-License-Identifier: MIT
"""How many TLS handshakes a second, and what they cost.

    make bench-handshakes
    BICORN=build/bicorn python3 t/bench/handshakes.py [SECONDS [ROUNDS]]

bicorn with one worker, and nginx with one beside it when it is installed:
full and resumed handshakes, keys of RSA (2048) and ECDSA (P-256), by CLIENTS
(2) processes of openssl s_time.  Shown are handshakes a second, and the
processor time that the server takes for each, all its threads and the kernel
included, which other work on the machine hardly changes.  "bound" is what
the library's own arithmetic for a full handshake takes (t/bench/tls_bound.c),
and "of bound" how near the server comes to it.  Nothing is asserted.

At the end: how long another connection of the same worker waits for its
answer while those handshakes are going on, with RSA keys.
"""
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import harness  # noqa: E402
import pki  # noqa: E402

CLIENTS = int(os.environ.get("CLIENTS", "2"))
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
BOUND = os.environ.get("TLS_BOUND") or str(
    Path(harness.BUILD, "t/bench/tls_bound"))


def processor(pids):
    """Seconds of CPU that they have used."""
    return sum(int(p.read_text().split()[0]) for pid in pids
               for p in Path("/proc/%d/task" % pid).glob("*/schedstat")) / 1e9


def nginx(folder, kind):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    conf = folder / "nginx.conf"
    conf.write_text('''
        worker_processes 1; pid %(d)s/nginx.pid; error_log %(d)s/nginx.err;
        daemon off; events { worker_connections 4096; }
        http { access_log off;
          ssl_certificate %(d)s/%(k)s.pem;
          ssl_certificate_key %(d)s/%(k)s.key;
          server { listen 127.0.0.1:%(p)d ssl;
            location / { return 200 "hello"; } } }
    ''' % {"d": folder, "k": kind, "p": port})
    p = subprocess.Popen(["nginx", "-c", conf], stderr=subprocess.DEVNULL)
    harness.wait_for(lambda: len(harness.children(p.pid)) == 1, "nginx")
    time.sleep(0.5)
    return p, port


def attempts(port, how, seconds):
    """Handshakes made, by all clients."""
    clients = [subprocess.Popen(
        ["openssl", "s_time", "-connect", "127.0.0.1:%d" % port, "-tls1_2",
         how, "-time", str(seconds)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True) for _ in range(CLIENTS)]
    count = 0
    for c in clients:
        out = c.communicate()[0]
        count += int(re.findall(r"(\d+) connections in \d+ real", out)[-1])
    return count


def one(port, pids, how):
    """(a second, CPU ms each)"""
    cpu, begin = processor(pids()), time.monotonic()
    count = attempts(port, how, SECONDS)
    elapsed = time.monotonic() - begin
    return count / elapsed, (processor(pids()) - cpu) * 1000 / count


def bound(key):
    if not Path(BOUND).exists():
        return None
    out = subprocess.run([BOUND, key], capture_output=True, text=True).stdout
    return float(out.split()[2]) if out else None


def hello(folder):
    module = folder / "hello.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O2", "-I",
                    str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "etc/examples/hello.c"),
                    "-o", str(module)], check=True)
    return module


def start(name, folder, kind):
    """(port, a function for the pids of its workers, how to end it)"""
    if name == "nginx":
        p, port = nginx(folder, kind)
        return port, lambda: harness.children(p.pid), \
            lambda: (p.terminate(), p.wait())
    s = harness.Server("--certfile", folder / (kind + ".pem"), "--keyfile",
                       folder / (kind + ".key"), "--threads", 2,
                       folder / "hello.so")
    return s.port, s.workers, s.stop


def median(rows):
    return [statistics.median(x) for x in zip(*rows)]


def rates(folder, names):
    print("%-8s %-6s %-8s %9s %9s %9s %9s" % (
        "server", "key", "how", "per s", "CPU ms", "bound ms", "of bound"))
    for kind in ("rsa", "ec"):
        limits = []
        servers = [(n, *start(n, folder, kind)) for n in names]
        full = {}
        for how in ("-new", "-reuse"):
            rows = {n: [] for n in names}
            for _ in range(ROUNDS):
                for name, port, pids, _end in servers:
                    rows[name].append(one(port, pids, how))
                if how == "-new":
                    limits.append(bound(folder / (kind + ".key")))
            for name in names:
                rate, cpu = median(rows[name])
                text = "%-8s %-6s %-8s %9.0f %9.3f" % (
                    name, kind, "full" if how == "-new" else "resumed", rate,
                    cpu)
                if how == "-new":
                    full[name] = rate, cpu
                    if limits[0] and name == "bicorn":
                        limit = statistics.median(limits)
                        text += " %9.3f %9.2f" % (limit, limit / cpu)
                else:
                    text += "   %.1f times as many, %.1f times cheaper" % (
                        rate / full[name][0], full[name][1] / cpu)
                print(text)
        for _, _, _, end in servers:
            end()


def others(folder):
    """What another client of the worker sees meanwhile."""
    port, _, end = start("bicorn", folder, "rsa")
    ctx = ssl.create_default_context(cafile=str(folder / "rsa.pem"))
    for title, load in (("alone", False), ("with handshakes", True)):
        t = threading.Thread(target=attempts, args=(port, "-new", SECONDS))
        if load:
            t.start()
        times = []
        with harness.Conn(("127.0.0.1", port), tls=ctx) as c:
            stop = time.monotonic() + SECONDS
            while time.monotonic() < stop:
                before = time.perf_counter()
                c.get()
                times.append((time.perf_counter() - before) * 1000)
                time.sleep(0.001)
        if load:
            t.join()
        times.sort()
        print("an open connection, %-15s: median %.3f ms, 99 %% %.3f ms, "
              "most %.3f ms (%d answers)" % (
                  title, times[len(times) // 2],
                  times[len(times) * 99 // 100], times[-1], len(times)))
    end()


def main():
    names = ["bicorn"] + (["nginx"] if shutil.which("nginx") else [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        pki.make_pair(folder, "rsa", pki.RSA)
        pki.make_pair(folder, "ec")
        hello(folder)
        rates(folder, names)
        others(folder)


if __name__ == "__main__":
    main()
