/* SPDX-License-Identifier: MIT */
#include "http/uri.h"

#include <arpa/inet.h>
#include <string.h>

#include "http/bytes.h"

size_t
http_uri_decode(struct span in, char *out)
{
	size_t from = 0, to = 0;

	while (from < in.len) {
		const char *cut = memchr(in.ptr + from, '%', in.len - from);
		size_t run = cut != NULL ? (size_t)(cut - in.ptr) - from :
					   in.len - from;
		int high, low;

		memmove(out + to, in.ptr + from, run);
		from += run;
		to += run;
		if (cut == NULL)
			break;
		high = in.len - from > 2 ?
		    http_hex((unsigned char)cut[1]) :
		    -1;
		low = high >= 0 ? http_hex((unsigned char)cut[2]) : -1;
		out[to++] = low >= 0 ? (char)(high << 4 | low) : '%';
		from += low >= 0 ? 3 : 1;
	}
	return to;
}

static bool
all_host_bytes(const char *p, size_t len, char also)
{
	for (size_t i = 0; i < len; i++)
		if (!(http_bytes[(unsigned char)p[i]] & HTTP_B_HOST) &&
		    (also == '\0' || p[i] != also))
			return false;
	return true;
}

/* reg-name or IPv4address; '%' only before two hex digits. */
static bool
name_ok(struct span name)
{
	const char *cut;

	while ((cut = name.len > 0 ? memchr(name.ptr, '%', name.len) : NULL) !=
	    NULL) {
		size_t run = (size_t)(cut - name.ptr);

		if (!all_host_bytes(name.ptr, run, '\0') ||
		    name.len - run < 3 ||
		    http_hex((unsigned char)cut[1]) < 0 ||
		    http_hex((unsigned char)cut[2]) < 0)
			return false;
		name.ptr = cut + 3;
		name.len -= run + 3;
	}
	return all_host_bytes(name.ptr, name.len, '\0');
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool
future_ok(struct span address)
{
	const char *dot = memchr(address.ptr, '.', address.len);
	size_t version;

	if (dot == NULL || (address.ptr[0] | 0x20) != 'v')
		return false;
	version = (size_t)(dot - address.ptr) - 1;
	for (size_t i = 0; i < version; i++)
		if (http_hex((unsigned char)address.ptr[1 + i]) < 0)
			return false;
	return version > 0 && address.len > version + 2 &&
	    all_host_bytes(dot + 1, address.len - version - 2, ':');
}

/* What stands between the brackets. */
static bool
literal_ok(struct span address)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char binary[16];

	if (address.len > 0 && (address.ptr[0] | 0x20) == 'v')
		return future_ok(address);
	if (address.len >= sizeof(text) ||
	    (address.len > 0 && memchr(address.ptr, '\0', address.len)))
		return false;
	memcpy(text, address.ptr, address.len);
	text[address.len] = '\0';
	return inet_pton(AF_INET6, text, binary) == 1;
}

/* Empty, or a number up to 65535. */
static bool
port_ok(struct span port)
{
	unsigned long long number;

	return port.len == 0 || (span_uint(port, &number) && number <= 65535);
}

bool
http_uri_authority(struct span in, struct span *host_out,
    struct span *port_out)
{
	bool literal = in.len > 0 && in.ptr[0] == '[';
	const char *end = NULL;
	size_t len;

	*host_out = SPAN_NONE;
	*port_out = SPAN_NONE;
	if (in.len > 0)
		end = memchr(in.ptr, literal ? ']' : ':', in.len);
	if (literal && end == NULL)
		return false;
	len = end != NULL ? (size_t)(end - in.ptr) + literal : in.len;
	if (len == 0 || (len < in.len && in.ptr[len] != ':'))
		return false;
	if (literal ?
		!literal_ok((struct span){ in.ptr + 1, len - 2 }) :
		!name_ok((struct span){ in.ptr, len }))
		return false;
	*host_out = (struct span){ in.ptr, len };
	if (len < in.len)
		*port_out = (struct span){ in.ptr + len + 1,
			in.len - len - 1 };
	if (port_ok(*port_out))
		return true;
	*host_out = SPAN_NONE;
	*port_out = SPAN_NONE;
	return false;
}
