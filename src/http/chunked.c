/* SPDX-License-Identifier: MIT */
#include "http/chunked.h"

#include <string.h>

#include "http/bytes.h"
#include "http/field.h"

enum state {
	STATE_SIZE,
	STATE_SIZE_SPACE, /* white space, that an extension has to follow */
	STATE_EXTENSION,
	STATE_QUOTED,      /* in a quoted string of an extension */
	STATE_QUOTED_PAIR, /* behind a backslash there */
	STATE_SIZE_LF,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_LF,
	STATE_TRAILER, /* at the beginning of a line or in it */
	STATE_TRAILER_LF,
	STATE_END_LF,
	STATE_DONE,
	STATE_BAD,
};

#define SIZE_DIGITS_MAX 16
#define SIZE_MAX_VALUE (UINT64_C(1) << 60)
#define SIZE_LINE_MAX 1024

/*
 * A client that wraps every byte into a chunk with a long extension makes
 * much work for little content.  Each chunk is granted its frame and twice
 * what it carries; what all chunks use beyond may not pass this.
 */
#define OVERHEAD_MAX (16 * 1024)
#define OVERHEAD_GRANT 16

/* Where the decoder is in the caller's bytes. */
struct cursor {
	char *data;
	size_t len;
	size_t used;
	size_t kept; /* content, moved to the beginning of data */
};

static enum http_verdict
fail(struct http_chunked *c, uint16_t status, const char *reason)
{
	c->status = status;
	c->reason = reason;
	c->state = STATE_BAD;
	return HTTP_BAD;
}

static enum http_verdict
to(struct http_chunked *c, enum state state)
{
	c->state = (uint8_t)state;
	return HTTP_DONE;
}

static enum http_verdict
bad_size(struct http_chunked *c)
{
	return fail(c, 400, "invalid chunk size");
}

/* The size line is over but for its LF. */
static enum http_verdict
end_size(struct http_chunked *c)
{
	uint64_t grant = OVERHEAD_GRANT + 2 * c->left;
	uint64_t owed = (uint64_t)c->overhead + c->line;

	c->overhead = owed > grant ? (uint32_t)(owed - grant) : 0;
	if (c->overhead > OVERHEAD_MAX)
		return fail(c, 400, "too many chunk extensions");
	return to(c, STATE_SIZE_LF);
}

static enum http_verdict
take_size(struct http_chunked *c, char byte)
{
	int digit = http_hex((unsigned char)byte);

	if (digit >= 0) {
		if (c->line++ == SIZE_DIGITS_MAX)
			return bad_size(c);
		c->left = c->left << 4 | (unsigned)digit;
		return c->left > SIZE_MAX_VALUE ? bad_size(c) : HTTP_DONE;
	}
	if (c->line == 0)
		return bad_size(c);
	if (byte == '\r')
		return end_size(c);
	c->line++;
	if (byte == ' ' || byte == '\t')
		return to(c, STATE_SIZE_SPACE);
	return byte == ';' ? to(c, STATE_EXTENSION) : bad_size(c);
}

/* "5 ;name" has to be understood, "5 " before the end of the line not. */
static enum http_verdict
take_size_space(struct http_chunked *c, char byte)
{
	if (c->line++ == SIZE_LINE_MAX)
		return fail(c, 400, "chunk extension too long");
	if (byte == ' ' || byte == '\t')
		return HTTP_DONE;
	return byte == ';' ? to(c, STATE_EXTENSION) : bad_size(c);
}

static enum state
after_extension_byte(enum state state, char byte)
{
	if (state == STATE_QUOTED_PAIR)
		return STATE_QUOTED;
	if (byte == '"')
		return state == STATE_QUOTED ? STATE_EXTENSION : STATE_QUOTED;
	if (byte == '\\' && state == STATE_QUOTED)
		return STATE_QUOTED_PAIR;
	return state;
}

/*
 * Extensions are skipped, but a line end in a quoted string, where another
 * reader may not take it for one, is refused.
 */
static enum http_verdict
take_extension(struct http_chunked *c, char byte)
{
	if (byte == '\r' && c->state == STATE_EXTENSION)
		return end_size(c);
	if (http_bytes[(unsigned char)byte] & HTTP_B_STOP)
		return fail(c, 400, "control byte in a chunk extension");
	if (c->line++ == SIZE_LINE_MAX)
		return fail(c, 400, "chunk extension too long");
	return to(c, after_extension_byte((enum state)c->state, byte));
}

static enum http_verdict
take_size_lf(struct http_chunked *c, char byte)
{
	if (byte != '\n')
		return fail(c, 400, "CR without LF");
	c->line = 0;
	return to(c, c->left > 0 ? STATE_DATA : STATE_TRAILER);
}

static void
take_data(struct http_chunked *c, struct cursor *in)
{
	size_t run = in->len - in->used;

	if (run > c->left)
		run = (size_t)c->left;
	if (in->kept != in->used)
		memmove(in->data + in->kept, in->data + in->used, run);
	in->kept += run;
	in->used += run;
	c->left -= run;
	c->total += run;
	if (c->left == 0)
		c->state = STATE_DATA_CR;
}

