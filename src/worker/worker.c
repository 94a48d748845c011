/* SPDX-License-Identifier: MIT */
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "app/trust.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "conf/conf.h"
#include "conf/cpus.h"
#include "log/access.h"
#include "log/log.h"
#include "log/statsd.h"
#include "worker/acceptor.h"
#include "worker/contexts.h"
#include "worker/exchange.h"
#include "worker/forked.h"
#include "worker/front.h"
#include "worker/handshakes.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/pages.h"
#include "worker/pool.h"
#include "worker/queue.h"
#include "worker/reloader.h"
#include "worker/scoreboard.h"
#include "worker/signals.h"
#include "worker/spool.h"
#include "worker/watchdog.h"
#include "worker/worker_private.h"

/* A limit of 0 stands for the largest value that the setting allows. */
static uint32_t
limit_of(int64_t value)
{
	return value > 0 ? (uint32_t)value : 1048576;
}

static uint32_t
permitted(const struct settings *s)
{
	uint32_t bits = 0;

	if (s->permit_obsolete_folding)
		bits |= HTTP_PERMIT_FOLDING;
	if (s->strip_header_spaces)
		bits |= HTTP_PERMIT_SPACES;
	if (s->permit_unconventional_http_method)
		bits |= HTTP_PERMIT_METHOD;
	if (s->permit_unconventional_http_version)
		bits |= HTTP_PERMIT_VERSION;
	if (s->casefold_http_method)
		bits |= HTTP_CASEFOLD_METHOD;
	return bits;
}

static uint64_t
draw_max_requests(const struct settings *s)
{
	uint64_t jitter = 0;

	if (s->max_requests == 0)
		return 0;
	if (s->max_requests_jitter > 0 &&
	    getrandom(&jitter, sizeof(jitter), 0) == sizeof(jitter))
		jitter %= (uint64_t)s->max_requests_jitter + 1;
	return (uint64_t)s->max_requests + jitter;
}

/* What stands behind the status line. */
static void
set_first(struct worker *w, const char *server)
{
	int n;

	if (strcmp(server, "off") == 0)
		n = snprintf(w->first, sizeof(w->first), "Date: ");
	else
		n = snprintf(w->first, sizeof(w->first),
		    "Server: %s\r\nDate: ", server);
	w->first_len = (size_t)n;
}

/* {name}e in the access log, in the words of the public header. */
static int
set_notes(struct worker *w, const struct access_log *a, struct err *err)
{
	size_t count;
	const struct span *names = access_variables(a, &count);

	if (count == 0)
		return 0;
	w->notes = calloc(count, sizeof(*w->notes));
	if (w->notes == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		w->notes[i] = (struct bicorn_str){ names[i].ptr,
			names[i].len };
	w->note_count = count;
	return 0;
}

static int
worker_init(struct worker *w, const struct settings *s, struct err *err)
{
	*w = (struct worker){
		.settings = s,
		.limits = {
			.line = limit_of(s->limit_request_line),
			.fields = (uint32_t)s->limit_request_fields,
			.field_size = limit_of(s->limit_request_field_size),
			.permit = permitted(s),
		},
		.wake_fd = -1,
	};
	w->keep = (struct outbound_limits){
		.memory = (size_t)s->response_buffer_bytes,
		.spool = (uint64_t)s->response_spool_bytes,
		.dir = s->tmp_upload_dir,
		.copies = !s->sendfile,
		.buffered = &w->buffered,
		.buffered_max = s->buffer_memory_bytes,
	};
	set_first(w, s->server_header);
	lent_init(w);
	if (pages_load(s->error_pages, &w->pages, err) != 0)
		return -1;
	return trust_new(s, &w->trust, err);
}

static void
free_spare(struct inbound *in)
{
	struct inbound *next;

	for (; in != NULL; in = next) {
		next = in->next;
		inbound_free(in);
	}
}

static void
worker_fini(struct worker *w)
{
	free_spare(w->stash);
	free_spare(atomic_load(&w->spare_inbound));
	queue_free(&w->queue);
	pages_free(&w->pages);
	free(w->notes);
	contexts_free(&w->contexts);
	trust_free(&w->trust);
	fronts_free(&w->fronts);
	fd_close(&w->wake_fd);
}

int
worker_tell(struct worker *w, enum bicorn_moment moment)
{
	const struct bicorn_event e = {
		.size = sizeof(e),
		.server = &w->lent.table,
		.moment = moment,
		.arbiter = (int)w->heritage->arbiter,
		.worker = (int)getpid(),
		.number = atomic_load_explicit(&w->score->number,
		    memory_order_relaxed),
		.workers = (unsigned)w->settings->workers,
	};
	int rc;

	rc = app_event(&w->app, &e);
	if (w->forked)
		forked_leave();
	return rc;
}

/* Hooks, and logging by Python, need a worker with Python in it. */
static void
warn_of_hooks(const struct worker *w)
{
	static const char *const hooks[] = { "post_fork", "post_worker_init",
		"worker_int", "worker_abort", "worker_exit", "pre_request",
		"post_request" };
	static const char *const logs[] = { "logger_class", "logconfig",
		"logconfig_dict", "logconfig_json" };

	if (APP_HAS(w->app.ops, settings) || w->heritage->slot != 0)
		return;
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
		if (settings_text(w->settings, hooks[i]) != NULL)
			log_warning("%s (%s) does not run: there is no Python "
				    "in workers of %s", hooks[i],
			    settings_text(w->settings, hooks[i]),
			    w->settings->app);
	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++)
		if (settings_text(w->settings, logs[i]) != NULL)
			log_warning("%s has no effect: there is no Python in "
				    "workers of %s", logs[i],
			    w->settings->app);
}

