/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TLS_PRIVATE_H
#define BICORN_TLS_TLS_PRIVATE_H

struct tls;

/* The library's configuration, a mbedtls_ssl_config; borrowed. */
void *tls_config(struct tls *t);

#endif
