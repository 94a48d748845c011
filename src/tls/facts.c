/* SPDX-License-Identifier: MIT */
/*
 * What applications may want to know about a connection.  Computed when the
 * first of them asks, once per connection; the owner of the connection.
 */
#include "tls/tls.h"

#include "base/buf.h"
#include "net/conn.h"

#ifdef HAVE_TLS

#include <mbedtls/pem.h>
#include <stdlib.h>
#include <string.h>

#include "tls/ciphers.h"
#include "tls/session.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----\n"
#define PEM_END "-----END CERTIFICATE-----\n"
/* Attributes of a name, more of which nobody has. */
#define PARTS_MOST 64

struct facts {
	struct buf verify, subject, issuer, serial, cert, protocol, cipher,
	    name;
};

/* --- names, as RFC 4514 writes them --------------------------------------- */

/* Attributes that have short names, by their numbers in DER. */
static const struct {
	const char *oid;
	size_t len;
	const char *name;
} attributes[] = {
	{ "\x55\x04\x03", 3, "CN" },
	{ "\x55\x04\x04", 3, "SN" },
	{ "\x55\x04\x05", 3, "serialNumber" },
	{ "\x55\x04\x06", 3, "C" },
	{ "\x55\x04\x07", 3, "L" },
	{ "\x55\x04\x08", 3, "ST" },
	{ "\x55\x04\x09", 3, "street" },
	{ "\x55\x04\x0a", 3, "O" },
	{ "\x55\x04\x0b", 3, "OU" },
	{ "\x55\x04\x0c", 3, "title" },
	{ "\x55\x04\x11", 3, "postalCode" },
	{ "\x55\x04\x2a", 3, "GN" },
	{ "\x55\x04\x2b", 3, "initials" },
	{ "\x55\x04\x2c", 3, "generationQualifier" },
	{ "\x55\x04\x2e", 3, "dnQualifier" },
	{ "\x55\x04\x41", 3, "pseudonym" },
	{ "\x55\x04\x61", 3, "organizationIdentifier" },
	{ "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", 10, "UID" },
	{ "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10, "DC" },
	{ "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9, "emailAddress" },
};

static bool
add_oid(struct buf *b, const mbedtls_asn1_buf *oid)
{
	unsigned long value = 0;
	bool first = true;

	for (size_t i = 0; i < oid->len; i++) {
		value = value << 7 | (oid->p[i] & 0x7f);
		if (oid->p[i] & 0x80)
			continue;
		if (first && !buf_fmt(b, "%lu.%lu", value < 80 ? value / 40 : 2,
			value < 80 ? value % 40 : value - 80))
			return false;
		if (!first && !buf_fmt(b, ".%lu", value))
			return false;
		first = false;
		value = 0;
	}
	return true;
}

static bool
add_type(struct buf *b, const mbedtls_asn1_buf *oid)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++)
		if (oid->len == attributes[i].len &&
		    memcmp(oid->p, attributes[i].oid, oid->len) == 0)
			return buf_str(b, attributes[i].name);
	return add_oid(b, oid);
}

/* One character, escaped where RFC 4514 wants it. */
static bool
add_char(struct buf *b, unsigned char c, bool at_end)
{
	if (c < ' ' || c == 0x7f)
		return buf_fmt(b, "\\%02X", c);
	if (strchr(",+\"\\<>;=", c) != NULL || (at_end && c == ' ') ||
	    (at_end && c == '#'))
		return buf_fmt(b, "\\%c", c);
	return buf_add(b, &c, 1);
}

/* A unit of UTF-16 or a character of Latin-1 as UTF-8. */
static bool
add_wide(struct buf *b, unsigned c)
{
	unsigned char text[3] = { (unsigned char)(0xe0 | c >> 12),
		(unsigned char)(0x80 | (c >> 6 & 0x3f)),
		(unsigned char)(0x80 | (c & 0x3f)) };

	if (c < 0x80)
		return add_char(b, (unsigned char)c, false);
	if (c >= 0x800)
		return buf_add(b, text, 3);
	text[1] = (unsigned char)(0xc0 | c >> 6);
	return buf_add(b, text + 1, 2);
}

static bool
add_value(struct buf *b, const mbedtls_asn1_buf *v)
{
	bool ok = true;

	if (v->tag == MBEDTLS_ASN1_BMP_STRING) {
		for (size_t i = 0; ok && i + 1 < v->len; i += 2)
			ok = add_wide(b, (unsigned)v->p[i] << 8 | v->p[i + 1]);
		return ok;
	}
	if (v->tag == MBEDTLS_ASN1_T61_STRING) {
		for (size_t i = 0; ok && i < v->len; i++)
			ok = add_wide(b, v->p[i]);
		return ok;
	}
	for (size_t i = 0; ok && i < v->len; i++) {
		bool first = i == 0, last = i + 1 == v->len;

		ok = add_char(b, v->p[i], v->p[i] == ' ' ? first || last :
		    first);
	}
	return ok;
}

