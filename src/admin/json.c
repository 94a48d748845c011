/* SPDX-License-Identifier: MIT */
/* What there is to see, as JSON: for /status, the page and bicornctl(8). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/view.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "worker/scoreboard.h"

#define SETTINGS_MAX (1024 * 1024)

json_t *
view_text(const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);
	char *copy;

	if (string != NULL)
		return string;
	copy = malloc(len + 1);
	for (size_t i = 0; copy != NULL && i < len; i++)
		copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	string = copy != NULL ? json_stringn_nocheck(copy, len) : NULL;
	free(copy);
	return string != NULL ? string : json_null();
}

static json_t *
text_json(const char *text)
{
	return view_text(text, strlen(text));
}

static void
put_uint(json_t *to, const char *name, uint64_t value)
{
	json_object_set_new(to, name, json_integer((json_int_t)value));
}

static void
put_seconds(json_t *to, const char *name, uint64_t us)
{
	json_object_set_new(to, name, json_real((double)us / 1e6));
}

/* "code": {"1xx": 0, ...} for families with labels, a number for others. */
static void
put_counter(json_t *to, const struct score_counts *n, unsigned i)
{
	const struct count_info *info = &count_infos[i];
	uint64_t value = counts_get(n, (enum count_id)i);
	json_t *family;

	if (i == COUNT_LOCK_WAIT_US) {
		put_seconds(to, info->family, value);
		return;
	}
	if (info->label == NULL) {
		put_uint(to, info->family, value);
		return;
	}
	family = json_object_get(to, info->family);
	if (family == NULL) {
		family = json_object();
		json_object_set_new(to, info->family, family);
	}
	put_uint(family, info->value, value);
}

static json_t *
counters(const struct score_counts *n)
{
	json_t *to = json_object();

	for (unsigned i = 0; i < COUNT_COUNT; i++)
		put_counter(to, n, i);
	return to;
}

static json_t *
latency(const struct score_counts *n)
{
	json_t *to = json_object();

	for (unsigned i = 0; i < HIST_COUNT; i++) {
		const struct hist *h = &n->hist[i];
		json_t *one = json_object();

		put_uint(one, "count", hist_count(h));
		put_seconds(one, "sum", atomic_load(&h->sum_us));
		put_seconds(one, "p50", hist_quantile(h, 0.5));
		put_seconds(one, "p90", hist_quantile(h, 0.9));
		put_seconds(one, "p99", hist_quantile(h, 0.99));
		put_seconds(one, "p999", hist_quantile(h, 0.999));
		put_seconds(one, "max", hist_quantile(h, 1));
		json_object_set_new(to, hist_names[i], one);
	}
	return to;
}

/* --- workers and threads -------------------------------------------------- */

/* Any bytes a client sent are ASCII here: score_read() escapes them. */
static json_t *
thread_json(struct scoreboard *b, size_t slot, size_t i, int64_t now_ms)
{
	const struct score_thread *t = scoreboard_thread(b, slot, i);
	json_t *to = json_object();
	int64_t started_ms;
	char what[1024];

	put_uint(to, "requests", atomic_load(&t->requests));
	if (score_read(t, what, sizeof(what), &started_ms)) {
		json_object_set_new(to, "request", json_string(what));
		json_object_set_new(to, "seconds",
		    json_real((double)(now_ms - started_ms) / 1000));
	}
	return to;
}

static json_t *
connections_json(const struct score_worker *w)
{
	json_t *to = json_object();

	for (unsigned i = 0; i < SCORE_CONNECTIONS; i++)
		put_uint(to, view_connection_name(i),
		    atomic_load(&w->by_state[i]));
	return to;
}

static void
put_age(json_t *to, const char *name, int64_t since_ms, int64_t now_ms)
{
	if (since_ms > 0)
		json_object_set_new(to, name,
		    json_real((double)(now_ms - since_ms) / 1000));
}

