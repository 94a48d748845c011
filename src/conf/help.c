/* SPDX-License-Identifier: MIT */
/* --help and --version. */
#include <string.h>

#include "config.h"

#include "conf/file.h"
#include "conf/table.h"
#include "conf/wrap.h"

#define WIDTH 79
#define COLUMN 28 /* where the text begins */

static const char usage[] =
    "Usage: bicorn [OPTIONS] [APP]\n"
    "\n"
    "Serves an application over HTTP:\n"
    "  bicorn -w 4 myapp:app   a WSGI application in Python, by 4 workers\n"
    "  bicorn ./hello.so       an application in C\n"
    "  bicorn ./public/        the files of a directory\n";

static const char notes[] =
    "\n"
    "Switches have a --no- form as well: --no-daemon. Durations may have a\n"
    "unit (500ms, 30s, 5m, 1h), sizes too (64k, 1M, 1G). Every setting can\n"
    "be in bicorn.conf or in the environment, as BICORN_WORKERS=4; options\n"
    "can be in BICORN_CMD_ARGS. See bicorn(8) and bicorn.conf(5).\n";

/* "  -w, --workers N"; the column behind it. */
static int
print_flags(FILE *out, const char *flags, const char *arg, bool negated)
{
	struct span flag, first;
	const char *cursor = flags;
	int at = 0;

	flags_next(&cursor, &first);
	if (first.len != 2)
		at += fprintf(out, "      ");
	else
		at += fprintf(out, "  %.*s, ", 2, first.ptr);
	flag = flags_main(flags);
	at += fprintf(out, "%.*s", (int)flag.len, flag.ptr);
	if (negated)
		at += fprintf(out, ", --no-%.*s", (int)flag.len - 2,
		    flag.ptr + 2);
	if (arg != NULL)
		at += fprintf(out, " %s", arg);
	return at;
}

static void
print_row(FILE *out, int at, struct span text, const char *def)
{
	const struct wrap wrap = { WIDTH, COLUMN, "" };
	char line[512];

	if (at + 2 > COLUMN) {
		fputc('\n', out);
		at = 0;
	}
	fprintf(out, "%*s", COLUMN - at, "");
	if (def != NULL && *def != '\0')
		snprintf(line, sizeof(line), "%.*s [%s]", (int)text.len,
		    text.ptr, def);
	else
		snprintf(line, sizeof(line), "%.*s", (int)text.len, text.ptr);
	wrap_text(out, &wrap, COLUMN, span_of(line));
}

static void
print_setting(FILE *out, const struct setting *s)
{
	bool is_on = s->kind == KIND_BOOL && strcmp(s->def, "true") == 0;
	struct span rest = span_of(s->help), first;
	const char *def = s->def;
	int at = print_flags(out, s->flags, s->arg, is_on);

	if (s->kind == KIND_BOOL)
		def = is_on ? "on" : NULL;
	wrap_sentence(&rest, &first);
	print_row(out, at, first, def);
}

void
conf_help(FILE *out)
{
	fputs(usage, out);
	fputs("\nGeneral\n", out);
	for (size_t i = 0; i < EXTRA_COUNT; i++) {
		const struct extra *e = &extra_table[i];
		struct span rest = span_of(e->help), first;

		wrap_sentence(&rest, &first);
		print_row(out, print_flags(out, e->flags, e->arg, false),
		    first, NULL);
	}
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];

		if (i == 0 || strcmp(s->section, s[-1].section) != 0)
			fprintf(out, "\n%s\n", s->section);
		if (s->flags != NULL)
			print_setting(out, s);
	}
	fputs(notes, out);
}

/* --- version ------------------------------------------------------------- */

#ifdef HAVE_PYTHON
#define PYTHON_TEXT "CPython " BICORN_PYTHON_VERSION
#else
#define PYTHON_TEXT "not built in"
#endif

#ifdef HAVE_TLS
#define TLS_TEXT "Mbed TLS " MBEDTLS_VERSION
#else
#define TLS_TEXT "not built in"
#endif

#ifdef HAVE_ADMIN
#define ADMIN_TEXT "built in"
#else
#define ADMIN_TEXT "not built in"
#endif

void
conf_version(FILE *out)
{
	fprintf(out, "bicorn (version %s)\n", PACKAGE_VERSION);
	fprintf(out, "WSGI: %s\n", PYTHON_TEXT);
	fprintf(out, "TLS: %s\n", TLS_TEXT);
	fprintf(out, "admin: %s\n", ADMIN_TEXT);
	fprintf(out, "libconfig: %s\n", file_library());
	fprintf(out, "modules: %s\n", BICORN_PKGLIBDIR);
	fprintf(out, "settings: ./bicorn.conf, %s/bicorn.conf\n",
	    BICORN_SYSCONFDIR);
}
