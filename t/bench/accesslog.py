#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a line of the access log costs: processor time of the worker per
request of a keep-alive hello in C, which other work on the machine disturbs
less than the time that passes.

    BICORN=build/bicorn t/bench/accesslog.py [REQUESTS [ROUNDS]]

Needs ab (Debian: apache2-utils).
"""
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

HELLO = harness.SOURCE / "etc/examples/hello.c"


def used(pid):
    """Seconds of processor time, of all threads."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in Path("/proc/%d/task" % pid).iterdir()) / 1e9


def measure(args, module, count):
    server = harness.Server(*args, "--threads", "2", module)
    try:
        pid = server.workers()[0]
        command = ["ab", "-q", "-k", "-c", "8", "-n"]
        subprocess.run([*command, "2000", server.url + "/"], check=True,
                       stdout=subprocess.DEVNULL)
        before = used(pid)
        subprocess.run([*command, str(count), server.url + "/"], check=True,
                       stdout=subprocess.DEVNULL)
        return (used(pid) - before) / count * 1e6
    finally:
        server.stop()
        server.kill()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        there = "127.0.0.1:%d" % sink.getsockname()[1]
        module = Path(folder) / "hello.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I",
                        str(harness.SOURCE / "include"), str(HELLO), "-o",
                        str(module)], check=True)
        log = ["--access-logfile", Path(folder) / "access.log"]
        json = [*log, "--access-logformat", "json"]
        modes = {
            "off": [],
            "text": log,
            "json": json,
            "json, id": [*json, "--request-id", "X-Request-ID"],
            "id": ["--request-id", "X-Request-ID"],
            "statsd": ["--statsd-host", there],
            "syslog": ["--log-syslog", "--log-syslog-to", "udp://" + there],
        }
        best = {}
        for _ in range(rounds):
            for name, args in modes.items():
                us = measure(args, module, count)
                best[name] = min(us, best.get(name, us))
        for name, us in best.items():
            print("%-10s %6.2f us/request  %+6.2f" % (name, us,
                                                      us - best["off"]))


if __name__ == "__main__":
    main()
