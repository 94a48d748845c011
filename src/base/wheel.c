/* SPDX-License-Identifier: MIT */
#include "base/wheel.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"

static int64_t
tick_of(int64_t ms)
{
	return ms / WHEEL_TICK_MS;
}

void
wheel_init(struct wheel *w, int64_t now_ms)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		w->slots[i] = &w->end;
	w->tick = tick_of(now_ms);
	w->first = CLOCK_NEVER;
}

void
wheel_clear(struct wheel *w, struct timer *t)
{
	if (t->next == NULL)
		return;
	*t->link = t->next;
	if (t->next != &w->end)
		t->next->link = t->link;
	t->next = NULL;
}

/*
 * A deadline falls into the tick behind its own, so that it is over when the
 * tick is done; one beyond the last slot waits there and is set again.
 */
static void
insert(struct wheel *w, struct timer *t)
{
	int64_t tick = tick_of(t->deadline_ms) + 1;
	size_t slot;

	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick > w->tick + WHEEL_SLOTS - 1)
		tick = w->tick + WHEEL_SLOTS - 1;
	slot = (size_t)tick % WHEEL_SLOTS;
	t->next = w->slots[slot];
	t->link = &w->slots[slot];
	if (t->next != &w->end)
		t->next->link = &t->next;
	w->slots[slot] = t;
	w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	if (tick < w->first)
		w->first = tick;
}

void
wheel_set(struct wheel *w, struct timer *t, int64_t deadline_ms)
{
	wheel_clear(w, t);
	t->deadline_ms = deadline_ms;
	if (deadline_ms != CLOCK_NEVER)
		insert(w, t);
}

/* The tick of the first slot that may be full. */
static int64_t
next_used(const struct wheel *w)
{
	size_t first = (size_t)(w->tick + 1) % WHEEL_SLOTS;
	const size_t words = WHEEL_SLOTS / 64;

	for (size_t i = 0; i <= words; i++) {
		size_t word = (first / 64 + i) % words;
		uint64_t bits = w->used[word];
		size_t slot;

		if (i == 0)
			bits &= ~UINT64_C(0) << (first % 64);
		else if (i == words)
			bits &= ~(~UINT64_C(0) << (first % 64));
		if (bits == 0)
			continue;
		slot = word * 64 + (size_t)__builtin_ctzll(bits);
		return w->tick + 1 +
		    (int64_t)((slot + WHEEL_SLOTS - first) % WHEEL_SLOTS);
	}
	return CLOCK_NEVER;
}

struct timer *
wheel_due(struct wheel *w, int64_t now_ms)
{
	int64_t now = tick_of(now_ms);

	for (;;) {
		struct timer *t;
		size_t slot;

		if (w->first > now) {
			if (now > w->tick)
				w->tick = now;
			return NULL;
		}
		/* Stay in front of the slot until it is empty. */
		w->tick = w->first - 1;
		slot = (size_t)w->first % WHEEL_SLOTS;
		t = w->slots[slot];
		if (t == &w->end) {
			w->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
			w->first = next_used(w);
			continue;
		}
		wheel_clear(w, t);
		if (tick_of(t->deadline_ms) + 1 <= w->tick + 1)
			return t;
		insert(w, t); /* it waits another round */
	}
}

int
wheel_wait(const struct wheel *w, int64_t now_ms, int limit_ms)
{
	int64_t wait;

	if (w->first == CLOCK_NEVER)
		return limit_ms;
	wait = w->first * WHEEL_TICK_MS - now_ms;
	if (wait < 0)
		return 0;
	return wait < limit_ms ? (int)wait : limit_ms;
}
