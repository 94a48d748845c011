/* SPDX-License-Identifier: MIT */
#include "net/conn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/listen.h"

/* Should one of them not pass after all. */
#define TRIES_MAX 64

/* Errors that belong to the one connection, not to the listener. */
static bool
is_passing(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

int
conn_accept(struct conn *c, const struct listener *l)
{
	struct addr peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd, tries = 0;

	do {
		fd = accept4(l->fd, &peer.any, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && is_passing(errno) && ++tries < TRIES_MAX);
	if (fd < 0)
		return -1;

	c->fd = fd;
	c->transport = &transport_plain;
	c->tls = NULL;
	c->proxy = NULL;
	c->listener = l;
	if (l->is_unix)
		peer.any.sa_family = AF_UNSPEC;
	c->peer = peer;
	c->peer_len = (uint8_t)addr_text(&peer, c->peer_text);
	return 0;
}

enum io
conn_peek(struct conn *c, char *buf, size_t room, size_t *got_out)
{
	ssize_t n;

	*got_out = 0;
	do {
		n = recv(c->fd, buf, room, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN
							       : IO_ERROR;
	if (n == 0)
		return IO_EOF;
	*got_out = (size_t)n;
	return IO_OK;
}

bool
conn_skip(struct conn *c, size_t n)
{
	char scratch[1024];

	while (n > 0) {
		ssize_t got = recv(c->fd, scratch,
		    n < sizeof(scratch) ? n : sizeof(scratch), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		n -= (size_t)got;
	}
	return true;
}

void
conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	c->transport->fini(c);
	fd_close(&c->fd);
	free(c->proxy);
	c->proxy = NULL;
}
