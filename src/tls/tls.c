/* SPDX-License-Identifier: MIT */
/* The library's configuration: made once, then constant. */
#include "tls/tls.h"

#include "base/err.h"
#include "conf/conf.h"

bool
tls_config_of(const struct settings *s, struct tls_config *out)
{
	*out = (struct tls_config){
		.certfile = s->certfile,
		.keyfile = s->keyfile,
		.certdir = s->certdir,
		.keyfile_passphrase_file = s->keyfile_passphrase_file,
		.ca_certs = s->ca_certs,
		.crlfile = s->crlfile,
		.cert_reqs = s->cert_reqs,
		.ciphers = s->ciphers,
		.curves = s->curves,
		.tls_min_version = s->tls_min_version,
		.alpn = s->alpn,
	};
	return s->tls;
}

#ifdef HAVE_TLS

#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/span.h"
#include "conf/rules.h"
#include "tls/bundle.h"
#include "tls/certs.h"
#include "tls/ciphers.h"
#include "tls/compat.h"
#include "tls/session.h"
#include "tls/tickets.h"
#include "tls/tls_private.h"

#define ALPN_MOST 8

struct tls {
	_Atomic unsigned users; /* connections, and who made it */
	mbedtls_ssl_config conf;
	struct tickets *tickets; /* NULL: none are made */
	struct certs *certs;
	mbedtls_x509_crt ca;
	mbedtls_x509_crl crl;
	int suites[CIPHERS_MOST];
	compat_group groups[CURVES_MOST];
	char *alpn[ALPN_MOST + 1];
	unsigned verify; /* cert_reqs, as a number */

	/* Any thread: lines logged in that second, and those left out. */
	_Atomic int64_t second;
	_Atomic unsigned said;
	_Atomic unsigned unsaid;
};

/* What is made, of what, and who is told. */
struct making {
	struct tls *t;
	const struct tls_config *config;
	const struct tls_bundle *bundle;
	tls_warn_fn *warn;
	void *arg;
	struct err *err;
};

