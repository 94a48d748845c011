/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a settings file.  They are those of libconfig; what its
 * versions read differently or without a word of complaint is made plain
 * or refused here.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/expand_private.h"

#define DEEPEST_NESTING 32
#define MOST_KEYS 1000
#define SHOWN 40

/* A setting that was seen: each may be there once. */
struct key {
	const char *name;
	struct place place;
};

int
scan_fail(struct scan *s, struct err *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(err, "%s, line %u: %s", s->file, s->line, text);
	return -1;
}

/* err = "threads = 4x (FILE, line N): ..."; -1. */
static int
fail_value(struct scan *s, struct err *err, const char *value,
    const char *why)
{
	err_set(err, "%.*s = %s (%s, line %u): %s", (int)s->name.len,
	    s->name.ptr, value, s->file, s->line, why);
	return -1;
}

int
scan_emit(struct scan *s, const char *text, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++)
		s->x->lines += text[i] == '\n';
	if (buf_add(&s->x->text, text, len))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
in_name(char c)
{
	return is_alpha(c) || is_digit(c) || c == '_' || c == '-' || c == '*';
}

/* The byte n further on, or 0. */
static char
peek(const struct scan *s, size_t n)
{
	return (size_t)(s->end - s->at) > n ? s->at[n] : '\0';
}

static bool
looking_at(const struct scan *s, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(s->end - s->at) >= len &&
	    memcmp(s->at, text, len) == 0;
}

static int
scan_newline(struct scan *s, struct err *err)
{
	s->at++;
	s->line++;
	s->mid_line = false;
	return scan_emit(s, "\n", 1, err);
}

