/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_ACCESS_PRIVATE_H
#define BICORN_LOG_ACCESS_PRIVATE_H

/* The access log from inside: formats are compiled, then written by. */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "log/sink.h"

struct err;

#define ACCESS_LINE_MAX 16384

/* What a step puts into the line: an atom's letter, or one of these. */
enum access_kind {
	ACCESS_TEXT = 'x',     /* a piece of the format itself */
	ACCESS_FIELD_IN = '1', /* {name}i */
	ACCESS_FIELD_OUT = '2', /* {name}o */
	ACCESS_VARIABLE = '3', /* {name}e */
	ACCESS_UNKNOWN = '-',
	ACCESS_ID = 'd',
	ACCESS_TIME = 'i',
	ACCESS_QUEUE_US = 'Q',
	ACCESS_APP_US = 'A',
	ACCESS_SEND_US = 'S',
	ACCESS_WORKER = 'W',
	ACCESS_THREAD = 'n',
	ACCESS_SCHEME = 'e',
	ACCESS_TLS = 'v',
	ACCESS_CIPHER = 'c',
	ACCESS_TARGET = 'g',
};

struct access_step {
	char kind;        /* enum access_kind, or a letter of gunicorn's */
	bool left;        /* "%(h)-15s": filled up on the right */
	bool zero;        /* "%(D)08d": filled up with zeroes */
	unsigned char width;
	struct span text; /* the piece of the format, or the name */
	size_t reserve;   /* bytes that the steps behind it need at least */
};

struct access_log {
	/* Constant after access_open(). */
	char *format; /* which the steps point into */
	struct access_step *steps;
	size_t count;
	struct span *variables; /* names of {name}e, point into format */
	size_t variable_count;
	bool json;
	bool to_sink;
	bool to_syslog;

	struct sink sink;
};

/* Fills format, steps and variables; says which atoms are unknown. */
int access_compile(struct access_log *a, const char *format, struct err *err);

#endif
