/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TLS_PRIVATE_H
#define BICORN_TLS_TLS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls;

/* The library's configuration, a mbedtls_ssl_config; borrowed. */
void *tls_ssl_config(struct tls *t);

/* One user more, who will call tls_free(). */
struct tls *tls_use(struct tls *t);

/* Whether clients without a certificate are to be refused. */
bool tls_requires_certificate(const struct tls *t);

/* The kernel's generator, which needs no state and no lock. */
int tls_random(void *arg, unsigned char *out, size_t len);

/*
 * Whether one more line may be logged about clients of t, of which there are
 * at most so many a second; *unsaid_out: how many were not since the last.
 * Any thread.
 */
bool tls_may_say(struct tls *t, int64_t now_ms, unsigned most,
    unsigned *unsaid_out);

/* Tickets of its clients that were good so far. */
unsigned tls_resumed(const struct tls *t);

#endif
