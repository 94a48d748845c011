/* SPDX-License-Identifier: MIT */
/*
 * The access log.  A request runs through the steps of the format into a
 * buffer on the stack and costs one write(2).  As JSON, a value is a string,
 * a number or null, and the line is always a whole object.
 */
#include "log/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "log/access_private.h"
#include "log/escape.h"
#include "log/log.h"
#include "log/sink.h"

#define VALUE_MAX 8192  /* of one value, escaped */
#define USER_MAX 256

static const char cut_mark[] = "...";

/*
 * What stands for a value that is not known yet: a byte that no value holds
 * once it is escaped, and the step.
 */
#define OPEN_MARK '\x01'
#define OPEN_LEN 4

/* A line being made. */
struct line {
	char *at;
	char *end;
	size_t reserve; /* of the step in hand */
	bool json;
	bool open; /* leaves status and times open */
};

/* ---- opening ------------------------------------------------------------ */

static int
format_new(const char *format, struct access_log **out, struct err *err)
{
	struct access_log *a = calloc(1, sizeof(*a));

	*out = NULL;
	if (a == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	a->sink.fd = -1;
	if (access_compile(a, format, err) != 0) {
		access_free(&a);
		return -1;
	}
	*out = a;
	return 0;
}

int
access_format_check(const char *format, struct err *err)
{
	struct access_log *a;
	int rc = format_new(format, &a, err);

	access_free(&a);
	return rc;
}

int
access_open(const char *target, bool to_syslog, const char *format, uid_t uid,
    gid_t gid, struct access_log **out, struct err *err)
{
	struct access_log *a;

	*out = NULL;
	if (format_new(format, &a, err) != 0)
		return -1;
	a->to_syslog = to_syslog;
	a->to_sink = target != NULL;
	if (target != NULL && sink_open(&a->sink, target, STDOUT_FILENO, uid,
		gid, err) != 0) {
		err_prefix(err, "accesslog = ");
		access_free(&a);
		return -1;
	}
	*out = a;
	return 0;
}

int
access_leave_stdout(struct access_log *a, struct err *err)
{
	return a != NULL && a->to_sink ? sink_detach(&a->sink, err) : 0;
}

int
access_reopen(struct access_log *a, struct err *err)
{
	return a->to_sink ? sink_reopen(&a->sink, err) : 0;
}

void
access_free(struct access_log **ap)
{
	struct access_log *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	sink_close(&a->sink);
	free(a->variables);
	free(a->steps);
	free(a->format);
	free(a);
}

const struct span *
access_variables(const struct access_log *a, size_t *count_out)
{
	*count_out = a != NULL ? a->variable_count : 0;
	return a != NULL ? a->variables : NULL;
}

/* ---- writing ------------------------------------------------------------ */

/* What a value may still take without cutting the literals behind it. */
static size_t
room_of(const struct line *l)
{
	size_t left = (size_t)(l->end - l->at);

	return left > l->reserve ? left - l->reserve : 0;
}

static void
put_raw(struct line *l, const char *text, size_t len)
{
	if (len > room_of(l))
		return;
	memcpy(l->at, text, len);
	l->at += len;
}

/* What there is not. */
static void
put_none(struct line *l)
{
	if (l->json)
		put_raw(l, "null", 4);
	else
		put_raw(l, "-", 1);
}

static void
put_quote(struct line *l)
{
	if (l->json)
		*l->at++ = '"'; /* what is in between left room for both */
}

/* A part of a value; the quotes stand around all of it. */
static void
put_part(struct line *l, struct span v, unsigned flags)
{
	size_t room = room_of(l);

	if (l->json) {
		flags = ESCAPE_QUOTES | ESCAPE_JSON;
		room = room > 1 ? room - 1 : 0;
	}
	if (v.ptr == NULL)
		v = SPAN("-");
	if (room > VALUE_MAX)
		room = VALUE_MAX;
	if (room < sizeof(cut_mark))
		return;
	l->at += escape_put(l->at, room - (sizeof(cut_mark) - 1), &v.ptr,
	    &v.len, ESCAPE_QUOTES | flags);
	if (v.len > 0) {
		memcpy(l->at, cut_mark, sizeof(cut_mark) - 1);
		l->at += sizeof(cut_mark) - 1;
	}
}

static void
put_value(struct line *l, struct span v, unsigned flags)
{
	if (v.ptr == NULL) {
		put_none(l);
		return;
	}
	put_quote(l);
	put_part(l, v, flags);
	put_quote(l);
}

/* At least `width` digits. */
static void
put_number(struct line *l, uint64_t value, int width)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
		width--;
	} while (value > 0 || width > 0);
	put_raw(l, at, (size_t)(digits + sizeof(digits) - at));
}

