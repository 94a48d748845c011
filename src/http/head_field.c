/* SPDX-License-Identifier: MIT */
/*
 * What the fields that the server itself knows mean: framing, persistence,
 * expectations.  Strict: a field that two parsers could understand in two
 * ways is refused (RFC 9112, 11.2).
 */

#include "http/bytes.h"
#include "http/head_private.h"
#include "http/response.h"
#include "http/uri.h"

/* --- which field --------------------------------------------------------- */

static inline enum http_field_id
either(bool is, enum http_field_id id)
{
	return is ? id : HTTP_F_OTHER;
}

#define LETTER(c) (UINT32_C(1) << ((c)&31))

const uint32_t http_field_letters[64] = {
	[2] = LETTER('t'),
	[4] = LETTER('h'),
	[6] = LETTER('e'),
	[7] = LETTER('u') | LETTER('t'),
	[10] = LETTER('c') | LETTER('k'),
	[12] = LETTER('c'),
	[14] = LETTER('c'),
	[17] = LETTER('t'),
};

enum http_field_id
http_field_id_known(const char *p, size_t len)
{
	switch (len) {
	case 2:
		return either(
		    (p[0] | 0x20) == 't' && (p[1] | 0x20) == 'e', HTTP_F_TE);
	case 4:
		return either(http_same4(p, "host", 4), HTTP_F_HOST);
	case 6:
		return either(http_same4(p, "expect", 6), HTTP_F_EXPECT);
	case 7:
		if (http_same4(p, "upgrade", 7))
			return HTTP_F_UPGRADE;
		return either(http_same4(p, "trailer", 7), HTTP_F_TRAILER);
	case 10:
		if (http_same8(p, "connection", 10))
			return HTTP_F_CONNECTION;
		return either(
		    http_same8(p, "keep-alive", 10), HTTP_F_KEEP_ALIVE);
	case 12:
		return either(
		    http_same8(p, "content-type", 12), HTTP_F_CONTENT_TYPE);
	case 14:
		return either(
		    http_same8(p, "content-length", 14), HTTP_F_CONTENT_LENGTH);
	case 17:
		return either(http_same8(p, "transfer-encoding", 17) &&
				  p[8] == '-',
		    HTTP_F_TRANSFER_ENCODING);
	default:
		return HTTP_F_OTHER;
	}
}

/* --- one field ----------------------------------------------------------- */

static enum http_verdict
obey_host(struct http_head *h, struct span value)
{
	struct span host, port;

	/* Empty stands for a target without authority (RFC 9110, 7.2). */
	if (value.len > 0 && !http_uri_authority(value, &host, &port))
		return http_head_fail(h, 400, "invalid Host");
	h->host = (int32_t)h->field_count;
	return HTTP_DONE;
}

static enum http_verdict
obey_length(struct http_head *h, struct span value)
{
	unsigned long long length;

	if (!span_uint(value, &length))
		return http_head_fail(h, 400, "invalid Content-Length");
	h->content_length = (int64_t)length;
	return HTTP_DONE;
}

/*
 * Only "chunked", once and last, is understood.  Other codings are refused
 * as not implemented; anything behind chunked, and all that is no list of
 * tokens, as an attempt to hide a body's end.
 */
static enum http_verdict
obey_coding(struct http_head *h, struct span value)
{
	struct span coding;

	if (h->minor == 0)
		return http_head_fail(
		    h, 400, "Transfer-Encoding in an HTTP/1.0 request");
	while (span_next(&value, ',', &coding)) {
		coding = span_trim(coding);
		if (h->chunked || !http_name_ok(coding))
			return http_head_fail(
			    h, 400, "invalid Transfer-Encoding");
		if (span_ieq(coding, SPAN("chunked")))
			h->chunked = true;
		else
			h->wishes |= HTTP_WISH_CODING;
	}
	return HTTP_DONE;
}

static void
obey_connection(struct http_head *h, struct span value)
{
	struct span wish;

	/* What most browsers and proxies send. */
	if (value.len == 10 && http_same8(value.ptr, "keep-alive", 10)) {
		h->wishes |= HTTP_WISH_KEEP_ALIVE;
		return;
	}
	while (span_next(&value, ',', &wish)) {
		wish = span_trim(wish);
		if (span_ieq(wish, SPAN("close")))
			h->wishes |= HTTP_WISH_CLOSE;
		else if (span_ieq(wish, SPAN("keep-alive")))
			h->wishes |= HTTP_WISH_KEEP_ALIVE;
		else if (span_ieq(wish, SPAN("upgrade")))
			h->wishes |= HTTP_WISH_UPGRADE;
	}
}

static void
obey_expect(struct http_head *h, struct span value)
{
	struct span wish;

	while (span_next(&value, ',', &wish)) {
		wish = span_trim(wish);
		/* HTTP/1.0 does not know it (RFC 9110, 10.1.1). */
		if (span_ieq(wish, SPAN("100-continue")))
			h->expect_continue = h->minor > 0;
		else
			h->wishes |= HTTP_WISH_EXPECTATION;
	}
}

/* Fields of which a second one is an attack or a mistake. */
#define ONCE                                                                   \
	(1u << HTTP_F_HOST | 1u << HTTP_F_CONTENT_LENGTH |                     \
	    1u << HTTP_F_CONTENT_TYPE)

enum http_verdict
http_head_field_done(
    struct http_head *h, const char *data, const struct http_field *f)
{
	struct span value = http_span(data, f->value);
	unsigned bit = 1u << f->id;

	if (h->seen & bit & ONCE)
		return http_head_fail(h, 400, "repeated header field");
	h->seen |= (uint16_t)bit;
	switch ((enum http_field_id)f->id) {
	case HTTP_F_HOST:
		return obey_host(h, value);
	case HTTP_F_CONTENT_LENGTH:
		return obey_length(h, value);
	case HTTP_F_TRANSFER_ENCODING:
		return obey_coding(h, value);
	case HTTP_F_EXPECT:
		obey_expect(h, value);
		return HTTP_DONE;
	case HTTP_F_CONNECTION:
		obey_connection(h, value);
		return HTTP_DONE;
	default:
		return HTTP_DONE;
	}
}

/* --- all fields ---------------------------------------------------------- */

static bool
seen(const struct http_head *h, enum http_field_id id)
{
	return h->seen >> id & 1;
}

enum http_verdict
http_head_finish(struct http_head *h)
{
	if (h->minor > 0 && h->host < 0)
		return http_head_fail(h, 400, "no Host");
	if (seen(h, HTTP_F_TRANSFER_ENCODING) && h->content_length >= 0)
		return http_head_fail(
		    h, 400, "both Transfer-Encoding and Content-Length");
	if (h->wishes & HTTP_WISH_CODING)
		return http_head_fail(h, 501, "unknown transfer coding");
	if (h->wishes & HTTP_WISH_EXPECTATION)
		return http_head_fail(h, 417, "unknown expectation");
	h->keep_alive = !(h->wishes & HTTP_WISH_CLOSE) &&
			(h->minor > 0 || (h->wishes & HTTP_WISH_KEEP_ALIVE));
	h->upgrade = h->minor > 0 && (h->wishes & HTTP_WISH_UPGRADE) &&
		     seen(h, HTTP_F_UPGRADE);
	return HTTP_DONE;
}
