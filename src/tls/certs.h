/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_CERTS_H
#define BICORN_TLS_CERTS_H

/*
 * The certificates of a listener, each with its key and the names that it
 * is for.  Constant once made.
 */

#include <stddef.h>
#include <stdint.h>

#include "tls/tls.h"

struct certs;

/* Pointers to a mbedtls_x509_crt and a mbedtls_pk_context. */
struct certs_pair {
	const char *name; /* of the file */
	void *chain;
	void *key;
};

/* The caller frees with certs_free(), which wipes the keys. */
int certs_new(const struct tls_bundle *b, const struct tls_bundle *known,
    tls_warn_fn *warn, void *arg, struct certs **out, struct err *err);
void certs_free(struct certs **cp);

/*
 * When the first of them all, those of the chains included, expires, in
 * seconds since 1970.
 */
int64_t certs_expiry(const struct certs *c);

/*
 * The pairs for a name that a client asked for: at most one of each kind of
 * key, ECDSA first.  Returns how many; 0: none is for that name.  An empty
 * name is the default.
 */
#define CERTS_MOST 2
size_t certs_find(const struct certs *c, const char *name, size_t len,
    struct certs_pair out[CERTS_MOST]);

#endif
