/* SPDX-License-Identifier: MIT */
/* Requests as they arrive: in any pieces, in memory and in files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/trust.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/span.h"
#include "conf/conf.h"
#include "net/conn.h"
#include "net/listen.h"
#include "worker/client.h"
#include "worker/inbound.h"
#include "worker/worker_private.h"

#define NOW 1000000

struct fixture {
	struct listener listener;
	struct settings settings;
	struct worker w;
	struct client c;
	int peer;
	int64_t now_ms;
};

static void
fixture_open(struct fixture *f)
{
	static const char *const nobody[] = { "" };
	struct err err;
	int fds[2];

	*f = (struct fixture){ .now_ms = NOW };
	f->settings = (struct settings){
		.forwarded_allow_ips = { nobody, 0 },
		.header_map = "drop",
		.header_timeout_ms = 30000,
		.body_timeout_ms = 60000,
		.keepalive_ms = 75000,
		.rate_grace_ms = 60000,
		.body_buffer_bytes = 1024,
		.limit_request_body_bytes = 100000,
		.buffer_memory_bytes = 1 << 28,
	};
	f->w.settings = &f->settings;
	f->w.limits = (struct http_limits){ .line = 4094, .fields = 100,
		.field_size = 8190 };
	f->w.keep = (struct outbound_limits){ .memory = 1 << 20,
		.buffered = &f->w.buffered, .buffered_max = 1 << 28 };
	if (trust_new(&f->settings, &f->w.trust, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	f->listener.settings = &f->settings;
	f->c.conn = (struct conn){ .fd = fds[0],
		.transport = &transport_plain, .listener = &f->listener };
	f->c.state = CLIENT_IDLE;
	f->c.fresh = true;
	f->peer = fds[1];
}

static size_t
count_spare(struct fixture *f)
{
	struct inbound *in = f->w.spare_inbound;
	size_t n = 0;

	for (; in != NULL; in = in->next)
		n++;
	return n;
}

static void
fixture_close(struct fixture *f)
{
	struct inbound *in, *next;

	inbound_drop(&f->w, &f->c);
	assert_int_equal(f->w.buffered, 0);
	for (in = f->w.spare_inbound; in != NULL; in = next) {
		next = in->next;
		inbound_free(in);
	}
	outbound_drop(&f->c.out, &f->w.keep);
	trust_free(&f->w.trust);
	close(f->c.conn.fd);
	if (f->peer >= 0)
		close(f->peer);
}

static void
say(struct fixture *f, const char *data, size_t len)
{
	assert_int_equal(write(f->peer, data, len), len);
	f->c.readable = true;
}

static enum inbound_verdict
step(struct fixture *f)
{
	enum inbound_verdict v;

	do
		v = inbound_step(&f->w, &f->c, f->now_ms);
	while (v == INBOUND_MORE && f->c.readable);
	return v;
}

static enum inbound_verdict
say_step(struct fixture *f, const char *text)
{
	say(f, text, strlen(text));
	return step(f);
}

/* The body of the complete request, wherever it is. */
static void
body_is(struct fixture *f, const char *data, size_t len)
{
	struct inbound *in = f->c.in;
	char *copy = malloc(len + 1);

	assert_true(in->complete);
	assert_int_equal(in->body_total, len);
	if (in->spool < 0) {
		assert_int_equal(in->body_len, len);
		memcpy(copy, inbound_body(in), len);
	} else {
		assert_int_equal(in->body_len, 0);
		assert_int_equal(fd_pread_all(in->spool, copy, len + 1, 0),
		    len);
	}
	assert_memory_equal(copy, data, len);
	free(copy);
}

static void
target_is(struct fixture *f, const char *target)
{
	struct inbound *in = f->c.in;

	assert_true(span_eq(http_span(in->in.data, in->head.target),
	    span_of(target)));
}

static void
done(struct fixture *f)
{
	inbound_done(&f->w, &f->c);
	f->c.state = CLIENT_IDLE;
}