static json_t *
worker_json(struct scoreboard *b, size_t slot)
{
	const struct score_worker *w = scoreboard_worker(b, slot);
	pid_t pid = atomic_load(&w->pid);
	json_t *to = json_object(), *threads = json_array();
	int64_t now_ms = clock_ms();
	uint64_t busy = 0;

	for (size_t i = 0; i < scoreboard_threads(b); i++) {
		json_t *one = thread_json(b, slot, i, now_ms);

		busy += json_object_get(one, "request") != NULL;
		json_array_append_new(threads, one);
	}
	put_uint(to, "pid", (uint64_t)pid);
	put_uint(to, "number", atomic_load(&w->number));
	put_uint(to, "generation", atomic_load(&w->generation));
	json_object_set_new(to, "state",
	    json_string(view_worker_state(atomic_load(&w->state))));
	put_age(to, "age", atomic_load(&w->forked_ms), now_ms);
	put_age(to, "silent", atomic_load(&w->beat_ms), now_ms);
	put_uint(to, "memory", process_memory(pid));
	put_uint(to, "requests", scoreboard_requests(b, slot));
	put_uint(to, "connections", atomic_load(&w->connections));
	put_uint(to, "queued", atomic_load(&w->queued));
	put_uint(to, "busy", busy);
	json_object_set_new(to, "connection_states", connections_json(w));
	json_object_set_new(to, "threads", threads);
	return to;
}

json_t *
view_workers(const struct view *v)
{
	json_t *to = json_array();

	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++)
			if (atomic_load(&scoreboard_worker(b, j)->state) !=
				WORKER_NONE &&
			    atomic_load(&scoreboard_worker(b, j)->pid) != 0)
				json_array_append_new(to, worker_json(b, j));
	}
	return to;
}

static void
add_requests(json_t *to, const json_t *worker)
{
	json_t *threads = json_object_get(worker, "threads"), *t, *one;
	size_t i;

	json_array_foreach(threads, i, t)
	{
		if (json_object_get(t, "request") == NULL)
			continue;
		one = json_object();
		json_object_set(one, "pid", json_object_get(worker, "pid"));
		put_uint(one, "thread", i);
		json_object_set(one, "seconds",
		    json_object_get(t, "seconds"));
		json_object_set(one, "request",
		    json_object_get(t, "request"));
		json_array_append_new(to, one);
	}
}

/* The one that has taken longest comes first. */
static void
sort_by_age(json_t *list)
{
	for (size_t i = 1; i < json_array_size(list); i++) {
		json_t *one = json_incref(json_array_get(list, i));
		double age = json_real_value(json_object_get(one, "seconds"));
		size_t at = i;

		while (at > 0 &&
		    json_real_value(json_object_get(
			json_array_get(list, at - 1), "seconds")) < age)
			at--;
		json_array_remove(list, i);
		json_array_insert_new(list, at, one);
	}
}

json_t *
view_requests(const struct view *v)
{
	json_t *to = json_array(), *workers = view_workers(v), *w;
	size_t i;

	json_array_foreach(workers, i, w) add_requests(to, w);
	json_decref(workers);
	sort_by_age(to);
	return to;
}

/* --- all of it ------------------------------------------------------------ */

static const char *
state_name(const struct ledger *l)
{
	static const char *const names[] = {
		[LEDGER_STARTING] = "starting",
		[LEDGER_SERVING] = "serving",
		[LEDGER_RELOADING] = "reloading",
		[LEDGER_STOPPING] = "stopping",
	};
	int state = atomic_load(&l->state);

	return state >= 0 && state <= LEDGER_STOPPING ? names[state] : "?";
}

static json_t *
arbiter_json(const struct ledger *l)
{
	/* In the opposite order of writing: a reload is never between two. */
	uint32_t candidate = atomic_load(&l->candidate);
	json_t *to = json_object();
	char text[LEDGER_TEXT];

	put_uint(to, "pid", (uint64_t)atomic_load(&l->arbiter));
	json_object_set_new(to, "state", json_string(state_name(l)));
	put_age(to, "uptime", atomic_load(&l->started_ms), clock_ms());
	put_uint(to, "generation", atomic_load(&l->serving));
	put_uint(to, "candidate", candidate);
	put_uint(to, "workers_wanted", atomic_load(&l->wanted));
	put_uint(to, "reloads", atomic_load(&l->reloads));
	put_uint(to, "failed_reloads", atomic_load(&l->failed_reloads));
	put_uint(to, "certificate_expiry",
	    (uint64_t)atomic_load(&l->certificate_expiry));
	ledger_get_error(l, text);
	json_object_set_new(to, "reload_error",
	    text[0] != '\0' ? text_json(text) : json_null());
	return to;
}

