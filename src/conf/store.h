/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_STORE_H
#define BICORN_CONF_STORE_H

/*
 * What is behind a struct settings: its memory, and for each value where it
 * came from and how it was written there, so that errors can say so.
 */

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/foreign.h"
#include "conf/table.h"

struct err;

/* In rising precedence. */
enum source_kind {
	SOURCE_DEFAULT,
	SOURCE_FALLBACK, /* somebody else's variable: WEB_CONCURRENCY */
	SOURCE_PASTE,    /* the server section of a PasteDeploy file */
	SOURCE_FILE,
	SOURCE_VARIABLE, /* BICORN_NAME */
	SOURCE_CMD_ARGS, /* BICORN_CMD_ARGS, or GUNICORN_CMD_ARGS */
	SOURCE_ARGV,
};

struct source {
	enum source_kind kind;
	const char *name; /* of the file or the variable */
	unsigned line;    /* of the file; 0: unknown */
};

/*
 * One value as it was written: "threads = 0", "--threads 0".  The texts
 * are good for an error line: no control characters, not too long.
 */
struct written {
	struct source source;
	const char *subject;
};

struct slot {
	struct written written;
	const char *text; /* settings_text() */
	bool inherited; /* of a group of listen, which does not say it */
};

struct store {
	struct settings settings; /* first: a pointer to it is one to this */
	struct arena arena;
	struct slot slots[SETTING_COUNT];
	struct slot foreign[FOREIGN_COUNT]; /* text NULL: not given */
	bool explains; /* what is refused is told, and is no error */
	struct strlist warnings;
	struct written where; /* of a group of listen: its place */
};

/* s came from settings_load(). */
struct store *store_of(struct settings *s);
const struct store *store_of_const(const struct settings *s);

/* "bicorn.conf, line 12", "command line", "environment", "default". */
const char *source_text(struct arena *a, const struct source *source);

/* "SUBJECT (SOURCE): " in front of what err says. */
void written_blame(const struct written *w, struct err *err);

/*
 * Reads text as a value of s, checks it and keeps it, w as its origin.  A
 * LIST grows by it when its last value came from the same kind of source
 * and place; a value of another source replaces all.  commas: a list may
 * be in one text.  0 or -1.
 */
int store_text(struct store *st, const struct setting *s, const char *text,
    bool commas, const struct written *w, struct err *err);

/* The same for values that are known to be a list. */
int store_list(struct store *st, const struct setting *s,
    const char *const *items, size_t count, const struct written *w,
    struct err *err);

/*
 * What the operator wrote, fit for a line of text: control characters as
 * '?', cut after some 60 bytes.
 */
const char *shown(struct arena *a, const char *text);

/* One more line for the operator; false when out of memory. */
bool store_warn(struct store *st, const char *text);

#endif