static enum http_verdict
take_data_end(struct http_chunked *c, char byte)
{
	if (byte != (c->state == STATE_DATA_CR ? '\r' : '\n'))
		return fail(c, 400, "chunk longer than its size");
	return to(c, c->state == STATE_DATA_CR ? STATE_DATA_LF : STATE_SIZE);
}

/* Checks the line that now is complete at the end of trailer. */
static enum http_verdict
end_trailer_line(struct http_chunked *c, struct buf *trailer)
{
	const char *line = trailer->data + trailer->len - c->line - 2;
	struct http_field f;
	const char *why = http_field_split(line, 0, c->line, &f);

	if (why != NULL)
		return fail(c, 400, why);
	if (!http_trailer_allowed(http_span(line, f.name)))
		return fail(c, 400, "field not allowed in a trailer");
	c->line = 0;
	return to(c, STATE_TRAILER);
}

/* The first byte of a line, or of the end. */
static enum http_verdict
begin_trailer_line(
    struct http_chunked *c, char byte, const struct http_limits *limits)
{
	if (byte == '\r')
		return to(c, STATE_END_LF);
	if (http_bytes[(unsigned char)byte] & HTTP_B_NOT_TOKEN)
		return fail(c, 400, "invalid trailer");
	if (c->trailers++ >= limits->fields)
		return fail(c, 431, "too many trailers");
	return HTTP_DONE;
}

/* Goes on to the end of the line, or of what is there. */
static enum http_verdict
take_trailer(struct http_chunked *c, struct cursor *in,
    const struct http_limits *limits, struct buf *trailer)
{
	const char *line = in->data + in->used;
	size_t room = limits->field_size - c->line, run = 0;
	size_t len = in->len - in->used;

	while (run < len && run <= room &&
	       !(http_bytes[(unsigned char)line[run]] & HTTP_B_STOP))
		run++;
	if (run > room)
		return fail(c, 431, "trailer too long");
	if (run < len && line[run] != '\r')
		return fail(c, 400, "control byte in a trailer");
	if (!buf_add(trailer, line, run) ||
	    (run < len && !buf_add(trailer, "\r\n", 2)))
		return fail(c, 503, "no memory");
	c->line += (uint32_t)run;
	in->used += run < len ? run + 1 : run;
	return run < len ? to(c, STATE_TRAILER_LF) : HTTP_DONE;
}

/* Everything but content and trailer lines goes byte by byte. */
static enum http_verdict
take_byte(struct http_chunked *c, char byte, struct buf *trailer)
{
	switch ((enum state)c->state) {
	case STATE_SIZE:
		return take_size(c, byte);
	case STATE_SIZE_SPACE:
		return take_size_space(c, byte);
	case STATE_EXTENSION:
	case STATE_QUOTED:
	case STATE_QUOTED_PAIR:
		return take_extension(c, byte);
	case STATE_SIZE_LF:
		return take_size_lf(c, byte);
	case STATE_DATA_CR:
	case STATE_DATA_LF:
		return take_data_end(c, byte);
	case STATE_TRAILER_LF:
		if (byte != '\n')
			return fail(c, 400, "CR without LF");
		return end_trailer_line(c, trailer);
	case STATE_END_LF:
		if (byte != '\n')
			return fail(c, 400, "CR without LF");
		return to(c, STATE_DONE);
	default:
		return HTTP_BAD;
	}
}

static enum http_verdict
take_some(struct http_chunked *c, struct cursor *in,
    const struct http_limits *limits, struct buf *trailer)
{
	enum http_verdict v = HTTP_DONE;

	if (c->state == STATE_DATA) {
		take_data(c, in);
		return HTTP_DONE;
	}
	if (c->state == STATE_TRAILER) {
		if (c->line == 0)
			v = begin_trailer_line(c, in->data[in->used], limits);
		if (v == HTTP_DONE && c->state == STATE_TRAILER)
			return take_trailer(c, in, limits, trailer);
	} else {
		v = take_byte(c, in->data[in->used], trailer);
	}
	if (v == HTTP_DONE)
		in->used++;
	return v;
}

enum http_verdict
http_chunked_decode(struct http_chunked *c, char *data, size_t len,
    size_t *used_out, size_t *data_out, const struct http_limits *limits,
    struct buf *trailer)
{
	struct cursor in = { .data = data, .len = len };
	enum http_verdict v = c->state == STATE_BAD ? HTTP_BAD : HTTP_DONE;

	while (v == HTTP_DONE && c->state != STATE_DONE && in.used < len)
		v = take_some(c, &in, limits, trailer);
	*used_out = in.used;
	*data_out = in.kept;
	if (v == HTTP_BAD)
		return HTTP_BAD;
	return c->state == STATE_DONE ? HTTP_DONE : HTTP_MORE;
}

size_t
http_chunk_begin(char out[HTTP_CHUNK_HEAD_MAX], uint64_t size)
{
	static const char digits[] = "0123456789abcdef";
	unsigned shift =
	    size != 0 ? (unsigned)(63 - __builtin_clzll(size)) & ~3u : 0;
	size_t n = 0;

	for (;; shift -= 4) {
		out[n++] = digits[size >> shift & 15];
		if (shift == 0)
			break;
	}
	out[n++] = '\r';
	out[n++] = '\n';
	return n;
}
