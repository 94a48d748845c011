/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/span.h"
#include "conf/conf.h"
#include "http/chunked.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/output.h"
#include "worker/worker_private.h"

/* Body bytes that are copied behind the head, to be sent in one go. */
#define GATHER_MAX 16384
/* "Connection: keep-alive" and one line of framing. */
#define VARIABLE_ROOM 96

static struct span
span_from(struct bicorn_str s)
{
	return (struct span){ s.ptr, s.len };
}

/* --- the head ------------------------------------------------------------- */

static void
refresh_date(struct exchange *x)
{
	int64_t now = clock_wall();

	if (now == x->date_s)
		return;
	x->date_s = now;
	http_date(now, x->date);
}

static bool
add(struct buf *b, const char *literal, size_t len)
{
	return buf_add(b, literal, len);
}
#define ADD(b, literal) add((b), (literal), sizeof(literal) - 1)

static bool
add_status_line(struct buf *b, unsigned status, struct span reason)
{
	char line[] = "HTTP/1.1 000 ";

	line[9] = (char)('0' + status / 100);
	line[10] = (char)('0' + status / 10 % 10);
	line[11] = (char)('0' + status % 10);
	return add(b, line, 13) && add(b, reason.ptr, reason.len) &&
	    ADD(b, "\r\n");
}

static bool
add_first(struct exchange *x, struct span reason)
{
	struct buf *b = &x->out;

	refresh_date(x);
	return add_status_line(b, x->status, reason) &&
	    ADD(b, "Server: bicorn\r\nDate: ") &&
	    add(b, x->date, sizeof(x->date)) && ADD(b, "\r\n");
}

static bool
add_field(struct buf *b, const struct bicorn_header *h)
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

	if (!http_name_ok(span_from(h->name)) ||
	    !http_value_ok(span_from(h->value)))
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
		return add_field(&x->out, h) ? BICORN_OK : BICORN_NO_MEMORY;
	}
}

static bool
may_keep(struct exchange *x)
{
	return x->c->in->head.keep_alive && x->w->settings->keepalive_ms > 0;
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
	if (status < 200 || status > 999 || !http_value_ok(reason))
		return undo_start(x, BICORN_INVALID);
	x->status = status;
	x->taken = 0;
	x->out.len = 0;
	x->keep_open = may_keep(x);
	if (reason.ptr == NULL)
		reason = http_reason(status);
	if (!add_first(x, reason) || !buf_reserve(&x->out, VARIABLE_ROOM))
		return undo_start(x, BICORN_NO_MEMORY);
	x->first_len = x->out.len;
	x->out.len += VARIABLE_ROOM;
	x->fields_at = x->out.len;
	for (size_t i = 0; i < count; i++) {
		int rc = take_field(x, &headers[i], &length);

		if (rc != BICORN_OK)
			return undo_start(x, rc);
	}
	if (!ADD(&x->out, "\r\n"))
		return undo_start(x, BICORN_NO_MEMORY);
	x->gather_at = x->out.len;
	x->length = length;
	x->no_body = x->head_only || status == 204 || status == 304;
	x->state = RESPONSE_STARTED;
	return BICORN_OK;
}

