/* SPDX-License-Identifier: MIT */
#include "arbiter/backoff.h"

static const int64_t delays_ms[] = { 0, 100, 500, 1000, 2000, 5000, 10000 };

#define LEVEL_MAX (sizeof(delays_ms) / sizeof(delays_ms[0]) - 1)

/*
 * One who reaches READY and then dies may be the victim of a request: the
 * service is better off with a worker each second than with none for ten.
 */
#define LEVEL_MAX_READY 3

void
backoff_died(struct backoff *b, struct backoff_death how, int64_t now_ms)
{
	bool futile = !how.was_ready || how.by_itself;
	unsigned top = futile ? LEVEL_MAX : LEVEL_MAX_READY;

	b->failures = how.was_ready ? 0 : b->failures + 1;
	if (how.was_ready && how.lived_ms >= BACKOFF_LIVED_MS) {
		b->level = b->waves = 0;
		b->next_ms = now_ms;
		return;
	}
	if (now_ms < b->next_ms)
		return;
	b->waves = futile ? b->waves + 1 : 0;
	if (b->level > top)
		b->level = top;
	b->next_ms = now_ms + delays_ms[b->level];
	if (b->level < top)
		b->level++;
}

bool
backoff_over(const struct backoff *b, int64_t now_ms)
{
	return now_ms >= b->next_ms;
}
