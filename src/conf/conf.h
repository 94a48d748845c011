/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_CONF_H
#define BICORN_CONF_CONF_H

/*
 * Settings: read once by the arbiter, and again for each reload, constant
 * from then on.  Precedence: built-in < file < BICORN_NAME variables <
 * BICORN_CMD_ARGS < command line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct err;

struct strlist {
	const char *const *items;
	size_t count;
};

struct settings;
struct store;

/* A group of the setting listen. */
struct listen_group {
	struct store *own; /* what the group says, the rest filled in */
	bool tls;          /* it has a group tls */
};

struct listen_groups {
	const struct listen_group *items;
	size_t count;
};

/*
 * An address to listen on.  Of its settings only those that a group of
 * listen may hold are meant to be read: there they differ from the others.
 */
struct listen_at {
	const char *spec;
	const struct settings *settings;
	bool tls;
};

/* Every row of settings.def as a field, and what follows from them. */
struct settings {
#define FIELD_BOOL(name) bool name
#define FIELD_INT(name) int64_t name
#define FIELD_TIME(name) int64_t name##_ms
#define FIELD_SIZE(name) int64_t name##_bytes
#define FIELD_TEXT(name) const char *name
#define FIELD_LIST(name) struct strlist name
#define FIELD_GROUPS(name) struct listen_groups name
#define SETTING(name, kind, def, min, max, when, section, flags, arg, help) \
	FIELD_##kind(name);
#include "conf/settings.def"
#undef SETTING

	/* Derived. */
	const char *app;         /* the target; NULL when none was named */
	const char *file;        /* the file that was read, NULL: none */
	bool tls;                /* there is a certificate: certfile, certdir */
	const char *file_path;   /* absolute, where that is in Python; NULL */
	const char *start_dir;   /* where the settings were read; NULL */
	const char *command;     /* the command line, a word in each line */
	struct strlist file_env; /* what it changed in the environment:
				    NAME=VALUE, or NAME */
	bool workers_auto;       /* workers was "auto" */
	mode_t umask_mode;       /* umask, read */
	uid_t uid;               /* user, looked up; -1: as started */
	gid_t gid;               /* group, or the user's; -1: as started */
	mode_t socket_bits;      /* mode of unix sockets */
	uid_t socket_uid;        /* their owner; -1: as it comes */
	gid_t socket_gid;
	unsigned log_level;      /* enum log_level */
	unsigned proxy_versions; /* proxy_protocol: bits, 0 for off ... */
	bool proxy_required;     /* ... and whether it has to come */
	const struct listen_at *listens; /* of bind, then of listen */
	struct strlist addresses;        /* as many: the specs of those */
	struct strlist warnings; /* lines for the log, at level warning */
};

/* A value of a settings file that is in Python; as enum bicorn_value. */
enum conf_kind {
	CONF_NONE,
	CONF_TRUTH,
	CONF_NUMBER,
	CONF_TEXT,
	CONF_LIST,
	CONF_HOOK,
	CONF_VARIABLE,
	CONF_OTHER,
	CONF_SOURCE,
};

struct conf_value {
	const char *name;
	unsigned line; /* 0: unknown */
	enum conf_kind kind;
	struct strlist texts;
};

/* Takes one value; 0 or -1. */
typedef int (*conf_take_fn)(void *arg, const struct conf_value *v,
    struct err *err);

/*
 * Reads a settings file in Python, or the server section of paste=FILE, in
 * another process, and calls take with arg for each value.  base are the
 * settings as far as they are known.  0, or -1 and err, which may be take's.
 */
struct conf_evaluator {
	int (*evaluate)(void *own, const struct settings *base,
	    const char *name, conf_take_fn take, void *arg, struct err *err);
	void *own;
};

/* What the command line asks for besides settings. */
enum conf_action {
	CONF_RUN,
	CONF_CHECK,   /* --check-config: load the application, too */
	CONF_PRINT,   /* --print-config */
	CONF_EXPLAIN, /* --explain */
	CONF_HELP,    /* --help: conf_help() */
	CONF_VERSION, /* --version: conf_version() */
};

/*
 * Reads everything from all sources.  The caller frees with
 * settings_free().  On an error, *status_out is the exit code: 2 for the
 * command line, 1 for the rest, and err names source, setting, value and
 * what would be right.  For CONF_HELP and CONF_VERSION nothing is read and
 * *out stays NULL; for CONF_PRINT there may be no app.  argv is not changed
 * and not kept, so a reload calls it again with the same one.  Relative
 * paths are those of the current directory at that time.  Without an
 * evaluator there are no settings in Python.
 */
int settings_load(int argc, char *const *argv,
    const struct conf_evaluator *python, struct settings **out,
    enum conf_action *action_out, int *status_out, struct err *err);

void settings_free(struct settings **sp);

/*
 * The value of a setting as plain text: "true" or "false", a whole number
 * (of workers even for "auto"), seconds ("30", "0.5"), bytes, text, lists
 * joined with ',' (one inside an item as "\,"); NULL when there is none of
 * that name or it is unset.  "config" is the settings file, if it is in
 * Python, names of hooks say where they are, "target" is the application,
 * "start_dir" and "command" are the directory and the words of the start.
 * Any thread; owned by s.
 */
const char *settings_text(const struct settings *s, const char *name);

/*
 * Somebody who understands the value of a setting better has found it to be
 * wrong, and says so in err: in front of that, "NAME = VALUE (SOURCE): ".
 */
void settings_blame(const struct settings *s, const char *name,
    struct err *err);

/* --print-config: each setting, its value and where that came from. */
void settings_print(const struct settings *s, FILE *out);

/* --explain: the same as a table, with gunicorn's settings. */
void settings_explain(const struct settings *s, FILE *out);

/* --help, for a terminal of 80 columns. */
void conf_help(FILE *out);

/* --version: the version, then what is built in. */
void conf_version(FILE *out);

/* etc/bicorn.conf, and the option part of the manual pages in mdoc. */
void conf_sample(FILE *out);
void conf_manual_options(FILE *out);
void conf_manual_file(FILE *out);

/* What becomes of gunicorn's settings, for bicorn-migrate(7). */
void conf_manual_gunicorn(FILE *out);

/* Completions for shells. */
void conf_complete_bash(FILE *out);
void conf_complete_zsh(FILE *out);
void conf_complete_fish(FILE *out);

#endif
