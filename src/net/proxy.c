/* SPDX-License-Identifier: MIT */
/*
 * The parser of PROXY headers.  Version 1 is a line of text, version 2 is
 * binary: a signature, what it is about, addresses, and tagged values
 * ("TLV") that may hold others.
 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

/* "PROXY UNKNOWN", two v6 addresses, two ports, CR LF */
#define V1_LENGTH_MAX 107

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define SIGNATURE_LEN 12
#define FIXED_LEN 16

#define TLV_CRC32C 0x03
#define TLV_UNIQUE_ID 0x05
#define TLV_SSL 0x20
#define UNIQUE_ID_MAX 128
/* In front of the values in a TLV_SSL: one byte, four bytes. */
#define SSL_FIXED 5

static enum proxy_verdict
bad(struct proxy_header *h, const char *reason)
{
	h->reason = reason;
	return PROXY_BAD;
}

static unsigned
byte(const char *p)
{
	return (unsigned char)*p;
}

static unsigned
number16(const char *p)
{
	return byte(p) << 8 | byte(p + 1);
}

/* --- version 1 ------------------------------------------------------------ */

/* The next word of the line: one space ends it, or the end of the line. */
static struct span
word(struct span *line)
{
	struct span w;

	if (!span_next(line, ' ', &w))
		return SPAN_NONE;
	return w;
}

static bool
read_port(struct span text, in_port_t *out)
{
	unsigned long long port;

	if (text.len > 1 && text.ptr[0] == '0')
		return false;
	if (!span_uint(text, &port) || port > 65535)
		return false;
	*out = htons((uint16_t)port);
	return true;
}

/* "TCP4 SOURCE DEST PORT PORT", without the first word. */
static bool
read_tcp(struct span line, struct proxy_header *h)
{
	bool v6 = h->kind == PROXY_TCP6;
	int family = v6 ? AF_INET6 : AF_INET;
	struct addr *s = &h->source, *d = &h->dest;
	bool ok;

	s->any.sa_family = d->any.sa_family = (sa_family_t)family;
	ok = addr_read(word(&line), family,
		 v6 ? (void *)&s->v6.sin6_addr : &s->v4.sin_addr) &&
	    addr_read(word(&line), family,
		v6 ? (void *)&d->v6.sin6_addr : &d->v4.sin_addr) &&
	    read_port(word(&line), v6 ? &s->v6.sin6_port : &s->v4.sin_port);
	/* Nothing stands behind the last word, not even a space. */
	return ok && line.ptr != NULL &&
	    read_port(line, v6 ? &d->v6.sin6_port : &d->v4.sin_port);
}

static enum proxy_verdict
read_line(struct span line, struct proxy_header *h)
{
	struct span protocol;

	word(&line); /* PROXY */
	protocol = word(&line);
	if (span_eq(protocol, SPAN("UNKNOWN")))
		return PROXY_DONE;
	if (span_eq(protocol, SPAN("TCP4")))
		h->kind = PROXY_TCP4;
	else if (span_eq(protocol, SPAN("TCP6")))
		h->kind = PROXY_TCP6;
	else
		return bad(h, "PROXY of an unknown protocol");
	if (!read_tcp(line, h))
		return bad(h, "invalid PROXY line");
	return PROXY_DONE;
}

static enum proxy_verdict
parse_v1(const char *data, size_t len, struct proxy_header *h)
{
	size_t most = len < V1_LENGTH_MAX ? len : V1_LENGTH_MAX;
	const char *end = memchr(data, '\n', most);

	if (end == NULL)
		return len < V1_LENGTH_MAX ? PROXY_MORE :
					bad(h, "PROXY line too long");
	if (end[-1] != '\r')
		return bad(h, "PROXY line without CR");
	h->length = (size_t)(end - data) + 1;
	return read_line((struct span){ data, h->length - 2 }, h);
}

/* --- version 2 ------------------------------------------------------------ */

bool
proxy_tlv_next(struct span *rest, struct proxy_tlv *out)
{
	size_t len;

	if (rest->len < 3)
		return false;
	len = number16(rest->ptr + 1);
	if (len > rest->len - 3)
		return false;
	out->type = byte(rest->ptr);
	out->value = (struct span){ rest->ptr + 3, len };
	rest->ptr += 3 + len;
	rest->len -= 3 + len;
	return true;
}

/* CRC-32C (RFC 3720, B.4), bit by bit: once a connection, a few bytes. */
static uint32_t
crc32c(uint32_t crc, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= byte(data + i);
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
	}
	return crc;
}

