/* SPDX-License-Identifier: MIT */
/*
 * The access log.  The format becomes a list of steps once; a request runs
 * through them into a buffer on the stack and costs one write(2).
 */
#include "log/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "log/escape.h"
#include "log/log.h"
#include "log/sink.h"

#define LINE_MAX_BYTES 16384
#define VALUE_MAX 8192  /* of one value, escaped */
#define FORMAT_MAX 4096 /* leaves room for values in any case */
#define USER_MAX 256

static const char cut_mark[] = "...";

/* One step: a literal piece of the format, or a value. */
struct step {
	char kind;        /* 'x' literal, otherwise the atom's letter; the ones
			     with a name in braces are '1' i, '2' o, '3' e */
	struct span text; /* the literal, or the name */
	size_t reserve;   /* bytes of the literals that follow */
};

struct access_log {
	/* Constant after access_open(). */
	char *format; /* which the steps point into */
	struct step *steps;
	size_t count;

	struct sink sink;
};

/* A line being made. */
struct line {
	char *at;
	char *end;
	size_t reserve; /* of the step in hand */
};

/* ---- compiling ---------------------------------------------------------- */

static int
add_step(struct access_log *a, char kind, struct span text, struct err *err)
{
	struct step *last = a->count > 0 ? &a->steps[a->count - 1] : NULL;
	struct step *grown;

	/* "%%" splits a literal into neighbours in the format itself. */
	if (kind == 'x' && last != NULL && last->kind == 'x' &&
	    last->text.ptr + last->text.len == text.ptr) {
		last->text.len += text.len;
		return 0;
	}
	if ((a->count & (a->count - 1)) == 0) {
		size_t room = a->count == 0 ? 1 : a->count * 2;

		grown = realloc(a->steps, room * sizeof(*grown));
		if (grown == NULL) {
			err_set(err, "out of memory");
			return -1;
		}
		a->steps = grown;
	}
	a->steps[a->count++] = (struct step){ .kind = kind, .text = text };
	return 0;
}

/* "(h)" or "({name}i)" becomes a kind, and the name; '\0': unknown. */
static char
atom_kind(struct span atom, struct span *name_out)
{
	static const char plain[] = "hlutrmUqHsBbfaTMDLp";

	*name_out = SPAN_NONE;
	if (atom.len == 1 && memchr(plain, atom.ptr[0], sizeof(plain) - 1))
		return atom.ptr[0];
	if (atom.len < 4 || atom.ptr[0] != '{' ||
	    atom.ptr[atom.len - 2] != '}')
		return '\0';
	*name_out = (struct span){ atom.ptr + 1, atom.len - 3 };
	switch (atom.ptr[atom.len - 1]) {
	case 'i':
		return '1';
	case 'o':
		return '2';
	case 'e':
		return '3';
	}
	return '\0';
}

/* Compiles what begins with the '%' at *rest and moves behind it. */
static int
compile_atom(struct access_log *a, struct span *rest, struct err *err)
{
	struct span atom, name;
	const char *close;
	char kind, conversion;

	if (rest->len >= 2 && rest->ptr[1] == '%') {
		atom = (struct span){ rest->ptr + 1, 1 };
		*rest = (struct span){ rest->ptr + 2, rest->len - 2 };
		return add_step(a, 'x', atom, err);
	}
	close = rest->len >= 2 && rest->ptr[1] == '(' ?
	    memchr(rest->ptr, ')', rest->len) :
	    NULL;
	conversion = close != NULL ? close[1] : '\0';
	if (conversion != 's' && conversion != 'd') {
		err_set(err,
		    "access_log_format: '%.20s' is not %%(ATOM)s; a plain "
		    "percent sign is %%%%",
		    rest->ptr);
		return -1;
	}
	atom = (struct span){ rest->ptr + 2, (size_t)(close - rest->ptr) - 2 };
	rest->len -= (size_t)(close + 2 - rest->ptr);
	rest->ptr = close + 2;
	kind = atom_kind(atom, &name);
	if (kind == '\0') {
		err_set(err, "access_log_format: unknown atom %%(%.*s)s",
		    (int)atom.len, atom.ptr);
		return -1;
	}
	return add_step(a, kind, name, err);
}

static int
check_text(struct span format, struct err *err)
{
	if (format.len > FORMAT_MAX) {
		err_set(err, "access_log_format: longer than %d bytes",
		    FORMAT_MAX);
		return -1;
	}
	for (size_t i = 0; i < format.len; i++) {
		unsigned char c = (unsigned char)format.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			err_set(err, "access_log_format: holds the control "
				     "byte \\x%02x", c);
			return -1;
		}
	}
	return 0;
}

