/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_CONN_H
#define BICORN_NET_CONN_H

/*
 * A connection: the socket, how to talk over it and who is at the other
 * end.  Has one owner at a time; see worker/client.h for who that is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "net/transport.h"

struct listener;
struct proxy_info;

struct conn {
	int fd; /* non-blocking; -1 once closed */
	const struct transport *transport;
	void *tls; /* the transport's own */
	struct proxy_info *proxy; /* heap: what a PROXY header said; or NULL */
	const struct listener *listener;
	struct addr peer; /* who connected, or for whom, as proxy says */
	bool resumed; /* under TLS: an earlier session goes on */
	uint8_t peer_len;
	char peer_text[ADDR_TEXT_MAX]; /* "" for a unix socket */
};

/*
 * Accepts one connection from l.  0, or -1 with errno; EAGAIN when there is
 * none.  The caller owns it and ends it with conn_close().
 */
int conn_accept(struct conn *c, const struct listener *l);

/*
 * Copies what the socket holds, up to room bytes, and leaves it there.
 * IO_AGAIN: nothing yet.
 */
enum io conn_peek(struct conn *c, char *buf, size_t room, size_t *got_out);

/* Drops n bytes that conn_peek() saw.  False: they are not there. */
bool conn_skip(struct conn *c, size_t n);

/* Frees the transport's part and closes the socket.  May be repeated. */
void conn_close(struct conn *c);

#endif
