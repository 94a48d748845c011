/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_SUGGEST_H
#define BICORN_CONF_SUGGEST_H

/* "Did you mean ...?": the nearest of a set of names. */

#include "base/span.h"

struct suggest {
	struct span word;   /* what was written */
	struct span best;   /* what to answer with; not set: nothing near */
	unsigned distance;  /* of the best */
};

/* Starts a search. */
struct suggest suggest_for(struct span word);

/* If candidate is near and nearer than before, the answer is answer. */
void suggest_offer(struct suggest *g, struct span candidate,
    struct span answer);

/*
 * Offers every setting by its name and by its flags, and is answered by
 * name (as_flag: false) or by flag; the flags of options that are no
 * settings are offered only then.
 */
void suggest_settings(struct suggest *g, bool as_flag);

/*
 * How many letters to insert, remove, change or swap to make b of a; '-'
 * and '_' are the same.  Texts longer than 63 are far from everything.
 */
unsigned suggest_distance(struct span a, struct span b);

#endif
