/* SPDX-License-Identifier: MIT */
/*
 * Texts, numbers and truth values of a settings file, checked, and written
 * so that every version of libconfig reads them alike.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/expand_private.h"

#define SHOWN 40

/* err = "threads = 4x (FILE, line N): ..."; -1. */
static int
fail_value(struct scan *s, struct err *err, const char *value,
    const char *why)
{
	err_set(err, "%.*s = %s (%s, line %u): %s", (int)s->name.len,
	    s->name.ptr, value, s->file, s->line, why);
	return -1;
}

/* --- texts --------------------------------------------------------------- */

/* Behind a '\' in a text. */
static int
check_escape(struct scan *s, struct err *err)
{
	char c = scan_peek(s, 1), high = scan_peek(s, 2), low = scan_peek(s, 3);
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
size_t
scan_measure_text(struct scan *s, struct err *err)
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

int
scan_text(struct scan *s, struct err *err)
{
	size_t len = scan_measure_text(s, err);

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

	while ((c = scan_peek(s, n)) != '\0') {
		bool exponent = n > 1 && (scan_peek(s, n - 1) | 0x20) == 'e' &&
		    (scan_peek(s, 1) | 0x20) != 'x';

		if (c != '.' && c != '_' && !scan_is_alpha(c) &&
		    !scan_is_digit(c) && !(n == 0 && (c == '-' || c == '+')) &&
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

	if (!hex && digits[0] == '0' && scan_is_digit(digits[1]))
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

int
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

/* --- truth values -------------------------------------------------------- */

static bool
is_truth(struct span word)
{
	return span_ieq(word, SPAN("true")) || span_ieq(word, SPAN("false"));
}

/* A word that stands for a value. */
int
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