/* The sum over the whole header, in which the sum itself counts as zero. */
static bool
sum_is_right(const char *data, size_t len, const char *sum)
{
	size_t before = (size_t)(sum - data);
	uint32_t crc = crc32c(UINT32_MAX, data, before), said;

	crc = crc32c(crc, "\0\0\0\0", 4);
	crc = ~crc32c(crc, sum + 4, len - before - 4);
	said = (uint32_t)number16(sum) << 16 | number16(sum + 2);
	return crc == said;
}

static bool
is_sound(struct span rest)
{
	struct proxy_tlv t;

	while (proxy_tlv_next(&rest, &t))
		;
	return rest.len == 0;
}

static enum proxy_verdict
check_tlvs(const char *data, struct proxy_header *h)
{
	struct span rest = h->tlvs, inner;
	struct proxy_tlv t;

	while (proxy_tlv_next(&rest, &t)) {
		if (t.type == TLV_CRC32C &&
		    (t.value.len != 4 ||
			!sum_is_right(data, h->length, t.value.ptr)))
			return bad(h, "wrong checksum of a PROXY header");
		if (t.type == TLV_UNIQUE_ID && t.value.len > UNIQUE_ID_MAX)
			return bad(h, "PROXY header with a long unique id");
		if (t.type != TLV_SSL)
			continue;
		if (t.value.len < SSL_FIXED)
			return bad(h, "invalid PROXY header");
		inner = (struct span){ t.value.ptr + SSL_FIXED,
			t.value.len - SSL_FIXED };
		if (!is_sound(inner))
			return bad(h, "invalid PROXY header");
	}
	return rest.len == 0 ? PROXY_DONE : bad(h, "invalid PROXY header");
}

/* Two addresses of size bytes each, then their ports. */
static void
take_both(const char *p, bool v6, struct proxy_header *h)
{
	size_t size = v6 ? 16 : 4;
	in_port_t ports[2];

	memcpy(ports, p + 2 * size, sizeof(ports));
	h->kind = v6 ? PROXY_TCP6 : PROXY_TCP4;
	addr_set(&h->source, v6, p, ports[0]);
	addr_set(&h->dest, v6, p + size, ports[1]);
}

/*
 * What the command PROXY is about.  Families and transports that are known
 * but not ours (unix sockets, datagrams) leave the connection's own
 * addresses; numbers that nobody has given a meaning are refused.
 */
static enum proxy_verdict
take_addresses(const char *data, struct proxy_header *h)
{
	static const uint8_t lengths[] = { 0, 12, 36, 216 };
	unsigned family = byte(data + 13) >> 4, type = byte(data + 13) & 15;
	size_t len = h->length - FIXED_LEN, used;

	if (family > 3 || type > 2)
		return bad(h, "PROXY of an unknown protocol");
	used = lengths[family];
	if (len < used)
		return bad(h, "PROXY header without its addresses");
	if (type == 1 && family == 1)
		take_both(data + FIXED_LEN, false, h);
	else if (type == 1 && family == 2)
		take_both(data + FIXED_LEN, true, h);
	h->tlvs = (struct span){ data + FIXED_LEN + used, len - used };
	return check_tlvs(data, h);
}

static enum proxy_verdict
parse_v2(const char *data, size_t len, struct proxy_header *h)
{
	unsigned command;

	if (len > SIGNATURE_LEN && byte(data + SIGNATURE_LEN) >> 4 != 2)
		return bad(h, "PROXY header of an unknown version");
	if (len < FIXED_LEN)
		return PROXY_MORE;
	command = byte(data + SIGNATURE_LEN) & 15;
	if (command > 1)
		return bad(h, "PROXY header with an unknown command");
	h->length = FIXED_LEN + number16(data + 14);
	if (h->length > PROXY_LENGTH_MAX)
		return bad(h, "PROXY header too long");
	if (len < h->length)
		return PROXY_MORE;
	if (command == 1)
		return take_addresses(data, h);
	h->kind = PROXY_LOCAL;
	return PROXY_DONE;
}

/* --- either --------------------------------------------------------------- */

static bool
begins(const char *data, size_t len, const char *mark, size_t mark_len)
{
	return memcmp(data, mark, len < mark_len ? len : mark_len) == 0;
}

enum proxy_verdict
proxy_parse(const char *data, size_t len, unsigned versions,
    struct proxy_header *out)
{
	*out = (struct proxy_header){ .kind = PROXY_UNKNOWN };
	if (len == 0)
		return PROXY_MORE;
	if ((versions & PROXY_V1) != 0 && begins(data, len, "PROXY ", 6))
		return len < 6 ? PROXY_MORE : parse_v1(data, len, out);
	if ((versions & PROXY_V2) != 0 &&
	    begins(data, len, SIGNATURE, SIGNATURE_LEN))
		return len < SIGNATURE_LEN ? PROXY_MORE :
					     parse_v2(data, len, out);
	return PROXY_NONE;
}
