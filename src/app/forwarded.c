/* SPDX-License-Identifier: MIT */
#include "app/forwarded.h"

#include <stddef.h>
#include <string.h>

/* Whether the quote at s.ptr[i] is a part of what is quoted. */
static bool
is_escaped(struct span s, size_t i)
{
	size_t n = 0;

	while (i > n && s.ptr[i - n - 1] == '\\')
		n++;
	return n % 2 != 0;
}

/*
 * From the right, so that nothing further left, which a client may have
 * made up, can change what the last item is.
 */
bool
forwarded_last(struct span *list, struct span *item_out)
{
	struct span s = *list;
	bool quoted = false;
	size_t i = s.len;

	*item_out = SPAN_NONE;
	if (s.ptr == NULL)
		return false;
	for (; i > 0 && (quoted || s.ptr[i - 1] != ','); i--)
		if (s.ptr[i - 1] == '"' && !is_escaped(s, i - 1))
			quoted = !quoted;
	*item_out = span_trim((struct span){ s.ptr + i, s.len - i });
	*list = i > 0 ? (struct span){ s.ptr, i - 1 } : SPAN_NONE;
	return true;
}

static struct span
unquote(struct span s)
{
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		return (struct span){ s.ptr + 1, s.len - 2 };
	return s;
}

static bool
take_port(struct span text, unsigned *out)
{
	unsigned long long port;

	if (!span_uint(text, &port) || port > 65535)
		return false;
	*out = (unsigned)port;
	return true;
}

/* "[v6]" or "[v6]:port" */
static bool
bracketed(struct span text, struct addr *out)
{
	const char *end = memchr(text.ptr, ']', text.len);
	struct span host, rest;
	unsigned port = 0;

	if (end == NULL)
		return false;
	host = (struct span){ text.ptr + 1, (size_t)(end - text.ptr) - 1 };
	rest = (struct span){ end + 1, text.len - host.len - 2 };
	if (rest.len > 0 &&
	    (rest.ptr[0] != ':' ||
		!take_port((struct span){ rest.ptr + 1, rest.len - 1 }, &port)))
		return false;
	return memchr(host.ptr, ':', host.len) != NULL &&
	    addr_parse(host, port, out);
}

bool
forwarded_address(struct span text, struct addr *out)
{
	const char *colon;
	unsigned port = 0;

	text = unquote(text);
	if (text.len == 0)
		return false;
	if (text.ptr[0] == '[')
		return bracketed(text, out);
	colon = memchr(text.ptr, ':', text.len);
	if (colon != NULL) {
		size_t at = (size_t)(colon - text.ptr);
		struct span rest = { colon + 1, text.len - at - 1 };

		/* A second colon makes it an address of version 6. */
		if (memchr(rest.ptr, ':', rest.len) == NULL) {
			if (!take_port(rest, &port))
				return false;
			text.len = at;
		}
	}
	return addr_parse(text, port, out);
}

bool
forwarded_element(struct span element, struct span *for_out,
    struct span *proto_out)
{
	struct span pair, name;

	*for_out = *proto_out = SPAN_NONE;
	while (span_next(&element, ';', &pair)) {
		pair = span_trim(pair);
		if (pair.len == 0)
			continue;
		span_next(&pair, '=', &name);
		if (pair.ptr == NULL)
			return false;
		if (span_ieq(name, SPAN("for")))
			*for_out = unquote(pair);
		else if (span_ieq(name, SPAN("proto")))
			*proto_out = unquote(pair);
	}
	return true;
}