static const char bare[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
static const char length[] =
    "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world";
static const char chunked[] =
    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-T: 1\r\n\r\n";

static void
test_at_once(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(say_step(&f, bare), INBOUND_READY);
	target_is(&f, "/a");
	body_is(&f, "", 0);
	done(&f);
	assert_null(f.c.in);
	assert_int_equal(say_step(&f, length), INBOUND_READY);
	target_is(&f, "/b");
	body_is(&f, "hello world", 11);
	done(&f);
	assert_int_equal(say_step(&f, chunked), INBOUND_READY);
	target_is(&f, "/c");
	body_is(&f, "hello world", 11);
	assert_int_equal(f.c.in->trailer.len, 8);
	done(&f);
	/* An idle connection has nothing. */
	assert_null(f.c.in);
	assert_int_equal(count_spare(&f), 1);
	assert_false(f.c.fresh);
	fixture_close(&f);
}

/* Three requests in one stream, which is cut in two at every place. */
static void
test_every_split(void **state)
{
	char text[1024];
	size_t len;

	(void)state;
	len = (size_t)snprintf(text, sizeof(text), "%s%s%s%s", length, chunked,
	    bare, length);
	for (size_t cut = 0; cut <= len; cut++) {
		static const char *const targets[] = { "/b", "/c", "/a", "/b" };
		struct fixture f;
		size_t served = 0;

		fixture_open(&f);
		for (int part = 0; part < 2; part++) {
			if (part == 0 && cut > 0)
				say(&f, text, cut);
			if (part == 1 && cut < len)
				say(&f, text + cut, len - cut);
			while (f.c.readable || f.c.in != NULL) {
				if (step(&f) != INBOUND_READY)
					break;
				target_is(&f, targets[served]);
				if (served == 2)
					body_is(&f, "", 0);
				else
					body_is(&f, "hello world", 11);
				served++;
				done(&f);
			}
		}
		assert_int_equal(served, 4);
		assert_null(f.c.in);
		fixture_close(&f);
	}
}

static void
test_byte_by_byte(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	for (int round = 0; round < 2; round++) {
		const char *text = round == 0 ? length : chunked;

		for (; text[1] != '\0'; text++) {
			say(&f, text, 1);
			assert_int_equal(step(&f), INBOUND_MORE);
		}
		say(&f, text, 1);
		assert_int_equal(step(&f), INBOUND_READY);
		body_is(&f, "hello world", 11);
		done(&f);
	}
	fixture_close(&f);
}

/* A body of that size, in pieces, around body_buffer. */
static void
body_of(size_t size, size_t piece, bool in_chunks)
{
	char *body = malloc(size + 1), head[256];
	struct fixture f;
	enum inbound_verdict v = INBOUND_MORE;

	for (size_t i = 0; i < size; i++)
		body[i] = (char)('a' + (i * 7 + i / 100) % 26);
	fixture_open(&f);
	snprintf(head, sizeof(head), in_chunks
		? "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n"
		: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
	    size);
	say(&f, head, strlen(head));
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		char line[32];

		if (in_chunks)
			say(&f, line, (size_t)snprintf(line, sizeof(line),
			    "%zx\r\n", n));
		say(&f, body + at, n);
		if (in_chunks)
			say(&f, "\r\n", 2);
		v = step(&f);
		assert_true(v != INBOUND_REFUSE && v != INBOUND_END);
	}
	/* What comes behind the body is not lost. */
	if (in_chunks)
		say(&f, "0\r\n\r\n", 5);
	say(&f, bare, strlen(bare));
	if (v != INBOUND_READY)
		v = step(&f);
	assert_int_equal(v, INBOUND_READY);
	body_is(&f, body, size);
	assert_int_equal(f.c.in->spool >= 0, size > 1024);
	done(&f);
	assert_int_equal(step(&f), INBOUND_READY);
	target_is(&f, "/a");
	done(&f);
	assert_null(f.c.in);
	fixture_close(&f);
	free(body);
}

static void
test_spool(void **state)
{
	static const size_t sizes[] = { 1, 1023, 1024, 1025, 4096, 70000 };

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t piece = 7; piece < 100000; piece *= 13) {
			if (sizes[i] / piece > 1000)
				continue;
			body_of(sizes[i], piece, false);
			body_of(sizes[i], piece, true);
		}
}

/* A body that is known to be large goes to the file from the beginning. */
static void
test_spool_at_once(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 2000\r\n\r\nabc"), INBOUND_MORE);
	assert_true(f.c.in->spool >= 0);
	assert_int_equal(f.c.in->body_len, 0);
	assert_true(fcntl(f.c.in->spool, F_GETFD) & FD_CLOEXEC);
	fixture_close(&f);
}

