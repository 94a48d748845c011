/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_PBES2_H
#define BICORN_TLS_PBES2_H

/*
 * Keys as OpenSSL encrypts them since 3.0, with AES (PKCS #8, RFC 8018),
 * which Mbed TLS before 3.6 cannot read.  May go with those.
 */

#include <stdbool.h>

struct bundle_entry;

/*
 * True when e is such a key and was tried; *rc_out is then 0, or the
 * library's number for what is wrong.  key, a mbedtls_pk_context, is free.
 */
bool pbes2_parse_key(void *key, const struct bundle_entry *e,
    const struct bundle_entry *passphrase, int *rc_out);

#endif