/* How the client will know where the body ends. */
static void
choose_framing(struct exchange *x, bool complete)
{
	bool old = x->c->in->head.minor == 0;

	x->chunked = x->until_close = false;
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

/* True when this response is the one that retires the worker. */
static bool
is_last(struct exchange *x)
{
	struct worker *w = x->w;

	if (worker_draining(w))
		return true;
	if (w->max_requests == 0 ||
	    atomic_fetch_add_explicit(&w->served, 1, memory_order_relaxed) +
		    1 < w->max_requests)
		return false;
	worker_wake(w); /* the acceptor begins to drain */
	return true;
}

/*
 * Completes the head, which moves up against the fields.  complete: all of
 * the body is in `out`.  Returns where the head begins.
 */
static void
commit(struct exchange *x, bool complete)
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

/* --- the body ------------------------------------------------------------- */

static size_t
gathered(const struct exchange *x)
{
	return x->out.len - x->gather_at;
}

/* Appends to an iovec, joined to the one before where they touch. */
static void
iov_add(struct iovec *iov, int *n, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (*n > 0 &&
	    (char *)iov[*n - 1].iov_base + iov[*n - 1].iov_len == data) {
		iov[*n - 1].iov_len += len;
		return;
	}
	iov[(*n)++] = (struct iovec){ (void *)data, len };
}

/*
 * Sends the head if it waits, what was gathered, then part, then tail.
 * announced: bytes of a file that belong to the same chunk and follow.
 */
static bool
emit(struct exchange *x, struct bicorn_str part, uint64_t announced,
    struct bicorn_str tail)
{
	struct iovec iov[6];
	char chunk[HTTP_CHUNK_HEAD_MAX];
	uint64_t size = gathered(x) + part.len + announced;
	int n = 0;

	if (x->broken)
		return false;
	if (!x->head_sent)
		iov_add(iov, &n, x->out.data + x->fields_at,
		    x->gather_at - x->fields_at);
	if (x->chunked && size > 0)
		iov_add(iov, &n, chunk, http_chunk_begin(chunk, size));
	iov_add(iov, &n, x->out.data + x->gather_at, gathered(x));
	iov_add(iov, &n, part.ptr, part.len);
	if (x->chunked && size > 0 && announced == 0)
		iov_add(iov, &n, "\r\n", 2);
	iov_add(iov, &n, tail.ptr, tail.len);
	x->put += size - announced;
	x->head_sent = true;
	x->out.len = x->gather_at;
	x->broken = !output_write(x->w, x->c, iov, n, announced > 0);
	return !x->broken;
}

static const struct bicorn_str nothing = { NULL, 0 };

/* Cuts len to what the stated length leaves. */
static size_t
allowed(const struct exchange *x, size_t len)
{
	uint64_t left;

	if (x->length < 0)
		return len;
	left = (uint64_t)x->length - x->taken;
	return len < left ? len : (size_t)left;
}

static int
body_state(const struct exchange *x)
{
	if (x->state != RESPONSE_STARTED && x->state != RESPONSE_SENDING)
		return BICORN_STATE;
	return x->broken ? BICORN_GONE : BICORN_OK;
}

/*
 * HEAD has the framing of GET, as far as can be known: what would not have
 * been gathered to the end would have gone in chunks.
 */
static void
mimic_framing(struct exchange *x)
{
	if (x->state == RESPONSE_STARTED && x->taken > GATHER_MAX)
		commit(x, false);
}

int
response_write(struct exchange *x, const struct bicorn_str *parts,
    size_t count)
{
	int rc = body_state(x);

	if (rc != BICORN_OK)
		return rc;
	for (size_t i = 0; i < count; i++) {
		struct bicorn_str part = parts[i];

		part.len = allowed(x, part.len);
		x->taken += part.len;
		if (x->no_body)
			mimic_framing(x);
		if (x->no_body || part.len == 0)
			continue;
		if (gathered(x) + part.len <= GATHER_MAX) {
			if (!buf_add(&x->out, part.ptr, part.len))
				return BICORN_NO_MEMORY;
			continue;
		}
		if (x->state == RESPONSE_STARTED)
			commit(x, false);
		if (!emit(x, part, 0, nothing))
			return BICORN_GONE;
	}
	return BICORN_OK;
}

int
response_flush(struct exchange *x)
{
	int rc = body_state(x);

	if (rc != BICORN_OK)
		return rc;
	if (x->state == RESPONSE_STARTED)
		commit(x, false);
	if (x->head_sent && gathered(x) == 0)
		return BICORN_OK;
	return emit(x, nothing, 0, nothing) ? BICORN_OK : BICORN_GONE;
}

static int
file_length(int fd, int64_t offset, int64_t *len)
{
	struct stat st;

	if (offset < 0)
		return BICORN_INVALID;
	if (*len >= 0)
		return BICORN_OK;
	if (fstat(fd, &st) != 0)
		return BICORN_IO;
	*len = st.st_size > offset ? st.st_size - offset : 0;
	return BICORN_OK;
}

int
response_file(struct exchange *x, int fd, int64_t offset, int64_t len)
{
	int rc = body_state(x);
	size_t part;

	if (rc == BICORN_OK)
		rc = file_length(fd, offset, &len);
	if (rc != BICORN_OK)
		return rc;
	part = allowed(x, (size_t)len);
	x->taken += part;
	if (part == 0)
		return BICORN_OK;
	if (x->state == RESPONSE_STARTED)
		commit(x, false);
	if (x->no_body)
		return BICORN_OK;
	if (!emit(x, nothing, part, nothing))
		return BICORN_GONE;
	x->put += part;
	if (!output_file(x->w, x->c, fd, offset, part)) {
		x->broken = true;
		return BICORN_GONE;
	}
	if (x->chunked) {
		struct iovec iov = { (void *)"\r\n", 2 };

		x->broken = !output_write(x->w, x->c, &iov, 1, false);
	}
	return x->broken ? BICORN_GONE : BICORN_OK;
}

int
response_trailers(struct exchange *x, const struct bicorn_header *headers,
    size_t count)
{
	if (x->state != RESPONSE_STARTED && x->state != RESPONSE_SENDING)
		return BICORN_STATE;
	x->trailers_out.len = 0;
	for (size_t i = 0; i < count; i++) {
		if (!http_name_ok(span_from(headers[i].name)) ||
		    !http_value_ok(span_from(headers[i].value)) ||
		    http_response_field(span_from(headers[i].name)) !=
			HTTP_R_PASS)
			return BICORN_INVALID;
		if (!add_field(&x->trailers_out, &headers[i]))
			return BICORN_NO_MEMORY;
	}
	return BICORN_OK;
}

/* --- the end -------------------------------------------------------------- */

/* The body is shorter than was said: the client must be able to tell. */
static bool
is_short(const struct exchange *x)
{
	return x->length >= 0 && !x->no_body &&
	    x->taken < (uint64_t)x->length;
}

/* The last bytes of a chunked body. */
static bool
end_chunks(struct exchange *x)
{
	struct buf *t = &x->trailers_out;
	struct bicorn_str tail = { "0\r\n\r\n", 5 };

	if (t->len > 0) {
		/* "0 CR LF" goes in front of the fields, CR LF behind. */
		if (!buf_reserve(t, 5))
			return false;
		memmove(t->data + 3, t->data, t->len);
		memcpy(t->data, "0\r\n", 3);
		memcpy(t->data + 3 + t->len, "\r\n", 2);
		tail = (struct bicorn_str){ t->data, t->len + 5 };
	}
	return emit(x, nothing, 0, tail);
}

int
response_finish(struct exchange *x)
{
	bool sent = true;

	if (x->state == RESPONSE_DONE)
		return BICORN_OK;
	if (x->state != RESPONSE_STARTED && x->state != RESPONSE_SENDING)
		return BICORN_STATE;
	if (x->state == RESPONSE_STARTED) {
		if (x->trailers_out.len > 0 && x->length < 0)
			commit(x, false);
		else
			commit(x, !is_short(x));
	}
	if (is_short(x))
		x->keep_open = false;
	if (x->chunked && !x->no_body)
		sent = end_chunks(x);
	else if (!x->head_sent || gathered(x) > 0)
		sent = emit(x, nothing, 0, nothing);
	x->state = is_short(x) ? RESPONSE_ABORTED : RESPONSE_DONE;
	if (!sent)
		x->broken = true;
	return sent ? BICORN_OK : BICORN_GONE;
}

void
response_error(struct exchange *x, unsigned status, const char *text)
{
	struct span reason = http_reason(status);
	const struct bicorn_header type = {
		{ "Content-Type", 12 }, { "text/html; charset=utf-8", 24 }
	};
	struct bicorn_str part;
	char page[512];
	int n;

	n = snprintf(page, sizeof(page),
	    "<html>\n  <head>\n    <title>%.*s</title>\n  </head>\n  <body>\n"
	    "    <h1><p>%.*s</p></h1>\n    %s\n  </body>\n</html>\n",
	    (int)reason.len, reason.ptr, (int)reason.len, reason.ptr, text);
	part = (struct bicorn_str){ page, (size_t)n };
	if (response_start(x, status, SPAN_NONE, &type, 1, n) != BICORN_OK) {
		x->broken = true;
		x->state = RESPONSE_ABORTED;
		return;
	}
	x->keep_open = false;
	response_write(x, &part, 1);
	response_finish(x);
}

void
response_abort(struct exchange *x)
{
	switch (x->state) {
	case RESPONSE_NONE:
	case RESPONSE_STARTED:
		x->state = RESPONSE_NONE;
		response_error(x, 500, "");
		return;
	case RESPONSE_SENDING:
		x->state = RESPONSE_ABORTED;
		x->keep_open = false;
		return;
	default:
		return;
	}
}

/* --- informational responses and upgrades --------------------------------- */

static bool
send_buf(struct exchange *x)
{
	struct iovec iov = { x->out.data, x->out.len };

	if (!output_write(x->w, x->c, &iov, 1, false))
		x->broken = true;
	x->out.len = 0;
	return !x->broken;
}

static int
add_checked(struct exchange *x, const struct bicorn_header *headers,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!http_name_ok(span_from(headers[i].name)) ||
		    !http_value_ok(span_from(headers[i].value)))
			return BICORN_INVALID;
		if (!add_field(&x->out, &headers[i]))
			return BICORN_NO_MEMORY;
	}
	return ADD(&x->out, "\r\n") ? BICORN_OK : BICORN_NO_MEMORY;
}

int
response_inform(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	int rc;

	if (x->state != RESPONSE_NONE)
		return BICORN_STATE;
	if (status < 100 || status > 199 || status == 101)
		return BICORN_INVALID;
	x->out.len = 0;
	if (!add_status_line(&x->out, status, http_reason(status)))
		return BICORN_NO_MEMORY;
	rc = add_checked(x, headers, count);
	if (rc != BICORN_OK || x->c->in->head.minor == 0)
		return rc;
	return send_buf(x) ? BICORN_OK : BICORN_GONE;
}

int
response_take_over(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	int rc;

	if (x->state != RESPONSE_NONE)
		return BICORN_STATE;
	if (status != 101 && (status < 200 || status > 299))
		return BICORN_INVALID;
	x->status = status;
	x->out.len = 0;
	if (!add_first(x, http_reason(status)))
		return BICORN_NO_MEMORY;
	rc = add_checked(x, headers, count);
	if (rc != BICORN_OK)
		return rc;
	x->state = RESPONSE_RAW;
	x->keep_open = false;
	return send_buf(x) ? BICORN_OK : BICORN_GONE;
}
