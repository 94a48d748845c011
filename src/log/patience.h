/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_PATIENCE_H
#define BICORN_LOG_PATIENCE_H

/*
 * Waiting for whoever reads a log: a moment, so that a burst is not lost,
 * and not again before he has read something.
 */

#include <stdatomic.h>
#include <stdbool.h>

/*
 * What the calling thread does each time before it waits, as giving up what
 * other threads want; fn NULL: nothing.
 */
void patience_before(void (*fn)(void *arg), void *arg);

/*
 * Waits until fd takes more; false, and *stuck, when that is not soon.  At
 * once while *stuck is true.
 */
bool patience_wait(int fd, atomic_bool *stuck);

#endif
