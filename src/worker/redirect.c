/* SPDX-License-Identifier: MIT */
#include "worker/redirect.h"

#include "base/buf.h"
#include "conf/conf.h"
#include "http/uri.h"
#include "http/uwsgi.h"
#include "net/listen.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/serve.h"
#include "worker/worker_private.h"

#define HTTPS_PORT 443

/* The host that the request is for, without its port; none: len 0. */
static struct span
host_of(const struct inbound *in)
{
	const struct http_head *h = &in->head;
	struct span whole = http_span(in->in.data, h->authority), host, port;

	if (whole.len == 0 && h->host >= 0)
		whole = http_span(in->in.data, h->fields[h->host].value);
	if (!http_uri_authority(whole, &host, &port))
		return SPAN_NONE;
	/* What belongs in no name has no place in an address of ours. */
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '<' ||
		    c == '>' || c == '\\' || c == '^' || c == '`')
			return SPAN_NONE;
	}
	return host;
}

unsigned
redirect_status(const struct worker *w, const struct client *c)
{
	const struct listener *l = c->conn.listener;
	const struct inbound *in = c->in;
	struct span method;

	if (!l->settings->redirect_https || l->tls)
		return 0;
	/* A proxy that is believed says that the client did come by https. */
	if (in->trust.scheme == TRUST_SCHEME_HTTPS || asks_health(w, c))
		return 0;
	method = http_span(in->in.data, in->head.method);
	if (host_of(in).len == 0 || span_eq(method, SPAN("CONNECT")))
		return 400;
	return span_eq(method, SPAN("GET")) || span_eq(method, SPAN("HEAD")) ?
	    301 : 308;
}

bool
redirect_field(const struct client *c, struct buf *b)
{
	const struct settings *s = c->conn.listener->settings;
	const struct inbound *in = c->in;
	const struct http_head *h = &in->head;
	struct span host = host_of(in), path, query;
	bool ok;

	/* PATH_INFO is decoded, and may hold anything. */
	path = http_span(in->in.data,
	    h->cgi != NULL ? h->cgi->raw_path : h->path);
	query = http_span(in->in.data, h->query);
	if (path.len == 0 || path.ptr[0] != '/')
		path = SPAN("/");
	ok = buf_str(b, "Location: https://") &&
	    buf_add(b, host.ptr, host.len);
	if (ok && s->redirect_port != HTTPS_PORT)
		ok = buf_fmt(b, ":%u", (unsigned)s->redirect_port);
	ok = ok && buf_add(b, path.ptr, path.len);
	if (ok && query.len > 0)
		ok = buf_str(b, "?") && buf_add(b, query.ptr, query.len);
	return ok && buf_str(b, "\r\n");
}
