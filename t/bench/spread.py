# SPDX-License-Identifier: MIT
"""How well connections are spread over the workers.

    make bench-spread
    BICORN=build/bicorn python3 t/bench/spread.py

4 workers with 4 threads each.  Requests come at random times, RATE (150) in a
second on average for SECONDS (10); one in 10 is for a view of 300 ms, the
others for one of 2 ms, each on a connection of its own ("single") or on one
of 64 that are kept ("kept").  Of the fast ones come the times, with
accept_balance and without, in turn, ROUNDS (2) times.

Then how evenly 400 requests, one at a time, reach the workers: the share of
the worker that got the fewest and of the one that got the most, where 100 %
would be even.  Nothing is asserted.
"""
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import harness  # noqa: E402

RATE = float(os.environ.get("RATE", "150"))
SECONDS = float(os.environ.get("SECONDS", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))

FLAGS = {"true": "--accept-balance", "false": "--no-accept-balance"}

APP = r"""
#define _GNU_SOURCE
#include <bicorn/app.h>
#include <unistd.h>

static void
handle(struct bicorn_exchange *x)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d", (int)getpid());

	if (bicorn_str_eq(x->request->path, "/slow"))
		usleep(300000);
	else if (bicorn_str_eq(x->request->path, "/fast"))
		usleep(2000);
	bicorn_reply(x, 200, "text/plain", text, (size_t)n);
}

BICORN_APP(.handle = handle)
"""


def build(folder):
    source, module = Path(folder, "app.c"), Path(folder, "app.so")
    source.write_text(APP)
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O2",
                    "-I", str(harness.SOURCE / "include"), str(source),
                    "-o", str(module)], check=True)
    return module


class Client:
    """One connection, made when it is needed."""

    def __init__(self, address, kept):
        self.address, self.kept = address, kept
        self.streams = None

    async def get(self, path):
        if self.streams is None:
            self.streams = await asyncio.open_connection(*self.address)
        reader, writer = self.streams
        writer.write(harness.request("GET", path, close=not self.kept))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head[:20], head
        at = head.lower().index(b"content-length:") + 15
        body = await reader.readexactly(int(head[at:].split(b"\r")[0]))
        if not self.kept:
            writer.close()
            self.streams = None
        return body


async def one(free, address, kept, path, took):
    begun = time.perf_counter()
    client = free.pop(0) if free else Client(address, kept)
    await client.get(path)
    if kept:
        free.append(client)
    if path == "/fast":
        took.append((time.perf_counter() - begun) * 1000)


async def load(address, kept, seed):
    chance = random.Random(seed)
    free, took, tasks = [], [], []
    if kept:
        free = [Client(address, True) for _ in range(64)]
        await asyncio.gather(*(c.get("/") for c in free))
        chance.shuffle(free)
    at = time.perf_counter()
    end = at + SECONDS
    while at < end:
        path = "/slow" if chance.random() < 0.1 else "/fast"
        await asyncio.sleep(max(0, at - time.perf_counter()))
        tasks.append(asyncio.create_task(
            one(free, address, kept, path, took)))
        at += chance.expovariate(RATE)
    await asyncio.gather(*tasks)
    return took


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def start(module, *more):
    return harness.Server("-w", 4, "--threads", 4, *more, module)


def mixture(module):
    print("%-7s %-8s %9s %9s %9s   of the fast ones, ms" % (
        "", "balance", "p50", "p99", "max"))
    for kept in False, True:
        p99 = {"true": [], "false": []}
        for turn in range(ROUNDS):
            for balance in "true", "false":
                server = start(module, FLAGS[balance])
                try:
                    took = asyncio.run(load(server.address, kept, turn))
                finally:
                    server.kill()
                p99[balance].append(percentile(took, 99))
                print("%-7s %-8s %9.1f %9.1f %9.1f" % (
                    "kept" if kept else "single", balance,
                    percentile(took, 50), p99[balance][-1], max(took)))
        print("%-7s p99 without / with: %.1f" % (
            "kept" if kept else "single",
            statistics.median(p99["false"]) / statistics.median(p99["true"])))


def evenness(module):
    for balance in "true", "false":
        server = start(module, FLAGS[balance])
        try:
            bodies = [server.get("/").body for _ in range(400)]
            share = [bodies.count(b"%d" % p) for p in server.workers()]
            kept = [server.connect() for _ in range(40)]
            on = [c.get("/").body for c in kept]
            held = [on.count(b"%d" % p) for p in server.workers()]
        finally:
            server.kill()
        print("balance %-5s  400 single requests: %d..%d %% of even;  "
              "40 kept connections: %d..%d %%" % (
                  balance, min(share), max(share), min(held) * 10,
                  max(held) * 10))


def main():
    with tempfile.TemporaryDirectory() as folder:
        module = build(folder)
        mixture(module)
        evenness(module)


if __name__ == "__main__":
    main()