int
tls_random(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	while (len > 0) {
		ssize_t n = getrandom(out, len, 0);

		if (n <= 0)
			return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Two threads at the turn of a second may say a line more: no harm. */
bool
tls_may_say(struct tls *t, int64_t now_ms, unsigned most, unsigned *unsaid_out)
{
	int64_t second = now_ms / 1000;

	*unsaid_out = 0;
	if (atomic_exchange(&t->second, second) != second)
		atomic_store(&t->said, 0);
	if (atomic_fetch_add(&t->said, 1) >= most) {
		atomic_fetch_add(&t->unsaid, 1);
		return false;
	}
	*unsaid_out = atomic_exchange(&t->unsaid, 0);
	return true;
}

static int
failed(const struct making *m, const char *setting, const char *value, int rc)
{
	char why[160];

	mbedtls_strerror(rc, why, sizeof(why));
	err_set(m->err, "%s = %s: %s", setting, value, why);
	return -1;
}

/* --- clients' certificates ------------------------------------------------ */

static void
check_crl(const struct making *m, const char *path)
{
	const mbedtls_x509_crl *crl = &m->t->crl;
	char text[600];

	for (; crl != NULL && crl->raw.p != NULL; crl = crl->next)
		if (crl->next_update.year != 0 && m->warn != NULL &&
		    mbedtls_x509_time_is_past(&crl->next_update)) {
			snprintf(text, sizeof(text), "crlfile = %.400s: a "
			    "list in it is out of date; clients of its "
			    "authority are refused", path);
			m->warn(m->arg, text);
		}
}

static int
parse_ca(const struct making *m, const struct bundle_entry *e)
{
	int rc = mbedtls_x509_crt_parse(&m->t->ca,
	    (const unsigned char *)e->text, bundle_library_len(e));

	if (rc > 0) {
		err_set(m->err, "ca_certs = %s: %d of its certificates cannot "
		    "be read", e->name, rc);
		return -1;
	}
	return rc == 0 ? 0 : failed(m, "ca_certs", e->name, rc);
}

static int
parse_crl(const struct making *m, const struct bundle_entry *e)
{
	int rc = mbedtls_x509_crl_parse(&m->t->crl,
	    (const unsigned char *)e->text, bundle_library_len(e));

	if (rc != 0)
		return failed(m, "crlfile", e->name, rc);
	check_crl(m, e->name);
	return 0;
}

static int
set_clients(const struct making *m)
{
	struct bundle_entry e;
	unsigned verify = 0;

	if (m->config->cert_reqs != NULL &&
	    !rules_cert_reqs(m->config->cert_reqs, &verify)) {
		err_set(m->err, "cert_reqs = %s: must be none, optional or "
		    "required", m->config->cert_reqs);
		return -1;
	}
	for (size_t at = 0; bundle_next(m->bundle, &at, &e);) {
		if (e.kind == BUNDLE_CA && parse_ca(m, &e) != 0)
			return -1;
		if (e.kind == BUNDLE_CRL && parse_crl(m, &e) != 0)
			return -1;
	}
	if (verify != 0 && m->t->ca.raw.p == NULL) {
		err_set(m->err, "cert_reqs = %s: needs ca_certs",
		    m->config->cert_reqs);
		return -1;
	}
	/*
	 * What is required is ours to refuse, in refuse.c: the library, 3.6 of
	 * it, says so in TLS 1.3 with keys that the client has left behind.
	 */
	mbedtls_ssl_conf_authmode(&m->t->conf, verify == 0 ?
	    MBEDTLS_SSL_VERIFY_NONE : MBEDTLS_SSL_VERIFY_OPTIONAL);
	m->t->verify = verify;
	mbedtls_ssl_conf_ca_chain(&m->t->conf, &m->t->ca,
	    m->t->crl.raw.p != NULL ? &m->t->crl : NULL);
	return 0;
}

/* --- session tickets ------------------------------------------------------ */

static int
add_text(mbedtls_md_context_t *md, const char *text, size_t len)
{
	const uint64_t size = len; /* so that it is clear where one ends */
	int rc = mbedtls_md_update(md, (const unsigned char *)&size,
	    sizeof(size));

	if (rc == 0 && len > 0)
		rc = mbedtls_md_update(md, (const unsigned char *)text, len);
	return rc;
}

/*
 * A ticket stands for what its handshake proved, and is good only where that
 * would be proved and chosen again: a client must not be led to a listener
 * with other certificates, nor get a cipher suite that its session has not.
 */
static int
bind_to_config(const struct making *m, unsigned char out[32])
{
	const mbedtls_md_info_t *sha = mbedtls_md_info_from_type(
	    MBEDTLS_MD_SHA256);
	const char *texts[] = { m->config->ciphers, m->config->curves,
		m->config->tls_min_version };
	mbedtls_md_context_t md;
	struct bundle_entry e;
	int rc;

	mbedtls_md_init(&md);
	rc = mbedtls_md_setup(&md, sha, 0);
	if (rc == 0)
		rc = mbedtls_md_starts(&md);
	for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(*texts); i++)
		rc = add_text(&md, texts[i], texts[i] != NULL ?
		    strlen(texts[i]) : 0);
	for (size_t at = 0; rc == 0 && bundle_next(m->bundle, &at, &e);)
		if (e.kind == BUNDLE_CERT)
			rc = add_text(&md, e.text, e.len);
	if (rc == 0)
		rc = mbedtls_md_finish(&md, out);
	mbedtls_md_free(&md);
	return rc;
}

unsigned
tls_resumed(const struct tls *t)
{
	return t->tickets != NULL ? tickets_opened(t->tickets) : 0;
}

static int
set_tickets(const struct making *m)
{
	unsigned char binding[32];

	/*
	 * Who must show a certificate does so each time: a ticket of TLS 1.3
	 * holds none, and what was good may have expired since.
	 */
	if (m->config->tickets == NULL || m->t->verify != 0)
		return 0;
	if (bind_to_config(m, binding) == 0)
		m->t->tickets = tickets_new(m->config->tickets, binding,
		    sizeof(binding));
	if (m->t->tickets == NULL) {
		err_set(m->err, "TLS: out of memory");
		return -1;
	}
	tickets_configure(m->t->tickets, &m->t->conf);
	return 0;
}

/* --- certificates of ours ------------------------------------------------- */

/* Applications see it: only what may be in the name of a host. */
static bool
is_host_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && (c == '\0' ||
			strchr("-._:", c) == NULL))
			return false;
	}
	return len > 0 && len <= 255;
}

/* Runs within a handshake, on any thread. */
static int
on_name(void *arg, mbedtls_ssl_context *ssl, const unsigned char *name,
    size_t len)
{
	struct tls *t = arg;
	struct session *s = compat_session(ssl);
	struct certs_pair pairs[CERTS_MOST];
	size_t count = certs_find(t->certs, (const char *)name, len, pairs);
	int rc = 0;

	if (s->name == NULL && is_host_name((const char *)name, len))
		s->name = span_dup((struct span){ (const char *)name, len });
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = mbedtls_ssl_set_hs_own_cert(ssl, pairs[i].chain,
		    pairs[i].key);
	return rc;
}

static int
set_certificates(const struct making *m)
{
	struct tls *t = m->t;
	struct certs_pair pairs[CERTS_MOST];
	size_t count;
	int rc;

	if (certs_new(m->bundle, m->config->known, m->warn, m->arg,
		&t->certs, m->err) != 0)
		return -1;
	count = certs_find(t->certs, "", 0, pairs);
	for (size_t i = 0; i < count; i++) {
		rc = mbedtls_ssl_conf_own_cert(&t->conf, pairs[i].chain,
		    pairs[i].key);
		if (rc != 0)
			return failed(m, "certfile", pairs[i].name, rc);
	}
	mbedtls_ssl_conf_sni(&t->conf, on_name, t);
	return 0;
}

