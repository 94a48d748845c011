/* SPDX-License-Identifier: MIT */
#include "worker/exchange.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/probe.h"
#include "conf/conf.h"
#include "log/access.h"
#include "log/log.h"
#include "log/patience.h"
#include "net/listen.h"
#include "tls/tls.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/inbound.h"
#include "worker/loan.h"
#include "worker/output.h"
#include "worker/queue.h"
#include "worker/record.h"
#include "worker/scoreboard.h"
#include "worker/tally.h"
#include "worker/worker_private.h"

/* Pipelined requests of one client that are answered before others wait. */
#define RUN_MAX 16
#define RUN_US 100

/*
 * Before a log waits for its reader.  From the end of handle() on the
 * application may keep what other threads want, as a lock.
 */
static void
before_log_waits(void *arg)
{
	const struct exchange *x = arg;
	const struct app *app = &x->w->app;

	if (x->c != NULL && x->ended_us >= 0 && APP_HAS(app->ops, thread_idle))
		app->ops->thread_idle(app->instance, x->pub.thread);
}

void
exchange_init(struct exchange *x, struct worker *w,
    struct score_thread *score, struct score_counts *counts)
{
	*x = (struct exchange){
		.w = w,
		.score = score,
		.counts = counts,
		.date_s = -1,
	};
	x->pub.size = sizeof(x->pub);
	x->pub.server = &w->lent.table;
	x->pub.request = &x->request.view;
	x->pub.app = w->app.instance;
	later_init(&x->later);
	patience_before(before_log_waits, x);
}

void
exchange_fini(struct exchange *x)
{
	patience_before(NULL, NULL);
	later_fini(&x->later);
	free(x->variables);
	request_fini(&x->request);
	buf_fini(&x->out);
	buf_fini(&x->trailers_out);
	buf_fini(&x->notes);
}

/* --- beginning and end ---------------------------------------------------- */

static void
fill_scheme(struct bicorn_request *v, const struct inbound *in)
{
	bool https = v->tls;

	if (in->trust.scheme != TRUST_SCHEME_NONE)
		https = in->trust.scheme == TRUST_SCHEME_HTTPS;
	v->scheme = https ? (struct bicorn_str){ "https", 5 }
			  : (struct bicorn_str){ "http", 4 };
}

/* The application finds the id of its request in the field as well. */
static void
fill_id(struct exchange *x)
{
	const char *name = x->w->settings->request_id;
	struct bicorn_request *v = &x->request.view;
	struct bicorn_header h = {
		.name = { name, name != NULL ? strlen(name) : 0 },
		.value = { x->id.text, x->id.len },
	};
	bool found = false;

	v->id = h.value;
	if (name == NULL)
		return;
	for (size_t i = 0; i < v->header_count; i++)
		if (bicorn_str_ieq(v->headers[i].name, name)) {
			x->request.headers[i].value = h.value;
			found = true;
		}
	if (!found) /* request_fill() left room for it */
		x->request.headers[v->header_count++] = h;
}

static void
fresh_response(struct exchange *x)
{
	x->state = RESPONSE_NONE;
	x->status = 0;
	x->no_body = x->chunked = x->keep_open = x->until_close = false;
	x->bare = false;
	x->broken = x->head_sent = x->ending = x->later_put = false;
	x->logged = false;
	x->length = -1;
	x->taken = x->put = 0;
	x->out.len = x->gather_at = 0;
	x->trailers_out.len = 0;
}

