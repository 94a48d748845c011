/* SPDX-License-Identifier: MIT */
/*
 * An application that does what a test asks for by the path: one page for
 * each function of the interface and each way to misuse it.  Where a page
 * reports, its body is lines of NAME=VALUE.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

struct probe {
	const struct bicorn_server *server;
	unsigned threads;
	int fd; /* PROBE_FILE, or -1 */
};

struct per_thread {
	unsigned number;
	unsigned long count;
	uint64_t stop; /* number of the exchange to end, and 1; atomic */
};

/* --- helpers -------------------------------------------------------------- */

struct report {
	char text[16384];
	size_t len;
};

static void
report_add(struct report *r, const char *name, struct bicorn_str value)
{
	size_t room = sizeof(r->text) - r->len;
	size_t name_len = strlen(name);

	if (name_len + value.len + 2 > room)
		return;
	memcpy(r->text + r->len, name, name_len);
	r->len += name_len;
	r->text[r->len++] = '=';
	if (value.len > 0)
		memcpy(r->text + r->len, value.ptr, value.len);
	r->len += value.len;
	r->text[r->len++] = '\n';
}

static void
report_number(struct report *r, const char *name, long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", value);
	report_add(r, name, bicorn_str(text));
}

static void
report_send(struct bicorn_exchange *x, const struct report *r)
{
	bicorn_reply(x, 200, "text/plain", r->text, r->len);
}

/* The value of NAME in the query, terminated; "" when there is none. */
static const char *
query(const struct bicorn_exchange *x, const char *name, char out[256])
{
	struct bicorn_str rest = x->request->query;
	size_t name_len = strlen(name);

	out[0] = '\0';
	while (rest.len > 0) {
		const char *end = memchr(rest.ptr, '&', rest.len);
		size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;

		if (len > name_len && len - name_len <= 256 &&
		    rest.ptr[name_len] == '=' &&
		    memcmp(rest.ptr, name, name_len) == 0) {
			memcpy(out, rest.ptr + name_len + 1,
			    len - name_len - 1);
			out[len - name_len - 1] = '\0';
			return out;
		}
		if (end == NULL)
			break;
		rest.ptr += len + 1;
		rest.len -= len + 1;
	}
	return out;
}

static long long
number(const struct bicorn_exchange *x, const char *name, long long usual)
{
	char text[256];

	return *query(x, name, text) != '\0' ? strtoll(text, NULL, 10) : usual;
}

