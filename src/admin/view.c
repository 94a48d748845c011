/* SPDX-License-Identifier: MIT */
#include "admin/view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"
#include "worker/scoreboard.h"

/* A worker that did not beat for so long does not serve. */
#define BEAT_MAX_MS 5000
/* So often counts are read again when some moved meanwhile. */
#define TRIES 100

int
view_init(struct view *v, const struct ledger *ledger)
{
	memset(v, 0, sizeof(*v));
	v->ledger = ledger;
	v->sum = aligned_alloc(64, sizeof(*v->sum));
	v->recent = aligned_alloc(64, sizeof(*v->recent));
	if (v->sum == NULL || v->recent == NULL)
		return -1;
	memset(v->sum, 0, sizeof(*v->sum));
	memset(v->recent, 0, sizeof(*v->recent));
	return 0;
}

static void
drop(struct view *v, size_t i)
{
	scoreboard_free(&v->generations[i].board);
	fd_close(&v->generations[i].settings);
	v->count--;
	memmove(&v->generations[i], &v->generations[i + 1],
	    (v->count - i) * sizeof(v->generations[0]));
}

void
view_fini(struct view *v)
{
	while (v->count > 0)
		drop(v, v->count - 1);
	free(v->sum);
	free(v->recent);
}

void
view_add(struct view *v, unsigned number, int board, int settings)
{
	struct view_generation *g;
	struct err err;

	view_remove(v, number);
	if (v->count == VIEW_GENERATIONS) /* one that nothing ends */
		drop(v, 0);
	g = &v->generations[v->count];
	*g = (struct view_generation){ number, NULL, settings };
	g->board = scoreboard_attach(board, &err);
	if (g->board == NULL) {
		log_error("Admin: generation %u: %s", number, err.text);
		fd_close(&g->settings);
		return;
	}
	v->count++;
}

void
view_remove(struct view *v, unsigned number)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->generations[i].number == number) {
			drop(v, i);
			return;
		}
}

/* --- looking -------------------------------------------------------------- */

static bool
is_taken(struct scoreboard *b, size_t slot)
{
	return atomic_load(&scoreboard_worker(b, slot)->state) != WORKER_NONE;
}

static void
sum_once(const struct view *v, struct score_counts *to)
{
	memset(to, 0, sizeof(*to));
	counts_merge(to, &v->ledger->past);
	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++)
			if (is_taken(b, j))
				scoreboard_sum(b, j, to);
	}
}

/* All counts of one moment: nothing is counted twice or not at all. */
static void
sum_all(const struct view *v, struct score_counts *to)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t look = ledger_look(v->ledger);

		sum_once(v, to);
		if (ledger_seen(v->ledger, look))
			return;
	}
}

static void
subtract(_Atomic uint64_t *to, const _Atomic uint64_t *now)
{
	uint64_t before = atomic_load(to), after = atomic_load(now);

	atomic_store(to, after > before ? after - before : 0);
}

/* *to, which is what was before, becomes what has come since. */
static void
counts_since(struct score_counts *to, const struct score_counts *now)
{
	for (unsigned i = 0; i < COUNT_COUNT; i++)
		subtract(&to->value[i], &now->value[i]);
	for (unsigned i = 0; i < HIST_COUNT; i++) {
		subtract(&to->hist[i].sum_us, &now->hist[i].sum_us);
		for (unsigned j = 0; j < HIST_BUCKETS; j++)
			subtract(&to->hist[i].buckets[j],
			    &now->hist[i].buckets[j]);
	}
}

static void
say_that_we_look(const struct view *v)
{
	for (size_t i = 0; i < v->count; i++)
		atomic_store(
		    &scoreboard_head(v->generations[i].board)->looked_ms,
		    clock_ms());
}

void
view_look(struct view *v)
{
	sum_all(v, v->sum);
}

