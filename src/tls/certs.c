/* SPDX-License-Identifier: MIT */
#include "tls/certs.h"

#ifdef HAVE_TLS

#include <mbedtls/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"
#include "tls/bundle.h"
#include "tls/compat.h"
#include "tls/pbes2.h"
#include "tls/tls_private.h"

/* Context-specific, number 2 of GeneralName: RFC 5280, 4.2.1.6. */
#define SAN_DNS 2
/* As DNS has it; longer ones match nothing. */
#define NAME_MOST 255

/*
 * Who renews certificates does so weeks before, or when a third of their
 * time is left: later than this it has gone wrong.
 */
#define NEAR_S (14 * INT64_C(86400))
#define NEAR_PART 4

/* What clients ask of a key of RSA. */
#define RSA_BITS_LEAST 2048
/* The library's errors are of two parts; this is the one that says enough. */
#define HIGH_PART 0x7f80

struct cert {
	char *name;
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
	bool is_ec;
};

/* A name that a certificate is for, in lower case. */
struct subject {
	char *text; /* "example.org", "*.example.org" */
	size_t cert;
};

struct certs {
	struct cert *items;
	size_t count;
	struct subject *subjects; /* sorted by text, then by cert */
	size_t subject_count;
	size_t subject_room;
	int64_t expiry_s; /* of the first that expires; INT64_MAX: none */
};

struct making {
	struct certs *c;
	const struct bundle_entry *passphrase; /* NULL: none */
	const struct tls_bundle *known;
	size_t known_at; /* behind what was found in it */
	tls_warn_fn *warn;
	void *arg;
	struct err *err;
};

static int
no_memory(const struct making *m)
{
	err_set(m->err, "TLS: out of memory");
	return -1;
}

/* --- names ---------------------------------------------------------------- */

static void
lower(char *to, const char *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = from[i] >= 'A' && from[i] <= 'Z' ?
		    (char)(from[i] | 0x20) : from[i];
	to[len] = '\0';
}

static int
add_subject(struct making *m, size_t cert, const mbedtls_x509_buf *name)
{
	struct certs *c = m->c;
	struct subject *grown;
	char *text;

	if (name->len == 0 || name->len > NAME_MOST ||
	    memchr(name->p, '\0', name->len) != NULL)
		return 0;
	if (c->subject_count == c->subject_room) {
		c->subject_room = c->subject_room * 2 + 16;
		grown = realloc(c->subjects,
		    c->subject_room * sizeof(*grown));
		if (grown == NULL)
			return no_memory(m);
		c->subjects = grown;
	}
	text = malloc(name->len + 1);
	if (text == NULL)
		return no_memory(m);
	lower(text, (const char *)name->p, name->len);
	c->subjects[c->subject_count++] = (struct subject){ text, cert };
	return 0;
}

/* CN counts only when there is no name of a host besides: RFC 6125, 6.4.4. */
static int
add_subjects(struct making *m, size_t at)
{
	const mbedtls_x509_crt *crt = &m->c->items[at].chain;
	const mbedtls_x509_sequence *san = &crt->subject_alt_names;
	const mbedtls_x509_name *part = &crt->subject;
	bool any = false;
	int rc = 0;

	for (; rc == 0 && san != NULL; san = san->next)
		if (san->buf.p != NULL && (san->buf.tag & 0x1f) == SAN_DNS) {
			any = true;
			rc = add_subject(m, at, &san->buf);
		}
	for (; rc == 0 && !any && part != NULL; part = part->next)
		if (compat_is_cn(&part->oid))
			rc = add_subject(m, at, &part->val);
	return rc;
}

static int
by_text(const void *a, const void *b)
{
	const struct subject *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return x->cert < y->cert ? -1 : x->cert > y->cert;
}

