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
		size_t run =
		    cut != NULL ? (size_t)(cut - in.ptr) - from : in.len - from;
		int high, low;

		memmove(out + to, in.ptr + from, run);
		from += run;
		to += run;
		if (cut == NULL)
			break;
		high = in.len - from > 2 ? http_hex((unsigned char)cut[1]) : -1;
		low = high >= 0 ? http_hex((unsigned char)cut[2]) : -1;
		out[to++] = low >= 0 ? (char)(high << 4 | low) : '%';
		from += low >= 0 ? 3 : 1;
	}
	return to;
}

/* "%41" */
static bool
is_escape(const char *p, size_t len)
{
	return len >= 3 && p[0] == '%' && http_hex((unsigned char)p[1]) >= 0 &&
	       http_hex((unsigned char)p[2]) >= 0;
}

/* How many bytes at the beginning are a reg-name or IPv4address. */
static size_t
name_len(struct span in)
{
	size_t i = 0;

	while (i < in.len) {
		if (http_bytes[(unsigned char)in.ptr[i]] & HTTP_B_HOST)
			i++;
		else if (is_escape(in.ptr + i, in.len - i))
			i += 3;
		else
			break;
	}
	return i;
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
	for (size_t i = version + 2; i < address.len; i++)
		if (!(http_bytes[(unsigned char)address.ptr[i]] &
			HTTP_B_HOST) &&
		    address.ptr[i] != ':')
			return false;
	return version > 0 && address.len > version + 2;
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

/* The bytes of an address in brackets, 0 when it is none. */
static size_t
literal_len(struct span in)
{
	const char *end = memchr(in.ptr, ']', in.len);
	size_t len = end != NULL ? (size_t)(end - in.ptr) + 1 : 0;

	if (len == 0 || !literal_ok((struct span){ in.ptr + 1, len - 2 }))
		return 0;
	return len;
}

/* Empty, or a number up to 65535. */
static bool
port_ok(struct span port)
{
	unsigned number = 0;

	for (size_t i = 0; i < port.len; i++) {
		unsigned digit = (unsigned char)port.ptr[i] - (unsigned)'0';

		number = number * 10 + digit;
		if (digit > 9 || number > 65535)
			return false;
	}
	return true;
}

bool
http_uri_authority(struct span in, struct span *host_out, struct span *port_out)
{
	struct span port = SPAN_NONE;
	size_t len = 0;

	*host_out = SPAN_NONE;
	*port_out = SPAN_NONE;
	if (in.len > 0)
		len = in.ptr[0] == '[' ? literal_len(in) : name_len(in);
	if (len == 0 || (len < in.len && in.ptr[len] != ':'))
		return false;
	if (len < in.len)
		port = (struct span){ in.ptr + len + 1, in.len - len - 1 };
	if (!port_ok(port))
		return false;
	*host_out = (struct span){ in.ptr, len };
	*port_out = port;
	return true;
}
