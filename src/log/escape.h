/* SPDX-License-Identifier: MIT */
#ifndef BICORN_LOG_ESCAPE_H
#define BICORN_LOG_ESCAPE_H

/*
 * Bytes of strangers made fit for a line of a log: whatever a client sends,
 * it can neither begin a line of its own, nor leave its quotes, nor speak
 * to the terminal that shows it, and the line is valid UTF-8.
 */

#include <stdbool.h>
#include <stddef.h>

enum escape_flag {
	ESCAPE_QUOTES = 1, /* '"' and '\' get a '\' in front */
	ESCAPE_SPACES = 2, /* ' ' becomes \x20: a value without quotes */
	ESCAPE_LINES = 4,  /* line ends and tabs stay: a text of many lines */
	ESCAPE_JSON = 8,   /* \u001f, and \ufffd for what is not UTF-8 */
};

/* What one byte grows to at most. */
#define ESCAPE_GROWTH 6

/*
 * Copies *in to out, which has room for room bytes.  Control bytes and what
 * is not UTF-8 become \xNN.  Stops where no whole character fits any more;
 * *in and *len are then the rest.  Returns how many bytes it wrote.
 */
size_t escape_put(char *out, size_t room, const char **in, size_t *len,
    unsigned flags);

#endif
