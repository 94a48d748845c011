/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TICKETS_H
#define BICORN_TLS_TICKETS_H

/*
 * Session tickets (RFC 5077, RFC 8446 4.6.1): a client keeps its session,
 * sealed with a key that all workers have, and comes back without the work
 * of a whole handshake.
 */

#include <stddef.h>

struct bulletin;
struct tickets;

/*
 * For one context.  keys (ticket_keys.h) are borrowed.  A ticket is only
 * good where `binding` is the same: what the handshake has proved.
 */
struct tickets *tickets_new(const struct bulletin *keys,
    const unsigned char *binding, size_t len);
void tickets_free(struct tickets **tp);

/* How many were good so far.  The thread that does the handshakes. */
unsigned tickets_opened(const struct tickets *t);

/* conf is a mbedtls_ssl_config, which must not outlive t. */
void tickets_configure(struct tickets *t, void *conf);

#endif