bool
exchange_begin(struct exchange *x, struct client *c)
{
	struct inbound *in = c->in;
	struct bicorn_request *v = &x->request.view;
	bool filled;

	x->c = c;
	c->thread = x->pub.thread;
	x->body_at = 0;
	x->broken_body = false;
	x->started_us = clock_us();
	c->slow = (struct slow){ .since_ms = x->started_us / 1000 };
	if (x->run == 1)
		x->run_us = x->started_us;
	x->queue_us = c->ready_us > 0 ? x->started_us - c->ready_us : 0;
	x->ended_us = -1;
	x->send_us = x->lock_us = 0;
	probe_dequeue(c->conn.fd, x->queue_us);
	x->started_wall = clock_wall();
	fresh_response(x);
	x->notes.len = 0;
	ident_take(&x->id, x->w, c);
	filled = request_fill(&x->request, &in->head, in->in.data,
	    x->w->trust, &in->trust);
	if (filled)
		fill_id(x);
	exchange_fill_addresses(v, c);
	fill_scheme(v, in);
	v->content_length = in->complete ? (int64_t)in->body_total
					 : in->head.content_length;
	x->pub.number = atomic_load_explicit(&x->score->requests,
	    memory_order_relaxed);
	x->head_only = bicorn_str_eq(v->method, "HEAD");
	turn_begin(&x->turn, x->pub.number);
	score_begin(x->score, v->method.ptr, v->method.len, v->target.ptr,
	    v->target.len, x->started_us / 1000);
	return filled;
}

bool
exchange_may_go_on(const struct exchange *x)
{
	return queue_length(x->w->queue) == 0 ||
	    (x->run < RUN_MAX && x->started_us - x->run_us < RUN_US);
}

void
exchange_end(struct exchange *x)
{
	if (x->map != NULL)
		munmap(x->map, x->map_len);
	x->map = NULL;
	free(x->trailers_in);
	x->trailers_in = NULL;
	score_end(x->score);
}

/* --- the functions that are lent: the request ----------------------------- */

static struct exchange *
of(struct bicorn_exchange *pub)
{
	return (struct exchange *)(void *)pub;
}

/*
 * Where len bytes may be: not NULL, and not of a length that came of a
 * subtraction, which would send out what else is in memory.
 */
static bool
is_place(const void *p, size_t len)
{
	return len == 0 || (p != NULL && len <= PTRDIFF_MAX);
}

/* Bytes of the body that were received and not yet read. */
static uint64_t
body_left(const struct exchange *x)
{
	return x->c->in->body_total - x->body_at;
}

/*
 * Waits until more of a streamed body is there.  BICORN_OK also at its end,
 * when body_left() stays 0.
 */
static int
receive_more(struct exchange *x)
{
	struct client *c = x->c;
	int64_t wait;
	int ready;

	if (x->head_sent) /* no 100 within a response */
		c->in->continue_due = false;
	while (!c->in->complete) {
		loan_recall(c);
		switch (inbound_pull(x->w, c)) {
		case INBOUND_READY:
			return BICORN_OK;
		case INBOUND_MORE:
			break;
		case INBOUND_END: /* nobody is there to be answered either */
			x->broken = true;
			/* fall through */
		default:
			x->broken_body = true;
			return BICORN_GONE;
		}
		c->slow.bytes = c->in->body_total;
		wait = slow_body_ms(x->w->settings, &c->slow, clock_ms());
		loan_give(x->w, c); /* it may wait for the answer so far */
		ready = wait > 0 ? output_wait(c, POLLIN, wait) : 0;
		if (ready < 0) { /* the client has reset the connection */
			loan_recall(c);
			x->broken = true;
			x->broken_body = true;
			return BICORN_GONE;
		}
		if (ready == 0) {
			tally(x->w, COUNT_TIMEOUT_BODY);
			c->in->refusal = 408;
			c->in->reason =
			    "the body of the request did not arrive in time";
			x->broken_body = true;
			return BICORN_TIMEOUT;
		}
		c->readable = true;
	}
	return BICORN_OK;
}

