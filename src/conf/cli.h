/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_CLI_H
#define BICORN_CONF_CLI_H

/*
 * The command line, and BICORN_CMD_ARGS, which is read the same way.  First
 * cli_parse() finds out what the words are, as the name of the settings
 * file is among them; cli_apply() then puts the values in when their turn
 * comes.  As gunicorn does it: options may follow APP, "--" ends them,
 * "--name value", "--name=value", "-w4", and long names may be cut short
 * as long as they are unambiguous.
 */

#include "conf/store.h"

struct err;

/* One option as given. */
struct given {
	const struct setting *setting; /* one of these two */
	const struct foreign *foreign;
	const char *flag; /* "--threads", as written but in full */
	const char *text; /* NULL: a switch */
	bool on;          /* of a switch */
};

struct cli {
	enum source_kind kind; /* SOURCE_ARGV or SOURCE_CMD_ARGS ... */
	const char *variable;  /* ... and then its name */
	struct given *given;
	size_t count;
	const char *config; /* --config, NULL: not given */
	enum conf_action action;
};

/*
 * Reads words, allocating from a; APP becomes a given wsgi_app.  --help and
 * --version end it: nothing behind them matters.  0, or -1.
 */
int cli_parse(struct cli *cli, struct arena *a, char *const *words,
    size_t count, struct err *err);

/* Puts the values into st.  0, or -1. */
int cli_apply(const struct cli *cli, struct store *st, struct err *err);

#endif
