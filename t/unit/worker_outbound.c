/* SPDX-License-Identifier: MIT */
/* Output that a socket did not take: all of it arrives, in order. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "net/conn.h"
#include "worker/outbound.h"

static _Atomic int64_t buffered;

static struct outbound_limits
limits_of(size_t memory, uint64_t spool)
{
	return (struct outbound_limits){ .memory = memory, .spool = spool,
		.buffered = &buffered, .buffered_max = 1 << 30 };
}

/* A connection with little room, and what its reader has got. */
struct pair {
	struct conn c;
	int peer;
	char *got;
	size_t len;
};

static void
pair_open(struct pair *p, const struct transport *t)
{
	int fds[2], size = 1; /* the kernel makes it its least */

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	*p = (struct pair){ .c = { .fd = fds[0], .transport = t },
		.peer = fds[1], .got = malloc(8 << 20) };
}

static void
pair_close(struct pair *p)
{
	close(p->c.fd);
	close(p->peer);
	free(p->got);
}

/* Reads up to n bytes on the other side. */
static size_t
take(struct pair *p, size_t n)
{
	ssize_t got = read(p->peer, p->got + p->len, n);

	if (got <= 0)
		return 0;
	p->len += (size_t)got;
	return (size_t)got;
}

static char
byte_at(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void
fill(char *to, size_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(at + i);
}

static void
got_is_right(const struct pair *p, size_t len)
{
	assert_int_equal(p->len, len);
	for (size_t i = 0; i < len; i++)
		if (p->got[i] != byte_at(i))
			fail_msg("byte %zu of %zu is wrong", i, len);
}

static int
temporary(size_t at, size_t len)
{
	char name[] = "/tmp/bicorn-test-XXXXXX", *data = malloc(len + 1);
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	fill(data, at, len);
	assert_int_equal(fd_pwrite_all(fd, data, len, 0), 0);
	free(data);
	return fd;
}

static enum outbound_add
add(struct outbound *o, const struct outbound_limits *l, size_t at, size_t len)
{
	char *data = malloc(len + 1);
	enum outbound_add rc;

	fill(data, at, len);
	rc = outbound_add(o, l, data, len);
	free(data);
	return rc;
}

/* Sends and reads by turns until all is there: len bytes, as they were. */
static void
drain(struct outbound *o, const struct outbound_limits *l, struct pair *p,
    size_t step, size_t len)
{
	uint64_t put, sum = 0;
	size_t before = p->len;
	enum io io;

	for (int i = 0; !outbound_empty(o); i++) {
		io = outbound_flush(o, l, &p->c, &put);
		assert_true(io == IO_OK || io == IO_AGAIN);
		sum += put;
		take(p, step);
		assert_true(i < 1000000);
	}
	while (take(p, 1 << 16) > 0)
		;
	/* Some may have been on its way before. */
	assert_true(sum <= p->len - before);
	got_is_right(p, len);
}

static void
test_empty(void **state)
{
	struct outbound_limits l = limits_of(1000, 1000);
	struct outbound o = { 0 };
	struct pair p;
	uint64_t put = 7;

	(void)state;
	pair_open(&p, &transport_plain);
	assert_true(outbound_empty(&o));
	assert_int_equal(outbound_add(&o, &l, "x", 0), OUTBOUND_KEPT);
	assert_true(outbound_empty(&o));
	assert_int_equal(outbound_flush(&o, &l, &p.c, &put), IO_OK);
	assert_int_equal(put, 0);
	outbound_drop(&o, &l);
	pair_close(&p);
}

static void
test_memory(void **state)
{
	struct outbound_limits l = limits_of(1 << 20, 0);
	struct pair p;

	(void)state;
	for (size_t step = 1; step < 100000; step = step * 5 + 1) {
		struct outbound o = { 0 };
		size_t at = 0;

		pair_open(&p, &transport_plain);
		for (size_t i = 0; i < 60; i++) {
			size_t len = (i * i * 17) % 3000;

			assert_int_equal(add(&o, &l, at, len), OUTBOUND_KEPT);
			at += len;
			assert_int_equal(o.memory, at);
			assert_int_equal(buffered, at);
		}
		drain(&o, &l, &p, step, at);
		assert_int_equal(o.memory, 0);
		assert_int_equal(buffered, 0);
		pair_close(&p);
	}
}

/* More in between two sends: behind what is there. */
static void
test_more_while_sending(void **state)
{
	struct outbound_limits l = limits_of(1 << 20, 1 << 20);
	struct outbound o = { 0 };
	struct pair p;
	size_t at = 0;
	uint64_t put;

	(void)state;
	pair_open(&p, &transport_plain);
	for (size_t i = 0; i < 300; i++) {
		size_t len = 1 + (i * 131) % 5000;

		assert_int_equal(add(&o, &l, at, len), OUTBOUND_KEPT);
		at += len;
		assert_true(outbound_flush(&o, &l, &p.c, &put) != IO_ERROR);
		take(&p, 3000);
	}
	drain(&o, &l, &p, 4000, at);
	pair_close(&p);
}

static void
test_spool(void **state)
{
	struct outbound_limits l = limits_of(5000, 200000);
	struct outbound o = { 0 };
	struct pair p;
	size_t at = 0;

	(void)state;
	pair_open(&p, &transport_plain);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(add(&o, &l, at, 2000), OUTBOUND_KEPT);
		at += 2000;
		assert_true(o.memory <= 5000);
	}
	assert_non_null(o.spool);
	drain(&o, &l, &p, 7777, at);
	assert_null(o.spool);
	assert_int_equal(buffered, 0);
	pair_close(&p);
}

