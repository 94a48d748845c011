/* SPDX-License-Identifier: MIT */
#include "log/patience.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

#define PATIENCE_MS 100

/* Of the thread: lines come from where nobody can pass it on. */
static _Thread_local void (*before)(void *arg);
static _Thread_local void *before_arg;

void
patience_before(void (*fn)(void *arg), void *arg)
{
	before = fn;
	before_arg = arg;
}

bool
patience_wait(int fd, atomic_bool *stuck)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n;

	if (atomic_load_explicit(stuck, memory_order_relaxed))
		return false;
	if (before != NULL)
		before(before_arg);
	do
		n = poll(&p, 1, PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return true;
	atomic_store_explicit(stuck, true, memory_order_relaxed);
	return false;
}