static void
write_text(struct bicorn_exchange *x, const char *text)
{
	bicorn_write(x, text, strlen(text));
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
pause_ms(long ms)
{
	struct timespec t;

	t.tv_sec = ms / 1000;
	t.tv_nsec = ms % 1000 * 1000000;
	nanosleep(&t, NULL);
}

/* --- the request ---------------------------------------------------------- */

static void
show_request(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct report out = { "", 0 };
	size_t i;

	report_add(&out, "method", r->method);
	report_add(&out, "target", r->target);
	report_add(&out, "path", r->path);
	report_add(&out, "raw_path", r->raw_path);
	report_add(&out, "query", r->query);
	report_add(&out, "protocol", r->protocol);
	report_add(&out, "scheme", r->scheme);
	report_add(&out, "host", r->host);
	report_number(&out, "content_length", r->content_length);
	report_add(&out, "peer_address", r->peer_address);
	report_number(&out, "peer_port", r->peer_port);
	report_add(&out, "local_address", r->local_address);
	report_number(&out, "local_port", r->local_port);
	report_number(&out, "local_unix", r->local_unix);
	report_number(&out, "tls", r->tls);
	report_number(&out, "header_count", (long long)r->header_count);
	for (i = 0; i < r->header_count; i++) {
		report_add(&out, "name", r->headers[i].name);
		report_add(&out, "value", r->headers[i].value);
	}
	report_add(&out, "x-one", bicorn_header(x, "X-ONE"));
	report_number(&out, "x-none",
	    bicorn_header(x, "X-None").ptr == NULL);
	report_send(x, &out);
}

/* The body as bicorn_body() gives it. */
static void
echo_body(struct bicorn_exchange *x)
{
	struct bicorn_str body;
	int rc = bicorn_body(x, &body);

	if (rc == BICORN_OK)
		bicorn_reply(x, 200, "text/plain", body.ptr, body.len);
}

/* The body as bicorn_read() gives it, in pieces of ?piece=N. */
static void
echo_read(struct bicorn_exchange *x)
{
	size_t piece = (size_t)number(x, "piece", 4096);
	char *buf = malloc(piece);
	struct bicorn_header h = bicorn_field("Content-Type", "text/plain");
	int64_t n;

	if (buf == NULL)
		return;
	bicorn_respond(x, 200, &h, 1, x->request->content_length);
	while ((n = bicorn_read(x, buf, piece)) > 0)
		bicorn_write(x, buf, (size_t)n);
	free(buf);
}

/* Part of the body is read, then all of it is asked for, then the rest. */
static void
read_both_ways(struct bicorn_exchange *x)
{
	struct report out = { "", 0 };
	struct bicorn_str part;
	char buf[16];
	int64_t n;

	n = bicorn_read(x, buf, 4);
	part.ptr = buf;
	part.len = n > 0 ? (size_t)n : 0;
	report_add(&out, "first", part);
	report_number(&out, "body", bicorn_body(x, &part));
	report_number(&out, "length", (long long)part.len);
	report_add(&out, "whole", part);
	n = bicorn_read(x, buf, sizeof(buf));
	part.ptr = buf;
	part.len = n > 0 ? (size_t)n : 0;
	report_add(&out, "rest", part);
	report_number(&out, "end", bicorn_read(x, buf, sizeof(buf)));
	report_number(&out, "end-again", bicorn_read(x, buf, sizeof(buf)));
	report_send(x, &out);
}

static void
show_request_trailers(struct bicorn_exchange *x)
{
	const struct bicorn_header *fields = NULL;
	struct report out = { "", 0 };
	size_t count = bicorn_request_trailers(x, &fields), i;

	report_number(&out, "count", (long long)count);
	for (i = 0; i < count; i++) {
		report_add(&out, "name", fields[i].name);
		report_add(&out, "value", fields[i].value);
	}
	report_send(x, &out);
}

static void
show_variables(struct bicorn_exchange *x)
{
	const struct bicorn_header *items = NULL;
	struct report out = { "", 0 };
	size_t count = bicorn_variables(x, &items), i;

	report_number(&out, "count", (long long)count);
	report_add(&out, "peer", x->request->peer_address);
	for (i = 0; i < count; i++) {
		report_add(&out, "name", items[i].name);
		report_add(&out, "value", items[i].value);
	}
	report_send(x, &out);
}

/* --- respond -------------------------------------------------------------- */

static void
respond_twice(struct bicorn_exchange *x)
{
	struct bicorn_header first = bicorn_field("X-First", "1");
	struct bicorn_header second = bicorn_field("X-Second", "2");

	bicorn_respond(x, 200, &first, 1, 7);
	bicorn_write(x, "dropped", 7);
	if (bicorn_respond(x, 201, &second, 1, 5) == BICORN_OK)
		write_text(x, "after");
}

static void
respond_late(struct bicorn_exchange *x)
{
	char text[32];

	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	write_text(x, "sent ");
	bicorn_flush(x);
	snprintf(text, sizeof(text), "%d %d",
	    bicorn_respond(x, 201, NULL, 0, 0),
	    bicorn_inform(x, 103, NULL, 0));
	write_text(x, text);
}

static void
respond_invalid(struct bicorn_exchange *x)
{
	static const struct {
		const char *what, *name, *value;
	} bad[] = {
		{ "value-crlf", "X-A", "a\r\nX-Evil: 1" },
		{ "value-lf", "X-A", "a\nb" },
		{ "value-cr", "X-A", "a\rb" },
		{ "value-control", "X-A", "a\001b" },
		{ "value-delete", "X-A", "a\177b" },
		{ "name-space", "X A", "a" },
		{ "name-colon", "X:A", "a" },
		{ "name-crlf", "X-A\r\nX-B", "a" },
		{ "name-empty", "", "a" },
		{ "name-utf8", "X-\303\251", "a" },
		{ "length-text", "Content-Length", "ten" },
		{ "length-negative", "Content-Length", "-1" },
		{ "length-list", "Content-Length", "1, 1" },
	};
	struct report out = { "", 0 };
	struct bicorn_header h;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		h = bicorn_field(bad[i].name, bad[i].value);
		report_number(&out, bad[i].what, bicorn_respond(x, 200, &h, 1,
		    BICORN_LENGTH_UNKNOWN));
	}
	h = bicorn_field("X-A", "");
	h.value.ptr = "a\0b";
	h.value.len = 3;
	report_number(&out, "value-nul", bicorn_respond(x, 200, &h, 1, 0));
	report_number(&out, "status-0", bicorn_respond(x, 0, NULL, 0, 0));
	report_number(&out, "status-101", bicorn_respond(x, 101, NULL, 0, 0));
	report_number(&out, "status-199", bicorn_respond(x, 199, NULL, 0, 0));
	report_number(&out, "status-1000",
	    bicorn_respond(x, 1000, NULL, 0, 0));
	report_number(&out, "reason-crlf", bicorn_respond_reason(x, 200,
	    bicorn_str("OK\r\nX-Evil: 1"), NULL, 0, 0));
	report_send(x, &out);
}

