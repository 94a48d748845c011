/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_LIMITS_H
#define BICORN_ARBITER_LIMITS_H

/* What the system allows a process. */

struct settings;

/*
 * Raises the limit of open descriptors so that a worker can hold
 * worker_connections of them and what else it needs; workers inherit it.
 * Where that is not allowed, warns, and leaves it as high as it may be.
 */
void limits_raise(const struct settings *s);

/* Says what the kernel is set to where that costs clients something. */
void limits_look(const struct settings *s);

#endif
