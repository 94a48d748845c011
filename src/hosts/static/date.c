/* SPDX-License-Identifier: MIT */
/*
 * Dates, without the locale and without the time zone that strptime() and
 * mktime() would look at.
 */
#include "date.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define DAY_SECONDS 86400
#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31 23:59:59 */

static const char DAYS[7][10] = { "Sunday", "Monday", "Tuesday", "Wednesday",
	"Thursday", "Friday", "Saturday" };
static const char MONTHS[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

struct civil {
	int64_t year;
	int month; /* 1..12 */
	int day;   /* 1..31 */
	int hour;
	int minute;
	int second;
	int weekday; /* 0: Sunday */
};

/*
 * Days since 1970-01-01 of a day of the Gregorian calendar.  Counts years
 * from March, so that the leap day is the last of its year.
 */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year =
	    (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 -
	    year_of_era / 100 + day_of_year - 719468;
}

/* The reverse, for days that are not before 1970. */
static void
civil_from_days(int64_t days, struct civil *c)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t doe = z - era * 146097; /* day of era */
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int month = (int)((5 * doy + 2) / 153); /* 0: March */

	c->day = (int)(doy - (153 * month + 2) / 5 + 1);
	c->month = month < 10 ? month + 3 : month - 9;
	c->year = era * 400 + yoe + (c->month <= 2 ? 1 : 0);
	c->weekday = (int)((days + 4) % 7);
}

static void
put_number(char *to, int64_t value, int digits)
{
	while (digits-- > 0) {
		to[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void
date_format(int64_t seconds, char out[DATE_LEN])
{
	struct civil c;
	int64_t rest;

	if (seconds < 0)
		seconds = 0;
	if (seconds > LAST_SECOND)
		seconds = LAST_SECOND;
	rest = seconds % DAY_SECONDS;
	civil_from_days(seconds / DAY_SECONDS, &c);

	memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", DATE_LEN);
	memcpy(out, DAYS[c.weekday], 3);
	put_number(out + 5, c.day, 2);
	memcpy(out + 8, MONTHS[c.month - 1], 3);
	put_number(out + 12, c.year, 4);
	put_number(out + 17, rest / 3600, 2);
	put_number(out + 20, rest / 60 % 60, 2);
	put_number(out + 23, rest % 60, 2);
}

/* What is left to read; ok turns false at the first thing that is amiss. */
struct reader {
	const char *at;
	const char *end;
	bool ok;
};

static void
expect(struct reader *r, const char *text)
{
	size_t len = strlen(text);

	if (!r->ok || (size_t)(r->end - r->at) < len ||
	    memcmp(r->at, text, len) != 0) {
		r->ok = false;
		return;
	}
	r->at += len;
}

static int
read_number(struct reader *r, int digits)
{
	int value = 0;

	if (!r->ok || r->end - r->at < digits) {
		r->ok = false;
		return 0;
	}
	while (digits-- > 0) {
		unsigned digit = (unsigned char)*r->at++ - (unsigned)'0';

		if (digit > 9)
			r->ok = false;
		value = value * 10 + (int)(digit % 10);
	}
	return value;
}

/* The month, 1..12. */
static int
read_month(struct reader *r)
{
	int i;

	if (!r->ok || r->end - r->at < 3) {
		r->ok = false;
		return 1;
	}
	for (i = 0; i < 12; i++)
		if (memcmp(r->at, MONTHS[i], 3) == 0)
			break;
	r->at += 3;
	r->ok = i < 12;
	return i + 1;
}

/*
 * The name of a day, in full or its first three letters; which one is not
 * checked against the date.
 */
static void
read_day_name(struct reader *r, bool *full_out)
{
	size_t left = (size_t)(r->end - r->at);
	int i;

	*full_out = false;
	for (i = 0; i < 7; i++) {
		size_t len = strlen(DAYS[i]);

		if (left < 3 || memcmp(r->at, DAYS[i], 3) != 0)
			continue;
		*full_out = left >= len && memcmp(r->at, DAYS[i], len) == 0;
		r->at += *full_out ? len : 3;
		return;
	}
	r->ok = false;
}

static void
read_time(struct reader *r, struct civil *c)
{
	c->hour = read_number(r, 2);
	expect(r, ":");
	c->minute = read_number(r, 2);
	expect(r, ":");
	c->second = read_number(r, 2);
}

/* "06 Nov 1994 08:49:37 GMT" */
static void
read_fixed(struct reader *r, struct civil *c)
{
	expect(r, ", ");
	c->day = read_number(r, 2);
	expect(r, " ");
	c->month = read_month(r);
	expect(r, " ");
	c->year = read_number(r, 4);
	expect(r, " ");
	read_time(r, c);
	expect(r, " GMT");
}

/* ", 06-Nov-94 08:49:37 GMT", behind the whole name of the day */
static void
read_rfc850(struct reader *r, struct civil *c, int64_t now)
{
	struct civil today;
	int64_t century;

	civil_from_days(now > 0 ? now / DAY_SECONDS : 0, &today);
	century = today.year / 100 * 100;
	expect(r, ", ");
	c->day = read_number(r, 2);
	expect(r, "-");
	c->month = read_month(r);
	expect(r, "-");
	c->year = century + read_number(r, 2);
	if (c->year > today.year + 50)
		c->year -= 100;
	expect(r, " ");
	read_time(r, c);
	expect(r, " GMT");
}

/* " Nov  6 08:49:37 1994" */
static void
read_asctime(struct reader *r, struct civil *c)
{
	expect(r, " ");
	c->month = read_month(r);
	expect(r, " ");
	if (r->ok && r->at < r->end && *r->at == ' ') {
		expect(r, " ");
		c->day = read_number(r, 1);
	} else {
		c->day = read_number(r, 2);
	}
	expect(r, " ");
	read_time(r, c);
	expect(r, " ");
	c->year = read_number(r, 4);
}

static bool
civil_ok(const struct civil *c)
{
	static const char LENGTHS[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
		31, 30, 31 };
	bool leap = (c->year % 4 == 0 && c->year % 100 != 0) ||
	    c->year % 400 == 0;
	int last = LENGTHS[c->month - 1] + (c->month == 2 && leap ? 1 : 0);

	/* A leap second, 60, is part of the grammar. */
	return c->day >= 1 && c->day <= last && c->hour <= 23 &&
	    c->minute <= 59 && c->second <= 60 && c->year >= 1;
}

int64_t
date_parse(struct bicorn_str text, int64_t now)
{
	struct reader r = { text.ptr, text.ptr + text.len, text.len > 0 };
	struct civil c = { .month = 1 };
	int64_t seconds;
	bool full;

	if (!r.ok)
		return -1;
	read_day_name(&r, &full);
	if (full)
		read_rfc850(&r, &c, now);
	else if (r.ok && r.at < r.end && *r.at == ',')
		read_fixed(&r, &c);
	else
		read_asctime(&r, &c);
	if (!r.ok || r.at != r.end || !civil_ok(&c))
		return -1;

	seconds = days_from_civil(c.year, c.month, c.day) * DAY_SECONDS +
	    c.hour * 3600 + c.minute * 60 + c.second;
	/* Before 1970 is as good as 1970: -1 would say that it is no date. */
	return seconds < 0 ? 0 : seconds;
}
