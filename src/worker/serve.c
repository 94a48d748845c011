/* SPDX-License-Identifier: MIT */
#include "worker/serve.h"

#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "conf/conf.h"
#include "http/response.h"
#include "log/log.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/forked.h"
#include "worker/ident.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/pages.h"
#include "worker/loan.h"
#include "worker/output.h"
#include "worker/queue.h"
#include "worker/record.h"
#include "worker/redirect.h"
#include "worker/scoreboard.h"
#include "worker/slow.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* --- refusing, on either side --------------------------------------------- */

void
linger_client(struct client *c, int64_t now_ms)
{
	client_brittle(c, false);
	c->conn.transport->shutdown(&c->conn);
	c->state = CLIENT_LINGER;
	c->slow = (struct slow){ .since_ms = now_ms };
	c->drained = 0;
	c->unread = INT_MAX;
	c->deadline_ms = now_ms + LINGER_MS;
}

void
flush_client(struct worker *w, struct client *c, int64_t now_ms)
{
	c->state = CLIENT_FLUSH;
	c->slow.since_ms = now_ms;
	c->deadline_ms = now_ms + slow_wait_ms(w->settings, &c->slow, now_ms);
}

/* The answer to HEAD has no body, also when it refuses. */
static bool
is_head(const struct inbound *in)
{
	return in->head.line_done &&
	    span_eq(http_span(in->in.data, in->head.method), SPAN("HEAD"));
}

/* So much of it is sent. */
static size_t
body_len(const struct inbound *in, struct span body)
{
	return is_head(in) ? 0 : body.len;
}

/* What the socket does not take is left in c->out. */
static void
send_parts(struct worker *w, struct client *c, const struct iovec *iov,
    int count)
{
	size_t put = 0;

	if (outbound_empty(&c->out) &&
	    c->conn.transport->write(&c->conn, iov, count, false, &put) ==
		IO_ERROR)
		put = SIZE_MAX; /* the end of the connection will be noticed */
	for (int i = 0; i < count; i++) {
		size_t part = put < iov[i].iov_len ? put : iov[i].iov_len;

		put -= part;
		/* Cut: nothing may follow. */
		if (outbound_add(&c->out, &w->keep,
			(const char *)iov[i].iov_base + part,
			iov[i].iov_len - part) != OUTBOUND_KEPT)
			c->keep = false;
	}
	c->slow = (struct slow){ 0 };
}

/* Sends a response made here: the head, then body.  Its line is written. */
static void
send_own(struct worker *w, struct client *c, unsigned status,
    struct span type, struct span body, struct span id)
{
	struct span reason = http_reason(status);
	bool sends_id = id.len > 0 && w->settings->request_id_response;
	char date[HTTP_DATE_LEN], head[1280];
	struct buf fields = { 0 }; /* those that may be long */
	int n;

	http_date(clock_wall(), date);
	n = snprintf(head, sizeof(head),
	    "HTTP/1.1 %u %.*s\r\n%.*s%.*s\r\n%s%s%.*s%s"
	    "Connection: %s\r\n%sContent-Type: %.*s\r\n"
	    "Content-Length: %zu\r\n",
	    status, (int)reason.len, reason.ptr, (int)w->first_len, w->first,
	    HTTP_DATE_LEN, date, sends_id ? w->settings->request_id : "",
	    sends_id ? ": " : "", sends_id ? (int)id.len : 0, id.ptr,
	    sends_id ? "\r\n" : "", c->keep ? "keep-alive" : "close",
	    status == 503 ? "Retry-After: 2\r\n" : "", (int)type.len, type.ptr,
	    body.len);
	must(n > 0 && (size_t)n < sizeof(head)); /* by the settings' rules */
	if ((status != 301 && status != 308) || redirect_field(c, &fields)) {
		size_t at = client_begun(c);
		struct iovec iov[] = {
			{ head + at, (size_t)n - at },
			{ fields.data, fields.len },
			{ (void *)"\r\n", 2 },
			{ (void *)body.ptr, body_len(c->in, body) },
		};

		send_parts(w, c, iov, 4);
	}
	buf_fini(&fields);
}

