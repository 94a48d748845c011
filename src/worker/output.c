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
#include "worker/worker_private.h"

/* A file that must go through memory goes in pieces of this size. */
#define COPY_ROOM 65536

int
output_wait(struct client *c, short want, int64_t timeout_ms)
{
	int64_t end = timeout_ms < 0 ? CLOCK_NEVER : clock_ms() + timeout_ms;
	struct pollfd p = { .fd = c->conn.fd, .events = want };
	int n, wait;

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

/* Flushes what is kept, and waits while it is above the mark. */
static bool
flush_kept(struct worker *w, struct client *c, size_t mark)
{
	bool progress;

	while (!outbound_empty(&c->out)) {
		enum io io = outbound_flush(&c->out, &c->conn, &progress);

		if (io == IO_ERROR)
			return false;
		if (io == IO_OK || c->out.memory <= mark)
			return true;
		if (output_wait(c, POLLOUT, w->settings->send_timeout_ms) <= 0)
			return false;
	}
	return true;
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

static bool
keep(struct client *c, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		if (!outbound_add(&c->out, iov[i].iov_base, iov[i].iov_len))
			return false;
	return true;
}

bool
output_write(struct worker *w, struct client *c, struct iovec *iov, int count,
    bool more)
{
	size_t mark = (size_t)w->settings->response_buffer_bytes, left, put;

	/* The thread had better not wait for what it can leave behind. */
	for (;;) {
		left = iov_size(iov, count);
		if (left == 0)
			return true;
		if (!flush_kept(w, c, left < mark ? mark - left : 0))
			return false;
		if (!outbound_empty(&c->out))
			return keep(c, iov, count);
		switch (c->conn.transport->write(&c->conn, iov, count, more,
		    &put)) {
		case IO_OK:
			iov_consume(&iov, &count, put);
			break;
		case IO_AGAIN:
			if (left <= mark)
				return keep(c, iov, count);
			if (output_wait(c, POLLOUT,
				w->settings->send_timeout_ms) <= 0)
				return false;
			break;
		default:
			return false;
		}
	}
}

/* For a transport that cannot send from a file, or with sendfile off. */
static bool
copy_file(struct worker *w, struct client *c, int fd, off_t at, size_t len)
{
	char buf[COPY_ROOM];

	while (len > 0) {
		size_t part = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n = fd_pread_all(fd, buf, part, at);
		struct iovec iov = { buf, part };

		if (n != (ssize_t)part ||
		    !output_write(w, c, &iov, 1, len > part))
			return false;
		at += n;
		len -= part;
	}
	return true;
}

bool
output_file(struct worker *w, struct client *c, int fd, off_t at, size_t len)
{
	if (!w->settings->sendfile || c->conn.transport->sendfile == NULL)
		return copy_file(w, c, fd, at, len);
	if (!flush_kept(w, c, (size_t)w->settings->response_buffer_bytes))
		return false;
	while (len > 0 && outbound_empty(&c->out)) {
		size_t put;
		enum io io = c->conn.transport->sendfile(&c->conn, fd, at, len,
		    &put);

		if (io == IO_AGAIN)
			break;
		if (io != IO_OK)
			return false;
		at += (off_t)put;
		len -= put;
	}
	return len == 0 || outbound_add_file(&c->out, fd, at, len);
}