/* "[21/Nov/2026:01:34:36 +0000]", kept while the second is the same. */
static void
put_time(struct line *l, int64_t seconds)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	static _Thread_local char text[64];
	static _Thread_local int64_t made = -1;
	static _Thread_local size_t len;
	time_t t = (time_t)seconds;
	struct tm tm;
	long zone;

	if (seconds != made || len == 0) {
		if (localtime_r(&t, &tm) == NULL)
			memset(&tm, 0, sizeof(tm));
		zone = tm.tm_gmtoff / 60;
		len = (size_t)snprintf(text, sizeof(text),
		    "[%02d/%s/%04d:%02d:%02d:%02d %c%02ld%02ld]", tm.tm_mday,
		    months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour,
		    tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+',
		    labs(zone) / 60, labs(zone) % 60);
		made = seconds;
	}
	put_quote(l);
	put_raw(l, text, len);
	put_quote(l);
}

/* When the request began, as "2026-11-21T10:22:28.123Z". */
static void
put_instant(struct line *l, uint64_t ago_us)
{
	static _Thread_local char text[64];
	static _Thread_local time_t made = -1;
	struct timespec now;
	struct tm tm;
	int64_t us;
	unsigned ms;

	clock_gettime(CLOCK_REALTIME, &now);
	us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	us -= (int64_t)ago_us < us ? (int64_t)ago_us : us;
	now.tv_sec = (time_t)(us / 1000000);
	if (now.tv_sec != made) {
		if (gmtime_r(&now.tv_sec, &tm) == NULL)
			memset(&tm, 0, sizeof(tm));
		snprintf(text, sizeof(text),
		    "%04u-%02u-%02uT%02u:%02u:%02u.000Z",
		    (unsigned)(tm.tm_year + 1900) % 10000,
		    (unsigned)(tm.tm_mon + 1) % 100,
		    (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		    (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
		made = now.tv_sec;
	}
	ms = (unsigned)(us / 1000 % 1000);
	text[20] = (char)('0' + ms / 100);
	text[21] = (char)('0' + ms / 10 % 10);
	text[22] = (char)('0' + ms % 10);
	put_quote(l);
	put_raw(l, text, 24);
	put_quote(l);
}

static struct span
look_up(const struct access_record *r, char kind, struct span name)
{
	if (r->lookup == NULL)
		return SPAN_NONE;
	return r->lookup(r->lookup_arg, kind, name);
}

/* The value of one base64 digit, -1 when it is none. */
static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c != '\0' ? strchr(digits, c) : NULL;

	return found != NULL ? (int)(found - digits) : -1;
}

/*
 * Decodes up to the first ':'; false when the text is no base64, has no
 * colon, or the part before it is empty or longer than out.
 */
static bool
decode_user(struct span in, char out[USER_MAX], size_t *len_out)
{
	unsigned bits = 0, have = 0;

	*len_out = 0;
	for (size_t i = 0; i < in.len; i++) {
		int digit = base64_digit(in.ptr[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (unsigned)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		out[*len_out] = (char)(bits >> have & 0xff);
		if (out[*len_out] == ':')
			return *len_out > 0;
		if (++*len_out == USER_MAX)
			return false;
	}
	return false;
}

/* The user of "Basic dXNlcjpwYXNz". */
static void
put_user(struct line *l, const struct access_record *r)
{
	struct span v = look_up(r, 'i', SPAN("authorization"));
	const struct span basic = SPAN("basic ");
	char user[USER_MAX];
	size_t len;

	if (v.ptr == NULL || v.len < basic.len ||
	    !span_ieq((struct span){ v.ptr, basic.len }, basic)) {
		put_none(l);
		return;
	}
	v = span_trim((struct span){ v.ptr + basic.len, v.len - basic.len });
	if (decode_user(v, user, &len))
		put_value(l, (struct span){ user, len }, ESCAPE_SPACES);
	else
		put_none(l);
}

/* What could be read of the request line. */
static void
put_request_line(struct line *l, const struct access_record *r)
{
	if (r->method.ptr == NULL && r->target.ptr == NULL) {
		put_none(l);
		return;
	}
	put_quote(l);
	put_part(l, r->method, 0);
	if (r->target.ptr != NULL || r->protocol.ptr != NULL) {
		put_part(l, SPAN(" "), 0);
		put_part(l, r->target, 0);
		put_part(l, SPAN(" "), 0);
		put_part(l, r->protocol, 0);
	}
	put_quote(l);
}

static void
put_status(struct line *l, unsigned status)
{
	if (status == 0)
		put_none(l);
	else
		put_number(l, status, 3);
}

/* A number that may not be known: below 0. */
static void
put_count(struct line *l, int64_t value)
{
	if (value < 0)
		put_none(l);
	else
		put_number(l, (uint64_t)value, 1);
}

static void
put_process(struct line *l)
{
	put_quote(l);
	put_raw(l, "<", 1);
	put_number(l, (uint64_t)getpid(), 1);
	put_raw(l, ">", 1);
	put_quote(l);
}

static void
put_seconds_us(struct line *l, uint64_t us)
{
	put_number(l, us / 1000000, 1);
	put_raw(l, ".", 1);
	put_number(l, us % 1000000, 6);
}

static void
put_atom(struct line *l, const struct access_step *s,
    const struct access_record *r)
{
	switch (s->kind) {
	case ACCESS_TEXT:
		put_raw(l, s->text.ptr, s->text.len);
		break;
	case 'h':
		put_value(l, r->remote.len > 0 ? r->remote : SPAN_NONE, 0);
		break;
	case 'l':
	case ACCESS_UNKNOWN:
		put_none(l);
		break;
	case 'u':
		put_user(l, r);
		break;
	case 't':
		put_time(l, r->started_wall);
		break;
	case 'r':
		put_request_line(l, r);
		break;
	case 'm':
		put_value(l, r->method, 0);
		break;
	case 'U':
		put_value(l, r->path, 0);
		break;
	case 'q':
		put_value(l, r->query, 0);
		break;
	case 'H':
		put_value(l, r->protocol, 0);
		break;
	case 's':
		put_status(l, r->status);
		break;
	case 'B':
	case 'b':
		put_number(l, r->body_bytes, 1);
		break;
	case 'f':
		put_value(l, look_up(r, 'i', SPAN("referer")), 0);
		break;
	case 'a':
		put_value(l, look_up(r, 'i', SPAN("user-agent")), 0);
		break;
	case 'T':
		put_number(l, r->us / 1000000, 1);
		break;
	case 'M':
		put_number(l, r->us / 1000, 1);
		break;
	case 'D':
		put_number(l, r->us, 1);
		break;
	case 'L':
		put_seconds_us(l, r->us);
		break;
	case 'p':
		put_process(l);
		break;
	case ACCESS_FIELD_IN:
		put_value(l, look_up(r, 'i', s->text), 0);
		break;
	case ACCESS_FIELD_OUT:
		put_value(l, look_up(r, 'o', s->text), 0);
		break;
	case ACCESS_VARIABLE:
		put_value(l, look_up(r, 'e', s->text), 0);
		break;
	case ACCESS_ID:
		put_value(l, r->id.len > 0 ? r->id : SPAN_NONE, 0);
		break;
	case ACCESS_TIME:
		put_instant(l, r->us);
		break;
	case ACCESS_QUEUE_US:
		put_count(l, r->queue_us);
		break;
	case ACCESS_APP_US:
		put_count(l, r->app_us);
		break;
	case ACCESS_SEND_US:
		put_count(l, r->send_us);
		break;
	case ACCESS_WORKER:
		put_number(l, (uint64_t)getpid(), 1);
		break;
	case ACCESS_THREAD:
		put_count(l, r->thread);
		break;
	case ACCESS_SCHEME:
		put_value(l, r->scheme, 0);
		break;
	case ACCESS_TARGET:
		put_value(l, r->target, 0);
		break;
	case ACCESS_TLS:
		put_value(l, look_up(r, 'v', SPAN_NONE), 0);
		break;
	case ACCESS_CIPHER:
		put_value(l, look_up(r, 'c', SPAN_NONE), 0);
		break;
	}
}

/* Fills up what the step has put from start on to its width. */
static void
fill_up(struct line *l, const struct access_step *s, char *start)
{
	size_t len = (size_t)(l->at - start), missing = s->width - len;

	if (len >= s->width || missing > room_of(l))
		return;
	if (s->left) {
		memset(l->at, ' ', missing);
	} else {
		memmove(start + missing, start, len);
		memset(start, s->zero ? '0' : ' ', missing);
	}
	l->at += missing;
}

/* Values that change while output is being sent. */
static bool
is_late(char kind)
{
	static const char late[] = { 's', 'T', 'M', 'D', 'L', ACCESS_SEND_US };

	return memchr(late, kind, sizeof(late)) != NULL;
}

static void
put_mark(struct line *l, const struct access_step *s)
{
	const char mark[OPEN_LEN] = { OPEN_MARK, s->kind, (char)s->width,
		(char)(s->left | s->zero << 1) };

	put_raw(l, mark, OPEN_LEN);
}

static void
put_step(struct line *l, const struct access_step *s,
    const struct access_record *r)
{
	char *start = l->at;

	l->reserve = s->reserve;
	if (l->open && is_late(s->kind)) {
		put_mark(l, s);
		return;
	}
	put_atom(l, s, r);
	if (s->width > 0 && !l->json)
		fill_up(l, s, start);
}

/* The line without its end. */
static size_t
make_line(const struct access_log *a, const struct access_record *r,
    bool open, char out[ACCESS_LINE_MAX])
{
	struct line l = { .at = out, .end = out + ACCESS_LINE_MAX - 1,
		.json = a->json, .open = open };

	for (size_t i = 0; i < a->count; i++)
		put_step(&l, &a->steps[i], r);
	return (size_t)(l.at - out);
}

static void
tell_lost(uint64_t lost, int why)
{
	log_warning("%llu access log %s lost%s%s", (unsigned long long)lost,
	    lost == 1 ? "line was" : "lines were", why == EAGAIN ? "" : ": ",
	    why == EAGAIN ? " because nobody reads them" : strerror(why));
}

/* buf has room for a line end. */
static void
deliver(struct access_log *a, char *buf, size_t len)
{
	uint64_t lost;
	int why;

	if (a->to_syslog)
		log_syslog_access(buf, len);
	if (!a->to_sink)
		return;
	buf[len] = '\n';
	sink_write(&a->sink, buf, len + 1);
	lost = sink_lost(&a->sink, &why);
	if (lost > 0)
		tell_lost(lost, why);
}

void
access_end(struct access_log *a)
{
	uint64_t lost =
	    a != NULL && a->to_sink ? sink_take_lost(&a->sink) : 0;

	if (lost > 0)
		tell_lost(lost, atomic_load(&a->sink.why));
}

void
access_write(struct access_log *a, const struct access_record *r)
{
	char buf[ACCESS_LINE_MAX];

	if (a != NULL && (a->to_sink || a->to_syslog))
		deliver(a, buf, make_line(a, r, false, buf));
}

size_t
access_text(const struct access_log *a, const struct access_record *r,
    char *out, size_t room)
{
	char buf[ACCESS_LINE_MAX];
	size_t len = a != NULL ? make_line(a, r, false, buf) : 0;

	if (len > room)
		len = room;
	if (len > 0)
		memcpy(out, buf, len);
	return len;
}

void
access_put(struct access_log *a, const char *text, size_t len)
{
	char buf[ACCESS_LINE_MAX];

	if (a != NULL)
		deliver(a, buf, escape_put(buf, sizeof(buf) - 1, &text, &len,
		    0));
}

char *
access_begin(const struct access_log *a, const struct access_record *r,
    size_t *len_out)
{
	char buf[ACCESS_LINE_MAX], *line;

	*len_out = a != NULL ? make_line(a, r, true, buf) : 0;
	line = a != NULL ? malloc(*len_out + 1) : NULL;
	if (line != NULL)
		memcpy(line, buf, *len_out);
	return line;
}

void
access_finish(struct access_log *a, char *line, size_t len,
    const struct access_record *r)
{
	char buf[ACCESS_LINE_MAX];
	struct line l = { .at = buf, .end = buf + sizeof(buf) - 1,
		.json = a->json };
	const char *p = line, *end = line + len;

	while (p < end) {
		const char *mark = memchr(p, OPEN_MARK, (size_t)(end - p));

		if (mark == NULL)
			mark = end;
		l.reserve = 0; /* what follows was there already */
		put_raw(&l, p, (size_t)(mark - p));
		p = mark;
		if (end - p >= OPEN_LEN) {
			const struct access_step s = {
				.kind = p[1],
				.width = (unsigned char)p[2],
				.left = (p[3] & 1) != 0,
				.zero = (p[3] & 2) != 0,
				.reserve = (size_t)(end - p) - OPEN_LEN,
			};

			put_step(&l, &s, r);
			p += OPEN_LEN;
		}
	}
	deliver(a, buf, (size_t)(l.at - buf));
	free(line);
}