/* When nothing may be kept any more, it is refused whole. */
static void
test_full(void **state)
{
	struct outbound_limits l = limits_of(5000, 6000);
	struct outbound o = { 0 };
	struct pair p;

	(void)state;
	pair_open(&p, &transport_plain);
	assert_int_equal(add(&o, &l, 0, 4000), OUTBOUND_KEPT);
	assert_int_equal(add(&o, &l, 4000, 5000), OUTBOUND_KEPT);
	assert_int_equal(o.memory, 4000);
	assert_int_equal(add(&o, &l, 9000, 1001), OUTBOUND_FULL);
	assert_int_equal(add(&o, &l, 9000, 100000), OUTBOUND_FULL);
	assert_int_equal(add(&o, &l, 9000, 1000), OUTBOUND_KEPT);
	drain(&o, &l, &p, 1000, 10000);
	/* Now there is room again. */
	assert_int_equal(add(&o, &l, 10000, 5000), OUTBOUND_KEPT);
	drain(&o, &l, &p, 1000, 15000);
	pair_close(&p);
}

/* No folder for the file: the client has to be waited for. */
static void
test_no_folder(void **state)
{
	struct outbound_limits l = limits_of(1000, 100000);
	struct outbound o = { 0 };

	(void)state;
	l.dir = "/nowhere";
	assert_int_equal(add(&o, &l, 0, 900), OUTBOUND_KEPT);
	assert_int_equal(add(&o, &l, 900, 200), OUTBOUND_FULL);
	assert_int_equal(add(&o, &l, 900, 100), OUTBOUND_KEPT);
	outbound_drop(&o, &l);
	assert_true(outbound_empty(&o));
	assert_int_equal(buffered, 0);
}

/* What the whole worker may keep in memory bounds each of its clients. */
static void
test_memory_of_all(void **state)
{
	struct outbound_limits l = limits_of(100000, 100000);
	struct outbound o = { 0 }, other = { 0 };

	(void)state;
	l.buffered_max = 10000;
	assert_int_equal(add(&o, &l, 0, 8000), OUTBOUND_KEPT);
	assert_int_equal(add(&other, &l, 0, 8000), OUTBOUND_KEPT);
	assert_int_equal(o.memory, 8000);
	assert_int_equal(other.memory, 0);
	assert_non_null(other.spool);
	outbound_drop(&o, &l);
	assert_int_equal(add(&other, &l, 0, 8000), OUTBOUND_KEPT);
	assert_int_equal(other.memory, 8000);
	outbound_drop(&other, &l);
	assert_int_equal(buffered, 0);
}

