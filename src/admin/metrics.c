/* SPDX-License-Identifier: MIT */
/*
 * /metrics: Prometheus' text format, or OpenMetrics.  Seconds and bytes,
 * _total behind counters; the two formats differ in how counters are named
 * in their HELP and TYPE, and in the end.
 */
#include <inttypes.h>
#include <string.h>

#include "admin/view.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/process.h"
#include "worker/scoreboard.h"

/* Powers of two in microseconds are ends of buckets: the counts are exact. */
#define LE_FIRST 6 /* 64 us */
#define LE_LAST 27 /* 134 s */

struct writer {
	struct buf *out;
	bool open_metrics;
	bool ok;
};

#define put(w, ...) \
	((w)->ok = (w)->ok && buf_fmt((w)->out, __VA_ARGS__))

static void
put_head(struct writer *w, const char *name, const char *type,
    const char *help)
{
	/* OpenMetrics names the family, Prometheus the metric. */
	const char *total =
	    strcmp(type, "counter") == 0 && !w->open_metrics ? "_total" : "";

	put(w, "# HELP bicorn_%s%s %s\n# TYPE bicorn_%s%s %s\n", name, total,
	    help, name, total, type);
}

static void
put_counter(struct writer *w, const struct view *v, unsigned i)
{
	const struct count_info *c = &count_infos[i];
	uint64_t value = counts_get(v->sum, (enum count_id)i);

	if (c->help != NULL)
		put_head(w, c->family, "counter", c->help);
	if (i == COUNT_LOCK_WAIT_US)
		put(w, "bicorn_%s_total %.6f\n", c->family,
		    (double)value / 1e6);
	else if (c->label == NULL)
		put(w, "bicorn_%s_total %" PRIu64 "\n", c->family, value);
	else
		put(w, "bicorn_%s_total{%s=\"%s\"} %" PRIu64 "\n", c->family,
		    c->label, c->value, value);
}

static void
put_hist(struct writer *w, const char *name, const char *help,
    const struct hist *h)
{
	uint64_t count = hist_count(h);

	put_head(w, name, "histogram", help);
	for (unsigned i = LE_FIRST; i <= LE_LAST; i++)
		put(w, "bicorn_%s_bucket{le=\"%.6f\"} %" PRIu64 "\n", name,
		    (double)(UINT64_C(1) << i) / 1e6,
		    hist_below(h, UINT64_C(1) << i));
	put(w, "bicorn_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	put(w, "bicorn_%s_sum %.6f\nbicorn_%s_count %" PRIu64 "\n", name,
	    (double)atomic_load(&h->sum_us) / 1e6, name, count);
}

static void
put_hists(struct writer *w, const struct view *v)
{
	static const struct {
		const char *name, *help;
	} infos[HIST_COUNT] = {
		[HIST_QUEUE] = { "request_queue_seconds",
		    "Time that requests waited for a thread." },
		[HIST_APP] = { "request_application_seconds",
		    "Time in the application, without what it sent." },
		[HIST_SEND] = { "request_send_seconds",
		    "Time that sending the response took." },
		[HIST_TOTAL] = { "request_duration_seconds",
		    "Time from the complete request to the sent response." },
	};

	for (unsigned i = 0; i < HIST_COUNT; i++)
		put_hist(w, infos[i].name, infos[i].help, &v->sum->hist[i]);
}

static void
put_gauge(struct writer *w, const char *name, const char *help, double value)
{
	put_head(w, name, "gauge", help);
	put(w, "bicorn_%s %.15g\n", name, value);
}

static void
put_one_counter(struct writer *w, const char *name, const char *help,
    uint64_t value)
{
	put_head(w, name, "counter", help);
	put(w, "bicorn_%s_total %" PRIu64 "\n", name, value);
}

