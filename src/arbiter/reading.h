/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_READING_H
#define BICORN_ARBITER_READING_H

/*
 * The settings for a reload.  Those in Python are read by another process,
 * which may take its time: the arbiter goes on meanwhile, and starts from the
 * beginning, with what that one said at hand, when it has ended.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/helper.h"

struct arbiter;
struct err;
struct settings;

/* Python is asked for the settings file, and for paste. */
#define READING_FILES 2

struct reading_file {
	char *name;
	struct helper_reading answer;
};

/* Zeroed: nothing is read. */
struct conf_reading {
	bool busy;
	struct reading_file files[READING_FILES];
	size_t count; /* the last of them may be under way */
};

enum reading_result {
	READING_DONE,
	READING_WAITS, /* reading_step() is to be called again */
	READING_FAILED,
};

/* Begins anew; what was under way is given up. */
void reading_begin(struct arbiter *a);

/* Goes on as far as that is possible without waiting. */
enum reading_result reading_step(struct arbiter *a, struct settings **out,
    struct err *err);

/* Gives up what is under way. */
void reading_drop(struct arbiter *a);

/* What the process under way says, or -1, and when to look at it. */
int reading_fd(const struct arbiter *a);
int64_t reading_deadline(const struct arbiter *a);

/* A process has ended; true when it was that one. */
bool reading_ended(struct arbiter *a, pid_t pid, int status);

/* In a child: that process is its parent's. */
void reading_forget(struct arbiter *a);

#endif
