/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_ERR_H
#define BICORN_BASE_ERR_H

/*
 * Errors of setting things up: a function that may fail returns 0 or -1 and
 * takes a struct err last, into which it writes one line for the operator:
 * the thing tried, the value and its source.  Any thread; nothing is
 * allocated.  Traffic never uses this, see worker/.
 */

struct err {
	char text[768]; /* always terminated; "" while nothing failed */
};

/* Replaces the text.  Too long a text is cut.  err may be NULL. */
void err_set(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As err_set(), and appends ": " and strerror(errno).  Keeps errno. */
void err_sys(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts a text in front of the one that is there. */
void err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
