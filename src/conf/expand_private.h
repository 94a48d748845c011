/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_EXPAND_PRIVATE_H
#define BICORN_CONF_EXPAND_PRIVATE_H

/* Between expand.c, which knows files, and scan.c, which knows tokens. */

#include "conf/expand.h"

/* The last token, as far as it says what may follow. */
enum last {
	LAST_NOTHING, /* begin, ';', '{': a setting may begin */
	LAST_NAME,
	LAST_EQUALS,
	LAST_VALUE,
	LAST_TEXT,    /* a value, and more text may follow */
	LAST_OPEN,    /* of a list */
	LAST_COMMA,   /* in a list */
};

#define DEEPEST_NESTING 32

/* One file while its tokens are read. */
struct scan {
	struct expansion *x;
	const char *file;
	const char *at, *end;
	unsigned line;
	unsigned depth;   /* of includes */
	unsigned nesting; /* of brackets; these are open: */
	char open[DEEPEST_NESTING];
	bool mid_line;      /* something was in this line */
	enum last last;
	struct span name;   /* of the setting ... */
	unsigned name_line; /* ... and where it stands */
};

/* Reads s to its end.  0 or -1. */
int scan_all(struct scan *s, struct err *err);

/* Adds to the text for libconfig. */
int scan_emit(struct scan *s, const char *text, size_t len, struct err *err);

/* err = "FILE, line N: ..."; -1. */
int scan_fail(struct scan *s, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A value: checked, added to the text, and s moves behind it.  0 or -1. */
int scan_text(struct scan *s, struct err *err);
int scan_number(struct scan *s, struct err *err);
int scan_truth(struct scan *s, struct span word, struct err *err);

/* The length of the text at s->at with its quotes, or 0 and err. */
size_t scan_measure_text(struct scan *s, struct err *err);

/* What @include "name" stands for, in its place. */
int scan_include(struct scan *s, const char *name, struct err *err);

static inline bool
scan_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
scan_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The byte n further on, or 0. */
static inline char
scan_peek(const struct scan *s, size_t n)
{
	return (size_t)(s->end - s->at) > n ? s->at[n] : '\0';
}

#endif
