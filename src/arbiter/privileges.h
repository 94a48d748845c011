/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_PRIVILEGES_H
#define BICORN_ARBITER_PRIVILEGES_H

/* Giving up what a worker must not have.  Between the fork and its work. */

#include <sys/types.h>

struct err;

/*
 * Becomes that user and group, with that user's supplementary groups and no
 * others, and makes sure that there is no way back.  -1 for uid or gid
 * leaves it as it is.
 */
int privileges_drop(uid_t uid, gid_t gid, struct err *err);

#endif