void
refuse_client(struct worker *w, struct client *c, int64_t now_ms)
{
	struct inbound *in = c->in;
	const char *why = in->reason != NULL ? in->reason : "";
	struct ident id = { .len = 0 };
	struct page page;

	ident_take(&id, w, c);
	pages_make(w->pages, in->refusal, why, record_field(c, SPAN("accept")),
	    ident_span(&id), &page);
	log_debug("Refused a request from %s: %u: %s",
	    c->conn.peer_len > 0 ? c->conn.peer_text : "a unix socket",
	    in->refusal, why);
	tally_refusal(w, c);
	c->keep = false;
	record_refusal(w, c, in->refusal, body_len(in, page.body),
	    ident_span(&id));
	send_own(w, c, in->refusal, page.type, page.body, ident_span(&id));
	inbound_drop(w, c);
	if (outbound_empty(&c->out))
		linger_client(c, now_ms);
	else
		flush_client(w, c, now_ms);
}

bool
refuse_plain(struct worker *w, struct client *c, int64_t now_ms)
{
	c->in = inbound_take(w, c);
	if (c->in == NULL)
		return false;
	c->in->refusal = 400;
	c->in->reason = "This is a port for https, and the request came "
			"without TLS: the address has to begin with https://";
	c->readable = true; /* what came behind is read to its end */
	refuse_client(w, c, now_ms);
	return true;
}

bool
asks_health(const struct worker *w, const struct client *c)
{
	const char *path = w->settings->health_path;
	const struct http_head *h = &c->in->head;
	struct span method;

	if (path == NULL ||
	    !span_eq(http_span(c->in->in.data, h->path), span_of(path)))
		return false;
	method = http_span(c->in->in.data, h->method);
	return span_eq(method, SPAN("GET")) || span_eq(method, SPAN("HEAD"));
}

void
answer_health(struct worker *w, struct client *c, int64_t now_ms)
{
	bool stopping = worker_stopping(w);
	const char *text = stopping ? "stopping\n" : "ok\n";

	tally(w, COUNT_HEALTH);
	c->keep = !stopping && !worker_draining(w) &&
	    c->in->head.keep_alive && c->in->complete &&
	    w->settings->keepalive_ms > 0;
	record_refusal(w, c, stopping ? 503 : 200,
	    body_len(c->in, span_of(text)), SPAN_NONE);
	send_own(w, c, stopping ? 503 : 200, SPAN("text/plain"),
	    span_of(text), SPAN_NONE);
	if (c->keep)
		inbound_done(w, c);
	else
		inbound_drop(w, c);
	if (!outbound_empty(&c->out)) {
		flush_client(w, c, now_ms);
	} else if (c->keep) {
		c->state = CLIENT_IDLE;
		c->deadline_ms = now_ms + w->settings->keepalive_ms;
	} else {
		linger_client(c, now_ms);
	}
}

bool
serve_given_up(struct exchange *x, uint64_t number, unsigned status,
    const char *why)
{
	struct client *c;
	struct page page;

	if (!turn_seize(&x->turn, number))
		return false;
	c = x->c;
	pages_make(x->w->pages, status, why, record_field(c, SPAN("accept")),
	    ident_span(&x->id), &page);
	c->keep = false;
	record_given_up(x, status, body_len(c->in, page.body));
	send_own(x->w, c, status, page.type, page.body, ident_span(&x->id));
	c->conn.transport->shutdown(&c->conn);
	turn_answered(&x->turn, number);
	return true;
}

/* --- one request ---------------------------------------------------------- */

/* Before and after handle(), for applications that want to hear of it. */
static int
tell_request(struct exchange *x, enum bicorn_moment moment)
{
	const struct bicorn_event e = {
		.size = sizeof(e),
		.server = x->pub.server,
		.moment = moment,
		.arbiter = (int)x->w->heritage->arbiter,
		.worker = (int)atomic_load_explicit(&x->w->score->pid,
		    memory_order_relaxed),
		.number = atomic_load_explicit(&x->w->score->number,
		    memory_order_relaxed),
		.status = (int)x->status,
		.workers = (unsigned)x->w->settings->workers,
		.exchange = &x->pub,
	};

	return app_event(&x->w->app, &e);
}

static void
handle(struct exchange *x)
{
	if (!x->w->hears_requests)
		x->w->app.ops->handle(&x->pub);
	else if (tell_request(x, BICORN_PRE_REQUEST) == 0)
		x->w->app.ops->handle(&x->pub);
	else
		response_error(x, 500, "");
}

