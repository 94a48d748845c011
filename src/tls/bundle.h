/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_BUNDLE_H
#define BICORN_TLS_BUNDLE_H

/*
 * What the files of a configuration hold, one behind the other in one run of
 * bytes.  The order is that of the operator; a key follows its certificate.
 */

#include <stdbool.h>
#include <stddef.h>

struct tls_bundle;

enum bundle_kind {
	BUNDLE_CERT,
	BUNDLE_KEY,
	BUNDLE_PASSPHRASE,
	BUNDLE_CA,
	BUNDLE_CRL,
	BUNDLE_DIR, /* no text: only to be watched */
};

struct bundle_entry {
	enum bundle_kind kind;
	const char *name; /* terminated: the path */
	const char *text; /* a NUL follows that does not count */
	size_t len;
};

/* An empty one, NULL when out of memory. */
struct tls_bundle *bundle_new(void);

/* Appends; false when out of memory.  What it leaves behind is wiped. */
bool bundle_add(struct tls_bundle *b, enum bundle_kind kind, const char *name,
    const char *text, size_t len);

/* Goes through the entries; *at starts with 0.  False at the end. */
bool bundle_next(const struct tls_bundle *b, size_t *at,
    struct bundle_entry *out);

/*
 * The length as the library wants it, which tells PEM from DER by the NUL
 * behind the text.
 */
size_t bundle_library_len(const struct bundle_entry *e);

/* Overwrites and frees.  NULL is fine. */
void bundle_wipe(void *ptr, size_t len);

#endif