/* The last part comes first: RFC 4514, 2.1. */
static bool
add_name(struct buf *b, const mbedtls_x509_name *name)
{
	const mbedtls_x509_name *parts[PARTS_MOST];
	size_t count = 0;
	bool ok = true;

	for (; name != NULL && count < PARTS_MOST; name = name->next)
		if (name->oid.p != NULL)
			parts[count++] = name;
	while (ok && count-- > 0) {
		ok = add_type(b, &parts[count]->oid) && buf_str(b, "=") &&
		    add_value(b, &parts[count]->val);
		/* "+" joins what the certificate has as one. */
		if (ok && count > 0)
			ok = buf_str(b, compat_is_merged(parts[count - 1]) ?
			    "+" : ",");
	}
	return ok;
}

/* --- the rest ------------------------------------------------------------- */

/* Upper case, in whole bytes, as others show it. */
static bool
add_serial(struct buf *b, const mbedtls_x509_buf *serial)
{
	size_t at = 0;
	bool ok = true;

	while (at + 1 < serial->len && serial->p[at] == 0)
		at++;
	for (; ok && at < serial->len; at++)
		ok = buf_fmt(b, "%02X", serial->p[at]);
	return ok;
}

static bool
add_pem(struct buf *b, const mbedtls_x509_buf *raw)
{
	size_t room = raw->len * 2 + 200, len = 0;

	if (!buf_reserve(b, room) ||
	    mbedtls_pem_write_buffer(PEM_BEGIN, PEM_END, raw->p, raw->len,
		(unsigned char *)b->data + b->len, room, &len) != 0)
		return false;
	b->len += len > 0 ? len - 1 : 0; /* it counts its NUL */
	return true;
}

static bool
fill_client(struct facts *f, const struct session *s)
{
	const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&s->ssl);

	if (crt == NULL)
		return buf_str(&f->verify, "NONE");
	/* One that is not good does not get so far. */
	return buf_str(&f->verify, "SUCCESS") &&
	    add_name(&f->subject, &crt->subject) &&
	    add_name(&f->issuer, &crt->issuer) &&
	    add_serial(&f->serial, &crt->serial) &&
	    add_pem(&f->cert, &crt->raw);
}

static bool
fill(struct facts *f, const struct session *s)
{
	const char *suite = mbedtls_ssl_get_ciphersuite(&s->ssl);
	const char *version = mbedtls_ssl_get_version(&s->ssl), *name;

	if (suite == NULL || version == NULL)
		return false;
	name = ciphers_name(mbedtls_ssl_get_ciphersuite_id(suite));
	return buf_str(&f->protocol, version) &&
	    buf_str(&f->cipher, name != NULL ? name : suite) &&
	    (s->name == NULL || buf_str(&f->name, s->name)) &&
	    fill_client(f, s);
}

static struct facts *
facts_of(struct session *s)
{
	struct facts *f = s->facts;

	if (f != NULL)
		return f;
	f = calloc(1, sizeof(*f));
	if (f != NULL && !fill(f, s))
		facts_free(&f);
	s->facts = f;
	return f;
}

void
facts_free(struct facts **fp)
{
	struct facts *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	buf_fini(&f->verify);
	buf_fini(&f->subject);
	buf_fini(&f->issuer);
	buf_fini(&f->serial);
	buf_fini(&f->cert);
	buf_fini(&f->protocol);
	buf_fini(&f->cipher);
	buf_fini(&f->name);
	free(f);
}

struct span
tls_fact(struct conn *c, const char *name)
{
	static const struct {
		const char *name;
		size_t offset;
	} known[] = {
		{ "SSL_PROTOCOL", offsetof(struct facts, protocol) },
		{ "SSL_CIPHER", offsetof(struct facts, cipher) },
		{ "SSL_SERVER_NAME", offsetof(struct facts, name) },
		{ "SSL_CLIENT_VERIFY", offsetof(struct facts, verify) },
		{ "SSL_CLIENT_S_DN", offsetof(struct facts, subject) },
		{ "SSL_CLIENT_I_DN", offsetof(struct facts, issuer) },
		{ "SSL_CLIENT_SERIAL", offsetof(struct facts, serial) },
		{ "SSL_CLIENT_CERT", offsetof(struct facts, cert) },
	};
	struct facts *f = c->tls != NULL ? facts_of(c->tls) : NULL;
	const struct buf *b;

	for (size_t i = 0; f != NULL && i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(name, known[i].name) == 0) {
			b = (const struct buf *)(const void *)(
			    (const char *)f + known[i].offset);
			return (struct span){ b->len > 0 ? b->data : NULL,
				b->len };
		}
	return SPAN_NONE;
}

#else /* !HAVE_TLS */

struct span
tls_fact(struct conn *c, const char *name)
{
	(void)c;
	(void)name;
	return SPAN_NONE;
}

#endif
