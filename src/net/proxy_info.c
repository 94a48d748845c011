/* SPDX-License-Identifier: MIT */
/* What a PROXY header said, as variables for the application. */
#include "net/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SSL_FIXED 5
#define CLIENT_SSL 1  /* bits of the first byte of a TLV_SSL */
#define CLIENT_CERT_CONN 2
#define CLIENT_CERT_SESSION 4

enum tlv_type {
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_CRC32C = 0x03,
	TLV_NOOP = 0x04,
	TLV_UNIQUE_ID = 0x05,
	TLV_SSL = 0x20,
	TLV_SSL_VERSION = 0x21,
	TLV_SSL_CN = 0x22,
	TLV_SSL_CIPHER = 0x23,
	TLV_SSL_SIG_ALG = 0x24,
	TLV_SSL_KEY_ALG = 0x25,
	TLV_NETNS = 0x30,
	TLV_AWS = 0xea,
};

/* Values that are text, by their type; they are unique. */
static const struct {
	unsigned type;
	bool ssl; /* within a TLV_SSL */
	struct span name;
} texts[] = {
	{ TLV_ALPN, false, { "PROXY_ALPN", 10 } },
	{ TLV_AUTHORITY, false, { "PROXY_AUTHORITY", 15 } },
	{ TLV_UNIQUE_ID, false, { "PROXY_UNIQUE_ID", 15 } },
	{ TLV_NETNS, false, { "PROXY_NETNS", 11 } },
	{ TLV_SSL_VERSION, true, { "PROXY_SSL_VERSION", 17 } },
	{ TLV_SSL_CN, true, { "PROXY_SSL_CN", 12 } },
	{ TLV_SSL_CIPHER, true, { "PROXY_SSL_CIPHER", 16 } },
	{ TLV_SSL_SIG_ALG, true, { "PROXY_SSL_SIG_ALG", 17 } },
	{ TLV_SSL_KEY_ALG, true, { "PROXY_SSL_KEY_ALG", 17 } },
};

/* Counts first, with info NULL, and then writes. */
struct making {
	struct proxy_info *info;
	char *text;    /* where the next one goes */
	size_t count;
	size_t bytes;
};

static struct span
put(struct making *m, struct span s)
{
	struct span copy = { m->text, s.len };

	m->bytes += s.len;
	if (m->info == NULL)
		return s;
	if (s.len > 0)
		memcpy(m->text, s.ptr, s.len);
	m->text += s.len;
	return copy;
}

static struct span
put_hex(struct making *m, struct span s)
{
	static const char digits[] = "0123456789abcdef";
	struct span copy = { m->text, s.len * 2 };

	m->bytes += copy.len;
	if (m->info == NULL)
		return s;
	for (size_t i = 0; i < s.len; i++) {
		*m->text++ = digits[(unsigned char)s.ptr[i] >> 4];
		*m->text++ = digits[s.ptr[i] & 15];
	}
	return copy;
}

/* A second value of the same name is left out. */
static void
add_as(struct making *m, struct span name, struct span value,
    struct span (*put_value)(struct making *, struct span))
{
	struct proxy_info *info = m->info;

	for (size_t i = 0; info != NULL && i < info->count; i++)
		if (span_eq(info->variables[i].name, name))
			return;
	m->count++;
	name = put(m, name);
	value = put_value(m, value);
	if (info != NULL)
		info->variables[info->count++] =
		    (struct proxy_variable){ name, value };
}

static void
add(struct making *m, struct span name, struct span value)
{
	add_as(m, name, value, put);
}

static void
add_addresses(struct making *m, const struct proxy_header *h)
{
	static const struct span kinds[] = {
		[PROXY_UNKNOWN] = { "UNKNOWN", 7 },
		[PROXY_LOCAL] = { "LOCAL", 5 },
		[PROXY_TCP4] = { "TCP4", 4 },
		[PROXY_TCP6] = { "TCP6", 4 },
	};
	char text[ADDR_TEXT_MAX], port[8];

	add(m, SPAN("PROXY_PROTOCOL"), kinds[h->kind]);
	if (h->kind != PROXY_TCP4 && h->kind != PROXY_TCP6)
		return;
	addr_text(&h->dest, text);
	add(m, SPAN("PROXY_ADDR"), span_of(text));
	snprintf(port, sizeof(port), "%u", addr_port(&h->dest));
	add(m, SPAN("PROXY_PORT"), span_of(port));
}

/* What has no name of its own, as hexadecimal digits: PROXY_TLV_E0. */
static void
add_hex(struct making *m, const struct proxy_tlv *t)
{
	char name[16];

	snprintf(name, sizeof(name), "PROXY_TLV_%02X", t->type);
	add_as(m, span_of(name), t->value, put_hex);
}

static bool
add_text(struct making *m, const struct proxy_tlv *t, bool ssl)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (texts[i].type == t->type && texts[i].ssl == ssl) {
			add(m, texts[i].name, t->value);
			return true;
		}
	return false;
}

static void
add_ssl(struct making *m, struct span value)
{
	const unsigned char *p = (const unsigned char *)value.ptr;
	struct span rest = { value.ptr + SSL_FIXED, value.len - SSL_FIXED };
	struct proxy_tlv t;
	char verify[16];

	if ((p[0] & CLIENT_SSL) == 0)
		return;
	if (m->info != NULL)
		m->info->ssl = true;
	add(m, SPAN("PROXY_SSL"), SPAN("on"));
	if ((p[0] & (CLIENT_CERT_CONN | CLIENT_CERT_SESSION)) != 0) {
		/* 0: the certificate that the client showed is valid. */
		snprintf(verify, sizeof(verify), "%u",
		    (unsigned)p[1] << 24 | (unsigned)p[2] << 16 |
			(unsigned)p[3] << 8 | p[4]);
		add(m, SPAN("PROXY_SSL_VERIFY"), span_of(verify));
	}
	while (proxy_tlv_next(&rest, &t))
		if (!add_text(m, &t, true))
			add_hex(m, &t);
}

static void
add_tlv(struct making *m, const struct proxy_tlv *t)
{
	struct span value = t->value;

	if (t->type == TLV_CRC32C || t->type == TLV_NOOP ||
	    add_text(m, t, false))
		return;
	if (t->type == TLV_SSL) {
		add_ssl(m, value);
	} else if (t->type == TLV_AWS && value.len > 1 && value.ptr[0] == 1) {
		value.ptr++;
		value.len--;
		add(m, SPAN("PROXY_AWS_VPCE_ID"), value);
	} else {
		add_hex(m, t);
	}
}

static void
make(struct making *m, const struct proxy_header *h)
{
	struct span rest = h->tlvs;
	struct proxy_tlv t;

	add_addresses(m, h);
	while (proxy_tlv_next(&rest, &t))
		add_tlv(m, &t);
}

struct proxy_info *
proxy_info_new(const struct proxy_header *h, const struct addr *hop)
{
	struct making m = { 0 };
	struct proxy_info *info;
	size_t variables;

	make(&m, h);
	variables = m.count * sizeof(*info->variables);
	info = malloc(sizeof(*info) + variables + m.bytes);
	if (info == NULL)
		return NULL;
	*info = (struct proxy_info){
		.hop = *hop,
		.variables = (struct proxy_variable *)(info + 1),
	};
	m = (struct making){ .info = info,
		.text = (char *)(info + 1) + variables };
	make(&m, h);
	return info;
}