/* A field that cannot be sent, and nothing else is done about it. */
static void
respond_only_invalid(struct bicorn_exchange *x)
{
	struct bicorn_header h = bicorn_field("X-A", "a\r\nX-Evil: 1");

	bicorn_respond(x, 200, &h, 1, 0);
}

static void
respond_nothing(struct bicorn_exchange *x)
{
	(void)x;
}

/* Everything that needs a response, before there is one. */
static void
too_early(struct bicorn_exchange *x)
{
	struct report out = { "", 0 };
	struct bicorn_str part = { "a", 1 };
	struct bicorn_header h = bicorn_field("X-A", "a");
	char buf[4];

	report_number(&out, "write", bicorn_write(x, "a", 1));
	report_number(&out, "writev", bicorn_writev(x, &part, 1));
	report_number(&out, "flush", bicorn_flush(x));
	report_number(&out, "send_file", bicorn_send_file(x, 0, 0, 1));
	report_number(&out, "trailers", bicorn_trailers(x, &h, 1));
	report_number(&out, "finish", bicorn_finish(x));
	report_number(&out, "raw_read", bicorn_raw_read(x, buf, 4, 0));
	report_number(&out, "raw_write", bicorn_raw_write(x, "a", 1));
	report_send(x, &out);
}

static void
respond_status(struct bicorn_exchange *x)
{
	char reason[256];
	struct bicorn_header h = bicorn_field("X-Page", "status");

	query(x, "reason", reason);
	bicorn_respond_reason(x, (unsigned)number(x, "code", 200),
	    bicorn_str(reason[0] != '\0' ? reason : NULL), &h, 1,
	    number(x, "length", BICORN_LENGTH_UNKNOWN));
	write_text(x, "body");
}

/* Fields that are the server's business. */
static void
respond_hop(struct bicorn_exchange *x)
{
	struct bicorn_header h[8];

	h[0] = bicorn_field("Date", "never");
	h[1] = bicorn_field("Server", "other");
	h[2] = bicorn_field("connection", "X-Hop");
	h[3] = bicorn_field("Keep-Alive", "timeout=1");
	h[4] = bicorn_field("Transfer-Encoding", "chunked");
	h[5] = bicorn_field("Upgrade", "other");
	h[6] = bicorn_field("X-Kept", "yes");
	h[7] = bicorn_field("Content-Length", "999");
	bicorn_respond(x, 200, h, 8, 4);
	write_text(x, "body");
}

/* Content-Length among the fields frames, when no length is given. */
static void
respond_length_field(struct bicorn_exchange *x)
{
	struct bicorn_header h = bicorn_field("content-length", "4");

	bicorn_respond(x, 200, &h, 1, BICORN_LENGTH_UNKNOWN);
	write_text(x, "bo");
	bicorn_flush(x);
	write_text(x, "dy and more");
}

/* --- the body of the response --------------------------------------------- */

