/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_CHUNKED_H
#define BICORN_HTTP_CHUNKED_H

/*
 * The chunked transfer coding, RFC 9112, 7.1: decoding of requests, framing
 * of responses.  Pure, incremental, one owner at a time.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/head.h"

/* Bytes that http_chunk_begin() writes at most. */
#define HTTP_CHUNK_HEAD_MAX 18

/* A zeroed struct is ready for use. */
struct http_chunked {
	uint64_t left;         /* of the chunk in hand */
	uint64_t total;        /* data bytes so far */
	uint32_t line;         /* length of the size or trailer line so far */
	uint32_t trailers;     /* trailer lines so far */
	uint32_t overhead;     /* framing bytes beyond what chunks deserve */
	uint8_t state;
	uint16_t status;    /* after HTTP_BAD: 400, 431 or 503 */
	const char *reason; /* after HTTP_BAD: static text */
};

/*
 * Decodes data[0..len) in place.  *used_out: how many bytes were consumed,
 * all of them unless HTTP_DONE or HTTP_BAD; *data_out: how many bytes of
 * content now stand at the beginning of data.  Chunk extensions are
 * skipped, bounded in length.  Bare LF, a sign, white space around the size
 * and sizes above 2^60 are refused.
 *
 * The trailer section ends the body.  Its raw lines, without the empty one,
 * are appended to trailer; a section of more than limits->fields lines, or
 * a line above limits->field_size, is HTTP_BAD 431, no memory is 503.  They
 * are parsed with http_trailer_parse().
 */
enum http_verdict http_chunked_decode(struct http_chunked *c, char *data,
    size_t len, size_t *used_out, size_t *data_out,
    const struct http_limits *limits, struct buf *trailer);

/*
 * Splits a trailer section into fields, offsets into data; forbidden names
 * (Host, Content-Length, Transfer-Encoding, Trailer, Authorization, ...:
 * RFC 9110, 6.5.1) are HTTP_BAD 400.  fields has room for `room` of them.
 */
enum http_verdict http_trailer_parse(const char *data, size_t len,
    struct http_field *fields, size_t room, size_t *count_out,
    const char **reason_out);

/* Writes "SIZE CR LF" for a chunk of size > 0 bytes; returns the length. */
size_t http_chunk_begin(char out[HTTP_CHUNK_HEAD_MAX], uint64_t size);

#endif
