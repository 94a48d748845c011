/* SPDX-License-Identifier: MIT */
/* The head of a response: what it says, and how the body is framed. */
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/span.h"
#include "conf/conf.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/response_private.h"
#include "worker/worker_private.h"

/* "Connection: keep-alive" and one line of framing. */
#define VARIABLE_ROOM 96

static void
refresh_date(struct exchange *x)
{
	int64_t now = clock_wall();

	if (now == x->date_s)
		return;
	x->date_s = now;
	http_date(now, x->date);
}

bool
response_add_status_line(struct buf *b, unsigned status, struct span reason)
{
	char line[] = "HTTP/1.1 000 ";

	line[9] = (char)('0' + status / 100);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	return buf_add(b, line, 13) && buf_add(b, reason.ptr, reason.len) &&
	    RESPONSE_ADD(b, "\r\n");
}

/* Whether the client is to see the id of its request. */
static bool
sends_id(const struct exchange *x)
{
	return x->id.len > 0 && x->w->settings->request_id_response;
}

static bool
add_id(struct exchange *x)
{
	const struct bicorn_header h = {
		bicorn_str(x->w->settings->request_id),
		{ x->id.text, x->id.len },
	};

	return response_add_field(&x->out, &h);
}

bool
response_add_first(struct exchange *x, struct span reason)
{
	struct buf *b = &x->out;

	refresh_date(x);
	return response_add_status_line(b, x->status, reason) &&
	    buf_add(b, x->w->first, x->w->first_len) &&
	    buf_add(b, x->date, sizeof(x->date)) && RESPONSE_ADD(b, "\r\n") &&
	    (!sends_id(x) || add_id(x));
}

bool
response_is_id(const struct exchange *x, struct bicorn_str name)
{
	return sends_id(x) &&
	    bicorn_str_ieq(name, x->w->settings->request_id);
}

bool
response_field_ok(const struct bicorn_header *h)
{
	return h != NULL && h->name.ptr != NULL &&
	    h->name.len <= INT32_MAX &&
	    h->value.len <= INT32_MAX &&
	    (h->value.ptr != NULL || h->value.len == 0) &&
	    http_name_ok(span_from(h->name)) &&
	    http_value_ok(span_from(h->value));
}

bool
response_add_field(struct buf *b, const struct bicorn_header *h)
{
	size_t len = h->name.len + h->value.len + 4;
	char *p;

	if (!buf_reserve(b, len))
		return false;
	p = b->data + b->len;
	memcpy(p, h->name.ptr, h->name.len);
	p += h->name.len;
	*p++ = ':';
	*p++ = ' ';
	if (h->value.len > 0)
		memcpy(p, h->value.ptr, h->value.len);
	p += h->value.len;
	*p++ = '\r';
	*p++ = '\n';
	b->len += len;
	return true;
}

/* What an application's field does to the response; sent or not. */
static int
take_field(struct exchange *x, const struct bicorn_header *h, int64_t *length)
{
	unsigned long long value;

	if (!response_field_ok(h))
		return BICORN_INVALID;
	switch (http_response_field(span_from(h->name))) {
	case HTTP_R_LENGTH:
		if (!span_uint(span_trim(span_from(h->value)), &value))
			return BICORN_INVALID;
		if (*length < 0)
			*length = (int64_t)value;
		return BICORN_OK;
	case HTTP_R_CONNECTION:
		if (http_list_has(span_from(h->value), SPAN("close")))
			x->keep_open = false;
		return BICORN_OK;
	case HTTP_R_DROP:
	case HTTP_R_UPGRADE:
		return BICORN_OK;
	default:
		if (response_is_id(x, h->name))
			return BICORN_OK; /* it is there already */
		return response_add_field(&x->out, h) ?
		    BICORN_OK : BICORN_NO_MEMORY;
	}
}

static bool
may_keep(struct exchange *x)
{
	/* What is left of a streamed body would be taken for a request. */
	return x->c->in->head.keep_alive && x->c->in->complete &&
	    x->w->settings->keepalive_ms > 0;
}

/* Back to where bicorn_respond() was not yet called. */
static int
undo_start(struct exchange *x, int why)
{
	x->state = RESPONSE_NONE;
	return why;
}