static void
write_pattern(struct bicorn_exchange *x)
{
	long long bytes = number(x, "bytes", 1000), at;
	size_t piece = (size_t)number(x, "piece", 65536);
	int flush = number(x, "flush", 0) != 0, rc = BICORN_OK;
	char *buf = malloc(piece);

	if (buf == NULL)
		return;
	bicorn_respond(x, 200, NULL, 0,
	    number(x, "length", BICORN_LENGTH_UNKNOWN));
	for (at = 0; at < bytes && rc == BICORN_OK; at += (long long)piece) {
		size_t i, n = bytes - at < (long long)piece
		    ? (size_t)(bytes - at)
		    : piece;

		for (i = 0; i < n; i++)
			buf[i] = (char)('a' + (at + (long long)i) % 23);
		rc = bicorn_write(x, buf, n);
		if (rc == BICORN_OK && flush)
			rc = bicorn_flush(x);
	}
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: wrote %lld, rc %d",
	    at < bytes ? at : bytes, rc);
	free(buf);
}

static void
write_parts(struct bicorn_exchange *x)
{
	struct bicorn_str parts[200];
	size_t i;

	for (i = 0; i < 200; i++)
		parts[i] = bicorn_str(i % 3 == 0 ? "" :
				      i % 3 == 1 ? "ab" : "c");
	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	if (number(x, "flush", 0))
		bicorn_flush(x);
	bicorn_writev(x, parts, 200);
}

/* Three pieces, each sent when the client has asked for the next one. */
static void
write_chunks(struct bicorn_exchange *x)
{
	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	write_text(x, "one");
	write_text(x, " more");
	bicorn_flush(x);
	bicorn_flush(x);
	write_text(x, "");
	write_text(x, "two");
	bicorn_flush(x);
	write_text(x, "three");
}

static void
send_the_file(struct bicorn_exchange *x)
{
	const struct probe *p = x->app;
	int fd = p->fd, rc;

	if (number(x, "dup", 0))
		fd = dup(fd);
	bicorn_respond(x, 200, NULL, 0,
	    number(x, "length", BICORN_LENGTH_UNKNOWN));
	if (number(x, "around", 0))
		write_text(x, "<<");
	rc = bicorn_send_file(x, fd, number(x, "offset", 0),
	    number(x, "len", -1));
	if (fd != p->fd)
		close(fd);
	if (number(x, "around", 0))
		write_text(x, ">>");
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: file rc %d offset %lld",
	    rc, (long long)lseek(p->fd, 0, SEEK_CUR));
}

static void
send_a_bad_file(struct bicorn_exchange *x)
{
	struct report out = { "", 0 };
	const struct probe *p = x->app;

	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	report_number(&out, "closed", bicorn_send_file(x, -1, 0, -1));
	report_number(&out, "offset", bicorn_send_file(x, p->fd, -1, 1));
	report_send(x, &out);
}

static void
send_trailers(struct bicorn_exchange *x)
{
	struct bicorn_header h[2], bad;
	struct report out = { "", 0 };

	h[0] = bicorn_field("X-Sum", "42");
	h[1] = bicorn_field("X-Two", "2");
	bad = bicorn_field("X-Bad", "a\r\nb");
	bicorn_respond(x, 200, NULL, 0,
	    number(x, "length", BICORN_LENGTH_UNKNOWN));
	report_number(&out, "bad", bicorn_trailers(x, &bad, 1));
	bad = bicorn_field("Content-Length", "1");
	report_number(&out, "framing", bicorn_trailers(x, &bad, 1));
	bicorn_write(x, out.text, out.len);
	if (number(x, "flush", 1))
		bicorn_flush(x);
	bicorn_trailers(x, h, 2);
}

static void
inform(struct bicorn_exchange *x)
{
	struct bicorn_header link = bicorn_field("Link",
	    "</a.css>; rel=preload");
	struct bicorn_header bad = bicorn_field("Link", "a\r\nb");
	struct report out = { "", 0 };

	report_number(&out, "inform", bicorn_inform(x, 103, &link, 1));
	report_number(&out, "again", bicorn_inform(x, 103, &link, 1));
	report_number(&out, "bad", bicorn_inform(x, 103, &bad, 1));
	report_number(&out, "final", bicorn_inform(x, 200, NULL, 0));
	report_number(&out, "upgrade", bicorn_inform(x, 101, NULL, 0));
	report_send(x, &out);
}

