/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_PRIVILEGES_H
#define BICORN_ARBITER_PRIVILEGES_H

/* Giving up what a worker must not have.  Between the fork and its work. */

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct privileges {
	uid_t uid;         /* -1: stays as it is */
	gid_t gid;         /* -1: stays as it is */
	bool initgroups;   /* the user's other groups as well */
	bool no_new_privs; /* nor may programs that it starts have more */
};

/*
 * Becomes that user and group, with that user's supplementary groups or with
 * none, and without any capability, ambient ones included; then makes sure
 * that there is no way back.  Who stays root keeps root's capabilities.
 */
int privileges_drop(const struct privileges *p, struct err *err);

#endif