static void
refused(struct fixture *f, const char *text, unsigned status)
{
	assert_int_equal(say_step(f, text), INBOUND_REFUSE);
	assert_int_equal(f->c.in->refusal, status);
	assert_non_null(f->c.in->reason);
	inbound_drop(&f->w, &f->c);
	f->c.state = CLIENT_IDLE;
	while (read(f->c.conn.fd, (char[1000]){ 0 }, 1000) > 0)
		;
}

static void
test_limits(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n"
		    "\r\n", 413);
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
		    "\r\n\r\n186a1\r\n", 413);
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
		    "\r\n\r\nfffffffffffffff\r\n", 413);
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
		    "\r\n\r\nx\r\n", 400);
	refused(&f, "BAD\r\n\r\n", 400);
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 100000\r\n\r\n"), INBOUND_MORE);
	inbound_drop(&f.w, &f.c);
	f.c.state = CLIENT_IDLE;
	/* A chunked body that grows beyond the limit bit by bit. */
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"), INBOUND_MORE);
	for (int i = 0; i < 100; i++) {
		char chunk[1100];
		int n = snprintf(chunk, sizeof(chunk), "3e8\r\n%01000d\r\n", 0);

		say(&f, chunk, (size_t)n);
		assert_int_equal(step(&f), INBOUND_MORE);
	}
	refused(&f, "1\r\n", 413);
	f.settings.limit_request_body_bytes = 0; /* no limit */
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 900000000000\r\n\r\n"), INBOUND_MORE);
	fixture_close(&f);
}

static void
test_no_folder(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	f.settings.tmp_upload_dir = "/nowhere";
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n"
		    "\r\nabc", 500);
	fixture_close(&f);
}

static void
no_memory_left(struct fixture *f)
{
	f->settings.buffer_memory_bytes = 1 << 20;
	f->w.buffered = 2 << 20;
	refused(f, length, 503);
	f->w.buffered = 0;
}

static void
test_memory_of_all(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	no_memory_left(&f);
	assert_int_equal(say_step(&f, length), INBOUND_READY);
	fixture_close(&f);
}

static void
heard(struct fixture *f, const char *expected)
{
	char got[256];
	ssize_t n = read(f->peer, got, sizeof(got));

	if (*expected == '\0') {
		assert_true(n < 0);
		return;
	}
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(got, expected, n);
}

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* Once, when the body is wanted and did not come by itself. */
static void
test_continue(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(say_step(&f, head), INBOUND_MORE);
	heard(&f, go_on);
	assert_int_equal(say_step(&f, "a"), INBOUND_MORE);
	heard(&f, "");
	assert_int_equal(say_step(&f, "bc"), INBOUND_READY);
	heard(&f, "");
	body_is(&f, "abc", 3);
	done(&f);

	say(&f, head, strlen(head));
	assert_int_equal(say_step(&f, "a"), INBOUND_MORE);
	heard(&f, "");
	inbound_drop(&f.w, &f.c);
	f.c.state = CLIENT_IDLE;
	refused(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n"
		    "Expect: 100-continue\r\n\r\n", 413);
	heard(&f, "");
	fixture_close(&f);
}

static void
test_ends(void **state)
{
	static const struct {
		const char *text;
		enum inbound_verdict verdict;
	} cases[] = {
		{ "", INBOUND_END },
		{ "GET / HT", INBOUND_REFUSE },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
		    INBOUND_REFUSE },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n",
		    INBOUND_REFUSE },
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", INBOUND_READY },
	};

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (int at_once = 0; at_once < 2; at_once++) {
			struct fixture f;
			enum inbound_verdict v = INBOUND_MORE;

			fixture_open(&f);
			if (*cases[i].text != '\0')
				say(&f, cases[i].text,
				    strlen(cases[i].text));
			if (!at_once && *cases[i].text != '\0')
				v = step(&f);
			close(f.peer);
			f.peer = -1;
			f.c.readable = f.c.peer_closed = true;
			if (v == INBOUND_MORE)
				v = step(&f);
			assert_int_equal(v, cases[i].verdict);
			if (v == INBOUND_REFUSE)
				assert_int_equal(f.c.in->refusal, 400);
			if (v == INBOUND_END)
				assert_null(f.c.in);
			fixture_close(&f);
		}
}

