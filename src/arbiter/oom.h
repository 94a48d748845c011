/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_OOM_H
#define BICORN_ARBITER_OOM_H

/*
 * Whether it was the kernel, for want of memory, that killed a worker: it
 * counts its victims, for each control group or for the whole machine.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct oom {
	char path[PATH_MAX]; /* the file with the counter; "": there is none */
	bool ours;           /* it counts our control group alone */
	uint64_t seen;       /* the counter, at the last look */
	uint64_t kills;      /* not put down to a worker yet ... */
	int64_t rose_ms;     /* ... and when they were noticed */
};

/* Finds the counter: of cgroup v2, of v1, or of the machine. */
void oom_init(struct oom *o);

/* Looks at the counter; to be called now and then. */
void oom_look(struct oom *o, int64_t now_ms);

/* One of our processes was killed: whether that was the kernel's doing. */
bool oom_claim(struct oom *o, int64_t now_ms);

#endif
