/* SPDX-License-Identifier: MIT */
/* The body of a response, from its first byte to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "http/chunked.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/loan.h"
#include "worker/output.h"
#include "worker/pages.h"
#include "worker/record.h"
#include "worker/response_private.h"
#include "worker/worker_private.h"

/* Body bytes that are copied behind the head, to be sent in one go. */
#define GATHER_MAX 16384
/* The rest of a body that is no shorter than this is sent without a copy. */
#define GATHER_REST 2048
/* Parts of a body that go out in one call, and what goes with them. */
#define PARTS_MAX 512
#define IOV_FRONT 3
#define IOV_BACK 2

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

/* What lies between the two counts as sending. */
static void
send_begin(struct exchange *x)
{
	x->sent_us = clock_us();
}

static void
send_end(struct exchange *x)
{
	int64_t now = clock_us();

	x->send_us += now - x->sent_us;
	x->sent_us = now;
}

/*
 * True when the client has sent more requests behind this one, and this thread
 * will go on with the next one at once.
 */
static bool
may_hold(const struct exchange *x)
{
	const struct inbound *in = x->c->in;

	return x->ending && x->keep_open && in->complete &&
	    !inbound_is_all(in) &&
	    exchange_may_go_on(x);
}

static bool
may_emit(struct exchange *x)
{
	return !x->broken && (x->head_sent || exchange_take_turn(x));
}

/*
 * Begins with the head if it waits, the size of the chunk, and what was
 * gathered; returns how many of iov these are, IOV_FRONT at most.
 */
static int
add_front(struct exchange *x, struct iovec *iov,
    char chunk[HTTP_CHUNK_HEAD_MAX], uint64_t size)
{
	int n = 0;

	if (!x->head_sent) {
		size_t at = x->fields_at + client_begun(x->c);

		client_brittle(x->c, x->until_close);
		iov_add(iov, &n, x->out.data + at, x->gather_at - at);
	}
	if (x->chunked && size > 0)
		iov_add(iov, &n, chunk, http_chunk_begin(chunk, size));
	iov_add(iov, &n, x->out.data + x->gather_at, gathered(x));
	return n;
}

/* Sends them; size bytes of them are of the body, and more: others follow. */
static bool
put(struct exchange *x, struct iovec *iov, int n, uint64_t size, bool more)
{
	x->put += size;
	x->head_sent = true;
	x->out.len = x->gather_at;
	if (may_hold(x) && output_hold(x->w, x->c, &iov, &n))
		return true;
	send_begin(x);
	if (!more && later_put(x, iov, n))
		return !x->broken;
	x->broken = !output_write(x->w, x->c, iov, n, more);
	send_end(x);
	return !x->broken;
}

/*
 * Sends the head if it waits, what was gathered, then part, then tail.
 * announced: bytes of a file that belong to the same chunk and follow.
 */
static bool
emit(struct exchange *x, struct bicorn_str part, uint64_t announced,
    struct bicorn_str tail)
{
	struct iovec iov[IOV_FRONT + 1 + IOV_BACK];
	char chunk[HTTP_CHUNK_HEAD_MAX];
	uint64_t size = gathered(x) + part.len + announced;
	int n;

	if (!may_emit(x))
		return false;
	n = add_front(x, iov, chunk, size);
	iov_add(iov, &n, part.ptr, part.len);
	if (x->chunked && size > 0 && announced == 0)
		iov_add(iov, &n, "\r\n", 2);
	iov_add(iov, &n, tail.ptr, tail.len);
	return put(x, iov, n, size - announced, announced > 0);
}

/* As emit(), the first len bytes of all parts as one chunk, not copied. */
static bool
emit_parts(struct exchange *x, const struct bicorn_str *parts, size_t len)
{
	struct iovec iov[IOV_FRONT + PARTS_MAX + IOV_BACK];
	char chunk[HTTP_CHUNK_HEAD_MAX];
	uint64_t size = gathered(x);
	int n;

	if (!may_emit(x))
		return false;
	n = add_front(x, iov, chunk, size + len);
	for (; len > 0; parts++) {
		size_t part = parts->len < len ? parts->len : len;

		if (n == IOV_FRONT + PARTS_MAX) {
			if (!put(x, iov, n, size, true))
				return false;
			n = 0;
			size = 0;
		}
		iov_add(iov, &n, parts->ptr, part);
		size += part;
		len -= part;
	}
	if (x->chunked)
		iov_add(iov, &n, "\r\n", 2);
	return put(x, iov, n, size, false);
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
		response_commit(x, false);
}

/*
 * True when this part is the last of a body of known length and its copy
 * would cost more than it may save: it is sent with what was gathered.
 */
static bool
is_long_rest(const struct exchange *x, size_t len)
{
	return len >= GATHER_REST && x->taken == (uint64_t)x->length;
}

