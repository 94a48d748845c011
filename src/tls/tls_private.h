/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TLS_PRIVATE_H
#define BICORN_TLS_TLS_PRIVATE_H

#include <stddef.h>

struct tls;

/* The library's configuration, a mbedtls_ssl_config; borrowed. */
void *tls_ssl_config(struct tls *t);

/* The kernel's generator, which needs no state and no lock. */
int tls_random(void *arg, unsigned char *out, size_t len);

#endif