static void
run_application(struct exchange *x)
{
	handle(x);
	if (x->w->forked)
		forked_leave();
	x->ended_us = 0;
	if (!exchange_take_turn(x)) /* it has its answer */
		x->state = RESPONSE_ABORTED;
	switch (x->state) {
	case RESPONSE_NONE:
		if (!x->broken_body)
			log_error("The application did not respond to "
				  "%.*s %.*s",
			    (int)x->request.view.method.len,
			    x->request.view.method.ptr,
			    (int)x->request.view.target.len,
			    x->request.view.target.ptr);
		response_abort(x);
		break;
	case RESPONSE_STARTED:
	case RESPONSE_SENDING:
		x->sent_us = 0;
		response_finish(x);
		x->ended_us = x->sent_us;
		break;
	default:
		break;
	}
}

/*
 * Without its length or a last chunk, only a reset tells the client that a
 * body was cut.
 */
static bool
is_cut(const struct exchange *x)
{
	return x->state == RESPONSE_ABORTED && x->until_close && x->head_sent;
}

static void
serve_one(struct exchange *x, struct client *c)
{
	bool begun = exchange_begin(x, c);

	/*
	 * The application may take its time with this one, and what the
	 * socket did not take of earlier answers must not wait for it.
	 */
	if (!outbound_empty(&c->out)) {
		atomic_store(&x->held, c);
		loan_hold(x->w, c);
	} else if (begun) {
		turn_offer(&x->turn, x->pub.number);
	}
	if (begun)
		run_application(x);
	else
		response_error(x, 503, "out of memory");
	loan_recall(c);
	if (atomic_load_explicit(&x->held, memory_order_relaxed) != NULL)
		atomic_store(&x->held, NULL);
	if (x->ended_us <= 0)
		x->ended_us = clock_us();
	tally_slow(x);
	if (!turn_is_lost(&x->turn)) {
		tally_exchange(x);
		record_exchange(x,
		    !c->holding && !outbound_empty(&c->out) && !x->broken &&
			!is_cut(x));
	}
	if (x->w->hears_requests)
		tell_request(x, BICORN_POST_REQUEST);
	exchange_end(x);
}

/* --- what comes after it -------------------------------------------------- */

/*
 * When the client asked for the end and has nothing more to say, the socket
 * can go at once: no byte is there whose arrival could answer with a reset.
 */
static bool
may_close_now(const struct exchange *x, const struct client *c)
{
	const struct inbound *in = c->in;

	if (x->broken || client_vanished(c, 0))
		return true;
	return x->state == RESPONSE_DONE && !in->head.keep_alive &&
	    !c->readable && inbound_is_all(in) &&
	    (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		EVENT_READ) == 0;
}

static void
close_after(struct exchange *x, struct client *c)
{
	bool at_once = may_close_now(x, c);

	if (is_cut(x)) {
		client_brittle(c, true);
		at_once = true;
	}
	if (x->bare) {
		/* The application may have copies of it, and threads. */
		client_brittle(c, false);
		shutdown(c->conn.fd, SHUT_RDWR);
		at_once = true;
	}
	inbound_drop(x->w, c);
	if (at_once) {
		/* TLS has an end of its own.  A child may have the socket. */
		if (!x->broken && !is_cut(x)) {
			client_brittle(c, false);
			if (x->until_close || c->conn.tls != NULL)
				c->conn.transport->shutdown(&c->conn);
		}
		client_finish(x->w, c);
		return;
	}
	linger_client(c, clock_coarse_ms());
	client_return(x->w, c);
}

/* The acceptor sends the rest, and then goes on as x says. */
static void
leave_output(struct exchange *x, struct client *c)
{
	c->keep = x->keep_open;
	tally_left(x, c);
	flush_client(x->w, c, clock_coarse_ms());
	if (c->keep)
		inbound_done(x->w, c);
	else
		inbound_drop(x->w, c);
	client_return(x->w, c);
}

void
finish_vanished(struct worker *w, struct client *c)
{
	record_refusal(w, c, 499, 0, SPAN_NONE);
	tally(w, COUNT_VANISHED);
	client_finish(w, c);
}

/* Offers what was held; false when the socket did not take all of it. */
static bool
settle(struct worker *w, struct client *c)
{
	if (c->holding)
		output_offer(w, c);
	return outbound_empty(&c->out);
}