/* Nothing there, whatever was said about the peer: the step comes back. */
static void
test_false_alarm(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	f.c.readable = f.c.peer_closed = true;
	assert_int_equal(inbound_step(&f.w, &f.c, NOW), INBOUND_MORE);
	assert_null(f.c.in);
	assert_false(f.c.readable);
	assert_int_equal(f.c.state, CLIENT_IDLE);
	fixture_close(&f);
}

/* One that sends without end gives the others their turn. */
static void
test_turns(void **state)
{
	struct fixture f;
	char block[4096];
	size_t before;
	ssize_t n;
	int size = 4 << 20;

	(void)state;
	fixture_open(&f);
	f.settings.limit_request_body_bytes = 0;
	setsockopt(f.peer, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	memset(block, 'x', sizeof(block));
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 100000000\r\n\r\n"), INBOUND_MORE);
	for (size_t sent = 0; sent < 3 << 20; sent += (size_t)n)
		if ((n = write(f.peer, block, sizeof(block))) < 0)
			break;
	f.c.readable = true;
	before = f.c.in->body_total;
	assert_int_equal(inbound_step(&f.w, &f.c, NOW), INBOUND_MORE);
	assert_true(f.c.in->body_total > before);
	assert_true(f.c.in->body_total <= 1 << 20);
	fixture_close(&f);
}

static void
test_deadlines(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	assert_int_equal(say_step(&f, "G"), INBOUND_MORE);
	assert_int_equal(f.c.state, CLIENT_HEAD);
	assert_int_equal(f.c.deadline_ms, NOW + 30000);
	/* A head's deadline does not move ... */
	f.now_ms += 1000;
	assert_int_equal(say_step(&f, "ET / HTTP/1.1\r\n"), INBOUND_MORE);
	assert_int_equal(f.c.deadline_ms, NOW + 30000);
	/* ... a body's does, when bytes of it came. */
	f.now_ms += 1000;
	assert_int_equal(say_step(&f, "Host: x\r\nTransfer-Encoding: chunked"
	    "\r\n\r\n"), INBOUND_MORE);
	assert_int_equal(f.c.state, CLIENT_BODY);
	assert_int_equal(f.c.deadline_ms, f.now_ms + 60000);
	f.now_ms += 1000;
	assert_int_equal(say_step(&f, "5;x=y"), INBOUND_MORE);
	assert_int_equal(f.c.deadline_ms, f.now_ms - 1000 + 60000);
	assert_int_equal(say_step(&f, "\r\nab"), INBOUND_MORE);
	assert_int_equal(f.c.deadline_ms, f.now_ms + 60000);
	fixture_close(&f);
}

/* Memory that was needed once is given back, and few are kept. */
static void
test_memory_is_given_back(void **state)
{
	struct fixture f;
	struct client many[300];

	(void)state;
	fixture_open(&f);
	f.settings.body_buffer_bytes = 1 << 20;
	assert_int_equal(say_step(&f, "POST / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 90000\r\n\r\n"), INBOUND_MORE);
	for (int i = 0; i < 90; i++) {
		char block[1000];

		memset(block, 'x', sizeof(block));
		say(&f, block, sizeof(block));
		if (i % 30 == 0)
			step(&f);
	}
	assert_int_equal(step(&f), INBOUND_READY);
	assert_true(f.w.buffered >= 90000);
	done(&f);
	assert_int_equal(f.w.buffered, 0);
	assert_int_equal(count_spare(&f), 1);
	assert_true(f.w.spare_inbound->in.room <= 16384);
	for (size_t i = 0; i < 300; i++) {
		memset(&many[i], 0, sizeof(many[i]));
		many[i].conn = f.c.conn;
		many[i].state = CLIENT_IDLE;
		many[i].readable = true;
		say(&f, "GET", 3);
		assert_int_equal(inbound_step(&f.w, &many[i], NOW),
		    INBOUND_MORE);
		assert_non_null(many[i].in);
	}
	for (size_t i = 0; i < 300; i++)
		inbound_drop(&f.w, &many[i]);
	assert_true(count_spare(&f) <= 256);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_spool_at_once),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_memory_of_all),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_false_alarm),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