/* --- the rest ------------------------------------------------------------- */

static int
set_version(const struct making *m)
{
	const char *text = m->config->tls_min_version;
	unsigned minor = 2;

	if (text != NULL && !rules_tls_version(text, &minor)) {
		err_set(m->err, "tls_min_version = %s: must be 1.2 or 1.3",
		    text);
		return -1;
	}
	if (minor >= 3 && !COMPAT_HAS_1_3) {
		err_set(m->err, "tls_min_version = %s: Mbed TLS %s speaks TLS "
		    "1.2 at most", text, MBEDTLS_VERSION_STRING);
		return -1;
	}
	compat_conf_min_version(&m->t->conf, minor);
	return 0;
}

static int
set_alpn(const struct making *m)
{
	const struct strlist *alpn = &m->config->alpn;
	struct tls *t = m->t;
	size_t count = 0;
	int rc;

	for (size_t i = 0; i < alpn->count && count < ALPN_MOST; i++) {
		if (alpn->items[i][0] == '\0')
			continue;
		t->alpn[count] = strdup(alpn->items[i]);
		if (t->alpn[count++] == NULL)
			return failed(m, "alpn", alpn->items[i],
			    MBEDTLS_ERR_SSL_ALLOC_FAILED);
	}
	if (count == 0)
		return 0;
	rc = mbedtls_ssl_conf_alpn_protocols(&t->conf, (const char **)t->alpn);
	return rc == 0 ? 0 : failed(m, "alpn", t->alpn[0], rc);
}

static int
set_arithmetic(const struct making *m)
{
	struct tls *t = m->t;
	uint16_t curves[CURVES_MOST];

	if (ciphers_parse(m->config->ciphers, t->suites, m->err) != 0 ||
	    curves_parse(m->config->curves, curves, m->err) != 0)
		return -1;
	mbedtls_ssl_conf_ciphersuites(&t->conf, t->suites);
	compat_conf_groups(&t->conf, curves, t->groups);
	return 0;
}

static int
configure(const struct making *m)
{
	mbedtls_ssl_config *conf = &m->t->conf;
	int rc = mbedtls_ssl_config_defaults(conf, MBEDTLS_SSL_IS_SERVER,
	    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

	if (rc != 0)
		return failed(m, "TLS", "defaults", rc);
	compat_conf_rng(conf, tls_random);
	compat_conf_hardened(conf);
	if (set_version(m) != 0 || set_arithmetic(m) != 0 ||
	    set_alpn(m) != 0 || set_certificates(m) != 0)
		return -1;
	if (set_clients(m) != 0)
		return -1;
	return set_tickets(m);
}

int
tls_new(const struct tls_config *c, const struct tls_bundle *b,
    tls_warn_fn *warn, void *arg, struct tls **out, struct err *err)
{
	struct making m = { calloc(1, sizeof(*m.t)), c, b, warn, arg, err };

	*out = NULL;
	if (m.t == NULL || compat_start() != 0) {
		err_set(err, "TLS: out of memory");
		free(m.t);
		return -1;
	}
	m.t->users = 1;
	mbedtls_ssl_config_init(&m.t->conf);
	mbedtls_x509_crt_init(&m.t->ca);
	mbedtls_x509_crl_init(&m.t->crl);
	if (configure(&m) != 0) {
		tls_free(&m.t);
		return -1;
	}
	*out = m.t;
	return 0;
}

int64_t
tls_expiry(const struct tls *t)
{
	return certs_expiry(t->certs);
}

void
tls_free(struct tls **tp)
{
	struct tls *t = *tp;

	*tp = NULL;
	if (t == NULL || atomic_fetch_sub(&t->users, 1) > 1)
		return;
	mbedtls_ssl_config_free(&t->conf);
	tickets_free(&t->tickets);
	certs_free(&t->certs);
	mbedtls_x509_crl_free(&t->crl);
	mbedtls_x509_crt_free(&t->ca);
	for (size_t i = 0; i < ALPN_MOST; i++)
		free(t->alpn[i]);
	free(t);
}

struct tls *
tls_use(struct tls *t)
{
	atomic_fetch_add(&t->users, 1);
	return t;
}

bool
tls_requires_certificate(const struct tls *t)
{
	return t->verify == 2;
}

void *
tls_ssl_config(struct tls *t)
{
	return &t->conf;
}

#else /* !HAVE_TLS */

int
tls_new(const struct tls_config *c, const struct tls_bundle *b,
    tls_warn_fn *warn, void *arg, struct tls **out, struct err *err)
{
	(void)c;
	(void)b;
	(void)warn;
	(void)arg;
	*out = NULL;
	err_set(err, "this bicorn was built without TLS");
	return -1;
}

int64_t
tls_expiry(const struct tls *t)
{
	(void)t;
	return INT64_MAX;
}

void
tls_free(struct tls **tp)
{
	*tp = NULL;
}

bool
tls_attach(struct tls *t, struct conn *c)
{
	(void)t;
	(void)c;
	return false;
}

#endif
