/* SPDX-License-Identifier: MIT */
/* HTTP of the admin listener: a handful of paths, each answered at once. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/admin_private.h"
#include "base/clock.h"
#include "base/span.h"
#include "http/response.h"

static const struct http_limits limits = {
	.line = 4096,
	.fields = 64,
	.field_size = 4096,
};

/* A request, of which everything points into p->in. */
struct request {
	struct admin *a;
	struct peer *p;
	struct span path, query, method;
	size_t length; /* head and body */
	bool head;
	bool keep;
};

/* --- writing -------------------------------------------------------------- */

static const char secure_fields[] =
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Cache-Control: no-store\r\n";

/* length below 0: the end of the connection ends the body. */
static bool
put_head(struct peer *p, unsigned status, const char *type, const char *more,
    int64_t length, bool keep)
{
	struct span reason = http_reason(status);
	char date[HTTP_DATE_LEN];
	bool ok;

	http_date(clock_wall(), date);
	ok = buf_fmt(&p->out,
	    "HTTP/1.1 %u %.*s\r\nServer: bicorn\r\nDate: %.*s\r\n"
	    "Connection: %s\r\nContent-Type: %s\r\n%s%s",
	    status, (int)reason.len, reason.ptr, HTTP_DATE_LEN, date,
	    keep ? "keep-alive" : "close", type, secure_fields, more);
	if (length >= 0)
		ok = ok &&
		    buf_fmt(&p->out, "Content-Length: %lld\r\n",
			(long long)length);
	return ok && buf_str(&p->out, "\r\n");
}

static bool
answer(const struct request *r, unsigned status, const char *type,
    const char *more, const char *body, size_t len)
{
	struct peer *p = r->p;

	p->close = !r->keep;
	return put_head(p, status, type, more, (int64_t)len, r->keep) &&
	    (r->head || buf_add(&p->out, body, len));
}

static bool
answer_text(const struct request *r, unsigned status, const char *text)
{
	return answer(r, status, "text/plain; charset=utf-8", "", text,
	    strlen(text));
}

static bool
answer_json(const struct request *r, unsigned status, json_t *data)
{
	char *text = data != NULL
	    ? json_dumps(data, JSON_COMPACT | JSON_ENSURE_ASCII |
			  JSON_REAL_PRECISION(10))
	    : NULL;
	bool ok;

	json_decref(data);
	if (text == NULL)
		return answer_text(r, 500, "out of memory\n");
	ok = answer(r, status, "application/json", "", text, strlen(text));
	free(text);
	return ok;
}

/* --- the paths ------------------------------------------------------------ */

static struct span
field(const struct request *r, struct span name)
{
	const struct http_field *f = http_head_field(&r->p->head,
	    r->p->in.data, name);

	return f != NULL ? http_span(r->p->in.data, f->value) : SPAN_NONE;
}

