/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_FLAGS_H
#define BICORN_CONF_FLAGS_H

/*
 * All flags of the command line, by name.  Every switch has a "--no-" form,
 * written in the table or not.
 */

#include "conf/table.h"

struct arena;
struct err;

struct flag {
	struct span name;              /* "--threads" */
	const struct setting *setting; /* one of these three */
	const struct extra *extra;
	const struct foreign *foreign;
	bool off;                      /* "--no-..." */
};

struct flags {
	struct flag *items;
	size_t count;
};

/* 0, or -1: out of memory. */
int flags_collect(struct flags *f, struct arena *a, struct err *err);

bool flag_takes_value(const struct flag *flag);

/*
 * The flag of that name, or the only one that begins so (long ones);
 * otherwise NULL, and err says that there is none, and which one may have
 * been meant, or that there are several.
 */
const struct flag *flags_find(const struct flags *f, struct span name,
    struct err *err);

/* The flag of that very name, or NULL. */
const struct flag *flags_exact(const struct flags *f, struct span name);

#endif
