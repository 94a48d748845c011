/* SPDX-License-Identifier: MIT */
#include "worker/serve.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "http/response.h"
#include "log/log.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/queue.h"
#include "worker/record.h"
#include "worker/scoreboard.h"
#include "worker/slow.h"
#include "worker/worker_private.h"

/* How long a half-closed client may take to read to the end. */
#define LINGER_MS 5000

/* --- refusing, on either side --------------------------------------------- */

void
linger_client(struct client *c, int64_t now_ms)
{
	c->conn.transport->shutdown(&c->conn);
	c->state = CLIENT_LINGER;
	c->drained = 0;
	c->deadline_ms = now_ms + LINGER_MS;
}

void
flush_client(struct worker *w, struct client *c, int64_t now_ms)
{
	c->state = CLIENT_FLUSH;
	c->slow.since_ms = now_ms;
	c->deadline_ms = now_ms + slow_wait_ms(w->settings, &c->slow, now_ms);
}

static int
refusal_page(char *out, size_t room, unsigned status, const char *why)
{
	struct span reason = http_reason(status);
	char date[HTTP_DATE_LEN], page[512];
	int len;

	len = snprintf(page, sizeof(page),
	    "<html>\n  <head>\n    <title>%.*s</title>\n  </head>\n  <body>\n"
	    "    <h1><p>%.*s</p></h1>\n    %s\n  </body>\n</html>\n",
	    (int)reason.len, reason.ptr, (int)reason.len, reason.ptr, why);
	http_date(clock_wall(), date);
	return snprintf(out, room,
	    "HTTP/1.1 %u %.*s\r\nServer: bicorn\r\nDate: %.*s\r\n"
	    "Connection: close\r\n%sContent-Type: text/html\r\n"
	    "Content-Length: %d\r\n\r\n%s",
	    status, (int)reason.len, reason.ptr, HTTP_DATE_LEN, date,
	    status == 503 ? "Retry-After: 2\r\n" : "", len, page);
}

/* The answer to HEAD has no body, also when it refuses. */
static bool
is_head(const struct inbound *in)
{
	return in->head.line_done &&
	    span_eq(http_span(in->in.data, in->head.method), SPAN("HEAD"));
}

void
refuse_client(struct worker *w, struct client *c, int64_t now_ms)
{
	struct inbound *in = c->in;
	const char *why = in->reason != NULL ? in->reason : "";
	char text[1024];
	size_t len, body, put = 0;
	struct iovec iov;

	len = (size_t)refusal_page(text, sizeof(text), in->refusal, why);
	body = len - (size_t)(strstr(text, "\r\n\r\n") + 4 - text);
	if (is_head(in)) {
		len -= body;
		body = 0;
	}
	log_debug("Refused a request from %s: %u: %s",
	    c->conn.peer_len > 0 ? c->conn.peer_text : "a unix socket",
	    in->refusal, why);
	record_refusal(w, c, in->refusal, body);
	atomic_fetch_add_explicit(&w->score->refused, 1,
	    memory_order_relaxed);
	iov = (struct iovec){ text, len };
	if (outbound_empty(&c->out) &&
	    c->conn.transport->write(&c->conn, &iov, 1, false, &put) ==
		IO_ERROR)
		put = len; /* the end of the connection will be noticed */
	outbound_add(&c->out, &w->keep, text + put, len - put);
	inbound_drop(w, c);
	c->keep = false;
	c->slow = (struct slow){ 0 };
	if (outbound_empty(&c->out)) {
		linger_client(c, now_ms);
		return;
	}
	flush_client(w, c, now_ms);
}

/* --- one request ---------------------------------------------------------- */

static void
run_application(struct exchange *x)
{
	x->w->app.ops->handle(&x->pub);
	switch (x->state) {
	case RESPONSE_NONE:
		log_error("The application did not respond to %.*s %.*s",
		    (int)x->request.view.method.len,
		    x->request.view.method.ptr,
		    (int)x->request.view.target.len,
		    x->request.view.target.ptr);
		response_error(x, 500, "");
		break;
	case RESPONSE_STARTED:
	case RESPONSE_SENDING:
		response_finish(x);
		break;
	default:
		break;
	}
}

