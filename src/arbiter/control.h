/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_CONTROL_H
#define BICORN_ARBITER_CONTROL_H

/*
 * The admin process, seen from the arbiter: forked when admin_bind or
 * control_socket is set, forked again when it dies, told of every
 * generation, and heard when somebody commands something.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct err;
struct generation;
struct listener;
struct settings;

#define CONTROL_RELOADS 16

struct control {
	struct listener **pages;  /* of admin_bind */
	size_t page_count;
	struct listener *socket;  /* control_socket, or NULL */
	uid_t owner;              /* whom it belongs to */
	int fd;                   /* to the process; -1: there is none */
	pid_t pid;                /* 0: there is none */
	int64_t again_ms;         /* it may be forked then */
	bool opened;              /* the sockets, if there are any */
	/* Reloads that were commanded and have no candidate yet, by id. */
	uint64_t reloads[CONTROL_RELOADS];
	size_t reload_count;
};

/*
 * Opens the sockets that the settings of the serving generation name.  After
 * an upgrade that waits until the arbiter before is gone, whose they are.
 */
int control_open(struct arbiter *a, struct err *err);

/* What can be said of these settings without opening anything. */
int control_check(const struct settings *s, struct err *err);

/* Has the process end, and waits for it.  Removes the sockets. */
void control_close(struct arbiter *a);

/*
 * A reload begins: makes paths again that somebody removed.  The process is
 * forked anew then, to have the sockets.
 */
void control_restore(struct arbiter *a);

/* In another child: lets go of all of it. */
void control_forget(struct arbiter *a);

/* Sees to it that the process is there. */
void control_maintain(struct arbiter *a, int64_t now_ms);

/* When there is something to do; CLOCK_NEVER: never. */
int64_t control_deadline(const struct arbiter *a);

/* A generation begins, or its last worker is gone. */
void control_began(struct arbiter *a, const struct generation *g);
void control_ended(struct arbiter *a, const struct generation *g);

/* Does what was commanded. */
void control_obey(struct arbiter *a);

/*
 * A reload has got its candidate, or NULL and the reason.  Answers those that
 * wait for that.
 */
void control_reloads(struct arbiter *a, const struct generation *g,
    const char *why);

/* Whether pid was the process, which is gone now. */
bool control_reaped(struct arbiter *a, pid_t pid, int64_t now_ms);

#endif
