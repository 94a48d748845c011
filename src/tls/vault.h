/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_VAULT_H
#define BICORN_TLS_VAULT_H

/*
 * Where the arbiter, which may read private keys, leaves the bundles of a
 * generation's listeners for the workers, which need not.  It may replace
 * them at any time, and workers see from the version that it did.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bulletin;
struct err;
struct tls_bundle;

struct bulletin *vault_new(struct err *err);

/*
 * Puts bundles[0..count) in the place of those that are there, one for each
 * listener, NULL for those that need none.  0 or -1.  The arbiter.
 */
int vault_put(struct bulletin *v, struct tls_bundle *const *bundles,
    size_t count, struct err *err);

/*
 * Takes copies out; the caller frees each.  0 or -1.  Any process.
 */
int vault_get(const struct bulletin *v, struct tls_bundle **bundles,
    size_t count, uint64_t *version_out, struct err *err);

/* Whether these bundles are byte for byte what is there. */
bool vault_holds(const struct bulletin *v, struct tls_bundle *const *bundles,
    size_t count);

#endif
