/* SPDX-License-Identifier: MIT */
/* HTTP dates, RFC 9110, 5.6.7: no locale, no time zone, no libc. */
#include <string.h>

#include "http/response.h"

#define DAY 86400
#define LAST_SECOND INT64_C(253402300799) /* of the year 9999 */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

struct date {
	int year;
	int month; /* 1..12 */
	int day;
};

/*
 * Days since 1970 become a date.  Years begin in March here, so that the
 * leap day is the last one; 719468 days lie between the first of March of
 * the year 0 and 1970.
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
