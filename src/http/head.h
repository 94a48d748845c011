/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_HEAD_H
#define BICORN_HTTP_HEAD_H

/*
 * The head of an HTTP/1.x request: request line and fields, RFC 9112.
 *
 * Incremental: called again with the same bytes and more behind them; no
 * byte is looked at twice but for a bounded rest.  Positions are offsets
 * into the caller's buffer, which may therefore move between two calls.
 * No I/O, no lock, no log; one owner at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* What a step over input came to. */
enum http_verdict {
	HTTP_MORE, /* nothing wrong so far; more bytes are needed */
	HTTP_DONE, /* complete */
	HTTP_BAD,  /* to be refused, with the status that was left */
};

/* What is refused otherwise: bits, from the settings permit_* and so on. */
enum http_permit {
	HTTP_PERMIT_FOLDING = 1, /* fields that go on in the next line */
	HTTP_PERMIT_SPACES = 2,  /* between the name of a field and ':' */
	HTTP_PERMIT_METHOD = 4,  /* any token */
	HTTP_PERMIT_VERSION = 8, /* any digits */
	HTTP_CASEFOLD_METHOD = 16, /* in upper case from then on */
};

/* Limits, from the settings of the same names.  All in bytes but fields. */
struct http_limits {
	uint32_t line;       /* request line, without CR LF */
	uint32_t fields;     /* how many */
	uint32_t field_size; /* one field line, without CR LF */
	uint32_t permit;     /* enum http_permit */
};

struct http_cgi;

/* A run of bytes of the buffer. */
struct http_part {
	uint32_t at;
	uint32_t len;
};

/* Fields that the server itself knows; everything else is HTTP_F_OTHER. */
enum http_field_id {
	HTTP_F_OTHER,
	HTTP_F_HOST,
	HTTP_F_CONNECTION,
	HTTP_F_CONTENT_LENGTH,
	HTTP_F_CONTENT_TYPE,
	HTTP_F_TRANSFER_ENCODING,
	HTTP_F_EXPECT,
	HTTP_F_UPGRADE,
	HTTP_F_TE,
	HTTP_F_TRAILER,
	HTTP_F_KEEP_ALIVE,
};

struct http_field {
	struct http_part name;
	struct http_part value; /* without OWS at its ends */
	uint8_t id;             /* enum http_field_id */
	bool underscore;        /* the name holds a '_' */
};

struct http_head {
	/* Result, meaningful after HTTP_DONE; the line's as soon as parsed. */
	struct http_part method;
	struct http_part target;    /* as received */
	struct http_part path;      /* not decoded; "*" for OPTIONS *; of
				       absolute-form the path, len 0 when the
				       URI has none (stands for "/"); of
				       CONNECT len 0 */
	struct http_part query;     /* behind '?', without it */
	struct http_part authority; /* of absolute-form and CONNECT */
	struct http_field *fields;  /* heap, grows with what is received */
	uint32_t field_count;
	int64_t content_length; /* -1: none given */
	int32_t host;           /* index of the Host field, -1: none */
	uint8_t minor;          /* 0 or 1; HTTP/1.2 and above count as 1 */
	uint8_t version[2];     /* the digits as received, when permitted
				   and not those of 1.x; else 0 */
	bool line_done;         /* method .. minor above are valid */
	bool chunked;           /* the body is chunked */
	bool keep_alive;        /* the client wants the connection kept */
	bool expect_continue;
	bool upgrade;           /* has Upgrade, named by Connection */
	uint32_t length;        /* bytes of the whole head, after HTTP_DONE */
	const struct http_cgi *cgi; /* of http/uwsgi.h, or NULL: it was HTTP */

	/* After HTTP_BAD. */
	uint16_t status;  /* 400, 414, 417, 431, 501, 505; 503: no memory */
	const char *reason; /* for the log and the answer, static text */

	/* State between calls: the parser's own. */
	uint32_t line_at;  /* where the line in hand begins */
	uint32_t part_at;  /* where the part of it in hand begins */
	uint32_t searched; /* all bytes before this one are dealt with */
	uint32_t field_room;
	uint16_t seen; /* one bit for each enum http_field_id */
	uint8_t phase;
	uint8_t empty_lines;
	uint8_t wishes;
};

/*
 * Bytes that a head may have at most under these limits.  Whoever keeps that
 * many never has a head that is incomplete: it is complete or refused.
 */
size_t http_head_max(const struct http_limits *limits);

/* A zeroed struct is ready for use; reset makes it so again, and keeps the
 * memory of fields.  fini frees it. */
void http_head_reset(struct http_head *h);
void http_head_fini(struct http_head *h);

/*
 * With HTTP_PERMIT_FOLDING and HTTP_CASEFOLD_METHOD the bytes are changed,
 * so they must be the caller's to write.
 *
 * Looks at data[0..len), of which the first bytes are those of the calls
 * before.  HTTP_DONE: h->length bytes are the head, what is behind is body
 * or the next request.  HTTP_BAD: h->status and h->reason say why; the
 * connection cannot be used any more.
 *
 * Before the request line, at most two empty lines are skipped (RFC 9112,
 * 2.2).  A bare CR or LF as a line end is refused.
 *
 * What is wrong is refused at the first byte that makes it wrong, however
 * the bytes are divided among the calls: TLS on a plain port, say, is seen
 * without waiting for the end of a line.
 */
enum http_verdict http_head_parse(struct http_head *h, const char *data,
    size_t len, const struct http_limits *limits);

static inline struct span
http_span(const char *data, struct http_part part)
{
	return (struct span){ data + part.at, part.len };
}

/* The first field of that id or name; NULL when there is none. */
const struct http_field *http_head_field(const struct http_head *h,
    const char *data, struct span name);

#endif
