/* SPDX-License-Identifier: MIT */
/* bicorn.conf(5) written by bicorn: --print-config and etc/bicorn.conf. */
#include <string.h>

#include "config.h"

#include "base/buf.h"
#include "conf/store.h"
#include "conf/value.h"
#include "conf/wrap.h"

static const char no_memory[] = "# out of memory\n";

/* "threads = 4;" */
static bool
assignment(struct buf *b, const struct settings *from, const struct setting *s)
{
	struct value v;

	b->len = 0;
	value_load(from, s, &v);
	return buf_fmt(b, "%s = ", s->name) && value_conf(b, s, &v) &&
	    buf_add(b, ";", 2);
}

static void
section(FILE *out, const struct setting *s)
{
	if (s == setting_table || strcmp(s->section, s[-1].section) != 0)
		fprintf(out, "\n# %s\n", s->section);
}

/* Where a value came from, for the end of its line. */
static const char *
origin(struct arena *a, const struct source *source)
{
	if (source->kind == SOURCE_FALLBACK || source->kind == SOURCE_VARIABLE)
		return source->name;
	return source_text(a, source);
}

void
settings_print(const struct settings *s, FILE *out)
{
	const struct store *st = store_of_const(s);
	struct arena scratch = { 0 };
	struct buf line = { 0 };

	fprintf(out, "# bicorn %s; settings file: %s\n", PACKAGE_VERSION,
	    s->file != NULL ? s->file : "none");
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *row = &setting_table[i];
		const char *from = origin(&scratch,
		    &st->slots[i].written.source);

		section(out, row);
		if (from == NULL || !assignment(&line, s, row)) {
			fputs(no_memory, out);
			break;
		}
		fprintf(out, "%-31s # %s", line.data, from);
		if (i == SETTING_workers && s->workers_auto)
			fprintf(out, ", %lld CPU%s", (long long)s->workers,
			    s->workers == 1 ? "" : "s");
		fputc('\n', out);
	}
	buf_fini(&line);
	arena_fini(&scratch);
}

/* --- etc/bicorn.conf ----------------------------------------------------- */

static const char sample_head[] =
    "# Settings of bicorn(8).  bicorn.conf(5) says more about each of them.\n"
    "#\n"
    "# Every setting is here at its default.  Remove the # to change one.\n"
    "# true and false, numbers and \"texts\" as shown.  A duration is a number\n"
    "# of seconds, or a text with a unit: \"500ms\", \"30s\", \"5m\", \"1h\".\n"
    "# A size is a number of bytes, or a text with one: \"64k\", \"1M\", \"1G\".\n"
    "# The environment and the command line come before this file.\n"
    "#\n"
    "# More files:  @include \"conf.d/*.conf\"\n";

static void
sample_row(FILE *out, const struct settings *defaults,
    const struct setting *s, struct buf *line)
{
	const struct wrap wrap = { 78, 0, "# " };

	fputs("\n# ", out);
	wrap_text(out, &wrap, 2, span_of(s->help));
	if (s->when == WHEN_RESTART)
		fputs("# A change needs a restart.\n", out);
	if (assignment(line, defaults, s))
		fprintf(out, "#%s\n", line->data);
	else
		fputs(no_memory, out);
}

void
conf_sample(FILE *out)
{
	struct arena a = { 0 };
	struct settings defaults = { 0 };
	struct buf line = { 0 };

	fputs(sample_head, out);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		struct value v;

		if (value_parse(&a, s, s->def, true, &v, NULL) != 0)
			fputs(no_memory, out);
		value_store(&defaults, s, &v);
		if (i == 0 || strcmp(s->section, s[-1].section) != 0)
			fprintf(out, "\n\n# ---- %s ----\n", s->section);
		sample_row(out, &defaults, s, &line);
	}
	buf_fini(&line);
	arena_fini(&a);
}
