/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_FENCE_H
#define BICORN_BASE_FENCE_H

/*
 * A fence between the sequence word of a text in shared memory and the text.
 * ThreadSanitizer knows no fences, nor does it see other processes, for whom
 * they are.
 */

#include <stdatomic.h>

static inline void
fence(memory_order order)
{
#if defined(__SANITIZE_THREAD__)
	(void)order;
#else
	atomic_thread_fence(order);
#endif
}

#endif
