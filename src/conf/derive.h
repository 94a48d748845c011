/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_DERIVE_H
#define BICORN_CONF_DERIVE_H

#include <stdbool.h>

struct err;
struct store;

/*
 * When all values are in: the fields of struct settings that follow from
 * others, and the checks that need the system or two settings at once.
 * May read the user database.  0, or -1.
 */
int derive(struct store *st, struct err *err);

/* Whether two addresses of bind are one: port 0 is another each time. */
bool derive_is_twice(const char *one, const char *other);

/* That part of it which is about TLS: of a group of listen, too. */
int derive_tls(struct store *st, struct err *err);

/* proxy_versions and proxy_required; of a group of listen, too. */
void derive_proxy(struct store *st);

#endif
