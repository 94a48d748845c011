/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_SPAN_H
#define BICORN_BASE_SPAN_H

/*
 * A span is a borrowed run of bytes: not terminated, may hold any byte.
 * Pure functions, any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })

static inline struct span
span_of(const char *text)
{
	return (struct span){ text, text != NULL ? strlen(text) : 0 };
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.ptr, b.ptr, a.len));
}

/* Equal but for the case of ASCII letters; the locale has no say. */
bool span_ieq(struct span a, struct span b);

/* Without the spaces and tabs at both ends (RFC 9110, 5.6.3: OWS). */
struct span span_trim(struct span s);

/*
 * Cuts the next part off *rest, up to sep, which goes too.  Returns false
 * when nothing is left.  "a,,b" gives "a", "", "b".
 */
bool span_next(struct span *rest, char sep, struct span *part_out);

/* Digits only, at least one, at most INT64_MAX; false otherwise. */
bool span_uint(struct span s, unsigned long long *value_out);

/* A terminated copy on the heap, or NULL when out of memory. */
char *span_dup(struct span s);

#endif
