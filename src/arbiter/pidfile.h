/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_PIDFILE_H
#define BICORN_ARBITER_PIDFILE_H

/*
 * The pid file: the arbiter's number and a line end, mode 0644, put in place
 * by a rename so that no reader ever sees half of it.  It is there when the
 * service is ready, and not before: scripts wait for it.
 */

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct pidfile {
	char *path;  /* absolute; NULL: there is none */
	char *final; /* what it is called once we are promoted, or NULL */
	bool written;
};

/*
 * Remembers path.  Fails when the file names a process that is alive, or
 * could not be made.  path NULL: does nothing, here and below.
 */
int pidfile_open(struct pidfile *p, const char *path, struct err *err);

/* As pidfile_open(), with ".2" behind the path until it is promoted. */
int pidfile_open_second(struct pidfile *p, const char *path, struct err *err);

/* The file gets the name that the one before us had. */
int pidfile_promote(struct pidfile *p, struct err *err);

/*
 * Writes the file, once.  Fails when it names a process that is alive; a stale
 * one is replaced.
 */
int pidfile_write(struct pidfile *p, struct err *err);

/* One that was written is written again, wherever it went. */
int pidfile_restore(const struct pidfile *p, struct err *err);

/* Removes the file with ".2" that process pid has left, who was killed. */
void pidfile_forget_second(const struct pidfile *p, pid_t pid);

/* Removes the file if it still names this process; frees the path. */
void pidfile_close(struct pidfile *p);

#endif
