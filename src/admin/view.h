/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ADMIN_VIEW_H
#define BICORN_ADMIN_VIEW_H

/*
 * What there is to see: the ledger and the scoreboards of all generations,
 * added up once a second, and the last minutes of it.  One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "score/counts.h"
#include "score/ledger.h"

struct buf;
struct json_t;
struct scoreboard;

#define VIEW_GENERATIONS 64
#define VIEW_HISTORY 600 /* seconds */

/* A generation, as the arbiter sent it. */
struct view_generation {
	unsigned number;
	struct scoreboard *board;
	int settings; /* a file: --print-config, a 0, then name TAB value */
};

/* What one second was like. */
struct view_second {
	double wall;
	double seconds; /* how long it really was */
	uint64_t answers[5]; /* by class of the status */
	uint64_t p50_us, p90_us, p99_us; /* of the total */
	uint64_t queue_p99_us;
	unsigned busy, threads, queued, connections;
};

struct view {
	const struct ledger *ledger;
	const char *name;
	bool controls;
	struct view_generation generations[VIEW_GENERATIONS];
	size_t count;

	/* Of the last look. */
	int64_t now_us;
	struct score_counts *sum;
	struct score_counts *recent; /* what the last second added */
	double recent_s;
	struct view_second history[VIEW_HISTORY];
	size_t history_at;
	size_t history_len;
};

/* 0, or -1 without memory. */
int view_init(struct view *v, const struct ledger *ledger);
void view_fini(struct view *v);

/* Takes the descriptors. */
void view_add(struct view *v, unsigned number, int board, int settings);
void view_remove(struct view *v, unsigned number);

/* Looks: once a second.  view_look() without noting the second. */
void view_tick(struct view *v);
void view_look(struct view *v);

/* Where a worker is; false: there is none of that pid. */
bool view_find(const struct view *v, pid_t pid, struct scoreboard **board_out,
    size_t *slot_out);

/* A text of any bytes as a JSON string: what is not UTF-8 becomes '?'. */
struct json_t *view_text(const char *text, size_t len);

/* json.c; NULL without memory.  The caller owns the result. */
struct json_t *view_status(const struct view *v);
struct json_t *view_workers(const struct view *v);
struct json_t *view_requests(const struct view *v);
struct json_t *view_history(const struct view *v);
struct json_t *view_settings(const struct view *v);

/* metrics.c: Prometheus' text format, or OpenMetrics. */
bool view_metrics(const struct view *v, bool open_metrics, struct buf *out);

/* Whether a worker serves. */
bool view_ready(const struct view *v);

/* What the workers hold at present, summed. */
struct view_load {
	unsigned workers, ready, busy, threads, queued, connections;
	unsigned by_state[16];
};
void view_load(const struct view *v, struct view_load *out);

/* "idle", "head", ... and "ready", "draining", ... */
const char *view_connection_name(unsigned i);
const char *view_worker_state(int state);

#endif