static void
finish_early(struct bicorn_exchange *x)
{
	int first, second, write, respond;

	bicorn_reply(x, 200, "text/plain", "done\n", 5);
	first = bicorn_finish(x);
	second = bicorn_finish(x);
	write = bicorn_write(x, "more", 4);
	respond = bicorn_respond(x, 500, NULL, 0, 0);
	bicorn_logf(x->server, BICORN_LOG_INFO,
	    "probe: finish %d %d, write %d, respond %d", first, second, write,
	    respond);
	/* The client has its answer while this goes on. */
	if (number(x, "wait", 0)) {
		int64_t end = now_ms() + number(x, "wait", 0);

		while (!bicorn_gone(x) && now_ms() < end)
			pause_ms(5);
		bicorn_logf(x->server, BICORN_LOG_INFO, "probe: tidied up");
	}
}

static void
abort_it(struct bicorn_exchange *x)
{
	char when[256];

	query(x, "when", when);
	if (strcmp(when, "first") != 0) {
		bicorn_respond(x, 200, NULL, 0,
		    number(x, "length", BICORN_LENGTH_UNKNOWN));
		write_text(x, "part");
	}
	if (strcmp(when, "sent") == 0)
		bicorn_flush(x);
	bicorn_abort(x);
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: aborted, write %d",
	    bicorn_write(x, "more", 4));
}

/* --- the connection ------------------------------------------------------- */

static void
wait_until_gone(struct bicorn_exchange *x)
{
	int64_t end = now_ms() + number(x, "wait", 10000);

	bicorn_log(x->server, BICORN_LOG_INFO, "probe: waiting");
	while (!bicorn_gone(x) && now_ms() < end)
		pause_ms(5);
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: gone %d",
	    bicorn_gone(x));
	bicorn_reply(x, 200, NULL, "here\n", 5);
}

/* Streams until a write fails. */
static void
write_until_gone(struct bicorn_exchange *x)
{
	static const char block[8192];
	long long written = 0;
	int rc;

	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	do {
		rc = bicorn_write(x, block, sizeof(block));
		if (rc == BICORN_OK)
			rc = bicorn_flush(x);
		written += (long long)sizeof(block);
	} while (rc == BICORN_OK && written < (1LL << 32));
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: write failed with %d",
	    rc);
}

/*
 * Takes the connection over and sends back what comes, in brackets, until
 * the client ends it or says "quit".
 */
static void
take_over(struct bicorn_exchange *x)
{
	struct bicorn_header h[2];
	char buf[4096];
	int64_t n;
	int fd = -1, rc;

	h[0] = bicorn_field("Connection", "Upgrade");
	h[1] = bicorn_field("Upgrade", "echo");
	rc = bicorn_take_over(x, (unsigned)number(x, "code", 101), h, 2, &fd);
	if (rc != BICORN_OK) {
		struct report out = { "", 0 };

		report_number(&out, "take_over", rc);
		report_send(x, &out);
		return;
	}
	while ((n = bicorn_raw_read(x, buf, sizeof(buf), 10000)) > 0) {
		bicorn_raw_write(x, "[", 1);
		bicorn_raw_write(x, buf, (size_t)n);
		bicorn_raw_write(x, "]", 1);
		if (n == 4 && memcmp(buf, "quit", 4) == 0)
			break;
	}
	bicorn_logf(x->server, BICORN_LOG_INFO,
	    "probe: talk ended with %lld, fd %s, respond %d, write %d",
	    (long long)n, fd >= 0 ? "ok" : "bad",
	    bicorn_respond(x, 200, NULL, 0, 0), bicorn_write(x, "a", 1));
}

static void
take_over_silent(struct bicorn_exchange *x)
{
	char buf[64], text[64];
	int64_t n, begun;
	int fd;

	if (bicorn_take_over(x, 200, NULL, 0, &fd) != BICORN_OK)
		return;
	begun = now_ms();
	n = bicorn_raw_read(x, buf, sizeof(buf), 60);
	snprintf(text, sizeof(text), "%d %d\n", (int)n,
	    now_ms() - begun >= 55);
	bicorn_raw_write(x, text, strlen(text));
}