/* The last step of the boot belongs to the application. */
static int
tell_booted(struct worker *w, struct err *err)
{
	w->hears_requests = app_hears(&w->app, BICORN_PRE_REQUEST) ||
	    app_hears(&w->app, BICORN_POST_REQUEST);
	warn_of_hooks(w);
	if (worker_tell(w, BICORN_POST_WORKER_INIT) == 0)
		return 0;
	err_set(err, "%s: post_worker_init failed", w->settings->app);
	return WORKER_EXIT_BOOT;
}

/* What load() would have been told, had it not run in the template. */
static int
tell_forked(struct worker *w, struct err *err)
{
	if (worker_tell(w, BICORN_POST_FORK) == 0)
		return 0;
	err_set(err, "%s: post_fork failed", w->settings->app);
	return WORKER_EXIT_BOOT;
}

/* Of the machine's, those that are left for the pool of one worker. */
static unsigned
processors(const struct settings *s)
{
	unsigned workers = s->workers > 0 ? (unsigned)s->workers : 1;

	return (cpus_usable((unsigned)s->threads * workers) + workers - 1) /
	    workers;
}

/* As in a container whose root cannot be written and that has no /tmp. */
static void
check_spool(const struct settings *s)
{
	int64_t limit = s->limit_request_body_bytes;
	int fd = spool_open(s->tmp_upload_dir);

	if (fd < 0 && !s->stream_body &&
	    (limit == 0 || limit > s->body_buffer_bytes))
		log_warning("tmp_upload_dir: no file can be made in %s (%s), "
		    "so requests with bodies of more than body_buffer, %lld "
		    "bytes, will be answered with 500",
		    spool_directory(s->tmp_upload_dir), strerror(errno),
		    (long long)s->body_buffer_bytes);
	fd_close(&fd);
}

/* Everything up to the application; the slot says that we live. */
static int
boot(struct worker *w, const struct heritage *h, struct acceptor **a,
    struct err *err)
{
	struct app_start start = { 0 };
	bool loaded = w->app.ops != NULL;
	int rc;

	if (!loaded && worker_init(w, h->settings, err) != 0)
		return WORKER_EXIT_BOOT;
	if (h->slot == 0) /* one of them says it for all */
		check_spool(h->settings);
	w->max_requests = draw_max_requests(h->settings);
	w->heritage = h;
	w->listeners = h->listeners;
	w->listener_count = h->listener_count;
	w->statsd = log_statsd();
	if ((!loaded && set_notes(w, h->access, err) != 0) ||
	    contexts_new(h, &w->contexts, err) != 0 ||
	    fronts_new(h, &w->fronts, err) != 0)
		return WORKER_EXIT_BOOT;
	w->score = scoreboard_worker(h->board, h->slot);
	w->counts = scoreboard_shared_counts(h->board, h->slot);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	forked_watch(w);
	w->queue = queue_new((unsigned)h->settings->threads,
	    &w->score->load);
	if (w->wake_fd < 0 || w->queue == NULL) {
		err_sys(err, "worker");
		return WORKER_EXIT_BOOT;
	}
	queue_set_leader_fd(w->queue, w->wake_fd);
	start.number = atomic_load(&w->score->number);
	start.arbiter = (int)h->arbiter;
	if (loaded)
		rc = tell_forked(w, err);
	else
		rc = app_load(h->settings, &w->lent.table, &start, &w->app,
		    err);
	if (w->forked)
		forked_leave();
	if (rc != 0)
		return rc;
	if ((w->app.traits & BICORN_TRAIT_SERIAL) != 0)
		queue_set_serial(w->queue);
	queue_set_processors(w->queue, processors(h->settings));
	if (pool_start(w, &w->pool, err) != 0)
		return WORKER_EXIT_BOOT;
	if (watchdog_start(w, &w->watchdog, err) != 0)
		return WORKER_EXIT_BOOT;
	if (w->contexts != NULL &&
	    handshakes_start(w, &w->handshakes, err) != 0)
		return WORKER_EXIT_BOOT;
	if (reloader_start(w, &w->reloader, err) != 0)
		return WORKER_EXIT_BOOT;
	*a = acceptor_new(w, err);
	return *a != NULL ? tell_booted(w, err) : WORKER_EXIT_BOOT;
}

