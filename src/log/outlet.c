/* SPDX-License-Identifier: MIT */
#include "log/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/patience.h"

#define CONNECT_MS 1000
#define RETRY_MS 1000
#define FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

static int
resolve(struct outlet *o, const struct endpoint *e, struct err *err)
{
	const struct addrinfo hints = {
		.ai_socktype = o->stream ? SOCK_STREAM : SOCK_DGRAM,
	};
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct addrinfo *ai, *first;
	int rc;

	if (e->kind != ENDPOINT_UDP && e->kind != ENDPOINT_TCP) {
		memcpy(sun.sun_path, e->path, sizeof(sun.sun_path));
		memcpy(&o->to, &sun, sizeof(sun));
		o->to_len = sizeof(sun);
		return 0;
	}
	rc = getaddrinfo(e->host, e->port, &hints, &ai);
	if (rc != 0) {
		err_set(err, "%s: %s", e->host, gai_strerror(rc));
		return -1;
	}
	/* Nobody says whether a datagram arrived: most listen to IPv4. */
	for (first = ai; first != NULL && first->ai_family != AF_INET;)
		first = first->ai_next;
	if (first == NULL)
		first = ai;
	memcpy(&o->to, first->ai_addr, first->ai_addrlen);
	o->to_len = first->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

/* A socket on its way there; -1 with errno. */
static int
connecting(const struct outlet *o, bool stream)
{
	int fd = socket(o->to.ss_family,
	    (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);

	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&o->to, o->to_len) != 0 &&
	    errno != EINPROGRESS)
		fd_close(&fd);
	return fd;
}

/* Whether the connection came about. */
static bool
await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0, n;

	do
		n = poll(&p, 1, CONNECT_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error == 0;
}

int
outlet_open(struct outlet *o, const struct endpoint *e, bool patient,
    bool *away_out, struct err *err)
{
	*away_out = false;
	memset(o, 0, sizeof(*o));
	o->fd = -1;
	o->patient = patient;
	o->undecided = e->kind == ENDPOINT_UNIX;
	o->stream = e->kind == ENDPOINT_TCP || e->kind == ENDPOINT_UNIX_STREAM;
	if (resolve(o, e, err) != 0)
		return -1;
	o->fd = connecting(o, o->stream);
	if (o->fd < 0 && errno == EPROTOTYPE && o->undecided) {
		o->stream = true;
		o->fd = connecting(o, true);
	}
	if (o->fd >= 0 && (!o->stream || await(o->fd)))
		return 0;
	/* A number to keep: what is sent to it fails, which looks anew. */
	*away_out = true;
	fd_close(&o->fd);
	o->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (o->fd < 0) {
		err_sys(err, "socket");
		return -1;
	}
	return 0;
}

void
outlet_close(struct outlet *o)
{
	fd_close(&o->fd);
}

/* One thread a second may try; whether a message can be sent again. */
static bool
look_again(struct outlet *o)
{
	int64_t now = clock_coarse_ms();
	int64_t due = atomic_load_explicit(&o->retry_ms, memory_order_relaxed);
	int fd;

	if (now < due || !atomic_compare_exchange_strong(&o->retry_ms, &due,
			     now + RETRY_MS))
		return false;
	fd = connecting(o, o->stream);
	if (fd < 0)
		return false;
	if (dup3(fd, o->fd, O_CLOEXEC) < 0) {
		fd_close(&fd);
		return false;
	}
	fd_close(&fd);
	return true;
}

static bool
put(struct outlet *o, const struct iovec *parts, int count)
{
	struct msghdr m = { .msg_iov = (struct iovec *)parts,
		.msg_iovlen = (size_t)count };
	size_t whole = 0;
	ssize_t n;

	for (int i = 0; i < count; i++)
		whole += parts[i].iov_len;
	for (;;) {
		n = sendmsg(o->fd, &m, FLAGS);
		if (n == (ssize_t)whole)
			return true;
		if (n >= 0) {
			/* Half a message would spoil the next one. */
			shutdown(o->fd, SHUT_RDWR);
			return false;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == ENOBUFS) {
			if (!o->patient || !patience_wait(o->fd, &o->stuck))
				return false;
			continue;
		}
		/* UDP: of the message before, which nobody took. */
		if (errno == ECONNREFUSED && o->to.ss_family != AF_UNIX) {
			n = sendmsg(o->fd, &m, FLAGS);
			if (n == (ssize_t)whole)
				return true;
		}
		if (errno == EMSGSIZE || !look_again(o))
			return false;
	}
}

void
outlet_send(struct outlet *o, const struct iovec *parts, int count)
{
	int saved = errno;

	if (!put(o, parts, count))
		atomic_fetch_add_explicit(&o->lost, 1, memory_order_relaxed);
	else if (atomic_load_explicit(&o->stuck, memory_order_relaxed))
		atomic_store_explicit(&o->stuck, false, memory_order_relaxed);
	errno = saved;
}