/* Much output over a connection that was taken over. */
/* The socket itself, which answers until the client says no more. */
static void
take_over_bare(struct bicorn_exchange *x)
{
	static const char head[] = "HTTP/1.1 101 Bare\r\n\r\n";
	char buf[64];
	ssize_t n;
	int fd, copy, rc = bicorn_take_over(x, 0, NULL, 0, &fd);

	if (rc != BICORN_OK) {
		struct report out = { "", 0 };

		report_number(&out, "take_over", rc);
		report_send(x, &out);
		return;
	}
	copy = dup(fd);
	fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) & ~O_NONBLOCK);
	n = write(copy, head, sizeof(head) - 1);
	while (n > 0 && (n = read(copy, buf, sizeof(buf))) > 0)
		n = write(copy, buf, (size_t)n);
	/* The copy stays open: the connection ends all the same. */
}

static void
take_over_flood(struct bicorn_exchange *x)
{
	static char block[1 << 20];
	int fd, i, rc = BICORN_OK;

	if (bicorn_take_over(x, 200, NULL, 0, &fd) != BICORN_OK)
		return;
	for (i = 0; i < 8 && rc == BICORN_OK; i++)
		rc = bicorn_raw_write(x, block, sizeof(block));
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: flood rc %d", rc);
}

/* Runs until it is interrupted, or for ?wait=MS. */
static void
run_long(struct bicorn_exchange *x)
{
	struct per_thread *t = x->thread;
	int64_t end = now_ms() + number(x, "wait", 20000);

	while (now_ms() < end) {
		if (__atomic_load_n(&t->stop, __ATOMIC_RELAXED) ==
		    x->number + 1) {
			bicorn_reply(x, 504, NULL, "stopped\n", 8);
			return;
		}
		pause_ms(5);
	}
	bicorn_reply(x, 200, NULL, "done\n", 5);
}

/* --- the server ----------------------------------------------------------- */

static void
show_setting(struct bicorn_exchange *x)
{
	char name[256];
	const char *value = bicorn_setting(x->server, query(x, "name", name));

	if (value != NULL)
		bicorn_reply(x, 200, "text/plain", value, strlen(value));
	else
		bicorn_reply(x, 404, "text/plain", "", 0);
}

static void
write_log(struct bicorn_exchange *x)
{
	bicorn_log(x->server, BICORN_LOG_DEBUG, "probe: a debug line");
	bicorn_log(x->server, BICORN_LOG_INFO, "probe: an info line");
	bicorn_log(x->server, BICORN_LOG_WARNING, "probe: a warning line");
	bicorn_log(x->server, BICORN_LOG_ERROR, "probe: an error line");
	bicorn_log(x->server, BICORN_LOG_CRITICAL, "probe: a critical line");
	bicorn_logf(x->server, BICORN_LOG_INFO, "probe: number %d of %s", 7,
	    "nine");
	bicorn_log(x->server, BICORN_LOG_INFO, "probe: split\nline \033[1m");
	bicorn_log(x->server, BICORN_LOG_DEBUG | BICORN_LOG_PLAIN,
	    "probe: nothing in front");
	bicorn_reply(x, 200, NULL, "logged\n", 7);
}

static void
show_thread(struct bicorn_exchange *x)
{
	const struct probe *p = x->app;
	const struct per_thread *t = x->thread;
	struct report out = { "", 0 };

	report_number(&out, "pid", getpid());
	report_number(&out, "threads", p->threads);
	report_number(&out, "number", t->number);
	report_number(&out, "count", (long long)t->count);
	report_number(&out, "same_server", p->server == x->server);
	report_add(&out, "software", bicorn_str(x->server->software));
	report_number(&out, "size_ok", x->size >= sizeof(*x) &&
	    x->server->size >= sizeof(*x->server) &&
	    x->request->size >= sizeof(*x->request));
	report_number(&out, "major", x->server->abi_major);
	if (number(x, "wait", 0))
		pause_ms((long)number(x, "wait", 0));
	report_send(x, &out);
}

