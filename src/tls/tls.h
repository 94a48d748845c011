/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TLS_H
#define BICORN_TLS_TLS_H

/*
 * TLS by Mbed TLS, as a transport.  The only room that sees its headers; in
 * a build without TLS these functions say so.
 *
 * A context is made in two steps that may happen in two processes: one that
 * may read the key files makes a bundle of what they hold, tls_load(); one
 * that serves makes the context of the bundle, tls_new(), and needs no file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "conf/conf.h"

struct bulletin;
struct conn;
struct err;
struct tls;
struct tls_bundle;

/*
 * How to speak TLS on a listener: texts and numbers as the operator wrote
 * them.  Everything is borrowed.  NULL and empty lists are "not set".
 */
struct tls_config {
	/* Chains, PEM or DER, and their keys; the first are the default. */
	struct strlist certfile;
	struct strlist keyfile; /* as many, or none: in the files of certfile */
	const char *certdir;     /* a directory with more pairs */
	const char *keyfile_passphrase_file;

	const char *ca_certs; /* who may have signed clients' certificates */
	const char *crlfile;  /* what those have taken back */
	const char *cert_reqs; /* "none", "optional", "required" */

	const char *ciphers; /* as OpenSSL writes a list */
	const char *curves;  /* "X25519:P-256", in order of preference */
	const char *tls_min_version; /* "1.2", "1.3" */
	struct strlist alpn;

	/*
	 * Keys of session tickets, ticket_keys.h; NULL: none are made.  The
	 * only part that must live as long as the context.
	 */
	const struct bulletin *tickets;

	/* Where pairs are from that were checked before, or NULL. */
	const struct tls_bundle *known;
};

/* A warning for the operator, one line. */
typedef void tls_warn_fn(void *arg, const char *text);

/*
 * The global settings of TLS as a description, which borrows from s.  False
 * when they name no certificate: the listeners are plain.
 */
bool tls_config_of(const struct settings *s, struct tls_config *out);

/*
 * Reads every file that c names.  warn, which may be NULL, hears of keys that
 * others can read.  The caller frees with tls_bundle_free(), which wipes.
 */
int tls_load(const struct tls_config *c, tls_warn_fn *warn, void *arg,
    struct tls_bundle **out, struct err *err);
void tls_bundle_free(struct tls_bundle **bp);

/* Tells warn when others may read or change a file that holds secrets. */
void tls_check_mode(const char *setting, const char *path, tls_warn_fn *warn,
    void *arg);

/*
 * A bundle is one run of bytes without pointers, so that it can be sent to
 * another process or compared with a newer one.  Borrowed from b.
 */
const void *tls_bundle_bytes(const struct tls_bundle *b, size_t *len_out);

/* A copy of such bytes as a bundle; NULL when they are none, or no memory. */
struct tls_bundle *tls_bundle_of(const void *bytes, size_t len);

/*
 * Calls fn with the path of each file that was read, and the directory; to
 * watch them.
 */
void tls_bundle_paths(const struct tls_bundle *b,
    void (*fn)(void *arg, const char *path), void *arg);

/*
 * Makes a context of b and checks all that can be checked: that keys and
 * certificates belong together, that names of ciphers exist.  warn hears of
 * certificates that are out of date, or soon will be; NULL: the same bundle
 * was checked before, and what takes long is not checked again.
 * Constant from then on: any thread may use it; neither c nor b is needed
 * further.  The caller frees with tls_free(), at any time: connections keep
 * it as long as they need it.
 */
int tls_new(const struct tls_config *c, const struct tls_bundle *b,
    tls_warn_fn *warn, void *arg, struct tls **out, struct err *err);
void tls_free(struct tls **tp);

/* When its first certificate expires, in seconds since 1970. */
int64_t tls_expiry(const struct tls *t);

/*
 * Makes c, which was just accepted, a TLS connection whose handshake is to
 * be done.  False when out of memory.
 */
bool tls_attach(struct tls *t, struct conn *c);

/*
 * What is known about c by the name that other servers give it: SSL_PROTOCOL,
 * SSL_CIPHER, SSL_SERVER_NAME, SSL_CLIENT_VERIFY, SSL_CLIENT_S_DN,
 * SSL_CLIENT_I_DN, SSL_CLIENT_SERIAL, SSL_CLIENT_CERT.  ptr is NULL when there
 * is nothing to say.  Valid for as long as c; by its owner only.
 */
struct span tls_fact(struct conn *c, const char *name);

#endif
