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
	struct span id;       /* of the request */
	struct span scheme;
	int64_t queue_us;     /* it waited for a thread; -1: not known */
	int64_t app_us;       /* ... the application had it ... */
	int64_t send_us;      /* ... and that went into sending */
	int64_t thread;       /* of the pool, -1: none */

	/*
	 * {name}i, {name}o and {name}e: request field, response field,
	 * variable of the environment.  kind is 'i', 'o' or 'e'; 'v' and 'c'
	 * are version and cipher of TLS.  NULL when none can be had.
	 */
	struct span (*lookup)(void *arg, char kind, struct span name);
	void *lookup_arg;
};

/*
 * target: "-" for stdout or a path, opened as the error log is; NULL: none.
 * to_syslog: to where log_syslog_open() says as well.  A format of another
 * form than "%(ATOM)s" is an error; of an unknown atom the log is told, and
 * it prints as "-", as with gunicorn.  "json" is an object per line, with
 * members "NAME=%(ATOM)s" behind it added.
 */
int access_open(const char *target, bool to_syslog, const char *format,
    uid_t uid, gid_t gid, struct access_log **out, struct err *err);

/* The names in {name}e, which belong to a.  a may be NULL. */
const struct span *access_variables(const struct access_log *a,
    size_t *count_out);

/* Only checks a format. */
int access_format_check(const char *format, struct err *err);

/*
 * Before descriptor 1 becomes another file: lines go where they went.  a may
 * be NULL.
 */
int access_leave_stdout(struct access_log *a, struct err *err);

int access_reopen(struct access_log *a, struct err *err);

/* A process ends: it says how many lines it has lost.  a may be NULL. */
void access_end(struct access_log *a);

void access_free(struct access_log **ap);

/*
 * The line of a request whose output is not all sent yet: what is only known
 * in the end, status and times, stands open in it.  On the heap, *len_out
 * bytes; NULL when out of memory, or a is.  access_finish() takes it, fills
 * these in from r, and writes it.
 */
char *access_begin(const struct access_log *a, const struct access_record *r,
    size_t *len_out);
void access_finish(struct access_log *a, char *line, size_t len,
    const struct access_record *r);

/*
 * The line itself, for somebody who writes it elsewhere: as much of it as has
 * room in out; returns its length.  a may be NULL.
 */
size_t access_text(const struct access_log *a, const struct access_record *r,
    char *out, size_t room);

/*
 * Writes a line that somebody has made, with what does not belong into one
 * escaped.  Any thread.  a may be NULL.
 */
void access_put(struct access_log *a, const char *text, size_t len);

/* Writes the line.  Any thread.  a may be NULL: then nothing is done. */
void access_write(struct access_log *a, const struct access_record *r);

#endif
