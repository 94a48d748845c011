/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_TABLE_H
#define BICORN_CONF_TABLE_H

/*
 * settings.def as an array, and the few options of the command line that
 * are no settings.  Everything else in this room walks these two tables.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "conf/conf.h"

enum setting_kind {
	KIND_BOOL,
	KIND_INT,
	KIND_TIME,
	KIND_SIZE,
	KIND_TEXT,
	KIND_LIST,
	KIND_GROUPS,
};

enum setting_when {
	WHEN_RELOAD,
	WHEN_RESTART,
};

/* SETTING_bind and so on: the index of a row. */
enum setting_id {
#define SETTING(name, ...) SETTING_##name,
#include "conf/settings.def"
#undef SETTING
	SETTING_COUNT,
};

/* A row of settings.def; what the columns mean is said there. */
struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset; /* of the field in struct settings */
	const char *def;
	double min, max;
	enum setting_when when;
	const char *section;
	const char *flags;
	const char *arg;
	const char *help;
};

/* An option that is no setting. */
struct extra {
	const char *flags;
	const char *arg; /* NULL: takes none */
	enum conf_action action;
	const char *help;
};

extern const struct setting setting_table[SETTING_COUNT];

#define EXTRA_COUNT 6
extern const struct extra extra_table[EXTRA_COUNT]; /* [0] is --config */

/* The row of that name, or NULL. */
const struct setting *setting_find(const char *name);

enum setting_id setting_id(const struct setting *s);

/* Cuts the next flag off a flags column: "-w", then "--workers". */
bool flags_next(const char **cursor, struct span *flag_out);

/* The flag to show first: the first long one. */
struct span flags_main(const char *flags);

/* Whether it may stand in a group of listen, or in a group tls of one. */
bool setting_is_of_listener(const struct setting *s);
bool setting_is_of_tls(const struct setting *s);

/*
 * A LIST whose values may hold commas: on the command line and in a file
 * each text is one value.
 */
bool setting_keeps_commas(const struct setting *s);

#endif