static size_t
open_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Memory, ranges of files and spool, mixed. */
static void
mixed(bool copies)
{
	struct outbound_limits l = limits_of(3000, 1 << 20);
	size_t before = open_descriptors(), at = 0;
	struct outbound o = { 0 };
	struct pair p;

	l.copies = copies;
	pair_open(&p, &transport_plain);
	for (size_t i = 0; i < 30; i++) {
		size_t len = 1 + (i * 7919) % 40000;

		if (i % 3 == 0) {
			int fd = temporary(at - at % 100, len + at % 100);

			assert_true(outbound_add_file(&o, &l, fd,
			    (off_t)(at % 100), len));
			close(fd); /* it has a copy */
		} else {
			assert_int_equal(add(&o, &l, at, len), OUTBOUND_KEPT);
		}
		at += len;
	}
	assert_int_equal(o.files, 5); /* the short ones were copied */
	drain(&o, &l, &p, 50000, at);
	assert_int_equal(o.files, 0);
	pair_close(&p);
	assert_int_equal(open_descriptors(), before);
}

static void
test_mixed(void **state)
{
	(void)state;
	mixed(false);
	mixed(true);
}

/* A short range counts as memory does, and the file is free to change. */
static void
test_short_range(void **state)
{
	struct outbound_limits l = limits_of(1 << 20, 0);
	struct outbound o = { 0 };
	int fd = temporary(0, OUTBOUND_COPY);
	struct pair p;

	(void)state;
	pair_open(&p, &transport_plain);
	assert_true(outbound_add_file(&o, &l, fd, 0, OUTBOUND_COPY));
	assert_int_equal(o.files, 0);
	assert_int_equal(o.memory, OUTBOUND_COPY);
	assert_int_equal(buffered, OUTBOUND_COPY);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	drain(&o, &l, &p, 50000, OUTBOUND_COPY);
	assert_int_equal(buffered, 0);
	pair_close(&p);
}

/* A file that is shorter than was said cannot be made good. */
static void
test_short_file(void **state)
{
	(void)state;
	for (int copies = 0; copies < 2; copies++) {
		struct outbound_limits l = limits_of(3000, 0);
		struct outbound o = { 0 };
		int fd = temporary(0, 1000);
		uint64_t put;
		struct pair p;
		enum io io;

		l.copies = copies;
		pair_open(&p, &transport_plain);
		assert_true(outbound_add_file(&o, &l, fd, 0, 2000));
		do {
			io = outbound_flush(&o, &l, &p.c, &put);
			take(&p, 100000);
		} while (io == IO_AGAIN);
		assert_int_equal(io, IO_ERROR);
		outbound_drop(&o, &l);
		close(fd);
		pair_close(&p);
	}
}

static void
test_drop(void **state)
{
	struct outbound_limits l = limits_of(3000, 1 << 20);
	size_t before = open_descriptors();
	struct outbound o = { 0 };
	int fd = temporary(0, 20000);

	(void)state;
	add(&o, &l, 0, 2000);
	add(&o, &l, 0, 20000);
	assert_true(outbound_add_file(&o, &l, fd, 0, 20000));
	assert_true(outbound_add_file(&o, &l, fd, 0, 20000));
	assert_int_equal(o.files, 2);
	outbound_drop(&o, &l);
	assert_true(outbound_empty(&o));
	assert_int_equal(o.files, 0);
	assert_int_equal(buffered, 0);
	close(fd);
	assert_int_equal(open_descriptors(), before);
	outbound_drop(&o, &l);
}

