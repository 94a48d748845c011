/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_LOG_H
#define BICORN_LOG_LOG_H

/*
 * The error log.  One sink per process (with the signal flags the only
 * file-scope state), opened by the arbiter and inherited by its workers.
 * An entry is one write(2), so entries of several processes do not mix:
 *
 *	[2026-11-21 10:22:28 +0000] [30869] [INFO] Listening at: ...
 *
 * Any thread.  Functions keep errno.  Levels are coloured when the sink is
 * a terminal and NO_COLOR is not set.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct statsd;
struct syslog_link;

enum log_level {
	LEVEL_DEBUG, /* numbered as in bicorn/app.h */
	LEVEL_INFO,
	LEVEL_WARNING,
	LEVEL_ERROR,
	LEVEL_CRITICAL,
};

/*
 * Opens the sink; before, entries go to stderr at level info.  target is
 * "-" for stderr or a path, which is created (mode 0644) and appended to.
 * With uid other than -1 a file is given to that user, so that workers that
 * dropped their privileges can open it again.
 */
int log_open(const char *target, enum log_level level, uid_t uid, gid_t gid,
    struct err *err);

/* Opens the file again, for rotation; keeps the old one when that fails. */
int log_reopen(struct err *err);

/* Another level, as after a reload. */
void log_level_set(enum log_level level);

/*
 * Entries as objects of JSON, a line for each, with the members time, pid,
 * level and message.  While there is one thread.
 */
void log_json_set(bool on);

/* "debug", "info", "warning", "error", "critical", in any case. */
bool log_level_parse(const char *text, enum log_level *out);

/* Cheap question before work that only an entry needs. */
bool log_wants(enum log_level level);

void log_at(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* An entry of any length and any bytes: a traceback.  Line ends stay. */
void log_text(enum log_level level, const char *text, size_t len);

/*
 * The same without time, process and level in front, and at every level: of
 * an application that has chosen both what is logged and how it looks.  It
 * is not counted.
 */
void log_plain(enum log_level level, const char *text, size_t len);

/*
 * Not to the log: "bicorn: WHAT: TEXT" to the standard error of a command,
 * where text is made fit for a line, as in the log.
 */
void log_complain(const char *what, const char *text);

#define log_debug(...) log_at(LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LEVEL_ERROR, __VA_ARGS__)
#define log_critical(...) log_at(LEVEL_CRITICAL, __VA_ARGS__)

/*
 * Where entries go as well, and what counts warnings and worse; NULL: to
 * nowhere.  Taken; the one before is closed.  While there is one thread.
 */
void log_syslog_set(struct syslog_link *syslog);
void log_statsd_set(struct statsd *statsd);
struct statsd *log_statsd(void);

/* A line of the access log, to syslog.  Any thread. */
void log_syslog_access(const char *text, size_t len);

/*
 * Makes file descriptors 1 and 2 the file of the error log, so that what is
 * printed lands there, now and after each log_reopen(); not when it is a
 * stream itself.  While there is one thread.
 */
int log_capture(struct err *err);

/* The descriptor entries go to, for a dump of stacks and the like. */
int log_fd(void);

#endif