int
response_start(struct exchange *x, unsigned status, struct span reason,
    const struct bicorn_header *headers, size_t count, int64_t length)
{
	if (x->state != RESPONSE_NONE && x->state != RESPONSE_STARTED)
		return BICORN_STATE;
	if (reason.ptr == NULL)
		reason = http_reason(status);
	if (status < 200 || status > 999 || reason.len > INT32_MAX ||
	    !http_value_ok(reason))
		return undo_start(x, BICORN_INVALID);
	x->status = status;
	x->taken = 0;
	x->out.len = x->trailers_out.len = 0;
	x->keep_open = may_keep(x);
	if (!response_add_first(x, reason) ||
	    !buf_reserve(&x->out, VARIABLE_ROOM))
		return undo_start(x, BICORN_NO_MEMORY);
	x->first_len = x->out.len;
	x->out.len += VARIABLE_ROOM;
	x->fields_at = x->out.len;
	for (size_t i = 0; i < count; i++) {
		int rc = take_field(x, headers != NULL ? &headers[i] : NULL,
		    &length);

		if (rc != BICORN_OK)
			return undo_start(x, rc);
	}
	if (!RESPONSE_ADD(&x->out, "\r\n"))
		return undo_start(x, BICORN_NO_MEMORY);
	x->gather_at = x->out.len;
	x->length = length;
	x->no_body = x->head_only || status == 204 || status == 304;
	x->state = RESPONSE_STARTED;
	return BICORN_OK;
}

/* To a CONNECT a success is followed by a tunnel (RFC 9110, 9.3.6). */
static bool
is_tunnel(const struct exchange *x)
{
	const struct inbound *in = x->c->in;

	return in->head.path.len == 0 && x->status < 300 &&
	    span_eq(http_span(in->in.data, in->head.method), SPAN("CONNECT"));
}

/* How the client will know where the body ends. */
static void
choose_framing(struct exchange *x, bool complete)
{
	bool old = x->c->in->head.minor == 0;

	x->chunked = x->until_close = false;
	if (is_tunnel(x)) {
		x->length = -1;
		x->until_close = true;
		return;
	}
	if (x->status == 204)
		x->length = -1;
	else if (x->length < 0 && complete && (!x->no_body || x->taken > 0))
		x->length = (int64_t)x->taken;
	if (x->length >= 0 || x->status == 204 || x->status == 304 ||
	    (complete && x->no_body))
		return;
	x->chunked = !old;
	x->until_close = old && !x->no_body;
	if (x->until_close)
		x->keep_open = false;
}

static size_t
put_text(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return len;
}

static size_t
put_number(char *to, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

/* Connection and framing; returns the length of the text. */
static size_t
put_variable(const struct exchange *x, char to[VARIABLE_ROOM])
{
	static const char keep[] = "Connection: keep-alive\r\n";
	static const char shut[] = "Connection: close\r\n";
	static const char length[] = "Content-Length: ";
	static const char chunked[] = "Transfer-Encoding: chunked\r\n";
	size_t n;

	n = x->keep_open ? put_text(to, keep, sizeof(keep) - 1)
			 : put_text(to, shut, sizeof(shut) - 1);
	if (x->chunked)
		return n + put_text(to + n, chunked, sizeof(chunked) - 1);
	if (x->length < 0)
		return n;
	n += put_text(to + n, length, sizeof(length) - 1);
	n += put_number(to + n, (uint64_t)x->length);
	return n + put_text(to + n, "\r\n", 2);
}

/* True when the connection must close because the worker leaves. */
static bool
is_last(struct exchange *x)
{
	struct worker *w = x->w;

	if (worker_draining(w))
		return true;
	/* The acceptor asks for a successor, and serves until it is there. */
	if (w->max_requests > 0 &&
	    atomic_fetch_add_explicit(&w->served, 1, memory_order_relaxed) +
		    1 == w->max_requests)
		worker_wake(w);
	return false;
}

void
response_commit(struct exchange *x, bool complete)
{
	char variable[VARIABLE_ROOM];
	char *out = x->out.data;
	size_t n;

	must(x->state == RESPONSE_STARTED);
	choose_framing(x, complete);
	if (is_last(x))
		x->keep_open = false;
	n = put_variable(x, variable);
	memcpy(out + x->fields_at - n, variable, n);
	memmove(out + x->fields_at - n - x->first_len, out, x->first_len);
	x->fields_at -= n + x->first_len; /* where the head begins now */
	x->state = RESPONSE_SENDING;
}
