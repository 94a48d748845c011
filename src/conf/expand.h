/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_EXPAND_H
#define BICORN_CONF_EXPAND_H

/*
 * A settings file before libconfig sees it.  The versions of libconfig
 * differ in what they include from where, and some make 4294967300 a 4
 * without a word.  So this reads the file and all that it includes, checks
 * the tokens, writes numbers so that no version can misread them, and
 * remembers the place of each line.
 *
 * @include "x.conf" stands alone on its line, is relative to the file that
 * holds it, and may be a pattern ("conf.d/" and a star), in the order of
 * the names; a pattern that matches nothing is fine.
 */

#include <stddef.h>

#include "base/buf.h"
#include "conf/arena.h"

struct err;

/* A line of a file, counted from 1. */
struct place {
	const char *file;
	unsigned line;
};

struct expansion {
	struct buf text;     /* for libconfig; terminated */
	struct arena arena;  /* names of files */
	struct buf segments; /* struct segment: where lines come from */
	struct buf keys;     /* struct key: settings seen so far */
	unsigned lines;      /* in text so far */
};

/*
 * Reads path.  x is zeroed before, and freed by expand_fini() in any case.
 * 0, or -1 and err names file and line.
 */
int expand_file(struct expansion *x, const char *path, struct err *err);

/* The same for text that is in memory; name is used as that of its file. */
int expand_text(struct expansion *x, const char *name, const char *text,
    size_t len, struct err *err);

/* Where a line of text comes from. */
struct place expand_place(const struct expansion *x, unsigned line);

void expand_fini(struct expansion *x);

#endif
