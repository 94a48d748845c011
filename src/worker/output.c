/* SPDX-License-Identifier: MIT */
#include "worker/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "conf/conf.h"
#include "worker/client.h"
#include "worker/loan.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* Files that may wait for one client, each with a descriptor. */
#define FILES_MAX 8
/* Bytes of answers that wait to be sent by one call. */
#define HOLD_MAX 65536

int
output_wait(struct client *c, short want, int64_t timeout_ms)
{
	int64_t now = clock_ms(), end = CLOCK_NEVER;
	struct pollfd p = { .fd = c->conn.fd, .events = want };
	int n, wait;

	if (timeout_ms >= 0 && timeout_ms < CLOCK_NEVER - now)
		end = now + timeout_ms;
	do {
		int64_t left = end == CLOCK_NEVER ? -1 : end - clock_ms();

		if (end != CLOCK_NEVER && left < 0)
			left = 0;
		wait = left > INT_MAX ? INT_MAX : (int)left;
		n = poll(&p, 1, wait);
	} while (n < 0 && errno == EINTR);
	if (n < 0 || (p.revents & (POLLERR | POLLNVAL)) != 0)
		return -1;
	return n > 0 ? 1 : 0;
}

/*
 * Waits until the socket takes bytes again.  What a client makes its thread
 * wait, over all of a response, is bounded by a timeout and by a rate.
 */
static bool
wait_for_room(struct worker *w, struct client *c)
{
	int64_t now = clock_ms(), wait;
	int ready;

	c->slow.since_ms = now;
	wait = slow_wait_ms(w->settings, &c->slow, now);
	if (wait <= 0) {
		tally(w, COUNT_TIMEOUT_SEND);
		return false;
	}
	/* What the other threads want is not kept by one client. */
	if (APP_HAS(w->app.ops, thread_idle))
		w->app.ops->thread_idle(w->app.instance, c->thread);
	ready = output_wait(c, POLLOUT, wait);
	if (ready == 0)
		tally(w, COUNT_TIMEOUT_SEND);
	c->slow.spent_ms += clock_ms() - now;
	return ready > 0;
}

/*
 * Sends what is kept until the socket takes no more, so that epoll tells when
 * it takes some again.
 */
static bool
flush_kept(struct worker *w, struct client *c)
{
	enum io io = IO_OK;
	uint64_t put;

	while (!outbound_empty(&c->out) && io == IO_OK) {
		io = outbound_flush(&c->out, &w->keep, &c->conn, &put);
		c->slow.bytes += put;
	}
	return io == IO_OK || io == IO_AGAIN;
}

bool
output_offer(struct worker *w, struct client *c)
{
	loan_recall(c);
	c->holding = false;
	return flush_kept(w, c);
}

bool
output_drain(struct worker *w, struct client *c)
{
	loan_recall(c);
	c->holding = false;
	while (flush_kept(w, c)) {
		if (outbound_empty(&c->out))
			return true;
		if (!wait_for_room(w, c))
			return false;
	}
	return false;
}

static size_t
iov_size(const struct iovec *iov, int count)
{
	size_t sum = 0;

	for (int i = 0; i < count; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Drops n bytes from the front. */
static void
iov_consume(struct iovec **iov, int *count, size_t n)
{
	while (*count > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (*count > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

/* Keeps what it can; that part is gone from the front of iov. */
static enum outbound_add
keep(struct worker *w, struct client *c, struct iovec **iov, int *count)
{
	while (*count > 0) {
		enum outbound_add rc = outbound_add(&c->out, &w->keep,
		    (*iov)->iov_base, (*iov)->iov_len);

		if (rc != OUTBOUND_KEPT)
			return rc;
		(*iov)++;
		(*count)--;
	}
	return OUTBOUND_KEPT;
}

bool
output_hold(struct worker *w, struct client *c, struct iovec **iov, int *count)
{
	size_t size = iov_size(*iov, *count);

	loan_recall(c);
	if (!c->holding && !outbound_empty(&c->out))
		return false;
	if (size + c->out.memory > HOLD_MAX ||
	    size + c->out.memory > w->keep.memory)
		return false;
	c->holding = true;
	return keep(w, c, iov, count) == OUTBOUND_KEPT;
}

/* Straight to the socket, while nothing is kept that must go before. */
static bool
write_now(struct client *c, struct iovec **iov, int *count, bool more)
{
	while (outbound_empty(&c->out) && iov_size(*iov, *count) > 0) {
		size_t put;

		switch (c->conn.transport->write(&c->conn, *iov, *count, more,
		    &put)) {
		case IO_OK:
			iov_consume(iov, count, put);
			break;
		case IO_AGAIN:
			return true;
		default:
			return false;
		}
	}
	return true;
}

bool
output_write(struct worker *w, struct client *c, struct iovec *iov, int count,
    bool more)
{
	loan_recall(c);
	c->holding = false;
	while (iov_size(iov, count) > 0) {
		if (!flush_kept(w, c))
			return false;
		iov_consume(&iov, &count, c->out.over);
		c->out.over = 0;
		if (!write_now(c, &iov, &count, more))
			return false;
		if (iov_size(iov, count) == 0)
			return true;
		switch (keep(w, c, &iov, &count)) {
		case OUTBOUND_KEPT:
			return true;
		case OUTBOUND_FAILED:
			return false;
		case OUTBOUND_FULL:
			if (!wait_for_room(w, c))
				return false;
		}
	}
	return true;
}

/* For a transport that cannot send from a file, or with sendfile off. */
static enum io
copy_some(struct client *c, int fd, off_t at, size_t len, size_t *put_out)
{
	char buf[OUTBOUND_COPY];
	size_t part = len < sizeof(buf) ? len : sizeof(buf);
	struct iovec iov = { buf, part };

	*put_out = 0;
	if (fd_pread_all(fd, buf, part, at) != (ssize_t)part)
		return IO_EOF;
	return c->conn.transport->write(&c->conn, &iov, 1, len > part,
	    put_out);
}

/* Waits while the client has kept so many files open that it must read. */
static bool
await_files(struct worker *w, struct client *c)
{
	while (flush_kept(w, c)) {
		if (c->out.files < FILES_MAX)
			return true;
		if (!wait_for_room(w, c))
			return false;
	}
	return false;
}

enum io
output_file(struct worker *w, struct client *c, int fd, off_t at, size_t len)
{
	const struct transport *t = c->conn.transport;

	loan_recall(c);
	c->holding = false;
	if (!await_files(w, c))
		return IO_ERROR;
	while (len > 0 && outbound_empty(&c->out)) {
		size_t put;
		enum io io = w->keep.copies || t->sendfile == NULL
		    ? copy_some(c, fd, at, len, &put)
		    : t->sendfile(&c->conn, fd, at, len,
			  len >= OUTBOUND_BULK, &put);

		if (io == IO_AGAIN)
			break;
		if (io != IO_OK)
			return io;
		at += (off_t)put;
		len -= put;
	}
	return len == 0 || outbound_add_file(&c->out, &w->keep, fd, at, len)
	    ? IO_OK
	    : IO_EOF;
}
