/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SPOOL_H
#define BICORN_WORKER_SPOOL_H

/*
 * Files that hold what is too large for memory.  They have no name, so
 * nothing is left of them whatever happens to the process.
 */

/* Where they are: dir, or what takes its place when it is NULL. */
const char *spool_directory(const char *dir);

/* A file there, open for reading and writing; -1 with errno. */
int spool_open(const char *dir);

#endif
