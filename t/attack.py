# SPDX-License-Identifier: MIT
"""Clients that nobody wants, thousands of them from one process.

    python3 t/attack.py KIND HOST PORT COUNT

says "ready" once all are at it, goes on until its standard input ends, and
then says what happened to them.  A connection that the server closed is made
anew a second later: attackers do not give up.
"""
import errno
import heapq
import random
import resource
import select
import socket
import struct
import sys
import time

HEAD = b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Fill: "
WHOLE = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = b"GET /big%s HTTP/1.1\r\nHost: x\r\n\r\n"


def post(length, *fields):
    return b"".join([b"POST /sink HTTP/1.1\r\nHost: x\r\n", length, b"\r\n",
                     *fields, b"\r\n"])


# What is said first, what is said each second, and how.
KINDS = {
    "silent": (b"", b""),
    "head": (HEAD, b"a"),
    "body": (post(b"Content-Length: 100000"), b"a"),
    "stalled body": (post(b"Content-Length: 60000") + b"a" * 50000, b"a"),
    "chunks": (post(b"Transfer-Encoding: chunked"), b"1\r\na\r\n"),
    "expect": (post(b"Content-Length: 9", b"Expect: 100-continue\r\n"), b""),
    "reader": (BIG % b"", b""),     # these read a byte a second
    "small reader": (BIG % b"/less", b""),
    "file reader": (BIG % b"/file", b""),
    "pipeline": (WHOLE * 500, WHOLE),   # and reads nothing
    "idle": (WHOLE, b""),           # keeps its connection for nothing
    # These come again each second.
    "half-closed": (HEAD, None),    # ends its side half-way
    "reset": (post(b"Content-Length: 1000") + b"a", None),
    "leave": (WHOLE, None),         # asks, and resets at once
    "drop": (b"", None),
}


class Attacker:
    """One connection.  step() is called each second."""

    def __init__(self, attack, number):
        self.attack = attack
        self.number = number
        self.sock = None
        self.rest = b""
        self.answered = False

    def open(self):
        a = self.attack
        self.sock = socket.socket(a.family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        if "reader" in a.kind or a.kind == "pipeline":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if a.family == socket.AF_INET:
            # More addresses: there are not ports enough for one.
            self.sock.setsockopt(socket.IPPROTO_IP, 24, 1)
            self.sock.bind(("127.0.0.%d" % (2 + self.number % 50), 0))
        error = self.sock.connect_ex(a.address)
        if error not in (0, errno.EINPROGRESS, errno.EAGAIN):
            a.failed += 1
            self.close()
            return
        a.opened += 1
        self.rest = a.first

    def close(self, reset=True):
        if self.sock is None:
            return
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        self.sock.close()
        self.sock = None

    def send(self):
        """True when all that was to be said is said."""
        try:
            while self.rest:
                self.rest = self.rest[self.sock.send(self.rest):]
        except BlockingIOError:
            return False
        return True

    def look(self):
        """False when the server has ended the connection."""
        if self.attack.kind == "pipeline":
            return True     # it does not read; a reset is seen by send()
        room = 1 if "reader" in self.attack.kind else 65536
        try:
            data = self.sock.recv(room)
        except BlockingIOError:
            return True
        if data.startswith(b"HTTP/1.1 503"):
            self.attack.shed += 1
        if data and not self.answered:
            self.answered = True
            self.attack.answered += 1
        return bool(data)

    def step(self):
        a = self.attack
        try:
            if self.sock is None:
                self.open()
                if self.sock is None:
                    return
                a.poll.register(self.sock, select.POLLOUT)
                a.by_fd[self.sock.fileno()] = self
                return
            if not self.look():
                a.closed += 1
                self.close()
                return
            if a.each is None:
                self.close()
                return
            if not self.rest:
                self.rest = a.each
            self.send()
        except OSError:
            a.closed += 1
            self.close()

    def connected(self):
        """The connection stands: the first words."""
        try:
            if not self.send():
                return
            if self.attack.kind == "half-closed":
                self.sock.shutdown(socket.SHUT_WR)
            elif self.attack.each is None and self.attack.kind != "reset":
                self.close()
        except OSError:
            self.attack.closed += 1
            self.close()


class Attack:
    def __init__(self, kind, address, count):
        self.kind = kind
        self.first, self.each = KINDS[kind]
        self.address = address
        self.family = socket.AF_UNIX if isinstance(address, str) \
            else socket.AF_INET
        self.attackers = [Attacker(self, i) for i in range(count)]
        self.poll = select.poll()
        self.by_fd = {}
        self.opened = self.closed = self.failed = self.shed = 0
        self.answered = 0

    def wait(self, seconds):
        """True while the one who started it wants it to go on."""
        for fd, _ in self.poll.poll(max(0, seconds * 1000)):
            if fd == 0:
                return False
            self.poll.unregister(fd)
            attacker = self.by_fd.pop(fd)
            if attacker.sock is not None and attacker.sock.fileno() == fd:
                attacker.connected()
        return True

    def is_ready(self):
        """Readers wait for the application, once."""
        return "reader" not in self.kind or \
            self.answered >= len(self.attackers)

    def run(self):
        self.poll.register(0, select.POLLIN)
        begun = time.monotonic()
        # What costs the server something at first comes in slowly.
        rate = 1000 if "reader" in self.kind else 5000
        todo = [(begun + i / rate, i) for i in range(len(self.attackers))]
        ready = begun + len(self.attackers) / rate + 1
        while True:
            now = time.monotonic()
            if ready and now > ready and self.is_ready():
                print("ready", flush=True)
                ready = None
            while todo[0][0] <= now:
                at, i = heapq.heappop(todo)
                heapq.heappush(todo, (at + random.uniform(0.9, 1.1), i))
                self.attackers[i].step()
            if not self.wait(min(todo[0][0] - time.monotonic(), 0.1)):
                break
        print("opened %d closed %d failed %d shed %d" % (
            self.opened, self.closed, self.failed, self.shed), flush=True)


def main():
    kind, host, port, count = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Attack(kind, (host, int(port)), int(count)).run()


if __name__ == "__main__":
    main()
