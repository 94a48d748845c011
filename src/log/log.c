/* SPDX-License-Identifier: MIT */
/*
 * The error log.  An entry is put together in memory and written at once.
 * The sink is file-scope state, because an entry may come from anywhere;
 * only log_open() changes what threads read, while there is one thread.
 */
#include "log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"
#include "log/escape.h"
#include "log/sink.h"
#include "log/statsd.h"
#include "log/syslog.h"

#define ENTRY_ON_STACK 2048
#define TEXT_ON_STACK 1024
#define TEXT_MAX 65536 /* of log_at(); a longer one is cut */
#define HEAD_MAX 128   /* time, process, level, colours */
#define TAIL_MAX 2     /* the end of an object */

static struct {
	struct sink sink;
	_Atomic int level;
	bool colour;
	bool json;
	bool captures; /* 1 and 2 are copies of the sink's descriptor */
	struct syslog_link *syslog;
	struct statsd *statsd;
} the_log = { .sink = { .fd = STDERR_FILENO }, .level = LEVEL_INFO };

static const struct {
	const char *name;
	const char *colour;
	enum syslog_severity severity;
	const char *metric;
} levels[] = {
	[LEVEL_DEBUG] = { "DEBUG", "\033[36m", SYSLOG_DEBUG, NULL },
	[LEVEL_INFO] = { "INFO", "\033[32m", SYSLOG_INFO, NULL },
	[LEVEL_WARNING] = { "WARNING", "\033[33m", SYSLOG_WARNING,
	    "gunicorn.log.warning" },
	[LEVEL_ERROR] = { "ERROR", "\033[31m", SYSLOG_ERROR,
	    "gunicorn.log.error" },
	[LEVEL_CRITICAL] = { "CRITICAL", "\033[1;31m", SYSLOG_CRITICAL,
	    "gunicorn.log.critical" },
};

static bool
wants_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (no != NULL && *no != '\0')
		return false;
	if (term == NULL || strcmp(term, "dumb") == 0)
		return false;
	return isatty(fd) == 1;
}

int
log_open(const char *target, enum log_level level, uid_t uid, gid_t gid,
    struct err *err)
{
	struct sink fresh;

	if (sink_open(&fresh, target, STDERR_FILENO, uid, gid, err) != 0)
		return -1;
	sink_close(&the_log.sink);
	the_log.sink = fresh;
	the_log.colour = wants_colour(fresh.fd);
	log_level_set(level);
	return 0;
}

int
log_capture(struct err *err)
{
	if (the_log.sink.path == NULL)
		return 0;
	the_log.captures = true;
	if (dup2(the_log.sink.fd, STDOUT_FILENO) >= 0 &&
	    dup2(the_log.sink.fd, STDERR_FILENO) >= 0)
		return 0;
	err_sys(err, "capture_output");
	return -1;
}

int
log_reopen(struct err *err)
{
	int rc = sink_reopen(&the_log.sink, err);

	if (rc == 0 && the_log.captures)
		rc = log_capture(err);
	return rc;
}

void
log_syslog_set(struct syslog_link *syslog)
{
	syslog_close(&the_log.syslog);
	the_log.syslog = syslog;
}

void
log_statsd_set(struct statsd *statsd)
{
	statsd_close(&the_log.statsd);
	the_log.statsd = statsd;
}

struct statsd *
log_statsd(void)
{
	return the_log.statsd;
}

void
log_syslog_access(const char *text, size_t len)
{
	if (the_log.syslog != NULL)
		syslog_send(the_log.syslog, SYSLOG_INFO, "access", text, len);
}

void
log_level_set(enum log_level level)
{
	atomic_store_explicit(&the_log.level, (int)level, memory_order_relaxed);
}

void
log_json_set(bool on)
{
	the_log.json = on;
}

