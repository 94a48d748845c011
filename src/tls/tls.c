/* SPDX-License-Identifier: MIT */
/* Certificate, key and configuration: read once, then constant. */
#include "tls/tls.h"

#include "base/err.h"
#include "base/fd.h"
#include "conf/conf.h"

#ifdef HAVE_TLS

#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tls/compat.h"
#include "tls/tls_private.h"

/* Far more than any chain of certificates. */
#define FILE_MAX_BYTES (1024 * 1024)

struct tls {
	mbedtls_ssl_config conf;
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
};

/* Forward secrecy and authenticated encryption only. */
static const int suites[] = {
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && MBEDTLS_VERSION_NUMBER >= 0x03000000
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	0,
};

static const char *const protocols[] = { "http/1.1", NULL };

/* The kernel's generator, which needs no state and no lock. */
static int
random_bytes(void *arg, unsigned char *out, size_t len)
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

static int
failed(struct err *err, const char *setting, const char *path, int rc)
{
	char why[160];

	mbedtls_strerror(rc, why, sizeof(why));
	err_set(err, "%s = %s: %s", setting, path, why);
	return -1;
}

/*
 * The library would say no more about a file than that it cannot be read,
 * and fails in other ways with a directory.
 */
static char *
slurp(const char *setting, const char *path, size_t *len_out, struct err *err)
{
	char *text = fd_slurp(path, FILE_MAX_BYTES, len_out);

	if (text == NULL)
		err_sys(err, "%s = %s", setting, path);
	/* The library tells PEM from DER by the NUL behind the text. */
	else if (strstr(text, "-----BEGIN ") != NULL)
		++*len_out;
	return text;
}

static int
read_chain(struct tls *t, const char *path, struct err *err)
{
	size_t len;
	char *text = slurp("certfile", path, &len, err);
	int rc;

	if (text == NULL)
		return -1;
	rc = mbedtls_x509_crt_parse(&t->chain, (unsigned char *)text, len);
	free(text);
	if (rc > 0) {
		err_set(err, "certfile = %s: %d of its certificates cannot be "
		    "read", path, rc);
		return -1;
	}
	return rc == 0 ? 0 : failed(err, "certfile", path, rc);
}

static int
read_key(struct tls *t, const char *path, struct err *err)
{
	size_t len;
	char *text = slurp("keyfile", path, &len, err);
	int rc;

	if (text == NULL)
		return -1;
	rc = compat_parse_key(&t->key, (unsigned char *)text, len,
	    random_bytes);
	mbedtls_platform_zeroize(text, len);
	free(text);
	return rc == 0 ? 0 : failed(err, "keyfile", path, rc);
}

static int
read_files(struct tls *t, const struct settings *s, struct err *err)
{
	const char *key = s->keyfile != NULL ? s->keyfile : s->certfile;
	int rc;

	if (read_chain(t, s->certfile, err) != 0 || read_key(t, key, err) != 0)
		return -1;
	rc = compat_check_pair(&t->chain.pk, &t->key, random_bytes);
	if (rc != 0) {
		err_set(err, "keyfile = %s: is not the key of certfile = %s",
		    key, s->certfile);
		return -1;
	}
	return 0;
}

static int
configure(struct tls *t, const struct settings *s, struct err *err)
{
	int rc = mbedtls_ssl_config_defaults(&t->conf, MBEDTLS_SSL_IS_SERVER,
	    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

	if (rc == 0)
		rc = mbedtls_ssl_conf_own_cert(&t->conf, &t->chain, &t->key);
	if (rc == 0)
		rc = mbedtls_ssl_conf_alpn_protocols(&t->conf,
		    (const char **)protocols);
	if (rc != 0)
		return failed(err, "certfile", s->certfile, rc);
	mbedtls_ssl_conf_ciphersuites(&t->conf, suites);
	compat_conf_rng(&t->conf, random_bytes);
	compat_conf_min_version(&t->conf);
	return 0;
}

int
tls_new(const struct settings *s, struct tls **out, struct err *err)
{
	struct tls *t;

	*out = NULL;
	if (s->certfile == NULL)
		return 0;
	t = calloc(1, sizeof(*t));
	if (t == NULL || compat_start() != 0) {
		err_set(err, "TLS: out of memory");
		free(t);
		return -1;
	}
	mbedtls_ssl_config_init(&t->conf);
	mbedtls_x509_crt_init(&t->chain);
	mbedtls_pk_init(&t->key);
	if (read_files(t, s, err) == 0 && configure(t, s, err) == 0) {
		*out = t;
		return 0;
	}
	tls_free(&t);
	return -1;
}

void
tls_free(struct tls **tp)
{
	struct tls *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	mbedtls_ssl_config_free(&t->conf);
	mbedtls_x509_crt_free(&t->chain);
	mbedtls_pk_free(&t->key);
	free(t);
}

void *
tls_config(struct tls *t)
{
	return &t->conf;
}

#else /* !HAVE_TLS */

int
tls_new(const struct settings *s, struct tls **out, struct err *err)
{
	*out = NULL;
	if (s->certfile == NULL)
		return 0;
	err_set(err, "certfile = %s: this bicorn was built without TLS",
	    s->certfile);
	return -1;
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
