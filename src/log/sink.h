/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_SINK_H
#define BICORN_LOG_SINK_H

/*
 * Where the lines of a log go: a file, a pipe, a socket or a terminal.  A
 * line is one write(2).  A file stays the same descriptor over a rotation.
 *
 * A reader of a pipe that does not read holds a writer up for a moment, so
 * that a burst is not lost, and not again before it has read something:
 * from then on what does not fit is dropped and counted.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct sink {
	/* Constant while other threads write. */
	int fd;
	bool owned;     /* fd is ours to close */
	bool is_socket;
	char *path;     /* NULL: a stream that was there, never opened again */
	uid_t uid;
	gid_t gid;

	/* Any thread. */
	atomic_bool stuck;        /* the reader does not read */
	atomic_bool failing;      /* the last line did not get through */
	_Atomic uint64_t lost;    /* lines dropped and not reported yet */
	_Atomic int why;          /* errno of the last one */
	_Atomic int64_t told_ms;  /* when somebody was told last */
};

/*
 * target is "-" for the descriptor standard, or a path, which is created
 * with mode 0644 and appended to.  With uid other than -1 the file is given
 * to that user, as far as this process may.
 */
int sink_open(struct sink *s, const char *target, int standard, uid_t uid,
    gid_t gid, struct err *err);

/* Opens the path again; writers go on meanwhile.  Keeps the old on errors. */
int sink_reopen(struct sink *s, struct err *err);

/* A descriptor of its own, where it uses a standard one. */
int sink_detach(struct sink *s, struct err *err);

void sink_close(struct sink *s);

/* Any thread; keeps errno. */
void sink_write(struct sink *s, const char *data, size_t len);

/*
 * How many lines were lost since the last answer: none while a reader does
 * not read, and no more than one answer every ten seconds, as long as a full
 * disk may last.  *why_out is errno of the last one.
 */
uint64_t sink_tell_lost(struct sink *s, int *why_out);

/* All of them, whenever. */
static inline uint64_t
sink_take_lost(struct sink *s)
{
	return atomic_exchange_explicit(&s->lost, 0, memory_order_relaxed);
}

static inline uint64_t
sink_lost(struct sink *s, int *why_out)
{
	if (atomic_load_explicit(&s->lost, memory_order_relaxed) == 0 ||
	    atomic_load_explicit(&s->stuck, memory_order_relaxed))
		return 0;
	return sink_tell_lost(s, why_out);
}

#endif
