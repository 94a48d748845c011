/* SPDX-License-Identifier: MIT */
/* Responses: heads, whole files, parts of files, short texts. */
#include "send.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/random.h>

#include "cache.h"
#include "conditional.h"
#include "date.h"
#include "range.h"

#define ETAG_MAX 40          /* two numbers in hex, a dash and quotes */
#define CONTENT_RANGE_MAX 80 /* "bytes ", three numbers, '-' and '/' */
#define BOUNDARY_LEN 32
#define PART_HEAD_MAX 320

#define STR(literal) ((struct bicorn_str){ literal, sizeof(literal) - 1 })

/* A response in the making: the file, its validators and its fields. */
struct reply {
	struct bicorn_exchange *x;
	const struct file *file;
	struct validators validators;
	char etag[ETAG_MAX];
	char modified[DATE_LEN];
	struct bicorn_header headers[8];
	size_t header_count;
};

static void
add_header(struct reply *r, struct bicorn_str name, struct bicorn_str value)
{
	r->headers[r->header_count].name = name;
	r->headers[r->header_count].value = value;
	r->header_count++;
}

/*
 * The entity tag says when the file changed, to the nanosecond, and how
 * long it is.  The inode is left out: machines behind one balancer, each
 * with its own copy of the files, give the same tag.
 */
static size_t
format_etag(char out[ETAG_MAX], const struct stat *st)
{
	static const char DIGITS[] = "0123456789abcdef";
	uint64_t parts[2] = { (uint64_t)st->st_mtim.tv_sec * 1000000000u +
		    (uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_size };
	char *to = out;
	int i, shift;

	*to++ = '"';
	for (i = 0; i < 2; i++) {
		if (i > 0)
			*to++ = '-';
		for (shift = 60; shift > 0 && parts[i] >> shift == 0;)
			shift -= 4;
		for (; shift >= 0; shift -= 4)
			*to++ = DIGITS[parts[i] >> shift & 15];
	}
	*to++ = '"';
	return (size_t)(to - out);
}

static void
reply_init(struct reply *r, struct bicorn_exchange *x, const struct file *f,
    int64_t now_s)
{
	int64_t modified = f->st.st_mtim.tv_sec;

	r->x = x;
	r->file = f;
	r->header_count = 0;
	r->validators.now = now_s;
	r->validators.modified = modified;
	r->validators.etag.ptr = r->etag;
	r->validators.etag.len = format_etag(r->etag, &f->st);
	/* A date in the future must not be sent (RFC 9110, 8.8.2.1). */
	date_format(modified <= now_s ? modified : now_s, r->modified);
}

static void
add_validators(struct reply *r)
{
	add_header(r, STR("Last-Modified"),
	    (struct bicorn_str){ r->modified, DATE_LEN });
	add_header(r, STR("ETag"), r->validators.etag);
}

static void
add_common(struct reply *r, struct bicorn_str type)
{
	add_header(r, STR("Content-Type"), type);
	add_validators(r);
	add_header(r, STR("Accept-Ranges"), STR("bytes"));
	add_header(r, STR("X-Content-Type-Options"), STR("nosniff"));
}

static bool
start(struct reply *r, unsigned status, int64_t length)
{
	return bicorn_respond(r->x, status, r->headers, r->header_count,
	    length) == BICORN_OK;
}

/* TLS encrypts what it finds in memory. */
static bool
has_to_copy(const struct reply *r, size_t len)
{
	const struct file *f = r->file;

	return f->content != NULL &&
	    (f->fd < 0 || len < CACHE_SENDFILE_MIN ||
		bicorn_tls(r->x, "SSL_PROTOCOL").ptr != NULL);
}

/*
 * Adds a part of the file to the body.  When the file is shorter by now
 * than it was when the head was made, the rest cannot be had: the response
 * is broken off, so that the client can tell.
 */
static bool
send_part(struct reply *r, int64_t first, int64_t len)
{
	const struct file *f = r->file;
	int rc;

	if (has_to_copy(r, (size_t)len))
		rc = bicorn_write(r->x, f->content + first, (size_t)len);
	else
		rc = bicorn_send_file(r->x, f->fd, f->at + first, len);
	if (rc != BICORN_OK && rc != BICORN_GONE)
		bicorn_abort(r->x);
	return rc == BICORN_OK;
}

static void
send_whole(struct reply *r)
{
	int64_t size = r->file->st.st_size;

	add_common(r, bicorn_str(r->file->type));
	if (!start(r, 200, size) || size == 0)
		return;
	if (!bicorn_str_eq(r->x->request->method, "HEAD"))
		send_part(r, 0, size);
}

static size_t
format_content_range(char out[CONTENT_RANGE_MAX], const struct range *range,
    int64_t size)
{
	return (size_t)snprintf(out, CONTENT_RANGE_MAX,
	    "bytes %" PRId64 "-%" PRId64 "/%" PRId64, range->first,
	    range->first + range->len - 1, size);
}

static void
send_one_range(struct reply *r, const struct range *range)
{
	char text[CONTENT_RANGE_MAX];
	size_t len = format_content_range(text, range, r->file->st.st_size);

	add_common(r, bicorn_str(r->file->type));
	add_header(r, STR("Content-Range"), (struct bicorn_str){ text, len });
	if (start(r, 206, range->len))
		send_part(r, range->first, range->len);
}

/* What stands before each part of a multipart/byteranges body. */
static size_t
format_part_head(char out[PART_HEAD_MAX], const struct reply *r,
    const char *boundary, const struct range *range)
{
	char text[CONTENT_RANGE_MAX];

	format_content_range(text, range, r->file->st.st_size);
	return (size_t)snprintf(out, PART_HEAD_MAX,
	    "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
	    boundary, r->file->type, text);
}

/*
 * A boundary that nobody could foresee, so that no file can have been made
 * to hold it.  False when the system has no random bytes.
 */
static bool
make_boundary(char out[BOUNDARY_LEN + 1])
{
	unsigned char random[BOUNDARY_LEN / 2];
	size_t i;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return false;
	for (i = 0; i < sizeof(random); i++)
		snprintf(out + 2 * i, 3, "%02x", random[i]);
	return true;
}

static void
send_ranges(struct reply *r, const struct range *ranges, size_t count)
{
	char boundary[BOUNDARY_LEN + 1], head[PART_HEAD_MAX];
	char type[sizeof("multipart/byteranges; boundary=") + BOUNDARY_LEN];
	char tail[BOUNDARY_LEN + 16];
	int64_t total;
	size_t i, tail_len;

	if (!make_boundary(boundary)) {
		send_whole(r);
		return;
	}
	snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s",
	    boundary);
	tail_len = (size_t)snprintf(tail, sizeof(tail), "\r\n--%s--\r\n",
	    boundary);
	total = (int64_t)tail_len;
	for (i = 0; i < count; i++)
		total += (int64_t)format_part_head(head, r, boundary,
			     &ranges[i]) +
		    ranges[i].len;

	add_common(r, bicorn_str(type));
	if (!start(r, 206, total))
		return;
	for (i = 0; i < count; i++) {
		size_t len = format_part_head(head, r, boundary, &ranges[i]);

		if (bicorn_write(r->x, head, len) != BICORN_OK ||
		    !send_part(r, ranges[i].first, ranges[i].len))
			return;
	}
	bicorn_write(r->x, tail, tail_len);
}