bool
log_level_parse(const char *text, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (span_ieq(span_of(text), span_of(levels[i].name))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool
log_wants(enum log_level level)
{
	return (int)level >=
	    atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

int
log_fd(void)
{
	return the_log.sink.fd;
}

/* "[2026-11-21 10:22:28 +0000] ", made once per second and thread. */
static const char *
stamp(void)
{
	static _Thread_local char text[64];
	static _Thread_local time_t made = (time_t)-1;
	time_t now = clock_wall();
	struct tm tm;
	long zone;

	if (now == made)
		return text;
	if (localtime_r(&now, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	zone = tm.tm_gmtoff / 60;
	snprintf(text, sizeof(text),
	    "[%04d-%02d-%02d %02d:%02d:%02d %c%02ld%02ld] ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    zone < 0 ? '-' : '+', labs(zone) / 60, labs(zone) % 60);
	made = now;
	return text;
}

/* The time as in the access log. */
static size_t
put_json_head(char out[HEAD_MAX], enum log_level level)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	return (size_t)snprintf(out, HEAD_MAX,
	    "{\"time\":\"%04u-%02u-%02uT%02u:%02u:%02u.%03uZ\",\"pid\":%ld,"
	    "\"level\":\"%s\",\"message\":\"",
	    (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
	    (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	    (unsigned)tm.tm_sec % 100, (unsigned)(now.tv_nsec / 1000000) % 1000,
	    (long)getpid(), levels[level].name);
}

/* Writes what stands in front of the text; returns its length. */
static size_t
put_head(char out[HEAD_MAX], enum log_level level)
{
	const char *on = the_log.colour ? levels[level].colour : "";
	const char *off = the_log.colour ? "\033[0m" : "";

	if (the_log.json)
		return put_json_head(out, level);
	return (size_t)snprintf(out, HEAD_MAX, "%s[%ld] [%s%s%s] ", stamp(),
	    (long)getpid(), on, levels[level].name, off);
}

/* ... and what behind it. */
static size_t
put_tail(char out[TAIL_MAX])
{
	if (!the_log.json)
		return 0;
	memcpy(out, "\"}", 2);
	return 2;
}

/* To the sink alone, also what syslog has lost: that we do not reach. */
static void
report(uint64_t lost, const char *what)
{
	char line[HEAD_MAX + 64 + TAIL_MAX + 1];
	size_t n;

	if (lost == 0)
		return;
	n = put_head(line, LEVEL_WARNING);
	n += (size_t)snprintf(line + n, 64, "%llu %s were lost",
	    (unsigned long long)lost, what);
	n += put_tail(line + n);
	line[n++] = '\n';
	sink_write(&the_log.sink, line, n);
}

/* Says once what a full pipe or disk has swallowed, when it takes it. */
static void
report_lost(void)
{
	struct sink *s = &the_log.sink;

	if (!atomic_load_explicit(&s->failing, memory_order_relaxed) &&
	    atomic_load_explicit(&s->lost, memory_order_relaxed) > 0)
		report(sink_take_lost(s), "log entries");
}

static void
report_lost_by_syslog(void)
{
	if (the_log.syslog != NULL)
		report(syslog_lost(the_log.syslog), "messages to syslog");
}

/* A traceback that an application logged counts as gunicorn counts it. */
static void
count_entry(enum log_level level, const char *text, size_t len)
{
	static const char mark[] = "Traceback (most recent call last)";
	const char *name = levels[level].metric;

	if (the_log.statsd == NULL || name == NULL)
		return;
	if (level == LEVEL_ERROR &&
	    memmem(text, len, mark, sizeof(mark) - 1) != NULL)
		name = "gunicorn.log.exception";
	statsd_count(the_log.statsd, name);
}

/* Without a head it is the application's own, and counts for nothing. */
static void
put_entry(enum log_level level, const char *text, size_t len, unsigned flags,
    bool with_head)
{
	char small[ENTRY_ON_STACK], *entry = small;
	size_t room = HEAD_MAX + len * ESCAPE_GROWTH + ESCAPE_GROWTH +
	    TAIL_MAX + 1, used;
	size_t head = 0;

	while (len > 0 && text[len - 1] == '\n')
		len--;
	if (room > sizeof(small))
		entry = malloc(room);
	if (entry == NULL) { /* better a part of it than nothing */
		entry = small;
		room = sizeof(small);
	}
	if (with_head) {
		count_entry(level, text, len);
		head = put_head(entry, level);
		if (the_log.json)
			flags = ESCAPE_QUOTES | ESCAPE_JSON;
	}
	used = head;
	used += escape_put(entry + used, room - used - TAIL_MAX - 1, &text,
	    &len, flags);
	if (with_head)
		used += put_tail(entry + used);
	if (the_log.json)
		head = 0; /* syslog gets the object as it is */
	if (the_log.syslog != NULL)
		syslog_send(the_log.syslog, levels[level].severity, "error",
		    entry + head, used - head);
	entry[used++] = '\n';
	sink_write(&the_log.sink, entry, used);
	if (entry != small)
		free(entry);
	report_lost();
	report_lost_by_syslog();
}

/*
 * Formats into small, or onto the heap when that is too little; *len_out is
 * the length.  The caller frees the result unless it is small.
 */
static char *
format_text(char small[TEXT_ON_STACK], size_t *len_out, const char *fmt,
    va_list ap)
{
	size_t room = TEXT_ON_STACK, need;
	char *text = small, *heap = NULL;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, room, fmt, ap);
	need = n < 0 ? 0 : (size_t)n;
	if (need >= TEXT_MAX)
		need = TEXT_MAX - 1;
	if (need >= room)
		heap = malloc(need + 1);
	if (heap != NULL) {
		text = heap;
		room = need + 1;
		vsnprintf(text, room, fmt, again);
	}
	va_end(again);
	*len_out = need < room ? need : room - 1;
	return text;
}

void
log_at(enum log_level level, const char *fmt, ...)
{
	char small[TEXT_ON_STACK], *text;
	int saved = errno;
	size_t len;
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	text = format_text(small, &len, fmt, ap);
	va_end(ap);
	put_entry(level, text, len, 0, true);
	if (text != small)
		free(text);
	errno = saved;
}

void
log_text(enum log_level level, const char *text, size_t len)
{
	int saved = errno;

	if (log_wants(level))
		put_entry(level, text, len, ESCAPE_LINES, true);
	errno = saved;
}

void
log_plain(enum log_level level, const char *text, size_t len)
{
	int saved = errno;

	put_entry(level, text, len, ESCAPE_LINES, false);
	errno = saved;
}

void
log_complain(const char *what, const char *text)
{
	char part[512];
	size_t len = strlen(text);

	fprintf(stderr, "bicorn: %s: ", what);
	while (len > 0) {
		size_t n = escape_put(part, sizeof(part), &text, &len, 0);

		fwrite(part, 1, n, stderr);
	}
	fputc('\n', stderr);
}
