/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_CONN_H
#define BICORN_NET_CONN_H

/*
 * A connection: the socket, how to talk over it and who is at the other
 * end.  Has one owner at a time; see worker/client.h for who that is.
 */

#include <stdint.h>

#include "base/addr.h"
#include "net/transport.h"

struct listener;

struct conn {
	int fd; /* non-blocking; -1 once closed */
	const struct transport *transport;
	void *tls; /* the transport's own */
	const struct listener *listener;
	struct addr peer;
	uint8_t peer_len;
	char peer_text[ADDR_TEXT_MAX]; /* "" for a unix socket */
};

/*
 * Accepts one connection from l.  0, or -1 with errno; EAGAIN when there is
 * none.  The caller owns it and ends it with conn_close().
 */
int conn_accept(struct conn *c, const struct listener *l);

/* Frees the transport's part and closes the socket.  May be repeated. */
void conn_close(struct conn *c);

#endif
