/* SPDX-License-Identifier: MIT */
/*
 * CLIENT_PROXY: a PROXY header, before anything else is read.  It is looked
 * at where it lies, in the socket, and taken from there only when it is
 * complete: what is behind it is for TLS, or for HTTP.
 */
#include "log/log.h"
#include "net/conn.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/front.h"
#include "worker/inbound.h"
#include "worker/serve.h"

/* Who expects TLS cannot be told anything. */
static void
refuse(struct acceptor *a, struct client *c, unsigned status, const char *why)
{
	if (!c->conn.listener->tls)
		c->in = inbound_take(a->w, c);
	if (c->in == NULL) {
		log_debug("Closed a connection from %s: %s",
		    c->conn.peer_len > 0 ? c->conn.peer_text
					 : "a unix socket", why);
		tend_close(a, c);
		return;
	}
	c->fresh = false;
	c->in->refusal = status;
	c->in->reason = why;
	refuse_client(a->w, c, a->now_ms);
	tend_client(a, c);
}

/* Goes on as if the connection had begun here. */
static void
begin(struct acceptor *a, struct client *c, bool more)
{
	c->readable = more || c->peer_closed;
	if (accept_admit(a, c))
		tend_client(a, c);
	else
		tend_close(a, c);
}

static void
take(struct acceptor *a, struct client *c, const struct proxy_header *h,
    bool more)
{
	struct conn *conn = &c->conn;

	if (!front_may_proxy(a->w, c)) {
		refuse(a, c, 403, "a PROXY header of who may not send any");
		return;
	}
	conn->proxy = proxy_info_new(h, &conn->peer);
	if (conn->proxy == NULL || !conn_skip(conn, h->length)) {
		tend_close(a, c);
		return;
	}
	if (h->kind == PROXY_TCP4 || h->kind == PROXY_TCP6) {
		conn->peer = h->source;
		conn->peer_len = (uint8_t)addr_text(&conn->peer,
		    conn->peer_text);
	}
	begin(a, c, more);
}

static void
look(struct acceptor *a, struct client *c, const char *data, size_t len)
{
	const struct listener *l = c->conn.listener;
	struct proxy_header h;

	switch (proxy_parse(data, len, l->proxy_versions, &h)) {
	case PROXY_MORE:
		if (c->peer_closed)
			tend_close(a, c);
		else
			c->readable = false; /* more of it raises an edge */
		return;
	case PROXY_DONE:
		take(a, c, &h, len > h.length);
		return;
	case PROXY_NONE:
		if (l->proxy_required)
			refuse(a, c, 400, "no PROXY header");
		else
			begin(a, c, true);
		return;
	case PROXY_BAD:
		refuse(a, c, 400, h.reason);
		return;
	}
}

void
tend_announced(struct acceptor *a, struct client *c)
{
	char data[PROXY_LENGTH_MAX + 1]; /* shows if more is behind one */
	size_t got;

	tend_timer(a, c);
	if (!c->readable && !c->peer_closed)
		return;
	switch (conn_peek(&c->conn, data, sizeof(data), &got)) {
	case IO_OK:
		look(a, c, data, got);
		return;
	case IO_AGAIN:
		c->readable = false;
		return;
	default:
		tend_close(a, c);
	}
}
