/* SPDX-License-Identifier: MIT */
#include "worker/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/access.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/worker_private.h"

/* What the lookup of a field or variable needs. */
struct source_of_fields {
	const struct client *c;
	const struct exchange *x; /* NULL for a refused request */
};

static struct span
request_field(const struct inbound *in, struct span name)
{
	const struct http_field *f;

	if (in == NULL)
		return SPAN_NONE;
	f = http_head_field(&in->head, in->in.data, name);
	return f != NULL ? http_span(in->in.data, f->value) : SPAN_NONE;
}

/* A field of the response head, which still stands in x->out. */
static struct span
response_field(const struct exchange *x, struct span name)
{
	struct span rest, line, key;

	if (x == NULL || !x->head_sent)
		return SPAN_NONE;
	rest = (struct span){ x->out.data + x->fields_at,
		x->gather_at - x->fields_at };
	while (span_next(&rest, '\n', &line)) {
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (span_next(&line, ':', &key) && span_ieq(key, name) &&
		    line.ptr != NULL)
			return span_trim(line);
	}
	return SPAN_NONE;
}

/* {name}e is a variable of the request, else of the process. */
static struct span
variable(const struct client *c, const struct exchange *x, struct span name)
{
	const struct bicorn_request *v;
	char text[128];

	if (x != NULL) {
		v = &x->request.view;
		if (span_ieq(name, SPAN("REQUEST_METHOD")))
			return (struct span){ v->method.ptr, v->method.len };
		if (span_ieq(name, SPAN("PATH_INFO")))
			return (struct span){ v->path.ptr, v->path.len };
		if (span_ieq(name, SPAN("QUERY_STRING")))
			return (struct span){ v->query.ptr, v->query.len };
		if (span_ieq(name, SPAN("RAW_URI")) ||
		    span_ieq(name, SPAN("REQUEST_URI")))
			return (struct span){ v->target.ptr, v->target.len };
		if (span_ieq(name, SPAN("SERVER_PROTOCOL")))
			return (struct span){ v->protocol.ptr,
				v->protocol.len };
		if (span_ieq(name, SPAN("wsgi.url_scheme")))
			return (struct span){ v->scheme.ptr, v->scheme.len };
	}
	if (span_ieq(name, SPAN("REMOTE_ADDR")))
		return (struct span){ c->conn.peer_text, c->conn.peer_len };
	if (name.len >= sizeof(text))
		return SPAN_NONE;
	if (name.len > 5 &&
	    span_ieq((struct span){ name.ptr, 5 }, SPAN("HTTP_"))) {
		for (size_t i = 5; i < name.len; i++)
			text[i - 5] = name.ptr[i] == '_' ? '-' : name.ptr[i];
		return request_field(c->in,
		    (struct span){ text, name.len - 5 });
	}
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	return span_of(getenv(text));
}

static struct span
lookup(void *arg, char kind, struct span name)
{
	const struct source_of_fields *s = arg;

	switch (kind) {
	case 'i':
		return request_field(s->c->in, name);
	case 'o':
		return response_field(s->x, name);
	default:
		return variable(s->c, s->x, name);
	}
}

static void
fill_line(struct access_record *r, const struct inbound *in)
{
	const struct http_head *h;
	const char *data;

	if (in == NULL || !in->head.line_done)
		return;
	h = &in->head;
	data = in->in.data;
	r->method = http_span(data, h->method);
	r->target = http_span(data, h->target);
	r->path = http_span(data, h->path);
	r->query = http_span(data, h->query);
	r->protocol = h->minor == 0 ? SPAN("HTTP/1.0") : SPAN("HTTP/1.1");
}

void
record_exchange(const struct exchange *x)
{
	struct source_of_fields from = { x->c, x };
	struct access_record r = {
		.remote = { x->c->conn.peer_text, x->c->conn.peer_len },
		.status = x->status,
		.body_bytes = x->put,
		.started_wall = x->started_wall,
		.lookup = lookup,
		.lookup_arg = &from,
	};

	if (x->w->heritage->access == NULL)
		return;
	r.us = (uint64_t)(clock_us() - x->started_us);
	fill_line(&r, x->c->in);
	access_write(x->w->heritage->access, &r);
}

void
record_refusal(struct worker *w, const struct client *c, unsigned status,
    uint64_t body_bytes)
{
	struct source_of_fields from = { c, NULL };
	struct access_record r = {
		.remote = { c->conn.peer_text, c->conn.peer_len },
		.status = status,
		.body_bytes = body_bytes,
		.started_wall = clock_wall(),
		.lookup = lookup,
		.lookup_arg = &from,
	};

	fill_line(&r, c->in);
	access_write(w->heritage->access, &r);
}