/* The application may take its time now. */
static void
lend_rest(struct exchange *x)
{
	if (x->length < 0 || x->taken < (uint64_t)x->length)
		loan_give(x->w, x->c);
}

/*
 * A length that came of a subtraction or a failed snprintf() is seen here.
 * *len_out is that of all parts.
 */
static bool
are_parts(const struct bicorn_str *parts, size_t count, size_t *len_out)
{
	size_t sum = 0;

	*len_out = 0;
	if (parts == NULL && count > 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > 0 &&
		    (parts[i].ptr == NULL || parts[i].len > PTRDIFF_MAX - sum))
			return false;
		sum += parts[i].len;
	}
	*len_out = sum;
	return true;
}

/* More than would be gathered goes out together, and now. */
static int
write_many(struct exchange *x, const struct bicorn_str *parts, size_t len)
{
	len = allowed(x, len);
	x->taken += len;
	if (len == 0)
		return BICORN_OK;
	if (x->state == RESPONSE_STARTED)
		response_commit(x, false);
	if (!emit_parts(x, parts, len))
		return BICORN_GONE;
	lend_rest(x);
	return BICORN_OK;
}

int
response_write(struct exchange *x, const struct bicorn_str *parts,
    size_t count)
{
	int rc = body_state(x);
	size_t len;

	if (rc != BICORN_OK)
		return rc;
	if (!are_parts(parts, count, &len))
		return BICORN_INVALID;
	if (count > 1 && !x->no_body && gathered(x) + len > GATHER_MAX)
		return write_many(x, parts, len);
	for (size_t i = 0; i < count; i++) {
		struct bicorn_str part = parts[i];

		part.len = allowed(x, part.len);
		x->taken += part.len;
		if (x->no_body)
			mimic_framing(x);
		if (x->no_body || part.len == 0)
			continue;
		/* Without memory to gather it goes out at once. */
		if (gathered(x) + part.len <= GATHER_MAX &&
		    !is_long_rest(x, part.len) &&
		    buf_add(&x->out, part.ptr, part.len))
			continue;
		if (x->state == RESPONSE_STARTED)
			response_commit(x, false);
		if (!emit(x, part, 0, nothing))
			return BICORN_GONE;
	}
	lend_rest(x);
	return BICORN_OK;
}

int
response_flush(struct exchange *x)
{
	int rc = body_state(x);

	if (rc != BICORN_OK)
		return rc;
	if (x->state == RESPONSE_STARTED)
		response_commit(x, false);
	if (x->head_sent && gathered(x) == 0)
		return BICORN_OK;
	if (!emit(x, nothing, 0, nothing))
		return BICORN_GONE;
	lend_rest(x);
	return BICORN_OK;
}

static int
file_length(int fd, int64_t offset, int64_t *len)
{
	struct stat st;

	if (offset < 0 || *len < -1 ||
	    (*len > 0 && offset > INT64_MAX - *len))
		return BICORN_INVALID;
	if (*len >= 0)
		return BICORN_OK;
	if (fstat(fd, &st) != 0)
		return BICORN_IO;
	if (!S_ISREG(st.st_mode)) /* its size says nothing */
		return BICORN_INVALID;
	*len = st.st_size > offset ? st.st_size - offset : 0;
	return BICORN_OK;
}

/* What the client has of the body cannot be completed any more. */
static void
cut_body(struct exchange *x)
{
	x->state = RESPONSE_ABORTED;
	x->keep_open = false;
}

/* Adds a part of a file, no longer than a size_t can say. */
static int
add_file(struct exchange *x, int fd, int64_t offset, size_t len)
{
	size_t part = allowed(x, len);
	enum io io;

	x->taken += part;
	if (part == 0)
		return BICORN_OK;
	if (x->state == RESPONSE_STARTED)
		response_commit(x, false);
	if (x->no_body)
		return BICORN_OK;
	if (!emit(x, nothing, part, nothing))
		return BICORN_GONE;
	send_begin(x);
	io = output_file(x->w, x->c, fd, offset, part);
	send_end(x);
	if (io == IO_EOF) {
		cut_body(x);
		return BICORN_IO;
	}
	x->put += part;
	x->broken = io != IO_OK;
	if (x->broken)
		return BICORN_GONE;
	if (x->chunked) {
		struct iovec iov = { (void *)"\r\n", 2 };

		x->broken = !output_write(x->w, x->c, &iov, 1, false);
	}
	if (x->broken)
		return BICORN_GONE;
	lend_rest(x);
	return BICORN_OK;
}