/* The connection is this thread's meanwhile, whoever may answer. */
static int
await_body(struct exchange *x)
{
	bool offered = turn_state(&x->turn) == TURN_OFFERED;
	int rc;

	/* In a child the rest is its parent's to read. */
	if (x->w->forked || !exchange_take_turn(x)) {
		x->broken_body = true;
		return BICORN_GONE;
	}
	rc = receive_more(x);
	if (offered && !x->c->lent && outbound_empty(&x->c->out))
		turn_offer(&x->turn, x->pub.number);
	return rc;
}

static int64_t
lent_read(struct bicorn_exchange *pub, void *buf, size_t len)
{
	struct exchange *x = of(pub);
	struct inbound *in = x->c->in;
	uint64_t left = body_left(x);
	size_t n;
	int rc;

	if (buf == NULL && len > 0)
		return BICORN_INVALID;
	if (left == 0 && len > 0 && !in->complete) {
		rc = x->broken_body ? BICORN_GONE : await_body(x);
		if (rc != BICORN_OK)
			return rc;
		left = body_left(x);
	}
	n = len < left ? len : (size_t)left;
	if (n == 0)
		return 0;
	if (in->spool < 0)
		memcpy(buf, inbound_body(in) + in->body_len - left, n);
	else if (fd_pread_all(in->spool, buf, n, (off_t)x->body_at) !=
	    (ssize_t)n)
		return BICORN_IO;
	x->body_at += n;
	return (int64_t)n;
}

static int
lent_body(struct bicorn_exchange *pub, struct bicorn_str *out)
{
	struct exchange *x = of(pub);
	struct inbound *in = x->c->in;

	*out = (struct bicorn_str){ "", 0 };
	if (in->streamed && x->body_at > 0)
		return BICORN_STATE; /* the beginning is gone */
	in->streamed = false;
	while (!in->complete) {
		int rc = x->broken_body ? BICORN_GONE : await_body(x);

		if (rc != BICORN_OK)
			return rc;
	}
	if (in->spool < 0) {
		*out = (struct bicorn_str){ inbound_body(in), in->body_len };
		return BICORN_OK;
	}
	if (x->map == NULL) {
		size_t len = (size_t)in->body_total;
		void *map = MAP_FAILED;

		if (len == in->body_total) /* 32 bits may not do */
			map = mmap(NULL, len, PROT_READ, MAP_PRIVATE,
			    in->spool, 0);
		if (map == MAP_FAILED)
			return BICORN_IO;
		x->map = map;
		x->map_len = len;
	}
	*out = (struct bicorn_str){ x->map, x->map_len };
	return BICORN_OK;
}

static size_t
lent_request_trailers(struct bicorn_exchange *pub,
    const struct bicorn_header **out)
{
	struct exchange *x = of(pub);
	struct inbound *in = x->c->in;
	size_t room = (size_t)x->w->settings->limit_request_fields, n = 0;
	struct http_field *fields;
	const char *why;

	*out = NULL;
	if (!in->complete || in->trailer.len == 0)
		return 0;
	fields = calloc(room, sizeof(*fields));
	if (x->trailers_in == NULL)
		x->trailers_in = calloc(room, sizeof(*x->trailers_in));
	if (fields != NULL && x->trailers_in != NULL &&
	    http_trailer_parse(in->trailer.data, in->trailer.len, fields,
		room, &n, &why) != HTTP_DONE)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		const char *data = in->trailer.data;

		x->trailers_in[i] = (struct bicorn_header){
			{ data + fields[i].name.at, fields[i].name.len },
			{ data + fields[i].value.at, fields[i].value.len },
		};
	}
	free(fields);
	*out = x->trailers_in;
	return n;
}

static struct bicorn_str
lent_tls(struct bicorn_exchange *pub, const char *name)
{
	struct span s = tls_fact(&of(pub)->c->conn, name);

	return (struct bicorn_str){ s.ptr, s.len };
}

static int
lent_gone(struct bicorn_exchange *pub)
{
	struct exchange *x = of(pub);

	return x->broken || turn_is_lost(&x->turn) ||
	    client_gone(x->c);
}