/* Another request is complete; true when this thread is to answer it. */
static bool
take_next(struct exchange *x, struct client *c, bool may_go_on)
{
	struct worker *w = x->w;

	c->state = CLIENT_READY;
	c->ready_us = 0;
	atomic_store_explicit(&c->queued_ms, clock_coarse_ms(),
	    memory_order_relaxed);
	if (may_go_on && exchange_may_go_on(x))
		return true;
	settle(w, c); /* what is left goes before the next answer */
	c->ready_us = clock_us();
	queue_push_again(w->queue, c);
	return false;
}

/* The client has nothing more to say; answers may still be due to it. */
static void
end_client(struct worker *w, struct client *c, int64_t now)
{
	bool settled = settle(w, c);

	if (c->state == CLIENT_BODY) {
		finish_vanished(w, c);
	} else if (settled) {
		client_finish(w, c);
	} else {
		c->keep = false;
		flush_client(w, c, now);
		client_return(w, c);
	}
}

/*
 * The connection stays.  True when a request is already there and this
 * thread is to answer it, as it may; otherwise c was handed on.
 */
static bool
keep_client(struct exchange *x, struct client *c, bool may_go_on)
{
	struct worker *w = x->w;
	struct inbound *spare = inbound_detach(c);
	int64_t now = clock_coarse_ms();

	c->state = CLIENT_IDLE;
	for (;;) {
		c->deadline_ms = now + w->settings->keepalive_ms;
		if (c->in == NULL && !c->readable && client_release(c)) {
			inbound_return(w, spare);
			return false;
		}
		if (c->in == NULL) {
			c->in = spare;
			spare = NULL;
		}
		switch (inbound_step(w, c, now)) {
		case INBOUND_READY:
			if (!asks_health(w, c))
				return take_next(x, c, may_go_on);
			settle(w, c);
			answer_health(w, c, now);
			if (c->state == CLIENT_IDLE && c->in == NULL &&
			    !c->readable)
				break;
			/* Whoever asks much is the acceptor's business. */
			client_return(w, c);
			return false;
		case INBOUND_MORE:
			if (!settle(w, c)) {
				c->keep = true;
				flush_client(w, c, now);
			} else if (c->in == NULL) {
				break; /* a false alarm: idle after all */
			}
			client_return(w, c);
			return false;
		case INBOUND_REFUSE:
			settle(w, c);
			refuse_client(w, c, now);
			client_return(w, c);
			return false;
		case INBOUND_END:
			end_client(w, c, now);
			return false;
		}
	}
}

void
serve_client(struct exchange *x, struct client *c)
{
	if (client_vanished(c, 0)) {
		finish_vanished(x->w, c);
		return;
	}
	for (x->run = 1;; x->run++) {
		serve_one(x, c);
		if (x->broken || x->state != RESPONSE_DONE)
			x->keep_open = false;
		if (x->later_put && !x->keep_open)
			later_back(x);
		/* Answers to earlier requests do not go down with this one. */
		if (!x->keep_open)
			settle(x->w, c);
		if (x->broken || is_cut(x)) {
			tally_done(x);
			close_after(x, c);
			return;
		}
		if (!c->holding && !outbound_empty(&c->out)) {
			leave_output(x, c);
			return;
		}
		tally_done(x);
		if (x->later_put && later_leave(x))
			return;
		if (x->broken || !x->keep_open) {
			close_after(x, c);
			return;
		}
		if (!keep_client(x, c, true))
			return;
	}
}

/* --- answers that were sent later ----------------------------------------- */

void
serve_next(struct exchange *x, struct client *c)
{
	keep_client(x, c, false);
}

void
serve_rest(struct worker *w, struct client *c, const char *data, size_t len)
{
	/* Small, and nobody can wait for room: without the usual limits. */
	struct outbound_limits all = w->keep;

	all.memory = SIZE_MAX;
	all.buffered_max = INT64_MAX;
	/* Cut: nothing may follow. */
	c->keep = outbound_add(&c->out, &all, data, len) == OUTBOUND_KEPT;
	flush_client(w, c, clock_coarse_ms());
	if (c->keep)
		inbound_done(w, c);
	else
		inbound_drop(w, c);
	client_return(w, c);
}

void
serve_broken(struct worker *w, struct client *c)
{
	tally(w, COUNT_BROKEN);
	client_finish(w, c);
}
