/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_COMPAT_H
#define BICORN_TLS_COMPAT_H

/* What differs between Mbed TLS 2.28, 3.x and 4.x. */

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif

typedef int compat_rng_fn(void *arg, unsigned char *out, size_t len);

/* To be called once per process before anything else. */
static inline int
compat_start(void)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return psa_crypto_init() == PSA_SUCCESS ? 0 : -1;
#else
	return 0;
#endif
}

static inline int
compat_parse_key(mbedtls_pk_context *key, const unsigned char *text,
    size_t len, compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && \
    MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_pk_parse_key(key, text, len, NULL, 0, rng, NULL);
#else
	(void)rng;
	return mbedtls_pk_parse_key(key, text, len, NULL, 0);
#endif
}

static inline int
compat_check_pair(const mbedtls_pk_context *pub, const mbedtls_pk_context *key,
    compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && \
    MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_pk_check_pair(pub, key, rng, NULL);
#else
	(void)rng;
	return mbedtls_pk_check_pair(pub, key);
#endif
}

static inline void
compat_conf_rng(mbedtls_ssl_config *conf, compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	mbedtls_ssl_conf_rng(conf, rng, NULL);
#else
	(void)conf;
	(void)rng;
#endif
}

/* TLS 1.2 is the least that is spoken. */
static inline void
compat_conf_min_version(mbedtls_ssl_config *conf)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3,
	    MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

#endif