int
response_file(struct exchange *x, int fd, int64_t offset, int64_t len)
{
	const int64_t most = SIZE_MAX / 4; /* a GiB where that has 32 bits */
	int rc = body_state(x);

	if (rc == BICORN_OK)
		rc = file_length(fd, offset, &len);
	while (rc == BICORN_OK && len > 0) {
		int64_t part = len < most ? len : most;

		rc = add_file(x, fd, offset, (size_t)part);
		offset += part;
		len -= part;
	}
	return rc;
}

static int
add_trailer(struct exchange *x, const struct bicorn_header *h)
{
	if (!response_field_ok(h) ||
	    http_response_field(span_from(h->name)) != HTTP_R_PASS)
		return BICORN_INVALID;
	return response_add_field(&x->trailers_out, h) ? BICORN_OK
						       : BICORN_NO_MEMORY;
}

int
response_trailers(struct exchange *x, const struct bicorn_header *headers,
    size_t count)
{
	if (x->state != RESPONSE_STARTED && x->state != RESPONSE_SENDING)
		return BICORN_STATE;
	x->trailers_out.len = 0;
	for (size_t i = 0; i < count; i++) {
		int rc = add_trailer(x, headers != NULL ? &headers[i] : NULL);

		if (rc != BICORN_OK) {
			x->trailers_out.len = 0; /* all of them, or none */
			return rc;
		}
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
	if (is_short(x)) /* if the head is not sent yet it says so */
		x->keep_open = false;
	if (x->state == RESPONSE_STARTED) {
		if (x->trailers_out.len > 0 && x->length < 0)
			response_commit(x, false);
		else
			response_commit(x, !is_short(x));
	}
	x->ending = true;
	if (x->chunked && !x->no_body)
		sent = end_chunks(x);
	else if (!x->head_sent || gathered(x) > 0)
		sent = emit(x, nothing, 0, nothing);
	x->state = is_short(x) ? RESPONSE_ABORTED : RESPONSE_DONE;
	if (!sent)
		x->broken = true;
	return sent ? BICORN_OK : BICORN_GONE;
}

/* The page has a type of its own. */
static bool
is_type(const struct bicorn_header *h)
{
	return h->name.ptr != NULL &&
	    span_ieq((struct span){ h->name.ptr, h->name.len },
		SPAN("content-type"));
}

int
response_page(struct exchange *x, unsigned status, const char *why,
    const struct bicorn_header *headers, size_t count)
{
	struct bicorn_header few[8], *own = few;
	struct bicorn_str part;
	struct page page;
	size_t n = 1;
	int rc;

	if (headers == NULL && count > 0)
		return BICORN_INVALID;
	if (count > sizeof(few) / sizeof(*few) - 1)
		own = calloc(count + 1, sizeof(*own));
	if (own == NULL)
		return BICORN_NO_MEMORY;
	pages_make(x->w->pages, status, why,
	    record_field(x->c, SPAN("accept")), ident_span(&x->id), &page);
	own[0] = (struct bicorn_header){ { "Content-Type", 12 },
		{ page.type.ptr, page.type.len } };
	for (size_t i = 0; i < count; i++)
		if (!is_type(&headers[i]))
			own[n++] = headers[i];
	part = (struct bicorn_str){ page.body.ptr, page.body.len };
	rc = response_start(x, status, SPAN_NONE, own, n, (int64_t)part.len);
	if (own != few)
		free(own);
	return rc == BICORN_OK ? response_write(x, &part, 1) : rc;
}

void
response_error(struct exchange *x, unsigned status, const char *text)
{
	/* Said before the page is written: a long one goes out at once. */
	static const struct bicorn_header close = {
		{ "Connection", 10 }, { "close", 5 },
	};

	if (response_page(x, status, text, &close, 1) != BICORN_OK) {
		x->broken = true;
		x->state = RESPONSE_ABORTED;
		return;
	}
	x->keep_open = false;
	response_finish(x);
}

/* Of a body that could not be had the client is to blame, or the disk. */
static void
answer_failure(struct exchange *x)
{
	const struct inbound *in = x->c->in;

	if (x->broken_body && in->refusal != 0)
		response_error(x, in->refusal, in->reason);
	else
		response_error(x, 500, "");
}

/*
 * Whether the client has, or will have, all that the head promised: its next
 * request may be on the way, which must not meet a closed connection.
 */
static bool
is_whole(const struct exchange *x)
{
	return x->no_body ||
	    (x->length >= 0 && x->taken == (uint64_t)x->length);
}

void
response_abort(struct exchange *x)
{
	switch (x->state) {
	case RESPONSE_NONE:
	case RESPONSE_STARTED:
		x->state = RESPONSE_NONE;
		answer_failure(x);
		return;
	case RESPONSE_SENDING:
		if (is_whole(x))
			response_finish(x);
		else
			cut_body(x);
		return;
	default:
		return;
	}
}