static void
report_ready(struct worker *w)
{
	atomic_store_explicit(&w->score->beat_ms, clock_ms(),
	    memory_order_relaxed);
	atomic_store_explicit(&w->score->state, WORKER_READY,
	    memory_order_release);
	scoreboard_notify(w->heritage->board);
}

bool
worker_stopping(const struct worker *w)
{
	return atomic_load_explicit(&w->score->stopping,
	    memory_order_relaxed);
}

int
worker_main(const struct heritage *h, struct worker *preloaded)
{
	struct acceptor *a = NULL;
	struct worker *w = preloaded;
	struct err err;
	int rc = WORKER_EXIT_BOOT;

	signals_boot();
	if (w == NULL) /* not on the stack, which threads may outlive */
		w = calloc(1, sizeof(*w));
	if (w == NULL)
		err_sys(&err, "worker");
	else
		rc = boot(w, h, &a, &err);
	if (rc != 0) {
		log_error("%s", err.text);
		scoreboard_why(h->board, h->slot, err.text);
		log_info("Worker exiting (pid: %d)", (int)getpid());
		return rc;
	}
	signals_install(w->wake_fd, w->score, h->arbiter);
	if (app_hears(&w->app, BICORN_WORKER_ABORT))
		signals_on_abort(watchdog_abort, w->watchdog);
	acceptor_listen(a);
	report_ready(w);
	if (acceptor_run(a)) {
		signals_on_abort(NULL, NULL);
		/* The watchdog looks at the pool. */
		watchdog_stop(&w->watchdog);
		reloader_stop(&w->reloader);
		handshakes_stop(&w->handshakes);
		queue_close(w->queue);
		pool_join(&w->pool);
		worker_tell(w, BICORN_WORKER_EXIT);
		app_unload(&w->app);
		acceptor_free(&a);
		worker_fini(w);
	} else {
		/* Threads are in the application: the process just ends. */
		worker_tell(w, BICORN_WORKER_EXIT);
	}
	statsd_flush(w->statsd);
	access_end(h->access);
	log_info("Worker exiting (pid: %d)", (int)getpid());
	return WORKER_EXIT_OK;
}

int
worker_preload(const struct heritage *h, struct worker **out, struct err *err)
{
	const struct app_start start = {
		.flags = BICORN_LOAD_PRELOAD,
		.arbiter = (int)h->arbiter,
	};
	struct worker *w = calloc(1, sizeof(*w));
	int rc = WORKER_EXIT_BOOT;

	*out = w;
	signals_boot();
	if (w == NULL)
		err_sys(err, "template");
	else if (worker_init(w, h->settings, err) == 0 &&
	    set_notes(w, h->access, err) == 0) {
		w->listeners = h->listeners;
		w->listener_count = h->listener_count;
		rc = app_load(h->settings, &w->lent.table, &start, &w->app,
		    err);
	}
	return rc;
}

void
worker_forked(struct worker *w, enum worker_fork when)
{
	const struct bicorn_app *ops = w->app.ops;

	switch (when) {
	case WORKER_FORK_PREPARE:
		if (APP_HAS(ops, fork_prepare))
			ops->fork_prepare(w->app.instance);
		break;
	case WORKER_FORK_PARENT:
		if (APP_HAS(ops, fork_parent))
			ops->fork_parent(w->app.instance);
		break;
	case WORKER_FORK_CHILD:
		if (APP_HAS(ops, fork_child))
			ops->fork_child(w->app.instance);
		break;
	}
}

int
worker_check(const struct settings *s, struct err *err)
{
	const struct app_start start = { .flags = BICORN_LOAD_CHECK };
	struct worker w;
	int rc;

	if (worker_init(&w, s, err) != 0 || contexts_check(s, err) != 0)
		return WORKER_EXIT_BOOT;
	check_spool(s);
	rc = app_load(s, &w.lent.table, &start, &w.app, err);
	if (rc == 0)
		app_unload(&w.app);
	worker_fini(&w);
	return rc;
}
