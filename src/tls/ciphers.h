/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_CIPHERS_H
#define BICORN_TLS_CIPHERS_H

/* Cipher suites and groups by the names that OpenSSL has for them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define CIPHERS_MOST 64
#define CURVES_MOST 16

/*
 * Reads a list as `openssl ciphers` does: names and groups between ':', ','
 * or spaces; A+B for what is in both; !X never, -X not, +X last; NULL is the
 * default.  The numbers of the suites in order, 0 behind the last.  Names
 * that nobody knows, suites that are not safe and lists that leave nothing
 * are refused.
 */
int ciphers_parse(const char *text, int out[CIPHERS_MOST], struct err *err);

/* OpenSSL's name of a suite; NULL when it is not in the table. */
const char *ciphers_name(int id);

/*
 * Reads "X25519:P-256" (also prime256v1, secp256r1 ...).  Numbers of TLS's
 * registry in order, 0 behind the last.
 */
int curves_parse(const char *text, uint16_t out[CURVES_MOST], struct err *err);

#endif
