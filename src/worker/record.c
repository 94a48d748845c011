/* SPDX-License-Identifier: MIT */
#include "worker/record.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/uwsgi.h"
#include "log/access.h"
#include "log/statsd.h"
#include "tls/tls.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* What the lookup of a field or variable needs. */
struct source_of_fields {
	struct client *c;
	const struct exchange *x; /* NULL for a refused request */
	bool given_up;            /* there is no response of x */
	char scratch[16];         /* of a number as text */
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

struct span
record_field(const struct client *c, struct span name)
{
	return request_field(c->in, name);
}

/* --- notes: two lengths, name and value, one behind the other ------------- */

/* What all notes of a request may take. */
#define NOTES_MAX 65536

struct note {
	uint32_t name_len;
	uint32_t value_len;
};

bool
record_note(struct exchange *x, struct span name, struct span value)
{
	const struct note n = { (uint32_t)name.len, (uint32_t)value.len };
	struct buf *b = &x->notes;

	if (name.len > NOTES_MAX || value.len > NOTES_MAX ||
	    b->len > NOTES_MAX ||
	    !buf_reserve(b, sizeof(n) + name.len + value.len))
		return false;
	buf_add(b, &n, sizeof(n));
	buf_add(b, name.ptr, name.len);
	return buf_add(b, value.ptr, value.len);
}

/* The last note of that name. */
static struct span
find_note(const struct exchange *x, struct span name)
{
	struct span found = SPAN_NONE;
	struct note n;

	for (size_t at = 0; at < x->notes.len;
	     at += sizeof(n) + n.name_len + n.value_len) {
		const char *p = x->notes.data + at;

		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		if (span_ieq(name, (struct span){ p, n.name_len }))
			found = (struct span){ p + n.name_len, n.value_len };
	}
	return found;
}

/* A field of the response head, which still stands in x->out. */
static struct span
response_field(const struct exchange *x, struct span name)
{
	struct span rest, line, key;

	if (!x->head_sent)
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

/* Variables of an environ that are spans of the request. */
static const struct {
	struct span name;
	size_t at; /* of a struct bicorn_str in struct bicorn_request */
} span_variables[] = {
	{ SPAN("REQUEST_METHOD"), offsetof(struct bicorn_request, method) },
	{ SPAN("PATH_INFO"), offsetof(struct bicorn_request, path) },
	{ SPAN("QUERY_STRING"), offsetof(struct bicorn_request, query) },
	{ SPAN("RAW_URI"), offsetof(struct bicorn_request, target) },
	{ SPAN("REQUEST_URI"), offsetof(struct bicorn_request, target) },
	{ SPAN("SERVER_PROTOCOL"), offsetof(struct bicorn_request, protocol) },
	{ SPAN("SERVER_NAME"), offsetof(struct bicorn_request, local_address) },
	{ SPAN("wsgi.url_scheme"), offsetof(struct bicorn_request, scheme) },
};

static struct span
number(struct source_of_fields *s, unsigned value)
{
	int n = snprintf(s->scratch, sizeof(s->scratch), "%u", value);

	return (struct span){ s->scratch, (size_t)n };
}

static struct span
request_variable(struct source_of_fields *s, struct span name)
{
	const struct bicorn_request *v = &s->x->request.view;
	const size_t count =
	    sizeof(span_variables) / sizeof(span_variables[0]);

	for (size_t i = 0; i < count; i++) {
		const struct bicorn_str *str = (const void *)(
		    (const char *)v + span_variables[i].at);

		if (span_ieq(name, span_variables[i].name))
			return (struct span){ str->ptr, str->len };
	}
	if (span_ieq(name, SPAN("REMOTE_PORT")) && v->peer_port > 0)
		return number(s, v->peer_port);
	if (span_ieq(name, SPAN("SERVER_PORT")) && !v->local_unix)
		return number(s, v->local_port);
	return SPAN_NONE;
}

/* HTTP_X_NAME is the field X-Name. */
static struct span
field_variable(const struct source_of_fields *s, struct span name)
{
	const size_t prefix = sizeof("HTTP_") - 1;
	char text[128];

	if (name.len > prefix &&
	    span_ieq((struct span){ name.ptr, prefix }, SPAN("HTTP_")))
		name = (struct span){ name.ptr + prefix, name.len - prefix };
	else if (!span_ieq(name, SPAN("CONTENT_TYPE")) &&
	    !span_ieq(name, SPAN("CONTENT_LENGTH")))
		return SPAN_NONE;
	if (name.len > sizeof(text))
		return SPAN_NONE;
	for (size_t i = 0; i < name.len; i++)
		text[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
	return request_field(s->c->in, (struct span){ text, name.len });
}

static struct span
process_variable(struct span name)
{
	char text[128];

	if (name.len >= sizeof(text))
		return SPAN_NONE;
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	return span_of(getenv(text));
}

/* What a proxy says of the client, once the request was understood. */
static struct span
remote_of(const struct client *c, const struct exchange *x)
{
	if (x != NULL)
		return (struct span){ x->request.view.peer_address.ptr,
			x->request.view.peer_address.len };
	return (struct span){ c->conn.peer_text, c->conn.peer_len };
}

/* {name}e is a variable of the request, else of the process. */
static struct span
variable(struct source_of_fields *s, struct span name)
{
	struct span found = SPAN_NONE;

	if (s->x != NULL && !s->given_up && s->x->notes.len > 0)
		found = find_note(s->x, name);
	if (found.ptr != NULL)
		return found;
	if (span_ieq(name, SPAN("REMOTE_ADDR")))
		return remote_of(s->c, s->x);
	if (s->x != NULL)
		found = request_variable(s, name);
	if (found.ptr == NULL)
		found = field_variable(s, name);
	return found.ptr != NULL ? found : process_variable(name);
}

/* They are put together when they are first asked for, by the thread alone. */
static struct span
connection_fact(struct source_of_fields *s, const char *name)
{
	return s->given_up ? SPAN_NONE : tls_fact(&s->c->conn, name);
}

static struct span
lookup(void *arg, char kind, struct span name)
{
	struct source_of_fields *s = arg;

	switch (kind) {
	case 'i':
		return request_field(s->c->in, name);
	case 'o':
		return s->x == NULL || s->given_up
		    ? SPAN_NONE
		    : response_field(s->x, name);
	case 'v':
		return connection_fact(s, "SSL_PROTOCOL");
	case 'c':
		return connection_fact(s, "SSL_CIPHER");
	default:
		return variable(s, name);
	}
}

static struct span
protocol_of(const struct http_head *h, const char *data)
{
	if (h->cgi != NULL && h->cgi->protocol.len > 0)
		return http_span(data, h->cgi->protocol);
	return h->minor == 0 ? SPAN("HTTP/1.0") : SPAN("HTTP/1.1");
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
	r->protocol = protocol_of(h, data);
}

/* What is known of a request whose output is not all sent. */
struct record_line {
	int64_t started_us;
	int64_t ended_us;
	int64_t send_us;
	unsigned status;
	size_t len;
	char *text;
};

static void
leave_line(const struct exchange *x, const struct access_record *r)
{
	struct access_log *a = x->w->heritage->access;
	struct record_line *l = malloc(sizeof(*l));

	if (l != NULL) {
		*l = (struct record_line){ x->started_us, x->ended_us,
			x->send_us, r->status, 0, NULL };
		l->text = access_begin(a, r, &l->len);
	}
	if (l == NULL || l->text == NULL) {
		free(l);
		access_write(a, r);
		return;
	}
	x->c->line = l;
}

void
record_sent(struct worker *w, struct client *c, bool complete)
{
	struct record_line *l = c->line;
	struct access_record r = { 0 };
	int64_t now;

	if (l == NULL)
		return;
	now = clock_us();
	c->line = NULL;
	r.status = complete ? l->status : 499;
	r.us = (uint64_t)(now - l->started_us);
	r.send_us = l->send_us + now - l->ended_us;
	access_finish(w->heritage->access, l->text, l->len, &r);
	free(l);
}

/* What is constant while the application runs; from says where to look. */
static struct access_record
request_of(struct source_of_fields *from, int64_t us)
{
	const struct exchange *x = from->x;
	const struct bicorn_request *v = &x->request.view;
	struct access_record r = {
		.remote = remote_of(x->c, x),
		.started_wall = x->started_wall,
		.us = (uint64_t)us,
		.id = ident_span(&x->id),
		.scheme = { v->scheme.ptr, v->scheme.len },
		.queue_us = x->queue_us,
		.app_us = us,
		.thread = x->number,
		.lookup = lookup,
		.lookup_arg = from,
	};

	fill_line(&r, x->c->in);
	/* As the application sees it: decoded. */
	r.path = (struct span){ v->path.ptr, v->path.len };
	return r;
}

static struct access_record
record_of(const struct exchange *x, struct source_of_fields *from,
    int64_t ended_us)
{
	struct access_record r;

	*from = (struct source_of_fields){ .c = x->c, .x = x };
	r = request_of(from, ended_us - x->started_us);
	/* 499: the client did not take all of the response. */
	r.status = x->broken ? 499 : x->status;
	r.body_bytes = x->put;
	r.app_us -= x->send_us;
	r.send_us = x->send_us;
	return r;
}

void
record_exchange(const struct exchange *x, bool left)
{
	struct access_log *a = x->w->heritage->access;
	struct source_of_fields from;
	struct access_record r;

	statsd_request(x->w->statsd, x->broken ? 499 : x->status,
	    (uint64_t)(x->ended_us - x->started_us));
	if (a == NULL || x->logged)
		return;
	r = record_of(x, &from, x->ended_us);
	if (left)
		leave_line(x, &r);
	else
		access_write(a, &r);
}

size_t
record_hand_over(struct exchange *x, char *out, size_t room)
{
	struct source_of_fields from;
	struct access_record r = record_of(x, &from, clock_us());

	x->logged = true;
	return access_text(x->w->heritage->access, &r, out, room);
}

void
record_given_up(const struct exchange *x, unsigned status,
    uint64_t body_bytes)
{
	struct access_log *a = x->w->heritage->access;
	struct source_of_fields from = { x->c, x, .given_up = true };
	int64_t us = clock_us() - x->started_us;
	struct access_record r;

	tally(x->w, counts_class(status));
	statsd_request(x->w->statsd, status, (uint64_t)us);
	if (a == NULL)
		return;
	r = request_of(&from, us);
	r.status = status;
	r.body_bytes = body_bytes;
	access_write(a, &r);
}

void
record_refusal(struct worker *w, struct client *c, unsigned status,
    uint64_t body_bytes, struct span id)
{
	struct source_of_fields from = { .c = c };
	struct access_record r = {
		.remote = { c->conn.peer_text, c->conn.peer_len },
		.status = status,
		.body_bytes = body_bytes,
		.started_wall = clock_wall(),
		.lookup = lookup,
		.lookup_arg = &from,
		.id = id,
		.scheme = c->conn.tls != NULL ? SPAN("https") : SPAN("http"),
		.queue_us = -1,
		.app_us = -1,
		.send_us = -1,
		.thread = -1,
	};

	tally(w, counts_class(status));
	statsd_request(w->statsd, status, 0);
	fill_line(&r, c->in);
	access_write(w->heritage->access, &r);
}
