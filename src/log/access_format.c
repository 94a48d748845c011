/* SPDX-License-Identifier: MIT */
/*
 * What a line of the access log says: the format becomes a list of steps.
 * "json" stands for an object with the members below.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "log/access_private.h"
#include "log/log.h"

#define FORMAT_MAX 4096 /* leaves room for values in any case */
#define WIDTH_MAX 99
/* A member of an object can be as short as this at any time. */
#define JSON_VALUE_MIN 48

/* Names of more than a letter. */
static const struct {
	struct span name;
	char kind;
} named[] = {
	{ SPAN("id"), ACCESS_ID },
	{ SPAN("time"), ACCESS_TIME },
	{ SPAN("queue_us"), ACCESS_QUEUE_US },
	{ SPAN("app_us"), ACCESS_APP_US },
	{ SPAN("send_us"), ACCESS_SEND_US },
	{ SPAN("worker"), ACCESS_WORKER },
	{ SPAN("thread"), ACCESS_THREAD },
	{ SPAN("scheme"), ACCESS_SCHEME },
	{ SPAN("tls"), ACCESS_TLS },
	{ SPAN("cipher"), ACCESS_CIPHER },
	{ SPAN("target"), ACCESS_TARGET },
};

/* The members of the preset, in this order. */
static const char json_members[] =
    "time=%(time)s id=%(id)s remote=%(h)s user=%(u)s method=%(m)s "
    "target=%(target)s path=%(U)s query=%(q)s protocol=%(H)s "
    "host=%({host}i)s status=%(s)s bytes=%(B)s referer=%(f)s "
    "user_agent=%(a)s duration_us=%(D)s queue_us=%(queue_us)s "
    "app_us=%(app_us)s send_us=%(send_us)s worker=%(worker)s "
    "thread=%(thread)s scheme=%(scheme)s tls=%(tls)s cipher=%(cipher)s "
    "traceparent=%({traceparent}i)s";

static int
no_memory(struct err *err)
{
	err_set(err, "out of memory");
	return -1;
}

static int
add_step(struct access_log *a, struct access_step step, struct err *err)
{
	struct access_step *last =
	    a->count > 0 ? &a->steps[a->count - 1] : NULL;
	struct access_step *grown;

	/* "%%" splits a literal into neighbours in the format itself. */
	if (step.kind == ACCESS_TEXT && last != NULL &&
	    last->kind == ACCESS_TEXT &&
	    last->text.ptr + last->text.len == step.text.ptr) {
		last->text.len += step.text.len;
		return 0;
	}
	if ((a->count & (a->count - 1)) == 0) {
		size_t room = a->count == 0 ? 1 : a->count * 2;

		grown = realloc(a->steps, room * sizeof(*grown));
		if (grown == NULL)
			return no_memory(err);
		a->steps = grown;
	}
	a->steps[a->count++] = step;
	return 0;
}

static int
add_text(struct access_log *a, struct span text, struct err *err)
{
	return add_step(a,
	    (struct access_step){ .kind = ACCESS_TEXT, .text = text }, err);
}

/* "h" or "{name}i" becomes a kind, and the name. */
static char
atom_kind(struct span atom, struct span *name_out)
{
	static const char plain[] = "hlutrmUqHsBbfaTMDLp";

	*name_out = SPAN_NONE;
	if (atom.len == 1 && memchr(plain, atom.ptr[0], sizeof(plain) - 1))
		return atom.ptr[0];
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		if (span_eq(atom, named[i].name))
			return named[i].kind;
	if (atom.len < 4 || atom.ptr[0] != '{' ||
	    atom.ptr[atom.len - 2] != '}')
		return ACCESS_UNKNOWN;
	*name_out = (struct span){ atom.ptr + 1, atom.len - 3 };
	switch (atom.ptr[atom.len - 1]) {
	case 'i':
		return ACCESS_FIELD_IN;
	case 'o':
		return ACCESS_FIELD_OUT;
	case 'e':
		return ACCESS_VARIABLE;
	}
	return ACCESS_UNKNOWN;
}

/* "-15s" behind the parenthesis; how long it is, 0: it is not that. */
static size_t
read_conversion(const char *at, struct access_step *step)
{
	const char *p = at;
	unsigned width = 0;

	for (;; p++) {
		if (*p == '-')
			step->left = true;
		else if (*p == '0')
			step->zero = true;
		else
			break;
	}
	for (; *p >= '0' && *p <= '9' && width <= WIDTH_MAX; p++)
		width = width * 10 + (unsigned)(*p - '0');
	if (width > WIDTH_MAX || (*p != 's' && *p != 'd' && *p != 'i'))
		return 0;
	step->width = (unsigned char)width;
	return (size_t)(p - at) + 1;
}

static int
add_atom(struct access_log *a, struct access_step step, struct span atom,
    struct err *err)
{
	struct span *grown;

	step.kind = atom_kind(atom, &step.text);
	if (step.kind == ACCESS_UNKNOWN)
		log_warning("access_log_format: there is no atom %%(%.*s)s; "
			    "it prints \"-\"",
		    (int)atom.len, atom.ptr);
	if (step.kind != ACCESS_VARIABLE)
		return add_step(a, step, err);
	grown = realloc(a->variables,
	    (a->variable_count + 1) * sizeof(*grown));
	if (grown == NULL)
		return no_memory(err);
	a->variables = grown;
	a->variables[a->variable_count++] = step.text;
	return add_step(a, step, err);
}

