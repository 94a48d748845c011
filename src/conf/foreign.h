/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_FOREIGN_H
#define BICORN_CONF_FOREIGN_H

/*
 * The settings of gunicorn, gunicorn.def as an array: a name or a flag that
 * is none of bicorn's may be one of these, and is no misspelt one of ours.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct err;
struct store;
struct written;

enum foreign_takes {
	TAKES_NONE,
	TAKES_ONE,
	TAKES_MANY,
};

enum foreign_verdict {
	VERDICT_HONOURED,
	VERDICT_TRANSLATED,
	VERDICT_HOOK,
	VERDICT_IGNORED,
	VERDICT_REFUSED,
};

/* FOREIGN_bind and so on: the index of a row. */
enum foreign_id {
#define GUNICORN(name, ...) FOREIGN_##name,
#include "conf/gunicorn.def"
#undef GUNICORN
	FOREIGN_COUNT,
};

/* A row of gunicorn.def; what the columns mean is said there. */
struct foreign {
	const char *name;
	const char *flags;
	enum foreign_takes takes;
	const char *def;
	enum foreign_verdict verdict;
	const char *why;
};

extern const struct foreign foreign_table[FOREIGN_COUNT];

/* The row of that name, or NULL. */
const struct foreign *foreign_find(const char *name);

/* Whether bicorn has a setting, or an option, of that very name. */
bool foreign_is_own(const struct foreign *f);

/* What becomes of it, a setting of bicorn's own being honoured at least. */
enum foreign_verdict foreign_verdict(const struct foreign *f);

/*
 * The same for those settings: what is about TLS alone is never refused
 * where there is none.
 */
enum foreign_verdict foreign_verdict_in(const struct store *st,
    const struct foreign *f);

/*
 * Keeps text, the value of a foreign setting, and where it was written.
 * foreign_check() looks at them once all sources were read.
 */
void foreign_store(struct store *st, const struct foreign *f,
    const char *text, const struct written *w);

/*
 * Warns of what is ignored and refuses the rest, unless st is only to be
 * explained.  0 or -1.
 */
int foreign_check(struct store *st, struct err *err);

/*
 * What to do instead of a worker class that is none of bicorn's; NULL when
 * it is one.
 */
const char *foreign_worker_class(const char *name);

#endif