static void
send_unsatisfiable(struct bicorn_exchange *x, int64_t size)
{
	char text[CONTENT_RANGE_MAX];

	snprintf(text, sizeof(text), "bytes */%" PRId64, size);
	send_status_with(x, 416, "Content-Range", text);
}

static void
send_by_range(struct reply *r, const struct conditions *c)
{
	struct range ranges[RANGE_MAX];
	size_t count;

	switch (range_parse(c->range, r->file->st.st_size, ranges, &count)) {
	case RANGE_UNSATISFIABLE:
		send_unsatisfiable(r->x, r->file->st.st_size);
		break;
	case RANGE_PARTS:
		if (count == 1)
			send_one_range(r, &ranges[0]);
		else
			send_ranges(r, ranges, count);
		break;
	case RANGE_WHOLE:
		send_whole(r);
		break;
	}
}

void
send_file(struct bicorn_exchange *x, const struct file *f, int64_t now_s)
{
	struct conditions c;
	struct reply r;

	reply_init(&r, x, f, now_s);
	conditional_collect(x->request, &c);
	switch (conditional_check(&c, &r.validators)) {
	case CONDITIONAL_NOT_MODIFIED:
		add_validators(&r);
		start(&r, 304, BICORN_LENGTH_UNKNOWN);
		break;
	case CONDITIONAL_FAILED:
		send_status(x, 412);
		break;
	case CONDITIONAL_GO:
		/* Range means something for GET alone (RFC 9110, 14.2). */
		if (conditional_range(&c, &r.validators) &&
		    bicorn_str_eq(x->request->method, "GET"))
			send_by_range(&r, &c);
		else
			send_whole(&r);
		break;
	}
}

/* --- without a file ------------------------------------------------------ */

void
send_status_with(struct bicorn_exchange *x, unsigned status, const char *name,
    const char *value)
{
	const struct bicorn_header headers[] = {
		{ STR("X-Content-Type-Options"), STR("nosniff") },
		{ bicorn_str(name), bicorn_str(value) },
	};
	size_t count = name != NULL ? 2 : 1;

	if (status < 400)
		bicorn_respond(x, status, headers, count, 0);
	else
		bicorn_error(x, status, headers, count);
}

void
send_status(struct bicorn_exchange *x, unsigned status)
{
	send_status_with(x, status, NULL, NULL);
}

void
send_options(struct bicorn_exchange *x)
{
	const struct bicorn_header allow = { STR("Allow"),
		STR("GET, HEAD, OPTIONS") };

	bicorn_respond(x, 204, &allow, 1, BICORN_LENGTH_UNKNOWN);
}
