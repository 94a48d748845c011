/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_WORDS_H
#define BICORN_CONF_WORDS_H

#include <stddef.h>

struct arena;
struct err;

/*
 * Splits text into words as a shell would, without expanding anything:
 * spaces separate; '...' is as it is; in "..." a '\' keeps a following
 * '"', '\', '$' or '`'; elsewhere '\' keeps any character.  The array and
 * its words are a's.  0, or -1: a quote without end, out of memory.
 */
int words_split(struct arena *a, const char *text, char *const **words_out,
    size_t *count_out, struct err *err);

#endif