static bool
contains(struct span text, const char *what)
{
	return text.len > 0 &&
	    memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

static bool
get_metrics(const struct request *r)
{
	bool open = contains(field(r, SPAN("Accept")),
	    "application/openmetrics-text");
	const char *type = open
	    ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	    : "text/plain; version=0.0.4; charset=utf-8";
	struct buf body = { 0 };
	bool ok;

	view_look(&r->a->view);
	ok = view_metrics(&r->a->view, open, &body)
	    ? answer(r, 200, type, "", body.data, body.len)
	    : answer_text(r, 500, "out of memory\n");
	buf_fini(&body);
	return ok;
}

static bool
get_status(const struct request *r)
{
	view_look(&r->a->view);
	return answer_json(r, 200, view_status(&r->a->view));
}

static bool
get_health(const struct request *r)
{
	return answer_text(r, 200, "ok\n");
}

static bool
get_ready(const struct request *r)
{
	bool ready = view_ready(&r->a->view);

	return answer_text(r, ready ? 200 : 503,
	    ready ? "ready\n" : "not ready\n");
}

/* The only code and style that the browser runs are those of this answer. */
static const char policy[] =
    "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; "
    "style-src 'nonce-%s'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Frame-Options: DENY\r\n";

#define NONCE_MARK "@NONCE@"

/* Puts the page into body, with the nonce in place of each mark. */
static bool
fill_page(struct buf *body, const char *nonce)
{
	const char *at = (const char *)admin_page, *mark;
	const char *end = at + admin_page_len;
	bool ok = true;

	while (ok && (mark = memmem(at, (size_t)(end - at), NONCE_MARK,
			  sizeof(NONCE_MARK) - 1)) != NULL) {
		ok = buf_add(body, at, (size_t)(mark - at)) &&
		    buf_str(body, nonce);
		at = mark + sizeof(NONCE_MARK) - 1;
	}
	return ok && buf_add(body, at, (size_t)(end - at));
}

static bool
get_page(const struct request *r)
{
	char nonce[33], fields[sizeof(policy) + 2 * sizeof(nonce)];
	unsigned char random[16];
	struct buf body = { 0 };
	bool ok;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return answer_text(r, 500, "no random numbers\n");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	snprintf(fields, sizeof(fields), policy, nonce, nonce);
	ok = fill_page(&body, nonce)
	    ? answer(r, 200, "text/html; charset=utf-8", fields, body.data,
		  body.len)
	    : answer_text(r, 500, "out of memory\n");
	buf_fini(&body);
	return ok;
}

static size_t
count_events(const struct admin *a)
{
	size_t n = 0;

	for (size_t i = 0; i < PEERS_MAX; i++)
		n += a->peers[i].fd >= 0 && a->peers[i].kind == PEER_EVENTS;
	return n;
}

void
http_event(struct peer *p, const char *name, json_t *data)
{
	char *text = json_dumps(data, JSON_COMPACT | JSON_ENSURE_ASCII |
			  JSON_REAL_PRECISION(10));

	if (text != NULL)
		buf_fmt(&p->out, "event: %s\ndata: %s\n\n", name, text);
	free(text);
}

static bool
get_events(const struct request *r)
{
	struct peer *p = r->p;
	json_t *data;

	if (count_events(r->a) >= PEERS_EVENTS)
		return answer_text(r, 503, "too many look on\n");
	if (!put_head(p, 200, "text/event-stream", "", -1, false))
		return false;
	if (r->head) {
		p->close = true;
		return true;
	}
	p->kind = PEER_EVENTS;
	data = view_history(&r->a->view);
	http_event(p, "history", data);
	json_decref(data);
	data = view_status(&r->a->view);
	http_event(p, "status", data);
	json_decref(data);
	return true;
}

/* --- control -------------------------------------------------------------- */

/*
 * Only the page's own script can send the field: for others' the browser
 * would have to be allowed to by us.
 */
static bool
is_own(const struct request *r)
{
	struct span origin = field(r, SPAN("Origin"));
	struct span host = field(r, SPAN("Host"));

	if (!span_eq(field(r, SPAN("X-Bicorn")), SPAN("control")))
		return false;
	if (origin.ptr == NULL)
		return true; /* no browser */
	return origin.len > 7 && strncmp(origin.ptr, "http://", 7) == 0 &&
	    span_eq((struct span){ origin.ptr + 7, origin.len - 7 }, host);
}

static bool
answer_outcome(const struct request *r, unsigned status, bool ok,
    const char *text)
{
	return answer_json(r, status,
	    json_pack("{s:b,s:o}", "ok", ok, "message",
		view_text(text, strlen(text))));
}

static bool
post_control(const struct request *r)
{
	static const struct {
		const char *path;
		enum channel_command command;
		int64_t argument;
	} buttons[] = {
		{ "/control/reload", COMMAND_RELOAD, 0 },
		{ "/control/more", COMMAND_SCALE_BY, 1 },
		{ "/control/fewer", COMMAND_SCALE_BY, -1 },
	};

	if (!r->a->o->page_controls)
		return answer_outcome(r, 403, false,
		    "admin_control is off: this page only looks on");
	if (!is_own(r))
		return answer_outcome(r, 403, false,
		    "this request is not one of the page");
	for (size_t i = 0; i < sizeof(buttons) / sizeof(buttons[0]); i++) {
		if (!span_eq(r->path, span_of(buttons[i].path)))
			continue;
		if (!admin_command(r->a, r->p, buttons[i].command,
			buttons[i].argument))
			return answer_outcome(r, 503, false,
			    "the arbiter does not answer");
		r->p->close = !r->keep;
		return true;
	}
	return answer_outcome(r, 404, false, "there is no such button");
}

void
http_reply(struct admin *a, struct peer *p, bool ok, const char *text)
{
	const struct request r = { .a = a, .p = p, .keep = !p->close };

	answer_outcome(&r, ok ? 200 : 409, ok, text);
}

/* --- requests ------------------------------------------------------------- */

static const struct {
	const char *path;
	bool (*get)(const struct request *r);
} paths[] = {
	{ "/", get_page },
	{ "/events", get_events },
	{ "/health", get_health },
	{ "/metrics", get_metrics },
	{ "/ready", get_ready },
	{ "/status", get_status },
};

static bool
is_control(struct span path)
{
	return path.len > 9 && memcmp(path.ptr, "/control/", 9) == 0;
}

/*
 * A page of somebody else's, whose name was made to mean this machine, must
 * not read us: names of this machine and numeric addresses only.
 */
static bool
host_ok(const struct request *r)
{
	struct span host = field(r, SPAN("Host"));
	const char *colon;
	bool numeric = true;

	if (r->p->any_host || host.len == 0)
		return true;
	if (host.ptr[0] == '[')
		return true; /* an IPv6 address */
	colon = memchr(host.ptr, ':', host.len);
	if (colon != NULL)
		host.len = (size_t)(colon - host.ptr);
	for (size_t i = 0; i < host.len; i++)
		numeric = numeric &&
		    ((host.ptr[i] >= '0' && host.ptr[i] <= '9') ||
			host.ptr[i] == '.');
	return numeric || span_ieq(host, SPAN("localhost"));
}

static bool
dispatch(const struct request *r)
{
	bool post = span_eq(r->method, SPAN("POST"));

	if (!host_ok(r))
		return answer_text(r, 403,
		    "this name is not one of this machine (admin_public)\n");
	if (is_control(r->path) && post)
		return post_control(r);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!span_eq(r->path, span_of(paths[i].path)))
			continue;
		if (!r->head && !span_eq(r->method, SPAN("GET")))
			return answer(r, 405, "text/plain",
			    "Allow: GET, HEAD\r\n", "", 0);
		return paths[i].get(r);
	}
	if (is_control(r->path))
		return answer(r, 405, "text/plain", "Allow: POST\r\n", "", 0);
	return answer_text(r, 404, "there is nothing here\n");
}