/* --- the response --------------------------------------------------------- */

static int
lent_respond(struct bicorn_exchange *pub, unsigned status,
    struct bicorn_str reason, const struct bicorn_header *headers,
    size_t count, int64_t length)
{
	return response_start(of(pub), status,
	    (struct span){ reason.ptr, reason.len }, headers, count,
	    length < 0 ? -1 : length);
}

static int
lent_write(struct bicorn_exchange *pub, const void *data, size_t len)
{
	const struct bicorn_str part = { data, len };

	return response_write(of(pub), &part, 1);
}

static int
lent_writev(struct bicorn_exchange *pub, const struct bicorn_str *parts,
    size_t count)
{
	return response_write(of(pub), parts, count);
}

static int
lent_send_file(struct bicorn_exchange *pub, int fd, int64_t offset,
    int64_t len)
{
	return response_file(of(pub), fd, offset, len);
}

static int
lent_flush(struct bicorn_exchange *pub)
{
	return response_flush(of(pub));
}

static int
lent_trailers(struct bicorn_exchange *pub, const struct bicorn_header *headers,
    size_t count)
{
	return response_trailers(of(pub), headers, count);
}

static int
lent_finish(struct bicorn_exchange *pub)
{
	return response_finish(of(pub));
}

static void
lent_abort(struct bicorn_exchange *pub)
{
	response_abort(of(pub));
}

static int
lent_inform(struct bicorn_exchange *pub, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	return response_inform(of(pub), status, headers, count);
}

static int
lent_error(struct bicorn_exchange *pub, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	if (status < 400 || status > 599)
		return BICORN_INVALID;
	return response_page(of(pub), status, "", headers, count);
}

static int
lent_note(struct bicorn_exchange *pub, struct bicorn_str name,
    struct bicorn_str value)
{
	struct exchange *x = of(pub);

	if (!is_place(name.ptr, name.len) || !is_place(value.ptr, value.len))
		return BICORN_INVALID;
	return record_note(x, (struct span){ name.ptr, name.len },
		   (struct span){ value.ptr, value.len }) ?
	    BICORN_OK : BICORN_NO_MEMORY;
}

/* --- what the application tells of itself --------------------------------- */

static void
lent_waited(struct bicorn_exchange *pub, int64_t us)
{
	struct exchange *x = of(pub);

	if (us < 0 || us > INT64_MAX - x->lock_us)
		return;
	x->lock_us += us;
	counts_add(x->counts, COUNT_LOCK_WAITS, 1);
	counts_add(x->counts, COUNT_LOCK_WAIT_US, (uint64_t)us);
}

static unsigned
lent_status(struct bicorn_exchange *pub)
{
	const struct exchange *x = of(pub);

	return x->state != RESPONSE_NONE ? x->status : 0;
}

static size_t
lent_access_line(struct bicorn_exchange *pub, char *buf, size_t size)
{
	return record_hand_over(of(pub), buf, size);
}

/* --- the raw connection --------------------------------------------------- */

static int
lent_take_over(struct bicorn_exchange *pub, unsigned status,
    const struct bicorn_header *headers, size_t count, int *fd_out)
{
	struct exchange *x = of(pub);

	if (fd_out != NULL)
		*fd_out = x->c->conn.fd;
	return response_take_over(x, status, headers, count);
}

/* Bytes that were received behind the request come first. */
static size_t
take_received(struct inbound *in, void *buf, size_t len)
{
	size_t at = in->head.length + in->body_len;
	size_t n = in->in.len - at < len ? in->in.len - at : len;

	memcpy(buf, in->in.data + at, n);
	memmove(in->in.data + at, in->in.data + at + n, in->in.len - at - n);
	in->in.len -= n;
	return n;
}

