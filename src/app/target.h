/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_TARGET_H
#define BICORN_APP_TARGET_H

/*
 * What APP on the command line means:
 *	PATH.so[:SYMBOL]           an application in C
 *	an existing directory with a '/' in the name: its files
 *	anything else              WSGI, MODULE[:EXPR]
 * and HOST=TARGET says it outright: wsgi=, native=, static=.  paste=FILE.ini
 * is what the setting paste becomes, for the WSGI host as it is.
 */

enum target_kind {
	TARGET_NATIVE,
	TARGET_STATIC,
	TARGET_WSGI,
};

struct target {
	enum target_kind kind;
	char *path;   /* native: the file; static: the directory; wsgi: all of
			 MODULE[:EXPR] */
	char *symbol; /* native: the name of the exported struct; else NULL */
};

/* 0, or -1 when out of memory.  Looks at the file system, opens nothing. */
int target_read(const char *app, struct target *out);
void target_fini(struct target *t);

#endif
