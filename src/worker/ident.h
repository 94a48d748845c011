/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_IDENT_H
#define BICORN_WORKER_IDENT_H

/*
 * Ids of requests: one that a believed proxy sends, where it is fit for a
 * log, otherwise 32 hexadecimal digits that no other request has.
 */

#include <stdint.h>

#include "base/span.h"

struct client;
struct worker;

#define IDENT_MAX 128

struct ident {
	uint64_t seed[2]; /* of the thread; 0: not sown yet */
	size_t len;
	char text[IDENT_MAX];
};

/* The id of the request of c, in id->text; "" with the setting off. */
void ident_take(struct ident *id, const struct worker *w,
    const struct client *c);

static inline struct span
ident_span(const struct ident *id)
{
	return (struct span){ id->text, id->len };
}

#endif