/* Compiles what begins with the '%' at *rest and moves behind it. */
static int
compile_atom(struct access_log *a, struct span *rest, struct err *err)
{
	struct access_step step = { 0 };
	struct span atom;
	const char *close;
	size_t len;

	if (rest->len >= 2 && rest->ptr[1] == '%') {
		atom = (struct span){ rest->ptr + 1, 1 };
		*rest = (struct span){ rest->ptr + 2, rest->len - 2 };
		return add_text(a, atom, err);
	}
	close = rest->len >= 2 && rest->ptr[1] == '(' ?
	    memchr(rest->ptr, ')', rest->len) :
	    NULL;
	len = close != NULL ? read_conversion(close + 1, &step) : 0;
	if (len == 0) {
		err_set(err,
		    "'%.20s' is not %%(ATOM)s; a plain percent sign is %%%%",
		    rest->ptr);
		return -1;
	}
	atom = (struct span){ rest->ptr + 2, (size_t)(close - rest->ptr) - 2 };
	len += (size_t)(close + 1 - rest->ptr);
	*rest = (struct span){ rest->ptr + len, rest->len - len };
	return add_atom(a, step, atom, err);
}

static int
check_text(struct span format, struct err *err)
{
	if (format.len > FORMAT_MAX) {
		err_set(err, "longer than %d bytes", FORMAT_MAX);
		return -1;
	}
	for (size_t i = 0; i < format.len; i++) {
		unsigned char c = (unsigned char)format.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			err_set(err, "holds the control byte \\x%02x", c);
			return -1;
		}
	}
	return 0;
}

static int
set_reserves(struct access_log *a, struct err *err)
{
	size_t reserve = 0;

	for (size_t i = a->count; i-- > 0;) {
		a->steps[i].reserve = reserve;
		if (a->steps[i].kind == ACCESS_TEXT)
			reserve += a->steps[i].text.len;
		else if (a->json)
			reserve += JSON_VALUE_MIN;
	}
	if (reserve > ACCESS_LINE_MAX - 1024) {
		err_set(err, "too many members");
		return -1;
	}
	return 0;
}

static int
compile(struct access_log *a, struct err *err)
{
	struct span rest = span_of(a->format);

	while (rest.len > 0) {
		const char *percent = memchr(rest.ptr, '%', rest.len);
		struct span text = rest;

		if (percent != NULL)
			text.len = (size_t)(percent - rest.ptr);
		if (text.len > 0 && add_text(a, text, err) != 0)
			return -1;
		rest.ptr += text.len;
		rest.len -= text.len;
		if (rest.len > 0 && compile_atom(a, &rest, err) != 0)
			return -1;
	}
	return set_reserves(a, err);
}

/* --- json ---------------------------------------------------------------- */

static bool
is_member(struct span name, struct span atom)
{
	if (name.len == 0 || atom.len < 5 || atom.ptr[0] != '%' ||
	    atom.ptr[1] != '(' || atom.ptr[atom.len - 1] != 's' ||
	    atom.ptr[atom.len - 2] != ')' ||
	    memchr(atom.ptr + 1, '%', atom.len - 1) != NULL)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && strchr("_.-@", c) == NULL)
			return false;
	}
	return true;
}

/* Appends the members "NAME=%(ATOM)s NAME=%(ATOM)s ..." to a format. */
static int
add_members(struct buf *b, struct span text, struct err *err)
{
	struct span member, name;

	while (span_next(&text, ' ', &member)) {
		struct span whole = member;

		if (member.len == 0)
			continue;
		if (!span_next(&member, '=', &name) ||
		    !is_member(name, member)) {
			err_set(err, "'%.*s' is not NAME=%%(ATOM)s",
			    (int)whole.len, whole.ptr);
			return -1;
		}
		if (!buf_fmt(b, "%s\"%.*s\":%.*s", b->len == 0 ? "{" : ",",
			(int)name.len, name.ptr, (int)member.len, member.ptr))
			return no_memory(err);
	}
	return 0;
}

static bool
is_json(const char *format)
{
	return strncmp(format, "json", 4) == 0 &&
	    (format[4] == '\0' || format[4] == ' ');
}

static int
make_json(struct access_log *a, const char *format, struct err *err)
{
	struct buf b = { 0 };

	if (add_members(&b, SPAN(json_members), err) != 0 ||
	    add_members(&b, span_of(format + 4), err) != 0) {
		buf_fini(&b);
		return -1;
	}
	if (!buf_add(&b, "}", 2)) {
		buf_fini(&b);
		return no_memory(err);
	}
	a->json = true;
	a->format = b.data;
	return 0;
}

int
access_compile(struct access_log *a, const char *format, struct err *err)
{
	if (check_text(span_of(format), err) != 0)
		return -1;
	if (is_json(format)) {
		if (make_json(a, format, err) != 0)
			return -1;
	} else {
		a->format = strdup(format);
		if (a->format == NULL)
			return no_memory(err);
	}
	return compile(a, err);
}