static void
skip_line(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

static int
skip_comment(struct scan *s, struct err *err)
{
	unsigned begin = s->line;

	for (s->at += 2; !looking_at(s, "*/"); ) {
		if (s->at >= s->end) {
			s->line = begin;
			return scan_fail(s, err, "this comment has no end");
		}
		if (*s->at != '\n')
			s->at++;
		else if (scan_newline(s, err) != 0)
			return -1;
	}
	s->at += 2;
	return scan_emit(s, " ", 1, err);
}

/* --- texts --------------------------------------------------------------- */

/* Behind a '\' in a text. */
static int
check_escape(struct scan *s, struct err *err)
{
	char c = peek(s, 1), high = peek(s, 2), low = peek(s, 3);
	const char *hex = "0123456789abcdefABCDEF";

	if (c != '\0' && strchr("\\\"fnrt", c) != NULL)
		return 0;
	if (c == 'x' && high != '\0' && low != '\0' && strchr(hex, high) &&
	    strchr(hex, low) && (high != '0' || low != '0'))
		return 0;
	return scan_fail(s, err, "a \\ in a text that stands for itself is "
				 "written twice");
}

/* The length of the text at s->at with its quotes, or 0. */
static size_t
measure_text(struct scan *s, struct err *err)
{
	const char *begin = s->at;
	size_t len = 0;

	for (s->at++; s->at < s->end && *s->at != '\n'; s->at++) {
		if (*s->at == '\0') {
			scan_fail(s, err, "a text holds a byte of value 0");
			break;
		}
		if (*s->at == '"') {
			len = (size_t)(s->at + 1 - begin);
			break;
		}
		if (*s->at != '\\')
			continue;
		if (check_escape(s, err) != 0)
			break;
		s->at++;
	}
	if (len == 0 && (s->at >= s->end || *s->at == '\n'))
		scan_fail(s, err, "a text has no closing \" in its line");
	s->at = begin;
	return len;
}

static int
scan_text(struct scan *s, struct err *err)
{
	size_t len = measure_text(s, err);

	if (len == 0 || scan_emit(s, s->at, len, err) != 0)
		return -1;
	s->at += len;
	s->last = LAST_TEXT;
	return 0;
}

/* --- numbers ------------------------------------------------------------- */

static size_t
number_length(const struct scan *s)
{
	size_t n = 0;
	char c;

	while ((c = peek(s, n)) != '\0') {
		bool exponent = n > 1 && (peek(s, n - 1) | 0x20) == 'e' &&
		    (peek(s, 1) | 0x20) != 'x';

		if (c != '.' && !is_alpha(c) && !is_digit(c) && c != '_' &&
		    !(n == 0 && (c == '-' || c == '+')) &&
		    !(exponent && (c == '-' || c == '+')))
			break;
		n++;
	}
	return n;
}

/* Digits with a point, an exponent, or both. */
static bool
is_float(const char *t)
{
	size_t whole, part = 0;

	t += *t == '-' || *t == '+';
	whole = strspn(t, "0123456789");
	t += whole;
	if (*t == '.') {
		t++;
		part = strspn(t, "0123456789");
		t += part;
	}
	if (whole + part == 0)
		return false;
	if (*t == 'e' || *t == 'E') {
		t++;
		t += *t == '-' || *t == '+';
		whole = strspn(t, "0123456789");
		t += whole;
		if (whole == 0)
			return false;
	}
	return *t == '\0';
}

/* A whole number, decimal or 0x..., perhaps with libconfig's L behind. */
static bool
is_whole(const char *t)
{
	size_t digits;

	if (t[0] == '0' && (t[1] | 0x20) == 'x') {
		t += 2;
		digits = strspn(t, "0123456789abcdefABCDEF");
	} else {
		t += *t == '-' || *t == '+';
		digits = strspn(t, "0123456789");
	}
	t += digits;
	t += strspn(t, "L");
	return digits > 0 && *t == '\0';
}

/*
 * libconfig 1.5 cuts numbers that need more than 32 bits and have no L, and
 * no version takes a leading 0 for octal.
 */
static int
emit_whole(struct scan *s, const char *t, struct err *err)
{
	const char *digits = t + (*t == '-' || *t == '+');
	bool hex = (t[0] == '0' && (t[1] | 0x20) == 'x');
	char plain[32];
	long long n;

	if (!hex && digits[0] == '0' && is_digit(digits[1]))
		return fail_value(s, err, t, "a number does not begin with 0; "
					     "an octal mode is a text in "
					     "double quotes");
	errno = 0;
	n = strtoll(t, NULL, hex ? 16 : 10);
	if (errno == ERANGE)
		return fail_value(s, err, t, "is too large a number");
	snprintf(plain, sizeof(plain), "%lld%s", n,
	    n > INT_MAX || n < INT_MIN ? "L" : "");
	return scan_emit(s, plain, strlen(plain), err);
}

static int
scan_number(struct scan *s, struct err *err)
{
	size_t len = number_length(s);
	char t[SHOWN + 1];

	snprintf(t, sizeof(t), "%.*s", (int)(len < SHOWN ? len : SHOWN),
	    s->at);
	if (len > SHOWN)
		return fail_value(s, err, t, "is too long a number");
	s->at += len;
	s->last = LAST_VALUE;
	if (is_whole(t))
		return emit_whole(s, t, err);
	if (is_float(t))
		return scan_emit(s, t, len, err);
	return fail_value(s, err, t, "is no number, and a text stands in "
				     "double quotes");
}

/* --- names and marks ----------------------------------------------------- */

static bool
is_truth(struct span word)
{
	return span_ieq(word, SPAN("true")) || span_ieq(word, SPAN("false"));
}

/* A word that stands for a value. */
static int
scan_truth(struct scan *s, struct span word, struct err *err)
{
	char t[SHOWN + 1];

	snprintf(t, sizeof(t), "%.*s",
	    (int)(word.len < SHOWN ? word.len : SHOWN), word.ptr);
	if (!is_truth(word))
		return fail_value(s, err, t, "is not true or false, and a text "
					     "stands in double quotes");
	s->at += word.len;
	s->last = LAST_VALUE;
	return scan_emit(s, word.ptr, word.len, err);
}

static int
scan_name(struct scan *s, struct err *err)
{
	struct span word = { s->at, 0 };

	while (in_name(peek(s, word.len)))
		word.len++;
	if (s->last != LAST_NOTHING && strchr("=:[", s->last) != NULL)
		return scan_truth(s, word, err);
	if (word.len > SHOWN)
		return scan_fail(s, err, "%.*s...: no setting has so long a "
					 "name", SHOWN, word.ptr);
	s->name = word;
	s->name_line = s->line;
	s->last = LAST_NAME;
	s->at += word.len;
	return scan_emit(s, word.ptr, word.len, err);
}

/* Behind the name of a setting at the top: it must be a new one. */
static int
note_key(struct scan *s, struct err *err)
{
	const struct key *keys = (const void *)s->x->keys.data;
	size_t count = s->x->keys.len / sizeof(*keys);
	struct key key = { arena_dup(&s->x->arena, s->name),
		{ s->file, s->line } };

	for (size_t i = 0; key.name != NULL && i < count; i++)
		if (strcmp(keys[i].name, key.name) == 0) {
			err_set(err, "%s (%s, line %u): set twice; first in "
				     "%s, line %u",
			    key.name, s->file, s->line, keys[i].place.file,
			    keys[i].place.line);
			return -1;
		}
	if (count >= MOST_KEYS)
		return scan_fail(s, err, "more than %d settings", MOST_KEYS);
	if (key.name != NULL && buf_add(&s->x->keys, &key, sizeof(key)))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

static int
scan_mark(struct scan *s, struct err *err)
{
	char c = *s->at++;

	if ((c == '=' || c == ':') && s->nesting == 0 &&
	    note_key(s, err) != 0)
		return -1;
	if (strchr("{[(", c) != NULL && ++s->nesting > DEEPEST_NESTING)
		return scan_fail(s, err, "brackets are more than %d deep",
		    DEEPEST_NESTING);
	if (strchr("}])", c) != NULL && s->nesting-- == 0)
		return scan_fail(s, err, "%c closes nothing", c);
	s->last = c == ';' || c == ',' ? LAST_NOTHING : c;
	return scan_emit(s, &c, 1, err);
}

/* --- includes ------------------------------------------------------------ */

static int
scan_directive(struct scan *s, struct err *err)
{
	char *name;
	size_t len;

	if (s->mid_line || !looking_at(s, "@include"))
		return scan_fail(s, err, "@include \"FILE\" stands in a line "
					 "of its own");
	if (s->nesting > 0)
		return scan_fail(s, err, "@include is not for inside brackets");
	s->at += strlen("@include");
	while (peek(s, 0) == ' ' || peek(s, 0) == '\t')
		s->at++;
	if (peek(s, 0) != '"')
		return scan_fail(s, err, "@include needs a \"FILE\"");
	len = measure_text(s, err);
	if (len == 0)
		return -1;
	name = arena_dup(&s->x->arena, (struct span){ s->at + 1, len - 2 });
	s->at += len;
	if (name == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	if (*name == '\0')
		return scan_fail(s, err, "@include needs a \"FILE\"");
	s->last = LAST_NOTHING;
	return scan_include(s, name, err);
}

/* --- all ----------------------------------------------------------------- */

static int
refuse_byte(struct scan *s, struct err *err)
{
	unsigned char c = (unsigned char)*s->at;

	if (c == '\0')
		return scan_fail(s, err, "a byte of value 0: is this a "
					 "settings file?");
	if (c > ' ' && c < 0x7f)
		return scan_fail(s, err, "unexpected %c", c);
	return scan_fail(s, err, "unexpected byte 0x%02x", c);
}

static bool
starts_number(const struct scan *s)
{
	char c = peek(s, 0);

	if (c == '-' || c == '+')
		return is_digit(peek(s, 1)) || peek(s, 1) == '.';
	return is_digit(c) || (c == '.' && is_digit(peek(s, 1)));
}

static int
fail_unfinished(struct scan *s, struct err *err)
{
	s->line = s->name_line;
	return scan_fail(s, err, "%.*s has no value", (int)s->name.len,
	    s->name.ptr);
}

/*
 * Whether the next token fits behind the last one, at the top: libconfig
 * would only say "syntax error", and often a line late.
 */
static int
check_order(struct scan *s, struct err *err)
{
	char c = peek(s, 0);
	bool gives = c == '=' || c == ':';
	bool ends = c == ';' || c == ',';
	bool is_value = c == '"' || starts_number(s) ||
	    (c != '\0' && strchr("{[(", c) != NULL);

	if (s->last == LAST_NAME && !gives)
		return fail_unfinished(s, err);
	if ((s->last == '=' || s->last == ':') && (gives || ends))
		return fail_unfinished(s, err);
	if (s->last == LAST_NAME || s->last == '=' || s->last == ':')
		return 0;
	if (gives || (is_value && !(c == '"' && s->last == LAST_TEXT)) ||
	    (ends && s->last == LAST_NOTHING))
		return scan_fail(s, err, "unexpected %c", c);
	return 0;
}

/* One token that is neither blank nor comment. */
static int
scan_token(struct scan *s, struct err *err)
{
	int rc;
	char c = *s->at;

	if (s->nesting == 0 && check_order(s, err) != 0)
		return -1;
	if (c == '"')
		rc = scan_text(s, err);
	else if (c == '@')
		rc = scan_directive(s, err);
	else if (starts_number(s))
		rc = scan_number(s, err);
	else if (is_alpha(c) || c == '*')
		rc = scan_name(s, err);
	else if (c != '\0' && strchr("{}[]()=:,;", c) != NULL)
		rc = scan_mark(s, err);
	else
		rc = refuse_byte(s, err);
	s->mid_line = true;
	return rc;
}

int
scan_all(struct scan *s, struct err *err)
{
	int rc = 0;

	while (rc == 0 && s->at < s->end) {
		if (*s->at == '\n')
			rc = scan_newline(s, err);
		else if (*s->at == '#' || looking_at(s, "//"))
			skip_line(s);
		else if (looking_at(s, "/*"))
			rc = skip_comment(s, err);
		else if (strchr(" \t\r\f", *s->at) != NULL && *s->at != '\0') {
			s->at++;
			rc = scan_emit(s, " ", 1, err);
		} else
			rc = scan_token(s, err);
	}
	if (rc == 0 && s->nesting > 0)
		return scan_fail(s, err, "a bracket is not closed");
	if (rc == 0 && (s->last == LAST_NAME || s->last == '=' ||
			   s->last == ':'))
		return fail_unfinished(s, err);
	return rc != 0 ? -1 : scan_emit(s, "\n", 1, err);
}