static json_t *
restarts_json(const struct ledger *l)
{
	json_t *to = json_object();

	for (unsigned i = 0; i < RESTART_COUNT; i++)
		put_uint(to, restart_reasons[i],
		    atomic_load(&l->restarts[i]));
	return to;
}

static json_t *
load_json(const struct view *v)
{
	struct view_load load;
	json_t *to = json_object();

	view_load(v, &load);
	put_uint(to, "workers", load.workers);
	put_uint(to, "workers_ready", load.ready);
	put_uint(to, "threads", load.threads);
	put_uint(to, "threads_busy", load.busy);
	put_uint(to, "queued", load.queued);
	put_uint(to, "connections", load.connections);
	return to;
}

static json_t *
recent_json(const struct view *v)
{
	json_t *to = json_object();

	json_object_set_new(to, "seconds", json_real(v->recent_s));
	json_object_set_new(to, "rate",
	    json_real(v->recent_s > 0
		    ? (double)counts_answers(v->recent) / v->recent_s
		    : 0));
	json_object_set_new(to, "latency", latency(v->recent));
	return to;
}

json_t *
view_status(const struct view *v)
{
	json_t *to = json_object();

	json_object_set_new(to, "name", text_json(v->name));
	json_object_set_new(to, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(to, "ready", json_boolean(view_ready(v)));
	json_object_set_new(to, "controls", json_boolean(v->controls));
	json_object_set_new(to, "arbiter", arbiter_json(v->ledger));
	json_object_set_new(to, "load", load_json(v));
	put_uint(to, "requests", counts_answers(v->sum));
	put_uint(to, "requests_lost", atomic_load(&v->ledger->lost));
	json_object_set_new(to, "counters", counters(v->sum));
	json_object_set_new(to, "restarts", restarts_json(v->ledger));
	json_object_set_new(to, "latency", latency(v->sum));
	json_object_set_new(to, "recent", recent_json(v));
	json_object_set_new(to, "workers", view_workers(v));
	return to;
}

static json_t *
second_json(const struct view_second *s)
{
	uint64_t answers = 0;
	json_t *to, *codes = json_array();

	for (unsigned i = 0; i < 5; i++) {
		answers += s->answers[i];
		json_array_append_new(codes,
		    json_integer((json_int_t)s->answers[i]));
	}
	to = json_pack("{s:f,s:f,s:o,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I}",
	    "time", s->wall, "rate",
	    s->seconds > 0 ? (double)answers / s->seconds : 0.0, "codes",
	    codes, "p50", (double)s->p50_us / 1e6, "p90",
	    (double)s->p90_us / 1e6, "p99", (double)s->p99_us / 1e6,
	    "queue_p99", (double)s->queue_p99_us / 1e6, "busy",
	    (json_int_t)s->busy, "threads", (json_int_t)s->threads, "queued",
	    (json_int_t)s->queued, "connections", (json_int_t)s->connections);
	return to;
}

json_t *
view_history(const struct view *v)
{
	json_t *to = json_array();

	for (size_t i = 0; i < v->history_len; i++) {
		size_t at = (v->history_at + VIEW_HISTORY - v->history_len +
				i) % VIEW_HISTORY;

		json_array_append_new(to, second_json(&v->history[at]));
	}
	return to;
}

/* --- settings ------------------------------------------------------------- */

static json_t *
values_json(char *lines)
{
	json_t *to = json_object();
	char *line, *rest;

	for (line = strtok_r(lines, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *tab = strchr(line, '\t');

		if (tab == NULL) {
			json_object_set_new(to, line, json_null());
			continue;
		}
		*tab = '\0';
		json_object_set_new(to, line, text_json(tab + 1));
	}
	return to;
}

json_t *
view_settings(const struct view *v)
{
	unsigned serving = atomic_load(&v->ledger->serving);
	json_t *to = NULL;
	char *text = malloc(SETTINGS_MAX);
	ssize_t n = -1;

	for (size_t i = 0; i < v->count; i++)
		if (v->generations[i].number == serving && text != NULL)
			n = fd_pread_all(v->generations[i].settings, text,
			    SETTINGS_MAX - 2, 0);
	if (n >= 0) {
		text[n] = text[n + 1] = '\0';
		to = json_object();
		json_object_set_new(to, "text", text_json(text));
		json_object_set_new(to, "values",
		    values_json(text + strlen(text) + 1));
	}
	free(text);
	return to;
}
