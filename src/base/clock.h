/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_CLOCK_H
#define BICORN_BASE_CLOCK_H

/*
 * Time.  Deadlines are milliseconds of the monotonic clock, which is the
 * same for every process of the machine.  Any thread, never blocks.
 */

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

/* Milliseconds, exact, about 25 ns to ask. */
int64_t clock_ms(void);

/* Milliseconds, up to 4 ms old, about 5 ns to ask. */
int64_t clock_coarse_ms(void);

/* Microseconds, exact: for measuring how long something took. */
int64_t clock_us(void);

/* Seconds of the wall clock, up to 4 ms old. */
time_t clock_wall(void);

#endif