static void
serve_one(struct exchange *x, struct client *c)
{
	if (exchange_begin(x, c))
		run_application(x);
	else
		response_error(x, 503, "out of memory");
	record_exchange(x);
	exchange_end(x);
}

/* --- what comes after it -------------------------------------------------- */

/*
 * Without its length or a last chunk, only a reset tells the client that a
 * body was cut.
 */
static void
reset_connection(struct client *c)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->conn.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/*
 * When the client asked for the end and has nothing more to say, the socket
 * can go at once: no byte is there whose arrival could answer with a reset.
 */
static bool
may_close_now(const struct exchange *x, const struct client *c)
{
	const struct inbound *in = c->in;

	if (x->broken || client_gone(c))
		return true;
	return x->state == RESPONSE_DONE && !in->head.keep_alive &&
	    !c->readable && in->in.len == in->head.length + in->body_len &&
	    (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		EVENT_READ) == 0;
}

static void
close_after(struct exchange *x, struct client *c)
{
	bool at_once = may_close_now(x, c);

	if (x->state == RESPONSE_ABORTED && x->until_close) {
		reset_connection(c);
		at_once = true;
	}
	inbound_drop(x->w, c);
	if (at_once) {
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
	flush_client(x->w, c, clock_coarse_ms());
	if (c->keep)
		inbound_done(x->w, c);
	else
		inbound_drop(x->w, c);
	client_return(x->w, c);
}

/* Another request is complete; true when this thread is to answer it. */
static bool
take_next(struct worker *w, struct client *c)
{
	c->state = CLIENT_READY;
	if (queue_length(w->queue) == 0)
		return true;
	c->queued_ms = clock_coarse_ms();
	queue_push(w->queue, c, c, 1);
	return false;
}

/*
 * The connection stays.  True when a request is already there and this
 * thread is to answer it; otherwise c was handed on.
 */
static bool
keep_client(struct worker *w, struct client *c)
{
	int64_t now = clock_coarse_ms();

	inbound_done(w, c);
	c->state = CLIENT_IDLE;
	for (;;) {
		c->deadline_ms = now + w->settings->keepalive_ms;
		if (c->in == NULL && !c->readable && client_release(c))
			return false;
		switch (inbound_step(w, c, now)) {
		case INBOUND_READY:
			return take_next(w, c);
		case INBOUND_MORE:
			if (c->in == NULL)
				break; /* a false alarm: idle after all */
			client_return(w, c);
			return false;
		case INBOUND_REFUSE:
			refuse_client(w, c, now);
			client_return(w, c);
			return false;
		case INBOUND_END:
			client_finish(w, c);
			return false;
		}
	}
}

/*
 * True when the client went away while its request waited: nobody is left
 * to read the answer.  One that closed its side with the request, and was
 * known to have before it was queued, may well wait for the answer.
 */
static bool
went_away(const struct client *c)
{
	return (atomic_load_explicit(&c->owner, memory_order_relaxed) &
		   EVENT_GONE) != 0;
}

void
serve_client(struct exchange *x, struct client *c)
{
	if (went_away(c)) {
		record_refusal(x->w, c, 499, 0);
		atomic_fetch_add_explicit(&x->w->score->vanished, 1,
		    memory_order_relaxed);
		client_finish(x->w, c);
		return;
	}
	for (;;) {
		serve_one(x, c);
		if (x->broken || x->state != RESPONSE_DONE)
			x->keep_open = false;
		if (x->broken) {
			close_after(x, c);
			return;
		}
		if (!outbound_empty(&c->out)) {
			leave_output(x, c);
			return;
		}
		if (!x->keep_open) {
			close_after(x, c);
			return;
		}
		if (!keep_client(x->w, c))
			return;
	}
}
