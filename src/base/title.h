/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_TITLE_H
#define BICORN_BASE_TITLE_H

/*
 * The title of a process, as ps shows it.  The kernel shows the memory in
 * which the arguments and the environment stood at the start, so both are
 * copied away first and the title is written there.  One thread.
 */

#include <stdbool.h>
#include <stddef.h>

struct title {
	char *area;   /* where the arguments begin; NULL: no title */
	size_t room;  /* up to the end of the environment */
	char **argv;  /* the copies ... */
	char **env;   /* ... which environ points into, until title_fini() */
	char *text;   /* what the copies point into */
};

/*
 * Copies the arguments and the environment; t->argv then holds the
 * arguments, valid until title_fini().  Called by main() before anything
 * keeps a pointer into either.  0 or -1 when out of memory.
 */
int title_init(struct title *t, int argc, char **argv);

/* Too long a title is cut. */
void title_set(struct title *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether the title still begins so: nobody else has set another. */
bool title_is_ours(const struct title *t, const char *begin);

/* Frees the copies, and with them the environment: the last call of main. */
void title_fini(struct title *t);

#endif