/* The first subject of that text, or the number of all. */
static size_t
first_subject(const struct certs *c, const char *text)
{
	size_t low = 0, high = c->subject_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(c->subjects[mid].text, text) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* --- finding -------------------------------------------------------------- */

static void
take(const struct certs *c, size_t at, struct cert *kinds[2])
{
	struct cert *cert = &c->items[at];

	if (kinds[!cert->is_ec] == NULL)
		kinds[!cert->is_ec] = cert;
}

static void
take_all(const struct certs *c, const char *text, struct cert *kinds[2])
{
	for (size_t i = first_subject(c, text); i < c->subject_count &&
	     strcmp(c->subjects[i].text, text) == 0; i++)
		take(c, c->subjects[i].cert, kinds);
}

/*
 * The default is the first certificate, and one of the other kind for the
 * same host.
 */
static void
take_default(const struct certs *c, struct cert *kinds[2])
{
	take(c, 0, kinds);
	for (size_t i = 0; i < c->subject_count; i++)
		if (c->subjects[i].cert == 0)
			take_all(c, c->subjects[i].text, kinds);
}

/* Exact names come before wildcards, whatever the kind of key. */
static void
take_named(const struct certs *c, char *name, struct cert *kinds[2])
{
	char *dot = strchr(name, '.');

	take_all(c, name, kinds);
	if (kinds[0] != NULL || kinds[1] != NULL || dot == NULL ||
	    dot == name)
		return;
	*--dot = '*';
	take_all(c, dot, kinds);
}

size_t
certs_find(const struct certs *c, const char *name, size_t len,
    struct certs_pair out[CERTS_MOST])
{
	struct cert *kinds[2] = { NULL, NULL };
	char text[NAME_MOST + 1];
	size_t count = 0;

	if (len > NAME_MOST)
		return 0;
	lower(text, name, len);
	if (len > 1 && text[len - 1] == '.')
		text[len - 1] = '\0';
	if (len == 0)
		take_default(c, kinds);
	else
		take_named(c, text, kinds);
	for (size_t i = 0; i < 2; i++)
		if (kinds[i] != NULL)
			out[count++] = (struct certs_pair){ kinds[i]->name,
				&kinds[i]->chain, &kinds[i]->key };
	return count;
}

/* --- making --------------------------------------------------------------- */

static int
failed(const struct making *m, const char *setting, const char *path, int rc)
{
	char why[160];

	mbedtls_strerror(rc, why, sizeof(why));
	err_set(m->err, "%s = %s: %s", setting, path, why);
	return -1;
}

static void __attribute__((format(printf, 2, 3)))
warn(const struct making *m, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (m->warn == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m->warn(m->arg, text);
}

/* Of Ed25519, RSA-PSS and the like the library knows nothing. */
static bool
is_unknown_kind(int rc)
{
	int high = -(-rc & HIGH_PART);

	return high == MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG ||
	    high == MBEDTLS_ERR_X509_UNKNOWN_OID ||
	    high == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG ||
	    high == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE;
}

static int
no_certificate(const struct making *m, const struct bundle_entry *e, int rc)
{
	if (!is_unknown_kind(rc))
		return failed(m, "certfile", e->name, rc);
	err_set(m->err, "certfile = %s: has a key or signature of a kind that "
	    "Mbed TLS does not know; must be RSA, or ECDSA with a common "
	    "curve", e->name);
	return -1;
}

static int
parse_chain(const struct making *m, struct cert *cert,
    const struct bundle_entry *e)
{
	int rc = mbedtls_x509_crt_parse(&cert->chain,
	    (const unsigned char *)e->text, bundle_library_len(e));

	if (rc > 0) {
		err_set(m->err, "certfile = %s: %d of its certificates cannot "
		    "be read", e->name, rc);
		return -1;
	}
	return rc == 0 ? 0 : no_certificate(m, e, rc);
}

static int
no_key(const struct making *m, const struct bundle_entry *e, int rc)
{
	if (rc == MBEDTLS_ERR_PK_PASSWORD_REQUIRED || (m->passphrase == NULL &&
	    strstr(e->text, "BEGIN ENCRYPTED PRIVATE KEY") != NULL))
		err_set(m->err, "keyfile = %s: is encrypted; name a "
		    "keyfile_passphrase_file", e->name);
	else if (rc == MBEDTLS_ERR_PK_PASSWORD_MISMATCH)
		err_set(m->err, "keyfile = %s: the passphrase in "
		    "keyfile_passphrase_file is not the one for this key",
		    e->name);
	else if (strstr(e->text, "-----BEGIN ") != NULL &&
	    strstr(e->text, "PRIVATE KEY-----") == NULL)
		err_set(m->err, "keyfile = %s: there is no private key in it",
		    e->name);
	else
		return failed(m, "keyfile", e->name, rc);
	return -1;
}

static int
parse_key(const struct making *m, struct cert *cert,
    const struct bundle_entry *e)
{
	const char *pass = m->passphrase != NULL ? m->passphrase->text : NULL;
	size_t pass_len = m->passphrase != NULL ? m->passphrase->len : 0;
	int rc = compat_parse_key(&cert->key, (const unsigned char *)e->text,
	    bundle_library_len(e), (const unsigned char *)pass, pass_len,
	    tls_random);

	if (rc != 0 && pass != NULL && pbes2_parse_key(&cert->key, e,
		m->passphrase, &rc))
		return rc == 0 ? 0 : no_key(m, e, rc);

	return rc == 0 ? 0 : no_key(m, e, rc);
}

static void
date(char out[24], const mbedtls_x509_time *t)
{
	snprintf(out, 24, "%04d-%02d-%02d %02d:%02d",
	    t->year % 10000, t->mon % 100, t->day % 100, t->hour % 100,
	    t->min % 100);
}

static int64_t
seconds_of(const mbedtls_x509_time *t)
{
	struct tm tm = { .tm_year = t->year - 1900, .tm_mon = t->mon - 1,
		.tm_mday = t->day, .tm_hour = t->hour, .tm_min = t->min,
		.tm_sec = t->sec };

	return (int64_t)timegm(&tm);
}

static void
check_near(const struct making *m, const struct cert *cert,
    const mbedtls_x509_crt *crt, const char *which)
{
	int64_t end_s = seconds_of(&crt->valid_to);
	int64_t left_s = end_s - (int64_t)clock_wall();
	int64_t near_s = (end_s - seconds_of(&crt->valid_from)) / NEAR_PART;
	char when[24];

	if (left_s >= (near_s < NEAR_S ? near_s : NEAR_S))
		return;
	date(when, &crt->valid_to);
	warn(m, "certfile = %s: %sexpires on %s UTC, in %lld %s", cert->name,
	    which, when, (long long)(left_s / (left_s < 172800 ? 3600 : 86400)),
	    left_s < 172800 ? "hours" : "days");
}

/* Old is better than none: clients decide.  But nobody should be surprised. */
static void
check_dates(const struct making *m, const struct cert *cert)
{
	const mbedtls_x509_crt *crt = &cert->chain;
	char when[24];

	for (; crt != NULL && crt->raw.p != NULL; crt = crt->next) {
		const char *which = crt == &cert->chain ? "" :
		    "a certificate of the chain ";

		if (seconds_of(&crt->valid_to) < m->c->expiry_s)
			m->c->expiry_s = seconds_of(&crt->valid_to);
		if (mbedtls_x509_time_is_past(&crt->valid_to)) {
			date(when, &crt->valid_to);
			warn(m, "certfile = %s: %sEXPIRED on %s UTC; clients "
			    "will refuse it", cert->name, which, when);
		} else if (mbedtls_x509_time_is_future(&crt->valid_from)) {
			date(when, &crt->valid_from);
			warn(m, "certfile = %s: %sis NOT YET VALID, only from "
			    "%s UTC; clients will refuse it", cert->name,
			    which, when);
		} else {
			check_near(m, cert, crt, which);
		}
	}
}

static void
check_strength(const struct making *m, const struct cert *cert)
{
	size_t bits = mbedtls_pk_get_bitlen(&cert->chain.pk);

	if (!cert->is_ec && bits < RSA_BITS_LEAST)
		warn(m, "certfile = %s: its RSA key has only %zu bits; clients "
		    "that want %d will refuse it", cert->name, bits,
		    RSA_BITS_LEAST);
}

/* The library can do more than clients do: none would get a connection. */
static int
check_curve(const struct making *m, struct cert *cert)
{
	if (!cert->is_ec || compat_is_usual_curve(&cert->chain.pk))
		return 0;
	err_set(m->err, "certfile = %s: its key is on a curve that clients do "
	    "not take; must be P-256, P-384 or P-521, or RSA", cert->name);
	return -1;
}

static bool
same_text(const struct bundle_entry *a, const struct bundle_entry *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* From m->known_at on, as the order is the same most of the time. */
static bool
find_known(struct making *m, const struct bundle_entry *cert,
    const struct bundle_entry *key)
{
	struct bundle_entry e;
	bool near = false;
	size_t at = m->known_at;

	while (bundle_next(m->known, &at, &e)) {
		if (near && e.kind == BUNDLE_KEY && same_text(&e, key)) {
			m->known_at = at;
			return true;
		}
		near = e.kind == BUNDLE_CERT && same_text(&e, cert);
	}
	return false;
}

static bool
is_known(struct making *m, const struct bundle_entry *cert,
    const struct bundle_entry *key)
{
	size_t before = m->known_at;

	if (m->known == NULL)
		return false;
	if (find_known(m, cert, key))
		return true;
	m->known_at = 0;
	if (before > 0 && find_known(m, cert, key))
		return true;
	m->known_at = before;
	return false;
}

/* Almost all that a key of EC takes: a multiplication on its curve. */
static bool
belong_together(struct making *m, const struct cert *new,
    const struct bundle_entry *cert, const struct bundle_entry *key)
{
	return m->warn == NULL || is_known(m, cert, key) ||
	    compat_check_pair(&new->chain.pk, &new->key, tls_random) == 0;
}

static int
make_pair(struct making *m, const struct bundle_entry *cert,
    const struct bundle_entry *key)
{
	struct cert *new = &m->c->items[m->c->count++];

	mbedtls_x509_crt_init(&new->chain);
	mbedtls_pk_init(&new->key);
	new->name = strdup(cert->name);
	if (new->name == NULL)
		return no_memory(m);
	if (parse_chain(m, new, cert) != 0 || parse_key(m, new, key) != 0)
		return -1;
	if (!belong_together(m, new, cert, key)) {
		err_set(m->err, "keyfile = %s: is not the key of certfile = "
		    "%s", key->name, cert->name);
		return -1;
	}
	new->is_ec = compat_is_ec(&new->chain.pk);
	if (check_curve(m, new) != 0)
		return -1;
	check_strength(m, new);
	check_dates(m, new);
	return add_subjects(m, m->c->count - 1);
}

static int
make_all(struct making *m, const struct tls_bundle *b)
{
	struct bundle_entry e, cert = { 0 }, passphrase;
	size_t count = 0;

	for (size_t at = 0; bundle_next(b, &at, &e);) {
		count += e.kind == BUNDLE_CERT;
		if (e.kind == BUNDLE_PASSPHRASE) {
			passphrase = e;
			m->passphrase = &passphrase;
		}
	}
	m->c->items = calloc(count + 1, sizeof(*m->c->items));
	if (m->c->items == NULL)
		return no_memory(m);
	for (size_t at = 0; bundle_next(b, &at, &e);) {
		if (e.kind == BUNDLE_CERT)
			cert = e;
		else if (e.kind == BUNDLE_KEY && cert.name != NULL &&
		    m->c->count < count && make_pair(m, &cert, &e) != 0)
			return -1;
	}
	if (m->c->subject_count > 0)
		qsort(m->c->subjects, m->c->subject_count,
		    sizeof(*m->c->subjects), by_text);
	return 0;
}

int
certs_new(const struct tls_bundle *b, const struct tls_bundle *known,
    tls_warn_fn *warning, void *arg, struct certs **out, struct err *err)
{
	struct making m = { .c = calloc(1, sizeof(*m.c)), .known = known,
		.warn = warning, .arg = arg, .err = err };

	*out = NULL;
	if (m.c == NULL)
		return no_memory(&m);
	m.c->expiry_s = INT64_MAX;
	if (make_all(&m, b) != 0) {
		certs_free(&m.c);
		return -1;
	}
	*out = m.c;
	return 0;
}

int64_t
certs_expiry(const struct certs *c)
{
	return c->expiry_s;
}

void
certs_free(struct certs **cp)
{
	struct certs *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++) {
		mbedtls_pk_free(&c->items[i].key);
		mbedtls_x509_crt_free(&c->items[i].chain);
		free(c->items[i].name);
	}
	free(c->items);
	for (size_t i = 0; i < c->subject_count; i++)
		free(c->subjects[i].text);
	free(c->subjects);
	free(c);
}

#endif