static int
compile(struct access_log *a, struct err *err)
{
	struct span rest = span_of(a->format);
	size_t reserve = 0;

	if (check_text(rest, err) != 0)
		return -1;
	while (rest.len > 0) {
		const char *percent = memchr(rest.ptr, '%', rest.len);
		struct span text = rest;

		if (percent != NULL)
			text.len = (size_t)(percent - rest.ptr);
		if (text.len > 0 && add_step(a, 'x', text, err) != 0)
			return -1;
		rest.ptr += text.len;
		rest.len -= text.len;
		if (rest.len > 0 && compile_atom(a, &rest, err) != 0)
			return -1;
	}
	for (size_t i = a->count; i-- > 0;) {
		a->steps[i].reserve = reserve;
		if (a->steps[i].kind == 'x')
			reserve += a->steps[i].text.len;
	}
	return 0;
}

static int
format_new(const char *format, struct access_log **out, struct err *err)
{
	struct access_log *a = calloc(1, sizeof(*a));

	*out = NULL;
	if (a != NULL) {
		a->sink.fd = -1;
		a->format = strdup(format);
	}
	if (a == NULL || a->format == NULL) {
		err_set(err, "out of memory");
		access_free(&a);
		return -1;
	}
	if (compile(a, err) != 0) {
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
access_open(const char *target, const char *format, uid_t uid, gid_t gid,
    struct access_log **out, struct err *err)
{
	struct access_log *a;

	*out = NULL;
	if (format_new(format, &a, err) != 0)
		return -1;
	if (sink_open(&a->sink, target, STDOUT_FILENO, uid, gid, err) != 0) {
		err_prefix(err, "accesslog = ");
		access_free(&a);
		return -1;
	}
	*out = a;
	return 0;
}

int
access_reopen(struct access_log *a, struct err *err)
{
	return sink_reopen(&a->sink, err);
}

void
access_free(struct access_log **ap)
{
	struct access_log *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	sink_close(&a->sink);
	free(a->steps);
	free(a->format);
	free(a);
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

static void
put_value(struct line *l, struct span v, unsigned flags)
{
	size_t room = room_of(l);

	if (v.ptr == NULL) {
		put_raw(l, "-", 1);
		return;
	}
	if (room > VALUE_MAX)
		room = VALUE_MAX;
	if (room < sizeof(cut_mark))
		return;
	l->at += escape_put(l->at, room - (sizeof(cut_mark) - 1), &v.ptr,
	    &v.len, ESCAPE_QUOTES | flags);
	if (v.len > 0)
		put_raw(l, cut_mark, sizeof(cut_mark) - 1);
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
	put_raw(l, text, len);
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
		put_raw(l, "-", 1);
		return;
	}
	v = span_trim((struct span){ v.ptr + basic.len, v.len - basic.len });
	if (decode_user(v, user, &len))
		put_value(l, (struct span){ user, len }, ESCAPE_SPACES);
	else
		put_raw(l, "-", 1);
}

/* What could be read of the request line. */
static void
put_request_line(struct line *l, const struct access_record *r)
{
	put_value(l, r->method, 0);
	if (r->target.ptr == NULL && r->protocol.ptr == NULL)
		return;
	put_raw(l, " ", 1);
	put_value(l, r->target, 0);
	put_raw(l, " ", 1);
	put_value(l, r->protocol, 0);
}

static void
put_status(struct line *l, unsigned status)
{
	if (status == 0)
		put_raw(l, "-", 1);
	else
		put_number(l, status, 3);
}

static void
put_process(struct line *l)
{
	put_raw(l, "<", 1);
	put_number(l, (uint64_t)getpid(), 1);
	put_raw(l, ">", 1);
}

static void
put_seconds_us(struct line *l, uint64_t us)
{
	put_number(l, us / 1000000, 1);
	put_raw(l, ".", 1);
	put_number(l, us % 1000000, 6);
}

static void
put_step(struct line *l, const struct step *s, const struct access_record *r)
{
	l->reserve = s->reserve;
	switch (s->kind) {
	case 'x':
		put_raw(l, s->text.ptr, s->text.len);
		break;
	case 'h':
		put_value(l, r->remote.len > 0 ? r->remote : SPAN_NONE, 0);
		break;
	case 'l':
		put_raw(l, "-", 1);
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
	case '1':
		put_value(l, look_up(r, 'i', s->text), 0);
		break;
	case '2':
		put_value(l, look_up(r, 'o', s->text), 0);
		break;
	case '3':
		put_value(l, look_up(r, 'e', s->text), 0);
		break;
	}
}

void
access_write(struct access_log *a, const struct access_record *r)
{
	char buf[LINE_MAX_BYTES];
	struct line l = { .at = buf, .end = buf + sizeof(buf) - 1 };
	uint64_t lost;

	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++)
		put_step(&l, &a->steps[i], r);
	*l.at++ = '\n';
	sink_write(&a->sink, buf, (size_t)(l.at - buf));
	lost = sink_lost(&a->sink);
	if (lost > 0)
		log_warning("%llu access log lines were lost",
		    (unsigned long long)lost);
}
