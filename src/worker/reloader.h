/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_RELOADER_H
#define BICORN_WORKER_RELOADER_H

/*
 * --reload: a thread that looks at the files that the application is made of
 * and tells the arbiter, over the scoreboard, when one has changed.
 */

struct err;
struct reloader;
struct worker;

/* Starts the thread, if the settings want it.  The application is loaded. */
int reloader_start(struct worker *w, struct reloader **out, struct err *err);

/* Ends it, before the application is unloaded.  Nulls *rp. */
void reloader_stop(struct reloader **rp);

#endif
