/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_DATE_H
#define BICORN_HOSTS_STATIC_DATE_H

/* Dates of HTTP fields, RFC 9110, 5.6.7.  Pure functions, any thread. */

#include <stdint.h>

#include <bicorn/app.h>

#define DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/*
 * Writes seconds since 1970 as a date, not terminated.  Years outside
 * 1970..9999 become the nearest that there is.
 */
void date_format(int64_t seconds, char out[DATE_LEN]);

/*
 * Seconds since 1970 of a date in any of the three forms, or -1.  now decides
 * the century of years with two digits: at most 50 years ahead of it.
 */
int64_t date_parse(struct bicorn_str text, int64_t now);

#endif
