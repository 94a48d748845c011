/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_VALUE_H
#define BICORN_CONF_VALUE_H

/*
 * A value of a setting between text and struct settings.  The kinds of
 * settings.def are told apart here and nowhere else.
 */

#include <stdbool.h>
#include <stdint.h>

#include "conf/table.h"

struct arena;
struct buf;
struct err;

struct value {
	bool on;             /* BOOL */
	int64_t number;      /* INT; TIME in ms; SIZE in bytes */
	bool automatic;      /* INT: "auto", number is what follows from it */
	const char *text;    /* TEXT, NULL: unset */
	struct strlist list; /* LIST */
	struct listen_groups groups; /* GROUPS */
};

/*
 * Reads text.  Allocates from a.  0, or -1 and err says what would be
 * right: "must be 1..1024".  A LIST with commas is split at each ',' that
 * has no '\' in front.
 */
int value_parse(struct arena *a, const struct setting *s, const char *text,
    bool commas, struct value *out, struct err *err);

/* A LIST of these values. */
int value_list(struct arena *a, const struct setting *s,
    const char *const *items, size_t count, struct value *out,
    struct err *err);

/* Puts v into its field, and takes it from there. */
void value_store(struct settings *to, const struct setting *s,
    const struct value *v);
void value_load(const struct settings *from, const struct setting *s,
    struct value *out);

/*
 * v as plain text: true or false, a whole number, seconds, bytes, text,
 * items joined with ',' (a ',' inside of one as "\,").  false when out of
 * memory.
 */
bool value_plain(struct buf *b, const struct setting *s,
    const struct value *v);

/* v as bicorn.conf(5) wants it.  false when out of memory. */
bool value_conf(struct buf *b, const struct setting *s, const struct value *v);

/* "1..1024", "0..86400 seconds"; "" for kinds without a range. */
bool value_range(struct buf *b, const struct setting *s);

#endif
