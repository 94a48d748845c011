/* SPDX-License-Identifier: MIT */
#include "worker/tally.h"

#include <stdio.h>

#include "base/probe.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/scoreboard.h"
#include "worker/worker_private.h"

void
tally(struct worker *w, enum count_id id)
{
	counts_add_shared(w->counts, id, 1);
}

void
tally_refusal(struct worker *w, const struct client *c)
{
	static const struct {
		unsigned status;
		enum count_id id;
	} reasons[] = {
		{ 400, COUNT_REFUSED_MALFORMED },
		{ 408, COUNT_REFUSED_TIMEOUT },
		{ 413, COUNT_REFUSED_BODY },
		{ 414, COUNT_REFUSED_LINE },
		{ 417, COUNT_REFUSED_EXPECTATION },
		{ 431, COUNT_REFUSED_FIELDS },
		{ 500, COUNT_REFUSED_STORAGE },
		{ 501, COUNT_REFUSED_UNSUPPORTED },
		{ 503, COUNT_REFUSED_MEMORY },
		{ 505, COUNT_REFUSED_UNSUPPORTED },
		{ 507, COUNT_REFUSED_STORAGE },
	};

	if (c->in->overload != 0) {
		tally(w, c->in->overload);
		return;
	}
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == c->in->refusal) {
			tally(w, reasons[i].id);
			return;
		}
	tally(w, COUNT_REFUSED_OTHER);
}

void
tally_exchange(struct exchange *x)
{
	const struct inbound *in = x->c->in;
	struct score_counts *n = x->counts;
	int64_t run_us = x->ended_us - x->started_us;

	counts_add(n, counts_class(x->broken ? 499 : x->status), 1);
	counts_add(n, COUNT_BYTES_IN, in->head.length + in->body_total);
	counts_add(n, COUNT_BYTES_OUT, x->put);
	if (x->c->served)
		counts_add(n, COUNT_REUSED, 1);
	x->c->served = true;
	if (x->broken)
		counts_add(n, COUNT_BROKEN, 1);
	probe_respond(x->c->conn.fd, x->status, run_us);
	hist_add(&n->hist[HIST_QUEUE], x->queue_us);
	hist_add(&n->hist[HIST_APP], run_us - x->send_us);
}

/* The parts of its time; the text is what the scoreboard shows of it. */
static void
log_slow(const struct exchange *x, int64_t total_us)
{
	const struct heritage *h = x->w->heritage;
	size_t thread = (size_t)(x->score -
	    scoreboard_thread(h->board, h->slot, 0));
	int64_t run_us = x->ended_us - x->started_us, started_ms;
	char what[1024], lock[64] = "";

	if (x->lock_us > 0)
		snprintf(lock, sizeof(lock),
		    ", of that %.3f s waiting for Python's lock",
		    (double)x->lock_us / 1e6);
	score_read(x->score, what, sizeof(what), &started_ms);
	log_warning("Slow request: %s took %.3f s: %.3f s queued, %.3f s in "
		    "the application%s, %.3f s sending; status %u, thread "
		    "pool-%zu",
	    what, (double)total_us / 1e6, (double)x->queue_us / 1e6,
	    (double)(run_us - x->send_us) / 1e6, lock,
	    (double)x->send_us / 1e6, x->status, thread);
}

void
tally_slow(struct exchange *x)
{
	int64_t limit_ms = x->w->settings->slow_request_ms;
	int64_t total_us = x->queue_us + x->ended_us - x->started_us;

	if (limit_ms == 0 || total_us < limit_ms * 1000)
		return;
	counts_add(x->counts, COUNT_SLOW, 1);
	log_slow(x, total_us);
}

void
tally_done(struct exchange *x)
{
	hist_add(&x->counts->hist[HIST_SEND], x->send_us);
	hist_add(&x->counts->hist[HIST_TOTAL],
	    x->queue_us + x->ended_us - x->started_us);
}

void
tally_left(const struct exchange *x, struct client *c)
{
	c->left_us = x->ended_us;
	c->send_us = x->send_us;
	c->total_us = x->queue_us + x->ended_us - x->started_us;
}

void
tally_sent(struct worker *w, struct client *c, int64_t now_us)
{
	int64_t more;

	if (c->left_us == 0)
		return;
	more = now_us > c->left_us ? now_us - c->left_us : 0;
	hist_add_shared(&w->counts->hist[HIST_SEND], c->send_us + more);
	hist_add_shared(&w->counts->hist[HIST_TOTAL], c->total_us + more);
	c->left_us = 0;
}
