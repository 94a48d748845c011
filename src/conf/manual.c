/* SPDX-License-Identifier: MIT */
/* The parts of bicorn(8) and bicorn.conf(5) that come from the table. */
#include <string.h>

#include "base/buf.h"
#include "conf/env.h"
#include "conf/foreign.h"
#include "conf/store.h"
#include "conf/value.h"
#include "conf/wrap.h"

static const struct wrap wrap = { 78, 0, "" };

/* Text that roff takes as it is. */
static bool
escape(struct buf *b, struct span text)
{
	bool ok = true;

	for (size_t i = 0; ok && i < text.len; i++)
		switch (text.ptr[i]) {
		case '\\':
			ok = buf_str(b, "\\e");
			break;
		case '"':
			ok = buf_str(b, "\\(dq");
			break;
		case '-':
			ok = buf_str(b, "\\-");
			break;
		case ',': /* a line may end here */
			ok = buf_str(b, i + 1 < text.len &&
				    text.ptr[i + 1] != ' ' ? ",\\:" : ",");
			break;
		default:
			ok = buf_add(b, &text.ptr[i], 1);
		}
	return ok;
}

static void
print_escaped(FILE *out, struct span text, bool wrapped)
{
	struct buf b = { 0 };

	if (!escape(&b, text))
		fputs("out of memory", out);
	else if (wrapped)
		wrap_text(out, &wrap, 0, (struct span){ b.data, b.len });
	else
		fwrite(b.data, 1, b.len, out);
	buf_fini(&b);
}

/* Every sentence begins a line, as mdoc likes it. */
static void
print_sentences(FILE *out, const char *text)
{
	struct span rest = span_of(text), sentence;

	while (wrap_sentence(&rest, &sentence))
		print_escaped(out, sentence, true);
}

/* ".Ql" with anything behind it. */
static void
print_literal(FILE *out, const char *text, const char *behind)
{
	fputs(".Ql \"", out);
	print_escaped(out, span_of(text), false);
	fprintf(out, "\"%s\n", behind);
}

static void
print_default(FILE *out, const struct setting *s)
{
	if (s->def[0] == '\0')
		return;
	if (s->kind == KIND_BOOL) {
		if (strcmp(s->def, "true") == 0)
			fputs("This is on by default.\n", out);
		return;
	}
	fputs("The default is\n", out);
	print_literal(out, s->def, " .");
}

static void
print_range(FILE *out, const struct setting *s)
{
	struct buf b = { 0 };

	if (value_range(&b, s) && b.len > 0)
		fprintf(out, "The range is %.*s.\n", (int)b.len, b.data);
	buf_fini(&b);
}

static void
section(FILE *out, const struct setting *s)
{
	if (s != setting_table && strcmp(s->section, s[-1].section) == 0)
		return;
	if (s != setting_table)
		fputs(".El\n", out);
	fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", s->section);
}

/* --- bicorn(8) ----------------------------------------------------------- */

/* ".It Fl w Ar N , Fl -workers Ar N" */
static void
print_flags(FILE *out, const char *flags, const char *arg)
{
	const char *before = ".It";
	struct span flag;

	while (flags_next(&flags, &flag)) {
		fprintf(out, "%s Fl %.*s", before, (int)flag.len - 1,
		    flag.ptr + 1);
		if (arg != NULL)
			fprintf(out, " Ar %s", arg);
		before = " ,";
	}
	fputc('\n', out);
}

void
conf_manual_options(FILE *out)
{
	fputs(".Ss General\n.Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < EXTRA_COUNT; i++) {
		print_flags(out, extra_table[i].flags, extra_table[i].arg);
		print_sentences(out, extra_table[i].help);
	}
	fputs(".El\n", out);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];

		section(out, s);
		if (s->flags == NULL)
			continue;
		print_flags(out, s->flags, s->arg);
		print_sentences(out, s->help);
		print_default(out, s);
	}
	fputs(".El\n", out);
}

/* --- bicorn.conf(5) ------------------------------------------------------ */

static const char *
type_text(const struct setting *s)
{
	static const char *const texts[] = {
		[KIND_BOOL] = "true | false",
		[KIND_INT] = "number",
		[KIND_TIME] = "duration",
		[KIND_SIZE] = "size",
		[KIND_TEXT] = "text",
		[KIND_LIST] = "list",
		[KIND_GROUPS] = "( { ... }, ... )",
	};

	return setting_id(s) == SETTING_workers ? "number | \\(dqauto\\(dq" :
						  texts[s->kind];
}

static void
print_names(FILE *out, const struct setting *s)
{
	struct arena scratch = { 0 };
	const char *variable = env_name(&scratch, s);

	if (s->when == WHEN_RESTART)
		fputs("A change counts from the next start on, not upon a "
		      "reload.\n", out);
	fprintf(out, "Environment:\n.Ev %s .\n",
	    variable != NULL ? variable : "");
	if (s->flags != NULL) {
		struct span flag = flags_main(s->flags);

		fprintf(out, "Option:\n.Fl %.*s .\n", (int)flag.len - 1,
		    flag.ptr + 1);
	}
	arena_fini(&scratch);
}

void
conf_manual_file(FILE *out)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];

		section(out, s);
		fprintf(out, ".It Ic %s No = Ar %s\n", s->name, type_text(s));
		print_sentences(out, s->help);
		print_range(out, s);
		print_default(out, s);
		print_names(out, s);
	}
	fputs(".El\n", out);
}

/* --- bicorn-migrate(7) ---------------------------------------------------- */

static bool
is_same(const struct foreign *f)
{
	return foreign_verdict(f) == VERDICT_HONOURED;
}

/* One paragraph for what just works. */
static void
print_honoured(FILE *out)
{
	const struct foreign *last = NULL;

	fputs("These are honoured, by the same name, flag and meaning:\n",
	    out);
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (is_same(&foreign_table[i]))
			last = &foreign_table[i];
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (is_same(&foreign_table[i]))
			fprintf(out, ".Ic %s %s\n", foreign_table[i].name,
			    &foreign_table[i] == last ? "." : ",");
}

static void
print_verdicts(FILE *out, enum foreign_verdict verdict, const char *title)
{
	fprintf(out, ".Pp\n%s\n.Bl -tag -width Ds\n", title);
	for (size_t i = 0; i < FOREIGN_COUNT; i++) {
		const struct foreign *f = &foreign_table[i];

		if (foreign_verdict(f) != verdict)
			continue;
		fprintf(out, ".It Li %s\n", f->name);
		print_escaped(out, span_of(f->why), true);
	}
	fputs(".El\n", out);
}

void
conf_manual_gunicorn(FILE *out)
{
	print_honoured(out);
	print_verdicts(out, VERDICT_TRANSLATED,
	    "These mean nearly the same:");
	print_verdicts(out, VERDICT_HOOK,
	    "Hooks of a settings file in Python:");
	print_verdicts(out, VERDICT_IGNORED,
	    "These are accepted, and do nothing but a line in the log:");
	print_verdicts(out, VERDICT_REFUSED,
	    "These are refused, with a line that says what to do instead;\n"
	    "ssl_context only beside a certificate, and ignored otherwise:");
}
