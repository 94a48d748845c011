/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_EXPAND_PRIVATE_H
#define BICORN_CONF_EXPAND_PRIVATE_H

/* Between expand.c, which knows files, and scan.c, which knows tokens. */

#include "conf/expand.h"

#define LAST_NOTHING '\0' /* a setting may begin, as after ';' */
#define LAST_NAME 'a'
#define LAST_VALUE '1'
#define LAST_TEXT '"'

/* One file while its tokens are read. */
struct scan {
	struct expansion *x;
	const char *file;
	const char *at, *end;
	unsigned line;
	unsigned depth;   /* of includes */
	unsigned nesting; /* of brackets */
	bool mid_line;    /* something was in this line */
	char last;        /* the last token: a mark, or one of LAST_ */
	struct span name; /* of the setting ... */
	unsigned name_line; /* ... and where it stands */
};

/* Reads s to its end.  0 or -1. */
int scan_all(struct scan *s, struct err *err);

/* Adds to the text for libconfig. */
int scan_emit(struct scan *s, const char *text, size_t len, struct err *err);

/* err = "FILE, line N: ..."; -1. */
int scan_fail(struct scan *s, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What @include "name" stands for, in its place. */
int scan_include(struct scan *s, const char *name, struct err *err);

#endif
