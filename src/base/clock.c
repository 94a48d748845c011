/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

static struct timespec
now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for these clocks */
	return ts;
}

static int64_t
as_ms(struct timespec ts)
{
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_ms(void)
{
	return as_ms(now(CLOCK_MONOTONIC));
}

int64_t
clock_coarse_ms(void)
{
	return as_ms(now(CLOCK_MONOTONIC_COARSE));
}

int64_t
clock_us(void)
{
	struct timespec ts = now(CLOCK_MONOTONIC);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

time_t
clock_wall(void)
{
	return now(CLOCK_REALTIME_COARSE).tv_sec;
}
