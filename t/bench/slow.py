# SPDX-License-Identifier: MIT
"""How normal requests fare while thousands of clients misbehave.

    make bench-slow
    BICORN=build/bicorn python3 t/bench/slow.py [COUNT [KIND...]]

COUNT attackers of each kind (t/attack.py has the list; 5000, or as many as
descriptors allow) against one worker with 4 threads.  A normal client asks
for a small page meanwhile, over and over, every second time on a connection
of its own.  Then come its count of requests and their times, the memory of
the worker, that of the TCP sockets of the whole system, and the worker's
share of a processor.  SECONDS (6) and SETTINGS of the server can be given in
the environment.  Nothing is asserted.
"""
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import attack  # noqa: E402
import harness  # noqa: E402

SECONDS = float(os.environ.get("SECONDS", "6"))


def build(folder):
    module = Path(folder, "slow.so")
    subprocess.run(
        [*harness.CC.split(), "-shared", "-fPIC", "-O2",
         "-I", str(harness.SOURCE / "include"),
         str(HERE.parent / "apps/slow.c"), "-o", str(module)], check=True)
    return module


def memory(pid):
    """Memory of its own, in MiB."""
    for line in Path("/proc", str(pid), "status").read_text().split("\n"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0


def sockets():
    """Memory in TCP sockets of the whole system, in MiB."""
    said = Path("/proc/net/sockstat").read_text().split()
    return int(said[said.index("mem") + 1]) * resource.getpagesize() / 2**20


def processor(pid):
    """Seconds of CPU it has used."""
    fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def normal(server, seconds):
    """Milliseconds that each of many requests took."""
    took, refused = [], 0
    end = time.monotonic() + seconds
    kept = server.connect()
    while time.monotonic() < end:
        begun = time.perf_counter()
        if len(took) % 2:
            c = server.connect()
            status = c.get("/hello", close=True).status
            c.close()
        else:
            try:
                status = kept.get("/hello").status
            except (OSError, AssertionError):
                kept.close()
                kept = server.connect()
                continue
        took.append((time.perf_counter() - begun) * 1000)
        refused += status != 200
    kept.close()
    return sorted(took), refused


def start_attack(server, kind, count):
    return subprocess.Popen(
        [sys.executable, str(HERE.parent / "attack.py"), kind,
         server.address[0], str(server.port), str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(module, kind, count, settings):
    server = harness.Server("--threads", "4", *settings, module)
    try:
        process = None
        if kind != "nobody":
            process = start_attack(server, kind, count)
            assert process.stdout.readline() == "ready\n"
        pid = server.workers()[0]
        cpu = processor(pid)
        took, refused = normal(server, SECONDS)
        cpu = (processor(pid) - cpu) / SECONDS
        own, kernel, said = memory(pid), sockets(), ""
        if process is not None:
            said = process.communicate()[0].strip()

        def at(share):
            return took[min(len(took) - 1, int(len(took) * share))] \
                if took else float("nan")

        print("%-13s %6d %6d %6d %8.2f %8.2f %8.2f %7.1f %7.0f %4.0f%%  %s" % (
            kind, count, len(took), refused, at(.5), at(.99), at(1), own, kernel,
            cpu * 100, said), flush=True)
    finally:
        server.kill()
        for line in server.alarms():
            print(line)


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    # A response that waits for its reader is a file, and so is a large body.
    count = min(count, (hard - 500) // 3)
    kinds = sys.argv[2:] or ["nobody", *attack.KINDS]
    settings = os.environ.get(
        "SETTINGS", "--worker-connections %d" % (count * 2)).split()
    print("%d attackers of each kind, 4 threads, %s" % (
        count, " ".join(settings)))
    print("%-13s %6s %6s %6s %8s %8s %8s %7s %7s %5s" % (
        "kind", "count", "normal", "not ok", "p50 ms", "p99 ms", "max ms", "MiB",
        "TCP MiB", "cpu"))
    with tempfile.TemporaryDirectory() as folder:
        module = build(folder)
        for kind in kinds:
            # Of 8 MiB for each, 2 GiB: more would measure the disk.
            measure(module, kind, min(count, 250)
                    if kind == "reader" else count, settings)


if __name__ == "__main__":
    main()
