/* SPDX-License-Identifier: MIT */
#include "conf/number.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t times;
};

/* The first is meant when none is written. */
static const struct unit time_units[] = { { "s", 1000 }, { "ms", 1 },
	{ "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { NULL, 0 } };
static const struct unit size_units[] = { { "", 1 }, { "k", 1 << 10 },
	{ "K", 1 << 10 }, { "M", 1 << 20 }, { "m", 1 << 20 },
	{ "G", 1 << 30 }, { "g", 1 << 30 }, { "T", INT64_C(1) << 40 },
	{ "t", INT64_C(1) << 40 }, { NULL, 0 } };
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at *at; *huge when they do not fit. */
static int64_t
take_digits(const char **at, bool *huge)
{
	int64_t n = 0;

	for (; is_digit(**at); ++*at)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, **at - '0', &n)) {
			*huge = true;
			n = 0;
		}
	return n;
}

/*
 * Digits behind the point, as a fraction of times, rounded down.  Nine are
 * more than any unit can show.
 */
static int64_t
take_fraction(const char **at, int64_t times)
{
	int64_t n = 0, below = 1;

	for (int i = 0; is_digit(**at); ++*at, i++) {
		if (i >= 9)
			continue;
		n = n * 10 + (**at - '0');
		below *= 10;
	}
	/* times is at most 2^40: split, so that the product fits. */
	return times / below * n + times % below * n / below;
}

static bool
any_digit_but_zero(const char *text)
{
	return strpbrk(text, "123456789") != NULL;
}

static const struct unit *
find_unit(const struct unit *units, const char *name)
{
	if (*name == '\0')
		return units;
	while (units->name != NULL && strcmp(units->name, name) != 0)
		units++;
	return units->name != NULL ? units : NULL;
}

static enum number_verdict
parse(const char *text, const struct unit *units, int64_t *out)
{
	const char *at = text + (*text == '-' || *text == '+'), *end = at;
	const struct unit *unit;
	bool huge = false;
	int64_t whole, part = 0;

	*out = 0;
	end += strspn(at, "0123456789.");
	unit = find_unit(units, end);
	if (unit == NULL || !is_digit(*at) || !is_digit(end[-1]))
		return NUMBER_BAD;
	whole = take_digits(&at, &huge);
	if (*at == '.' && units != no_units) {
		at++;
		part = take_fraction(&at, unit->times);
	}
	if (at != end)
		return NUMBER_BAD;
	if (huge || __builtin_mul_overflow(whole, unit->times, out) ||
	    __builtin_add_overflow(*out, part, out))
		return NUMBER_HUGE;
	if (*out == 0 && any_digit_but_zero(text))
		return NUMBER_TINY;
	if (*text == '-')
		*out = -*out;
	return NUMBER_OK;
}

enum number_verdict
number_parse_int(const char *text, int64_t *out)
{
	return parse(text, no_units, out);
}

enum number_verdict
number_parse_time(const char *text, int64_t *out)
{
	return parse(text, time_units, out);
}

enum number_verdict
number_parse_size(const char *text, int64_t *out)
{
	return parse(text, size_units, out);
}

void
number_plain(char *to, int64_t number)
{
	snprintf(to, NUMBER_ROOM, "%" PRId64, number);
}

void
number_seconds(char *to, int64_t ms)
{
	int len = snprintf(to, NUMBER_ROOM, "%" PRId64 ".%03" PRId64,
	    ms / 1000, ms % 1000);

	while (to[len - 1] == '0')
		len--;
	if (to[len - 1] == '.')
		len--;
	to[len] = '\0';
}

void
number_size(char *to, int64_t bytes)
{
	const char *unit = "kMGT";

	if (bytes == 0 || bytes % 1024 != 0) {
		number_plain(to, bytes);
		return;
	}
	for (bytes /= 1024; unit[1] != '\0' && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	snprintf(to, NUMBER_ROOM, "%" PRId64 "%c", bytes, *unit);
}
