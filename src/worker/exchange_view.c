/* SPDX-License-Identifier: MIT */
/* What an application sees of the connection, and of those in front of it. */
#include "worker/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "http/uwsgi.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/worker_private.h"

/* --- addresses ------------------------------------------------------------ */

static struct bicorn_str
str_from(const char *text)
{
	return (struct bicorn_str){ text, strlen(text) };
}

static struct bicorn_str
str_at(const struct inbound *in, struct http_part part)
{
	return (struct bicorn_str){ in->in.data + part.at, part.len };
}

/* What the variables of a uwsgi request say, where they do. */
static void
fill_cgi(struct bicorn_request *v, const struct inbound *in)
{
	const struct http_cgi *cgi = in->head.cgi;

	if (cgi->remote_addr.len > 0) {
		v->peer_address = str_at(in, cgi->remote_addr);
		v->peer_port = cgi->remote_port;
	}
	if (cgi->server_name.len > 0) {
		v->local_address = str_at(in, cgi->server_name);
		v->local_unix = v->local_unix && cgi->server_port == 0;
	}
	if (cgi->server_port > 0)
		v->local_port = cgi->server_port;
}

void
exchange_fill_addresses(struct bicorn_request *v, const struct client *c)
{
	const struct listener *l = c->conn.listener;

	const struct trust_result *t = &c->in->trust;

	if (t->remote_len > 0) {
		v->peer_address =
		    (struct bicorn_str){ t->remote, t->remote_len };
		v->peer_port = t->remote_port;
	} else {
		v->peer_address = (struct bicorn_str){ c->conn.peer_text,
			c->conn.peer_len };
		v->peer_port = addr_port(&c->conn.peer);
	}
	v->local_address = str_from(l->host);
	v->local_port = l->port;
	v->local_unix = l->is_unix;
	v->tls = c->conn.tls != NULL;
	if (c->in->head.cgi != NULL)
		fill_cgi(v, c->in);
}

int
exchange_listener(const struct bicorn_server *server, size_t number,
    struct bicorn_listener *out)
{
	const struct lent *lent = (const struct lent *)(const void *)server;
	const struct worker *w = lent->worker;
	struct bicorn_listener all = { .size = out->size };
	const struct listener *l;

	if (number >= w->listener_count)
		return BICORN_INVALID;
	l = w->listeners[number];
	all.name = str_from(l->name);
	all.bind = str_from(l->spec);
	all.address = str_from(l->host);
	all.port = l->port;
	all.is_unix = l->is_unix;
	all.tls = l->tls;
	/* As much of it as the application was built to know. */
	memcpy(out, &all, out->size < sizeof(all) ? out->size : sizeof(all));
	return BICORN_OK;
}

/* --- variables ------------------------------------------------------------ */

/* Room for that many in x->variables. */
static bool
reserve_variables(struct exchange *x, size_t count)
{
	struct bicorn_header *grown;

	if (count <= x->variable_room)
		return true;
	grown = realloc(x->variables, count * sizeof(*grown));
	if (grown == NULL)
		return false;
	x->variables = grown;
	x->variable_room = count;
	return true;
}

static void
add_variable(struct exchange *x, size_t *n, struct span name,
    struct span value)
{
	x->variables[*n].name = (struct bicorn_str){ name.ptr, name.len };
	x->variables[*n].value = (struct bicorn_str){ value.ptr, value.len };
	*n += 1;
}

size_t
exchange_variables(struct bicorn_exchange *pub,
    const struct bicorn_header **out)
{
	struct exchange *x = (struct exchange *)(void *)pub;
	const struct proxy_info *proxy = x->c->conn.proxy;
	const struct inbound *in = x->c->in;
	const struct http_cgi *cgi = in->head.cgi;
	size_t n = 0;

	*out = NULL;
	if ((proxy == NULL && cgi == NULL) ||
	    !reserve_variables(x, (proxy != NULL ? proxy->count : 0) +
		    (cgi != NULL ? cgi->variable_count + 1u : 0)))
		return 0;
	for (size_t i = 0; proxy != NULL && i < proxy->count; i++)
		add_variable(x, &n, proxy->variables[i].name,
		    proxy->variables[i].value);
	for (size_t i = 0; cgi != NULL && i < cgi->variable_count; i++)
		add_variable(x, &n,
		    http_span(inbound_head(in), cgi->variables[i].name),
		    http_span(inbound_head(in), cgi->variables[i].value));
	if (cgi != NULL)
		add_variable(x, &n, SPAN("SCRIPT_NAME"),
		    http_span(inbound_head(in), cgi->script_name));
	*out = x->variables;
	return n;
}