/* A refusal ends the connection. */
static bool
refuse(struct admin *a, struct peer *p, unsigned status, const char *why)
{
	const struct request r = { .a = a, .p = p };

	p->in.len = 0;
	return answer_text(&r, status, why);
}

bool
http_serve(struct admin *a, struct peer *p)
{
	struct http_head *h = &p->head;
	struct request r = { .a = a, .p = p };
	bool ok;

	switch (http_head_parse(h, p->in.data, p->in.len, &limits)) {
	case HTTP_MORE:
		return p->in.len < REQUEST_MAX ||
		    refuse(a, p, 431, "the request is too large\n");
	case HTTP_BAD:
		return refuse(a, p, h->status, h->reason);
	case HTTP_DONE:
		break;
	}
	if (h->chunked || h->content_length > REQUEST_MAX / 2 ||
	    h->length > REQUEST_MAX / 2)
		return refuse(a, p, 413, "the request is too large\n");
	r.length = h->length +
	    (h->content_length > 0 ? (size_t)h->content_length : 0);
	if (p->in.len < r.length)
		return true;
	r.method = http_span(p->in.data, h->method);
	r.path = http_span(p->in.data, h->path);
	r.query = http_span(p->in.data, h->query);
	r.head = span_eq(r.method, SPAN("HEAD"));
	r.keep = h->keep_alive;
	ok = dispatch(&r);
	buf_drop(&p->in, r.length);
	http_head_reset(h);
	return ok;
}
