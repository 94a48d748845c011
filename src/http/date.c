/* SPDX-License-Identifier: MIT */
/* HTTP dates, RFC 9110, 5.6.7: no locale, no time zone, no libc. */
#include <string.h>

#include "http/bytes.h"
#include "http/response.h"

#define DAY 86400
#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

struct date {
	int year;
	int month; /* 1..12 */
	int day;
	int hour;
	int minute;
	int second;
};

/*
 * Days since 1970 become a date and back.  Years begin in March here, so
 * that the leap day is the last one; 719468 days lie between the first of
 * March of the year 0 and 1970.
 */
static void
split_days(int64_t number, struct date *d)
{
	int64_t n = number + 719468;
	int64_t era = n / 146097;
	int day = (int)(n % 146097); /* of 400 years */
	int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	d->day = day - (153 * month + 2) / 5 + 1;
	d->month = month < 10 ? month + 3 : month - 9;
	d->year = (int)(era * 400) + year + (d->month <= 2);
}

static int64_t
join_days(const struct date *d)
{
	int year = d->year - (d->month <= 2);
	int month = (d->month + 9) % 12;
	int64_t era = year / 400;
	int of_era = year % 400;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       (153 * month + 2) / 5 + d->day - 1 - 719468;
}

static void
put2(char *out, int value)
{
	out[0] = (char)('0' + value / 10);
	out[1] = (char)('0' + value % 10);
}

void
http_date(int64_t seconds, char out[HTTP_DATE_LEN])
{
	struct date d;
	int64_t number;
	int second;

	if (seconds < 0)
		seconds = 0;
	if (seconds > LAST_SECOND)
		seconds = LAST_SECOND;
	number = seconds / DAY;
	second = (int)(seconds % DAY);
	split_days(number, &d);
	memcpy(out, "ddd, DD mmm YYYY HH:MM:SS GMT", HTTP_DATE_LEN);
	memcpy(out, days + (number + 4) % 7 * 3, 3);
	put2(out + 5, d.day);
	memcpy(out + 8, months + (d.month - 1) * 3, 3);
	put2(out + 12, d.year / 100);
	put2(out + 14, d.year % 100);
	put2(out + 17, second / 3600);
	put2(out + 20, second / 60 % 60);
	put2(out + 23, second % 60);
}

/*
 * Compares with a picture: '9' stands for a digit, '*' for anything, to be
 * looked at afterwards, any other byte for itself.
 */
static bool
like(struct span text, const char *picture)
{
	if (text.len != strlen(picture))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		bool digit = HTTP_IS_DIGIT(text.ptr[i]);

		if (picture[i] == '9'
			? !digit
			: picture[i] != '*' && picture[i] != text.ptr[i])
			return false;
	}
	return true;
}

static int
two(const char *p)
{
	return (p[0] - '0') * 10 + p[1] - '0';
}

/* Which of a run of three-letter names; -1 when it is none. */
static int
name3(const char *p, const char *names)
{
	for (int i = 0; names[i * 3] != '\0'; i++)
		if (!memcmp(p, names + i * 3, 3))
			return i;
	return -1;
}

static void
read_time(const char *p, struct date *d)
{
	d->hour = two(p);
	d->minute = two(p + 3);
	d->second = two(p + 6);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
read_fixdate(struct span text, struct date *d)
{
	const char *p = text.ptr;

	if (!like(text, "***, 99 *** 9999 99:99:99 GMT") || name3(p, days) < 0)
		return false;
	d->day = two(p + 5);
	d->month = name3(p + 8, months) + 1;
	d->year = two(p + 12) * 100 + two(p + 14);
	read_time(p + 17, d);
	return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
read_asctime(struct span text, struct date *d)
{
	const char *p = text.ptr;

	if (!like(text, "*** *** *9 99:99:99 9999") || name3(p, days) < 0)
		return false;
	if (p[8] != ' ' && !HTTP_IS_DIGIT(p[8]))
		return false;
	d->day = (p[8] == ' ' ? 0 : p[8] - '0') * 10 + p[9] - '0';
	d->month = name3(p + 4, months) + 1;
	d->year = two(p + 20) * 100 + two(p + 22);
	read_time(p + 11, d);
	return true;
}

/* The length of "Sunday, " and the like at the beginning; 0 if none. */
static size_t
long_day(struct span text)
{
	static const char names[7][12] = { "Sunday, ", "Monday, ", "Tuesday, ",
		"Wednesday, ", "Thursday, ", "Friday, ", "Saturday, " };

	for (int i = 0; i < 7; i++) {
		size_t len = strlen(names[i]);

		if (text.len > len && !memcmp(text.ptr, names[i], len))
			return len;
	}
	return 0;
}

/*
 * "Sunday, 06-Nov-94 08:49:37 GMT".  Two digits of a year: no document is
 * older than the epoch.
 */
static bool
read_rfc850(struct span text, struct date *d)
{
	size_t skip = long_day(text);
	const char *p;

	if (skip == 0)
		return false;
	text.ptr += skip;
	text.len -= skip;
	p = text.ptr;
	if (!like(text, "99-***-99 99:99:99 GMT"))
		return false;
	d->day = two(p);
	d->month = name3(p + 3, months) + 1;
	d->year = two(p + 7) + (two(p + 7) < 70 ? 2000 : 1900);
	read_time(p + 10, d);
	return true;
}

static int
month_days(const struct date *d)
{
	static const char table[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };
	bool leap =
	    d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);

	return d->month == 2 && leap ? 29 : table[d->month - 1];
}

int64_t
http_date_parse(struct span text)
{
	struct date d = { 0 };
	int64_t seconds;

	if (!read_fixdate(text, &d) && !read_asctime(text, &d) &&
	    !read_rfc850(text, &d))
		return -1;
	/* Second 60 is a leap second, which POSIX time does not count. */
	if (d.month < 1 || d.day < 1 || d.day > month_days(&d) || d.hour > 23 ||
	    d.minute > 59 || d.second > 60)
		return -1;
	seconds =
	    join_days(&d) * DAY + d.hour * 3600 + d.minute * 60 + d.second;
	return seconds > 0 ? seconds : 0;
}
