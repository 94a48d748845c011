/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_PAGES_H
#define BICORN_WORKER_PAGES_H

/*
 * The pages that bicorn answers itself, when a request is refused or the
 * application fails: small ones, or files of the operator.
 */

#include <stddef.h>

#include "base/span.h"

struct err;
struct pages;

/* Of a page made here. */
#define PAGE_MAX 1024

struct page {
	struct span type; /* of the content */
	struct span body; /* in small, or of the pages */
	char small[PAGE_MAX];
};

/*
 * Reads the files NNN.TYPE and Nxx.TYPE of dir, TYPE being html, json or
 * txt; other names are left alone.  dir NULL: there are none.  Constant from
 * then on.  The caller frees with pages_free().
 */
int pages_load(const char *dir, struct pages **out, struct err *err);
void pages_free(struct pages **pp);

/*
 * The page for a status, in the type that fits the Accept field, whose ptr
 * is NULL when there is none.  why is a sentence of our own, or "".  id is
 * that of the request, or empty.  p may be NULL.
 */
void pages_make(const struct pages *p, unsigned status, const char *why,
    struct span accept, struct span id, struct page *out);

#endif
