/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_WRAP_H
#define BICORN_CONF_WRAP_H

#include <stdio.h>

#include "base/span.h"

/*
 * Prints text in lines of at most `width` columns, broken at spaces.  Each
 * line but the first begins with `indent` (a number of spaces, then the
 * prefix); the first goes on where the caller is, in column `at`.
 */
struct wrap {
	int width;
	int indent;
	const char *prefix; /* "" or "# " */
};

void wrap_text(FILE *out, const struct wrap *w, int at, struct span text);

/* The next sentence, with its full stop; false: there is none. */
bool wrap_sentence(struct span *rest, struct span *sentence_out);

#endif
