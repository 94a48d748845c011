/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_ARENA_H
#define BICORN_CONF_ARENA_H

/*
 * Memory that is freed all at once: the texts of one struct settings.
 * Functions return NULL when out of memory.  A zeroed struct arena is empty.
 */

#include <stddef.h>

#include "base/span.h"

struct arena {
	struct arena_block *blocks; /* linked, each allocated on its own */
};

/* Zeroed memory. */
void *arena_alloc(struct arena *a, size_t size);

/* A terminated copy. */
char *arena_dup(struct arena *a, struct span s);

char *arena_fmt(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Frees everything; the arena is empty again. */
void arena_fini(struct arena *a);

#endif