static void
note_second(struct view *v)
{
	struct view_second *s = &v->history[v->history_at];
	const struct hist *total = &v->recent->hist[HIST_TOTAL];
	struct view_load load;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	view_load(v, &load);
	*s = (struct view_second){
		.wall = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9,
		.seconds = v->recent_s,
		.p50_us = hist_quantile(total, 0.5),
		.p90_us = hist_quantile(total, 0.9),
		.p99_us = hist_quantile(total, 0.99),
		.queue_p99_us =
		    hist_quantile(&v->recent->hist[HIST_QUEUE], 0.99),
		.busy = load.busy,
		.threads = load.threads,
		.queued = load.queued,
		.connections = load.connections,
	};
	for (unsigned i = 0; i < 5; i++)
		s->answers[i] = counts_get(v->recent,
		    (enum count_id)(COUNT_ANSWERS_1XX + i));
	v->history_at = (v->history_at + 1) % VIEW_HISTORY;
	if (v->history_len < VIEW_HISTORY)
		v->history_len++;
}

void
view_tick(struct view *v)
{
	int64_t now_us = clock_us();
	bool first = v->now_us == 0;

	say_that_we_look(v);
	memcpy(v->recent, v->sum, sizeof(*v->sum));
	sum_all(v, v->sum);
	counts_since(v->recent, v->sum);
	v->recent_s = (double)(now_us - v->now_us) / 1e6;
	v->now_us = now_us;
	if (!first)
		note_second(v);
}

/* --- answers -------------------------------------------------------------- */

bool
view_find(const struct view *v, pid_t pid, struct scoreboard **board_out,
    size_t *slot_out)
{
	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++)
			if (is_taken(b, j) &&
			    atomic_load(&scoreboard_worker(b, j)->pid) ==
				pid) {
				*board_out = b;
				*slot_out = j;
				return true;
			}
	}
	return false;
}

static bool
serves(struct scoreboard *b, size_t slot, int64_t now_ms)
{
	struct score_worker *w = scoreboard_worker(b, slot);
	int state = atomic_load(&w->state);

	return (state == WORKER_READY || state == WORKER_RETIRING) &&
	    now_ms - atomic_load(&w->beat_ms) < BEAT_MAX_MS;
}

bool
view_ready(const struct view *v)
{
	int64_t now_ms = clock_ms();

	if (atomic_load(&v->ledger->state) == LEDGER_STOPPING)
		return false;
	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++)
			if (serves(b, j, now_ms))
				return true;
	}
	return false;
}

static void
add_load(struct scoreboard *b, size_t slot, struct view_load *out)
{
	const struct score_worker *w = scoreboard_worker(b, slot);

	out->workers++;
	out->ready += serves(b, slot, clock_ms());
	out->queued += atomic_load(&w->queued);
	out->connections += atomic_load(&w->connections);
	for (unsigned i = 0; i < SCORE_CONNECTIONS; i++)
		out->by_state[i] += atomic_load(&w->by_state[i]);
	out->threads += (unsigned)scoreboard_threads(b);
	for (size_t i = 0; i < scoreboard_threads(b); i++)
		out->busy += atomic_load(
				 &scoreboard_thread(b, slot, i)
				      ->started_ms) != 0;
}

void
view_load(const struct view *v, struct view_load *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++)
			if (is_taken(b, j))
				add_load(b, j, out);
	}
}

const char *
view_connection_name(unsigned i)
{
	static const char *const names[SCORE_CONNECTIONS] = {
		[SCORE_HANDSHAKE] = "handshake",
		[SCORE_IDLE] = "idle",
		[SCORE_HEAD] = "reading_head",
		[SCORE_BODY] = "reading_body",
		[SCORE_ACTIVE] = "active",
		[SCORE_FLUSH] = "sending",
		[SCORE_LINGER] = "closing",
	};

	return i < SCORE_CONNECTIONS ? names[i] : NULL;
}

const char *
view_worker_state(int state)
{
	switch (state) {
	case WORKER_BOOTING:
		return "booting";
	case WORKER_READY:
		return "ready";
	case WORKER_RETIRING:
		return "retiring";
	case WORKER_DRAINING:
		return "draining";
	default:
		return "none";
	}
}
