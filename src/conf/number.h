/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_NUMBER_H
#define BICORN_CONF_NUMBER_H

/*
 * Numbers as operators write them.  Decimal, no locale, no surprises: strtod
 * would take "inf" and "0x1p3".  Pure functions.
 */

#include <stdint.h>

enum number_verdict {
	NUMBER_OK,
	NUMBER_BAD,  /* not such a number */
	NUMBER_HUGE, /* one, but too large to hold */
	NUMBER_TINY, /* more than zero, but less than 1 ms or one byte */
};

/* "4", "-1" */
enum number_verdict number_parse_int(const char *text, int64_t *out);

/*
 * "30", "0.5", "500ms", "1.5h": milliseconds.  What is less than one must
 * not become zero, as that often means "never".
 */
enum number_verdict number_parse_time(const char *text, int64_t *out);

/* "4096", "64k", "1.5G": bytes, units of 1024. */
enum number_verdict number_parse_size(const char *text, int64_t *out);

/* The other way; to holds NUMBER_ROOM bytes. */
#define NUMBER_ROOM 32
void number_plain(char *to, int64_t number);
void number_seconds(char *to, int64_t ms); /* "30", "0.1" */
void number_size(char *to, int64_t bytes); /* "64k", "1500" */

#endif
