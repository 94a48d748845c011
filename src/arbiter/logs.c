/* SPDX-License-Identifier: MIT */
#include "arbiter/logs.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "log/log.h"
#include "log/statsd.h"
#include "log/syslog.h"
#include "net/listen.h"

#define BACKLOG_MS 1000

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *
syslog_name(const struct settings *s)
{
	if (s->syslog_prefix != NULL)
		return s->syslog_prefix;
	if (s->proc_name != NULL)
		return s->proc_name;
	return s->app != NULL ? s->app : "bicorn";
}

static int
open_errorlog(const struct settings *s, const struct settings *before,
    struct err *err)
{
	log_json_set(strcmp(s->error_log_format, "json") == 0);
	if (before == NULL || !same_text(s->errorlog, before->errorlog))
		return log_open(s->errorlog, (enum log_level)s->log_level,
		    s->uid, s->gid, err);
	log_level_set((enum log_level)s->log_level);
	return 0;
}

static int
open_syslog(const struct settings *s, const struct settings *before,
    struct err *err)
{
	struct syslog_link *link = NULL;

	if (before != NULL && s->syslog == before->syslog &&
	    same_text(s->syslog_addr, before->syslog_addr) &&
	    same_text(s->syslog_facility, before->syslog_facility) &&
	    same_text(syslog_name(s), syslog_name(before)))
		return 0;
	if (s->syslog && syslog_open(s->syslog_addr, s->syslog_facility,
			     syslog_name(s), &link, err) != 0)
		return -1;
	log_syslog_set(link);
	return 0;
}

static int
open_statsd(const struct settings *s, const struct settings *before,
    struct err *err)
{
	struct statsd *statsd = NULL;

	if (before != NULL && same_text(s->statsd_host, before->statsd_host) &&
	    same_text(s->statsd_prefix, before->statsd_prefix) &&
	    same_text(s->dogstatsd_tags, before->dogstatsd_tags))
		return 0;
	if (s->statsd_host != NULL &&
	    statsd_open(s->statsd_host, s->statsd_prefix, s->dogstatsd_tags,
		&statsd, err) != 0)
		return -1;
	log_statsd_set(statsd);
	return 0;
}

int
logs_open(const struct settings *s, const struct settings *before,
    struct err *err)
{
	if (open_errorlog(s, before, err) != 0 ||
	    open_syslog(s, before, err) != 0)
		return -1;
	return open_statsd(s, before, err);
}

/* --- statsd --------------------------------------------------------------- */

/* Connections that wait in the kernel; a unix socket does not say. */
static int64_t
backlog(const struct generation *g)
{
	int64_t sum = 0;

	for (size_t i = 0; i < g->sockets.count; i++) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof(info);

		if (getsockopt(g->sockets.items[i]->fd, IPPROTO_TCP, TCP_INFO,
			&info, &len) == 0)
			sum += info.tcpi_unacked;
	}
	return sum;
}

static bool
wants_backlog(const struct arbiter *a)
{
	return log_statsd() != NULL && a->serving != NULL &&
	    a->serving->settings->enable_backlog_metric;
}

void
logs_tell(struct arbiter *a, int64_t now_ms)
{
	struct statsd *statsd = log_statsd();
	int64_t workers;

	if (statsd == NULL)
		return;
	workers = a->serving != NULL ? (int64_t)generation_active(a->serving) :
				       0;
	if (workers != a->told_workers)
		statsd_gauge(statsd, "gunicorn.workers", workers);
	a->told_workers = workers;
	if (wants_backlog(a) && now_ms >= a->backlog_ms) {
		statsd_histogram(statsd, "gunicorn.backlog",
		    backlog(a->serving));
		a->backlog_ms = now_ms + BACKLOG_MS;
	}
	statsd_flush(statsd);
}

int64_t
logs_deadline(const struct arbiter *a)
{
	return wants_backlog(a) ? a->backlog_ms : CLOCK_NEVER;
}
