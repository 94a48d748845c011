/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_TEMPLATE_PRIVATE_H
#define BICORN_ARBITER_TEMPLATE_PRIVATE_H

/* What the arbiter and the template say to each other. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "arbiter/template.h"

enum template_kind {
	TEMPLATE_READY,  /* to the arbiter: the application is loaded */
	TEMPLATE_FAILED, /* ... it is not, and why */
	TEMPLATE_FORK,   /* to the template: a worker for slot */
	TEMPLATE_WORKER, /* to the arbiter: its pid, or error */
};

struct template_word {
	enum template_kind kind;
	size_t slot;
	bool reopen; /* the worker has to open the logs again */
	pid_t pid;
	int error;
	char why[TEMPLATE_WHY_MAX];
};

/* The process itself.  sock is its end. */
_Noreturn void template_run(struct arbiter *a, struct generation *g,
    int sock);

#endif