static void
hello(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", "Hello, World!\n", 14);
}

/* --- the table ------------------------------------------------------------ */

static const struct {
	const char *path;
	void (*show)(struct bicorn_exchange *x);
} pages[] = {
	{ "/", hello },
	{ "/request", show_request },
	{ "/body", echo_body },
	{ "/read", echo_read },
	{ "/both", read_both_ways },
	{ "/request-trailers", show_request_trailers },
	{ "/variables", show_variables },
	{ "/twice", respond_twice },
	{ "/late", respond_late },
	{ "/invalid", respond_invalid },
	{ "/only-invalid", respond_only_invalid },
	{ "/nothing", respond_nothing },
	{ "/early", too_early },
	{ "/status", respond_status },
	{ "/hop", respond_hop },
	{ "/length-field", respond_length_field },
	{ "/pattern", write_pattern },
	{ "/parts", write_parts },
	{ "/chunks", write_chunks },
	{ "/file", send_the_file },
	{ "/bad-file", send_a_bad_file },
	{ "/trailers", send_trailers },
	{ "/inform", inform },
	{ "/finish", finish_early },
	{ "/abort", abort_it },
	{ "/gone", wait_until_gone },
	{ "/until-gone", write_until_gone },
	{ "/take-over", take_over },
	{ "/take-over-silent", take_over_silent },
	{ "/take-over-bare", take_over_bare },
	{ "/take-over-flood", take_over_flood },
	{ "/long", run_long },
	{ "/setting", show_setting },
	{ "/log", write_log },
	{ "/thread", show_thread },
};

static void
handle(struct bicorn_exchange *x)
{
	struct per_thread *t = x->thread;
	size_t i;

	t->count++;
	if (bicorn_header(x, "X-Show").ptr != NULL) {
		show_request(x);
		return;
	}
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (bicorn_str_eq(x->request->path, pages[i].path)) {
			pages[i].show(x);
			return;
		}
	if (bicorn_str_eq(x->request->path, "*"))
		show_request(x);
	else
		bicorn_reply(x, 404, "text/plain", "no such page\n", 13);
}

static int
load(struct bicorn_load *l)
{
	const char *file = getenv("PROBE_FILE");
	struct probe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return BICORN_LOAD_FAILED;
	p->server = l->server;
	p->threads = l->threads;
	p->fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	l->app = p;
	bicorn_logf(l->server, BICORN_LOG_INFO,
	    "probe: load target \"%s\" threads %u", l->target, l->threads);
	return BICORN_LOADED;
}

static void
unload(void *app)
{
	struct probe *p = app;

	bicorn_log(p->server, BICORN_LOG_INFO, "probe: unload");
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static int
thread_start(void *app, unsigned number_, void **thread_out)
{
	struct probe *p = app;
	struct per_thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -1;
	t->number = number_;
	bicorn_logf(p->server, BICORN_LOG_INFO, "probe: start thread %u",
	    number_);
	*thread_out = t;
	return 0;
}

static void
thread_stop(void *app, void *thread)
{
	struct probe *p = app;
	struct per_thread *t = thread;

	bicorn_logf(p->server, BICORN_LOG_INFO, "probe: stop thread %u",
	    t->number);
	free(t);
}

static void
interrupt(void *app, void *thread, uint64_t number_)
{
	struct probe *p = app;
	struct per_thread *t = thread;

	bicorn_logf(p->server, BICORN_LOG_INFO, "probe: interrupt thread %u",
	    t->number);
	__atomic_store_n(&t->stop, number_ + 1, __ATOMIC_RELAXED);
}

static int
dump(void *app, void *thread, int fd)
{
	const struct per_thread *t = thread;
	char text[64];
	int len = snprintf(text, sizeof(text), "probe: dump of thread %u\n",
	    t->number);

	(void)app;
	return write(fd, text, (size_t)len) == len ? 0 : -1;
}

BICORN_APP(.handle = handle, .load = load, .unload = unload,
    .thread_start = thread_start, .thread_stop = thread_stop,
    .interrupt = interrupt, .dump = dump)

/* A second application in the same object. */
BICORN_APP_AS(second_app, .handle = hello)
