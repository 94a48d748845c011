/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TLS_H
#define BICORN_TLS_TLS_H

/*
 * TLS by Mbed TLS, as a transport.  The only room that sees its headers; in
 * a build without TLS these functions say so.
 */

#include <stdbool.h>

struct conn;
struct err;
struct settings;
struct tls;

/*
 * Reads certificate and key, and checks that they belong together.  *out is
 * NULL when the settings name no certificate.  Constant from then on: any
 * thread may use it.  The caller frees with tls_free() after the last
 * connection.
 */
int tls_new(const struct settings *s, struct tls **out, struct err *err);
void tls_free(struct tls **tp);

/*
 * Makes c, which was just accepted, a TLS connection whose handshake is to
 * be done.  False when out of memory.
 */
bool tls_attach(struct tls *t, struct conn *c);

#endif