static void
put_ledger(struct writer *w, const struct ledger *l)
{
	put_one_counter(w, "lost_requests",
	    "Requests that ran, or were queued, when their worker died.",
	    atomic_load(&l->lost));
	put_one_counter(w, "reloads", "Reloads that succeeded.",
	    atomic_load(&l->reloads));
	put_one_counter(w, "failed_reloads",
	    "Reloads after which the old workers served on.",
	    atomic_load(&l->failed_reloads));
	put_head(w, "worker_exits", "counter", "Workers that ended, by why.");
	for (unsigned i = 0; i < RESTART_COUNT; i++)
		put(w, "bicorn_worker_exits_total{reason=\"%s\"} %" PRIu64
		       "\n",
		    restart_reasons[i], atomic_load(&l->restarts[i]));
	put_gauge(w, "start_time_seconds",
	    "When the arbiter started, since 1970.",
	    (double)atomic_load(&l->started_wall));
	if (atomic_load(&l->certificate_expiry) != 0)
		put_gauge(w, "certificate_expiry_timestamp_seconds",
		    "When the first certificate in use expires, since 1970.",
		    (double)atomic_load(&l->certificate_expiry));
	put_gauge(w, "workers_wanted", "Workers that there should be.",
	    atomic_load(&l->wanted));
	put_gauge(w, "generation", "Number of the generation that serves.",
	    atomic_load(&l->serving));
}

static void
put_load(struct writer *w, const struct view *v)
{
	struct view_load load;

	view_load(v, &load);
	put_gauge(w, "workers", "Workers that there are.", load.workers);
	put_gauge(w, "workers_ready", "Workers that serve.", load.ready);
	put_gauge(w, "threads", "Threads that run the application.",
	    load.threads);
	put_gauge(w, "threads_busy", "Threads with a request.", load.busy);
	put_gauge(w, "queued_requests", "Requests that wait for a thread.",
	    load.queued);
	put_head(w, "connections", "gauge",
	    "Connections by what they do; counted once a second.");
	for (unsigned i = 0; i < SCORE_CONNECTIONS; i++)
		put(w, "bicorn_connections{state=\"%s\"} %u\n",
		    view_connection_name(i), load.by_state[i]);
}

/* --- a line for each worker ----------------------------------------------- */

typedef double (*worker_value_fn)(struct scoreboard *b, size_t slot);

static double
memory_of(struct scoreboard *b, size_t slot)
{
	return (double)process_memory(
	    atomic_load(&scoreboard_worker(b, slot)->pid));
}

static double
age_of(struct scoreboard *b, size_t slot)
{
	return (double)(clock_ms() -
		   atomic_load(&scoreboard_worker(b, slot)->forked_ms)) /
	    1000;
}

static double
busy_of(struct scoreboard *b, size_t slot)
{
	unsigned busy = 0;

	for (size_t i = 0; i < scoreboard_threads(b); i++)
		busy += atomic_load(&scoreboard_thread(b, slot, i)
					 ->started_ms) != 0;
	return busy;
}

static double
connections_of(struct scoreboard *b, size_t slot)
{
	return atomic_load(&scoreboard_worker(b, slot)->connections);
}

static void
put_workers(struct writer *w, const struct view *v, const char *name,
    const char *help, worker_value_fn value)
{
	put_head(w, name, "gauge", help);
	for (size_t i = 0; i < v->count; i++) {
		struct scoreboard *b = v->generations[i].board;

		for (size_t j = 0; j < scoreboard_workers(b); j++) {
			struct score_worker *s = scoreboard_worker(b, j);
			pid_t pid = atomic_load(&s->pid);

			if (atomic_load(&s->state) == WORKER_NONE || pid == 0)
				continue;
			put(w, "bicorn_%s{pid=\"%d\"} %.15g\n", name,
			    (int)pid, value(b, j));
		}
	}
}

bool
view_metrics(const struct view *v, bool open_metrics, struct buf *out)
{
	struct writer w = { out, open_metrics, true };

	for (unsigned i = 0; i < COUNT_COUNT; i++)
		put_counter(&w, v, i);
	put_hists(&w, v);
	put_ledger(&w, v->ledger);
	put_load(&w, v);
	put_workers(&w, v, "worker_resident_memory_bytes",
	    "Memory of a worker, as ps(1) shows it.", memory_of);
	put_workers(&w, v, "worker_age_seconds",
	    "Since a worker was forked.", age_of);
	put_workers(&w, v, "worker_threads_busy",
	    "Threads of a worker with a request.", busy_of);
	put_workers(&w, v, "worker_connections",
	    "Connections that a worker holds.", connections_of);
	put_head(&w, open_metrics ? "build" : "build_info",
	    open_metrics ? "info" : "gauge", "The version of bicorn.");
	put(&w, "bicorn_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	if (open_metrics)
		put(&w, "# EOF\n");
	return w.ok;
}
