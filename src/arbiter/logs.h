/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_LOGS_H
#define BICORN_ARBITER_LOGS_H

/* The error log, syslog and statsd, as the settings want them. */

#include <stdint.h>

struct arbiter;
struct err;
struct settings;

/*
 * Opens what differs from the settings before, which are NULL at the start.
 * On an error the rest may be open already.
 */
int logs_open(const struct settings *s, const struct settings *before,
    struct err *err);

/* Tells statsd what there is to tell, and when there will be more. */
void logs_tell(struct arbiter *a, int64_t now_ms);
int64_t logs_deadline(const struct arbiter *a);

#endif
