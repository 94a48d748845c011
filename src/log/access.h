/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_ACCESS_H
#define BICORN_LOG_ACCESS_H

/*
 * The access log: a format in gunicorn's atoms, compiled once, and a file
 * to which each request adds one line by one write(2).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/span.h"

struct access_log;
struct err;

/* What a line can say.  Spans are borrowed; ptr NULL prints as "-". */
struct access_record {
	struct span remote;   /* h */
	struct span method;   /* m */
	struct span target;   /* in r; U and q are path and query */
	struct span path;     /* U */
	struct span query;    /* q */
	struct span protocol; /* H */
	unsigned status;      /* s */
	uint64_t body_bytes;  /* B, b: of the response body */
	int64_t started_wall; /* t: seconds since 1970 */
	uint64_t us;          /* T M D L: duration */

	/*
	 * {name}i, {name}o and {name}e: request field, response field,
	 * variable of the environment.  kind is 'i', 'o' or 'e'.  NULL when
	 * none can be had.
	 */
	struct span (*lookup)(void *arg, char kind, struct span name);
	void *lookup_arg;
};

/*
 * target: "-" for stdout or a path, opened as the error log is.  A format
 * with an unknown atom is an error that names it.
 */
int access_open(const char *target, const char *format, uid_t uid, gid_t gid,
    struct access_log **out, struct err *err);

/* Only checks a format. */
int access_format_check(const char *format, struct err *err);

int access_reopen(struct access_log *a, struct err *err);
void access_free(struct access_log **ap);

/* Writes the line.  Any thread.  a may be NULL: then nothing is done. */
void access_write(struct access_log *a, const struct access_record *r);

#endif
