/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_STATSD_H
#define BICORN_LOG_STATSD_H

/*
 * Metrics for a statsd, by gunicorn's names.  They are gathered into packets
 * of many lines, which a full packet or statsd_flush() sends.  Nothing here
 * waits: what cannot be sent is gone.  Any thread; s may be NULL.
 */

#include <stdbool.h>
#include <stdint.h>

struct err;
struct statsd;

/*
 * address: HOST:PORT or unix://PATH.  prefix stands in front of each name,
 * tags behind each value as DogStatsD has it; both may be NULL.  The caller
 * frees with statsd_close(), which flushes.
 */
int statsd_open(const char *address, const char *prefix, const char *tags,
    struct statsd **out, struct err *err);
void statsd_close(struct statsd **sp);

/* A request was answered with that status, after so many microseconds. */
void statsd_request(struct statsd *s, unsigned status, uint64_t us);

void statsd_count(struct statsd *s, const char *name);
void statsd_gauge(struct statsd *s, const char *name, int64_t value);
void statsd_histogram(struct statsd *s, const char *name, int64_t value);

/* After a fork: what was gathered is the parent's to send. */
void statsd_forget(struct statsd *s);

/* Sends what was gathered. */
void statsd_flush(struct statsd *s);

#endif