static int64_t
lent_raw_read(struct bicorn_exchange *pub, void *buf, size_t len,
    int64_t timeout_ms)
{
	struct exchange *x = of(pub);
	struct client *c = x->c;
	bool drained;
	size_t got;

	if (x->state != RESPONSE_RAW)
		return BICORN_STATE;
	if (len == 0 || !is_place(buf, len))
		return BICORN_INVALID;
	got = take_received(c->in, buf, len);
	if (got > 0)
		return (int64_t)got;
	for (;;) {
		switch (c->conn.transport->read(&c->conn, buf, len, &got,
		    &drained)) {
		case IO_OK:
			return (int64_t)got;
		case IO_EOF:
			return 0;
		case IO_ERROR:
		case IO_FOREIGN:
			return BICORN_GONE;
		case IO_AGAIN:
			break;
		}
		switch (output_wait(c, POLLIN, timeout_ms)) {
		case 0:
			return BICORN_TIMEOUT;
		case -1:
			return BICORN_GONE;
		}
	}
}

static int
lent_raw_write(struct bicorn_exchange *pub, const void *data, size_t len)
{
	struct exchange *x = of(pub);
	struct client *c = x->c;
	struct iovec iov = { (void *)data, len };

	if (x->state != RESPONSE_RAW)
		return BICORN_STATE;
	if (!is_place(data, len))
		return BICORN_INVALID;
	if (x->broken || !output_write(x->w, c, &iov, 1, false) ||
	    !output_drain(x->w, c))
		x->broken = true;
	return x->broken ? BICORN_GONE : BICORN_OK;
}

/* --- the server ----------------------------------------------------------- */

static const char *
lent_setting(const struct bicorn_server *server, const char *name)
{
	const struct lent *lent = (const struct lent *)(const void *)server;

	return settings_text(lent->worker->settings, name);
}

static size_t
lent_notes(const struct bicorn_server *server, const struct bicorn_str **out)
{
	const struct lent *lent = (const struct lent *)(const void *)server;

	*out = lent->worker->notes;
	return lent->worker->note_count;
}

static void
lent_log(const struct bicorn_server *server, int level, const char *text,
    size_t len)
{
	const struct lent *lent = (const struct lent *)(const void *)server;
	bool plain = (level & BICORN_LOG_PLAIN) != 0;

	if (level == BICORN_LOG_ACCESS) {
		/* The helper has none. */
		if (lent->worker->heritage != NULL)
			access_put(lent->worker->heritage->access, text, len);
		return;
	}
	level &= ~BICORN_LOG_PLAIN;
	if (level < BICORN_LOG_DEBUG || level > BICORN_LOG_CRITICAL)
		level = BICORN_LOG_INFO;
	if (plain)
		log_plain((enum log_level)level, text, len);
	else
		log_text((enum log_level)level, text, len);
}

void
lent_init(struct worker *w)
{
	w->lent.worker = w;
	w->lent.table = (struct bicorn_server){
		.size = sizeof(struct bicorn_server),
		.abi_major = BICORN_ABI_MAJOR,
		.abi_minor = BICORN_ABI_MINOR,
		.software = "bicorn/" PACKAGE_VERSION,
		.setting = lent_setting,
		.log = lent_log,
		.read = lent_read,
		.body = lent_body,
		.respond = lent_respond,
		.write = lent_write,
		.writev = lent_writev,
		.send_file = lent_send_file,
		.flush = lent_flush,
		.trailers = lent_trailers,
		.finish = lent_finish,
		.abort = lent_abort,
		.inform = lent_inform,
		.gone = lent_gone,
		.take_over = lent_take_over,
		.raw_read = lent_raw_read,
		.raw_write = lent_raw_write,
		.request_trailers = lent_request_trailers,
		.tls = lent_tls,
		.error = lent_error,
		.note = lent_note,
		.notes = lent_notes,
		.variables = exchange_variables,
		.waited = lent_waited,
		.listener = exchange_listener,
		.status = lent_status,
		.access_line = lent_access_line,
	};
}
