/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_SYSLOG_H
#define BICORN_LOG_SYSLOG_H

/*
 * Messages to a syslog daemon, of RFC 3164 without time and host, which it
 * fills in itself: "<14>gunicorn.NAME.access: [123] ...", as gunicorn's.
 */

#include <stddef.h>
#include <stdint.h>

struct err;
struct syslog_link;

enum syslog_severity { /* as RFC 5424 numbers them */
	SYSLOG_CRITICAL = 2,
	SYSLOG_ERROR = 3,
	SYSLOG_WARNING = 4,
	SYSLOG_INFO = 6,
	SYSLOG_DEBUG = 7,
};

/*
 * address as endpoint_parse() reads it.  name stands in the tag, with ':'
 * replaced.  The caller frees with syslog_close().
 */
int syslog_open(const char *address, const char *facility, const char *name,
    struct syslog_link **out, struct err *err);
void syslog_close(struct syslog_link **sp);

/*
 * Any thread; does not wait for more than a moment.  part is "error" or
 * "access".  The text has no line end at its end.
 */
void syslog_send(struct syslog_link *s, enum syslog_severity severity,
    const char *part, const char *text, size_t len);

/* How many messages were lost since the last question, once it works again. */
uint64_t syslog_lost(struct syslog_link *s);

#endif