/* One client does not keep the acceptor for ever. */
static void
test_turns(void **state)
{
	struct outbound_limits l = limits_of(8 << 20, 0);
	struct outbound o = { 0 };
	struct pair p;
	uint64_t put;
	int big = 4 << 20, fds[2];

	(void)state;
	pair_open(&p, &transport_plain);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	dup2(fds[0], p.c.fd);
	dup2(fds[1], p.peer);
	close(fds[0]);
	close(fds[1]);
	for (size_t at = 0; at < 7 << 20; at += 1 << 16)
		assert_int_equal(add(&o, &l, at, 1 << 16), OUTBOUND_KEPT);
	assert_int_equal(outbound_flush(&o, &l, &p.c, &put), IO_OK);
	if (put < 3 << 20) /* else the kernel has no such room */
		assert_false(outbound_empty(&o));
	assert_true(put <= 5 << 20);
	outbound_drop(&o, &l);
	pair_close(&p);
}

/* --- a transport of records ----------------------------------------------- */

/*
 * As TLS: what it was offered becomes a record; one that the socket took in
 * part is not reported before all of it went, and until then what is offered
 * is not looked at.
 */
static struct {
	char record[16384];
	size_t len;
	size_t sent;
	bool sealed; /* it goes as it is, whatever is offered now */
} pending;

static enum io
record_write(struct conn *c, const struct iovec *iov, int count, bool more,
    size_t *put_out)
{
	(void)more;
	*put_out = 0;
	for (int i = 0; pending.sealed == false && i < count; i++) {
		size_t room = sizeof(pending.record) - pending.len;
		size_t len = iov[i].iov_len < room ? iov[i].iov_len : room;

		memcpy(pending.record + pending.len, iov[i].iov_base, len);
		pending.len += len;
	}
	pending.sealed = true;
	while (pending.sent < pending.len) {
		ssize_t n = send(c->fd, pending.record + pending.sent,
		    pending.len - pending.sent, MSG_NOSIGNAL);

		if (n < 0)
			return IO_AGAIN;
		pending.sent += (size_t)n;
	}
	*put_out = pending.len;
	pending.len = pending.sent = 0;
	pending.sealed = false;
	return IO_OK;
}

static const struct transport transport_records = {
	.write = record_write,
};

/*
 * The record was offered before anything was kept: it is longer than what
 * is kept of it.  What goes beyond is told.
 */
static void
test_record_beyond_what_is_kept(void **state)
{
	struct outbound_limits l = limits_of(1000, 0);
	struct outbound o = { 0 };
	char data[16384];
	struct iovec iov = { data, sizeof(data) };
	struct pair p;
	uint64_t put;
	size_t n;
	enum io io;

	(void)state;
	pair_open(&p, &transport_records);
	fill(data, 0, sizeof(data));
	/* The first goes until the socket is full: in part. */
	while ((io = record_write(&p.c, &iov, 1, false, &n)) == IO_OK)
		p.len += take(&p, 0); /* nothing is read */
	assert_int_equal(io, IO_AGAIN);
	assert_int_equal(outbound_add(&o, &l, data, 500), OUTBOUND_KEPT);
	assert_int_equal(outbound_add(&o, &l, data + 500, 10000),
	    OUTBOUND_FULL);
	do {
		take(&p, 100000);
		io = outbound_flush(&o, &l, &p.c, &put);
	} while (io == IO_AGAIN);
	assert_int_equal(io, IO_OK);
	assert_true(outbound_empty(&o));
	assert_int_equal(o.over, sizeof(data) - 500);
	pair_close(&p);
}

/* Memory, spool and files over records. */
static void
test_records(void **state)
{
	struct outbound_limits l = limits_of(3000, 1 << 20);
	struct outbound o = { 0 };
	struct pair p;
	size_t at = 0;

	(void)state;
	pair_open(&p, &transport_records);
	for (size_t i = 0; i < 30; i++) {
		size_t len = 1 + (i * 7919) % 40000;

		if (i % 3 == 0) {
			int fd = temporary(at, len);

			assert_true(outbound_add_file(&o, &l, fd, 0, len));
			close(fd);
		} else {
			assert_int_equal(add(&o, &l, at, len), OUTBOUND_KEPT);
		}
		at += len;
	}
	drain(&o, &l, &p, 5000, at);
	assert_int_equal(o.over, 0);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_more_while_sending),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_memory_of_all),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_short_range),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_record_beyond_what_is_kept),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
