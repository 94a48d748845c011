/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_CERTIFICATES_H
#define BICORN_ARBITER_CERTIFICATES_H

/*
 * Certificates and keys: read by the arbiter, which may read them, checked
 * in a process without privileges, and left in the vault for the workers.
 * The files are watched: when they change, new ones take the place of the
 * old ones in the workers that run, unless something is wrong with them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arbiter;
struct bulletin;
struct err;
struct generation;
struct heritage;

/* Part of a generation.  Zeroed: there are none. */
struct certificates {
	struct bulletin *vault; /* NULL: no listener speaks TLS */
	char **paths;           /* of all files, and of directories */
	size_t path_count;
	uint64_t signature;     /* of how these files were when read */
	uint64_t complaint;     /* of what was wrong with them; 0: nothing */
	int64_t expiry_s;       /* when the first of those in use expires */
};

/* Part of the arbiter. */
struct certificates_watch {
	int fd;            /* inotify; -1: nothing to watch */
	int64_t event_ms;  /* when the first change was seen; 0: none was */
	int64_t due_ms;    /* when to look; CLOCK_NEVER */
	bool heard;        /* there were events since the last look */
	struct bulletin *ticket_keys; /* NULL: no TLS so far */
	bool keys_of_file; /* they are those of tls_ticket_keys */
	int64_t remind_s;  /* when to look at their dates again; wall clock */
};

void certificates_init(struct certificates_watch *w);
void certificates_fini(struct certificates_watch *w);

/* Reads and checks all that the listeners of g, which are open, need. */
int certificates_load(struct arbiter *a, struct generation *g,
    struct err *err);
void certificates_free(struct certificates *c);

/* Watches the files of the generations that serve, or are about to. */
void certificates_watch_files(struct arbiter *a);

/* Takes notice of changes to files, and looks at those when it is time. */
void certificates_due(struct arbiter *a, int64_t now_ms);

/* In a worker: it can read what is in the vault, and change nothing. */
int certificates_confine(struct arbiter *a, struct generation *g,
    struct err *err);

#endif
