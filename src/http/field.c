/* SPDX-License-Identifier: MIT */
#include "http/field.h"

#include <string.h>

#include "http/chunked.h"
#include "http/head_private.h"
#include "http/response.h"

/* Where s, a piece of data, stands in it. */
static struct http_part
part_of(const char *data, struct span s)
{
	return (struct http_part){ (uint32_t)(s.ptr - data), (uint32_t)s.len };
}

const char *
http_field_split(
    const char *data, uint32_t at, uint32_t len, struct http_field *field_out)
{
	struct span line = { data + at, len }, name, value;
	const char *colon = len > 0 ? memchr(line.ptr, ':', len) : NULL;

	*field_out = (struct http_field){ 0 };
	if (colon == NULL)
		return "header field without colon";
	name = (struct span){ line.ptr, (size_t)(colon - line.ptr) };
	value = (struct span){ colon + 1, len - name.len - 1 };
	if (!http_name_ok(name))
		return "invalid header name";
	if (!http_value_ok(value))
		return "control byte in a field";
	field_out->name = part_of(data, name);
	field_out->value = part_of(data, span_trim(value));
	field_out->id = (uint8_t)http_field_id(name.ptr, name.len);
	field_out->underscore = memchr(name.ptr, '_', name.len) != NULL;
	return NULL;
}

/*
 * Fields that frame, route, authenticate or control a message, or say how
 * its content is to be read, have to be known before the content.
 */
bool
http_trailer_allowed(struct span name)
{
	static const char forbidden[][20] = {
		"Age",
		"Authorization",
		"Cache-Control",
		"Connection",
		"Content-Encoding",
		"Content-Length",
		"Content-Range",
		"Content-Type",
		"Cookie",
		"Date",
		"Expect",
		"Expires",
		"Forwarded",
		"Host",
		"If-Match",
		"If-Modified-Since",
		"If-None-Match",
		"If-Range",
		"If-Unmodified-Since",
		"Keep-Alive",
		"Location",
		"Max-Forwards",
		"Origin",
		"Pragma",
		"Proxy-Authenticate",
		"Proxy-Authorization",
		"Proxy-Connection",
		"Range",
		"Retry-After",
		"Set-Cookie",
		"TE",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade",
		"Vary",
		"WWW-Authenticate",
		"Warning",
	};

	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		if (span_ieq(name, span_of(forbidden[i])))
			return false;
	return true;
}

static enum http_verdict
bad(const char *reason, const char **reason_out)
{
	*reason_out = reason;
	return HTTP_BAD;
}

enum http_verdict
http_trailer_parse(const char *data, size_t len, struct http_field *fields,
    size_t room, size_t *count_out, const char **reason_out)
{
	size_t at = 0, count = 0;

	*count_out = 0;
	*reason_out = NULL;
	while (at < len) {
		const char *lf = memchr(data + at, '\n', len - at);
		size_t end = lf != NULL ? (size_t)(lf - data) : 0;
		const char *why;

		if (lf == NULL || end == at || data[end - 1] != '\r' ||
		    end > UINT32_MAX)
			return bad("trailer without CR LF", reason_out);
		if (count == room)
			return bad("too many trailers", reason_out);
		why = http_field_split(data, (uint32_t)at,
		    (uint32_t)(end - 1 - at), &fields[count]);
		if (why != NULL)
			return bad(why, reason_out);
		if (!http_trailer_allowed(http_span(data, fields[count].name)))
			return bad(
			    "field not allowed in a trailer", reason_out);
		count++;
		at = end + 1;
	}
	*count_out = count;
	return HTTP_DONE;
}
