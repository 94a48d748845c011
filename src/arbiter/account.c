/* SPDX-License-Identifier: MIT */
/* Keeping the ledger: what others may know of the arbiter and its past. */
#include <string.h>
#include <time.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "base/clock.h"
#include "score/ledger.h"
#include "worker/scoreboard.h"

void
account_death(struct arbiter *a, struct generation *g, size_t slot, int why,
    unsigned lost)
{
	struct ledger *l = a->ledger;

	ledger_begin(l);
	scoreboard_sum(g->board, slot, &l->past);
	scoreboard_clear(g->board, slot);
	ledger_count(&l->restarts[why], 1);
	ledger_count(&l->lost, lost);
	ledger_end(l);
}

static enum ledger_state
state_of(const struct arbiter *a)
{
	if (a->stop != STOP_NOT)
		return LEDGER_STOPPING;
	if (!a->started)
		return LEDGER_STARTING;
	return a->candidate != NULL || a->reading.busy ? LEDGER_RELOADING :
							LEDGER_SERVING;
}

static void
store(_Atomic uint32_t *at, size_t value)
{
	if (atomic_load_explicit(at, memory_order_relaxed) != value)
		atomic_store(at, (uint32_t)value);
}

void
account_state(struct arbiter *a)
{
	struct ledger *l = a->ledger;

	if (atomic_load(&l->started_ms) == 0) {
		atomic_store(&l->started_ms, clock_ms());
		atomic_store(&l->started_wall, (int64_t)time(NULL));
		atomic_store(&l->arbiter, a->pid);
	}
	if (strncmp(a->reload_error, l->reload_error, LEDGER_TEXT - 1) != 0)
		ledger_set_error(l, a->reload_error);
	store(&l->serving, a->serving != NULL ? a->serving->number : 0);
	store(&l->candidate, a->candidate != NULL ? a->candidate->number : 0);
	store(&l->wanted, a->serving != NULL ? a->serving->wanted : 0);
	atomic_store(&l->state, state_of(a));
}

static void
add_live(const struct generation *g, struct score_counts *to)
{
	for (; g != NULL; g = g->next)
		for (size_t i = 0; i < g->room; i++)
			if (g->children[i].pid != 0)
				scoreboard_sum(g->board, i, to);
}

void
account_live(const struct arbiter *a, struct score_counts *to)
{
	add_live(a->serving, to);
	add_live(a->candidate, to);
	add_live(a->retired, to);
}
