/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ADMIN_ADMIN_H
#define BICORN_ADMIN_ADMIN_H

/*
 * The admin process: a child of the arbiter that shows how the service is,
 * over HTTP (admin_bind) and to bicornctl(8) (control_socket).  It reads the
 * shared memory and never talks to a worker, so it answers when all of them
 * hang; and should it fail, nobody but those who look on notices.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ledger;
struct listener;

struct admin_options {
	struct listener *const *listeners; /* of admin_bind */
	size_t listener_count;
	const struct listener *control;    /* control_socket, or NULL */
	const struct ledger *ledger;
	int channel;           /* to the arbiter: see admin/channel.h */
	const char *name;      /* of the service */
	bool page_controls;    /* admin_control */
	bool any_host;         /* admin_public: whatever Host says */
	uid_t owner;           /* may use the control socket, as root may */
};

/* Whether this build has it; otherwise its settings are refused. */
bool admin_is_built_in(void);

/* Runs until the arbiter is gone; returns the exit code. */
int admin_main(const struct admin_options *o);

#endif
