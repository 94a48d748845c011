/* SPDX-License-Identifier: MIT */
/* Completions for shells: what bash, zsh and fish are told of each option. */
#include <string.h>

#include "conf/table.h"
#include "conf/wrap.h"

/* What can be said of a value. */
enum hint {
	HINT_NONE,
	HINT_FILE,
	HINT_DIR,
	HINT_USER,
	HINT_GROUP,
	HINT_WORDS, /* one of those in option.words */
};

/* An option, a setting's or another one's. */
struct option {
	const char *flags;
	const char *arg; /* NULL: a switch */
	struct span help;
	enum hint hint;
	const char *words;
	bool repeats;
	bool is_switch_of_setting; /* has a --no- form */
};

static const struct {
	enum setting_id id;
	const char *words;
} words[] = {
	{ SETTING_worker_class, "gthread sync" },
	{ SETTING_workers, "auto 1 2 4 8" },
	{ SETTING_loglevel, "debug info warning error critical" },
	{ SETTING_access_log_format, "json" },
	{ SETTING_error_log_format, "text json" },
	{ SETTING_accesslog, "-" },
	{ SETTING_header_map, "drop refuse dangerous" },
	{ SETTING_syslog_addr, "unix:///dev/log udp://localhost:514 "
			       "tcp://localhost:514" },
	{ SETTING_syslog_facility,
	    "user daemon local0 local1 local2 local3 local4 local5 local6 "
	    "local7" },
	{ SETTING_request_id, "X-Request-ID" },
	{ SETTING_server_header, "off" },
};

static enum hint
hint_of(const char *arg)
{
	static const struct {
		const char *arg;
		enum hint hint;
	} hints[] = {
		{ "FILE", HINT_FILE },
		{ "DIR", HINT_DIR },
		{ "DIRS", HINT_DIR },
		{ "USER", HINT_USER },
		{ "GROUP", HINT_GROUP },
	};

	for (size_t i = 0; arg != NULL && i < sizeof(hints) / sizeof(*hints);
	     i++)
		if (strcmp(arg, hints[i].arg) == 0)
			return hints[i].hint;
	return HINT_NONE;
}

static struct span
first_sentence(const char *help)
{
	struct span rest = span_of(help), first;

	wrap_sentence(&rest, &first);
	if (first.len > 0 && first.ptr[first.len - 1] == '.')
		first.len--;
	return first;
}

static struct option
of_setting(const struct setting *s)
{
	struct option o = {
		.flags = s->flags,
		.arg = s->arg,
		.help = first_sentence(s->help),
		.hint = hint_of(s->arg),
		.repeats = s->kind == KIND_LIST,
		.is_switch_of_setting = s->kind == KIND_BOOL,
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].id == setting_id(s)) {
			/* Where a file can be named, that comes first. */
			o.words = words[i].words;
			if (o.hint == HINT_NONE)
				o.hint = HINT_WORDS;
		}
	return o;
}

/* Calls fn for every option that there is. */
static void
each_option(FILE *out, void (*fn)(FILE *out, const struct option *o))
{
	for (size_t i = 0; i < EXTRA_COUNT; i++) {
		const struct extra *e = &extra_table[i];
		struct option o = { .flags = e->flags, .arg = e->arg,
			.help = first_sentence(e->help),
			.hint = hint_of(e->arg) };

		fn(out, &o);
	}
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (setting_table[i].flags != NULL) {
			struct option o = of_setting(&setting_table[i]);

			fn(out, &o);
		}
}

static bool
is_negative(struct span flag)
{
	return flag.len > 5 && memcmp(flag.ptr, "--no-", 5) == 0;
}

/* Whether "--no-NAME" is to be offered beside that flag. */
static bool
has_negative(const struct option *o, struct span flag)
{
	return o->is_switch_of_setting && flag.len > 2 && !is_negative(flag) &&
	    strstr(o->flags, "--no-") == NULL;
}

/* --- bash ----------------------------------------------------------------- */

static void
bash_flags(FILE *out, const struct option *o)
{
	const char *cursor = o->flags;
	struct span flag;

	while (flags_next(&cursor, &flag)) {
		fprintf(out, "\t    %.*s", (int)flag.len, flag.ptr);
		if (has_negative(o, flag))
			fprintf(out, " --no-%.*s", (int)flag.len - 2,
			    flag.ptr + 2);
		fputc('\n', out);
	}
}

static void
bash_value(FILE *out, const struct option *o)
{
	const char *cursor = o->flags, *before = "\t";
	struct span flag;

	if (o->arg == NULL)
		return;
	while (flags_next(&cursor, &flag)) {
		fprintf(out, "%s%.*s", before, (int)flag.len, flag.ptr);
		before = " | ";
	}
	fputs(")\n", out);
	switch (o->hint) {
	case HINT_NONE:
		break;
	case HINT_FILE:
		fputs("\t\tcompopt -o filenames\n"
		      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n",
		    out);
		break;
	case HINT_DIR:
		fputs("\t\tcompopt -o filenames\n"
		      "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n",
		    out);
		break;
	case HINT_USER:
		fputs("\t\tmapfile -t COMPREPLY < <(compgen -u -- \"$cur\")\n",
		    out);
		break;
	case HINT_GROUP:
		fputs("\t\tmapfile -t COMPREPLY < <(compgen -g -- \"$cur\")\n",
		    out);
		break;
	case HINT_WORDS:
		fprintf(out,
		    "\t\tmapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n",
		    o->words);
		break;
	}
	fputs("\t\treturn\n\t\t;;\n", out);
}

void
conf_complete_bash(FILE *out)
{
	fputs("# bash completion for bicorn(8), made from its table of "
	      "settings.\n\n"
	      "_bicorn()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	      "\tlocal prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal f\n\n"
	      "\tCOMPREPLY=()\n"
	      "\t# --NAME=VALUE comes as three words.\n"
	      "\tif [[ $cur == \"=\" ]]; then\n"
	      "\t\tcur=\n"
	      "\telif [[ $prev == \"=\" ]]; then\n"
	      "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	      "\tfi\n"
	      "\tcase $prev in\n", out);
	each_option(out, bash_value);
	fputs("\tesac\n"
	      "\tif [[ $cur == -* ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W '\n", out);
	each_option(out, bash_flags);
	fputs("\t\t' -- \"$cur\")\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\t# An application: a module in C or Python, or a directory.\n"
	      "\tcompopt -o filenames\n"
	      "\tmapfile -t COMPREPLY < <(\n"
	      "\t\tcompgen -d -- \"$cur\"\n"
	      "\t\tcompgen -f -X '!*.so' -- \"$cur\"\n"
	      "\t\tfor f in *.py; do\n"
	      "\t\t\tif [[ -e $f ]]; then compgen -W \"${f%.py}\" -- \"$cur\"; fi\n"
	      "\t\tdone\n"
	      "\t)\n"
	      "}\n"
	      "complete -F _bicorn bicorn\n", out);
}

/* --- zsh ------------------------------------------------------------------ */

/* Text between single quotes, in which some characters mean something. */
static void
quote(FILE *out, struct span text, const char *special)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\'')
			fputs("'\\'", out);
		else if (strchr(special, text.ptr[i]) != NULL)
			fputc('\\', out);
		fputc(text.ptr[i], out);
	}
}

static void
zsh_action(FILE *out, const struct option *o)
{
	static const char *const actions[] = {
		[HINT_NONE] = "",
		[HINT_FILE] = "_files",
		[HINT_DIR] = "_files -/",
		[HINT_USER] = "_users",
		[HINT_GROUP] = "_groups",
	};

	if (o->arg == NULL)
		return;
	fprintf(out, ":%s:", o->arg);
	if (o->hint != HINT_WORDS) {
		fputs(actions[o->hint], out);
		return;
	}
	fputc('(', out);
	quote(out, span_of(o->words), ":");
	fputc(')', out);
}

/* What excludes itself: all flags of an option that is given once. */
static void
zsh_exclusion(FILE *out, const struct option *o)
{
	const char *cursor = o->flags, *before = "(";
	struct span flag;

	if (o->repeats) {
		fputc('*', out);
		return;
	}
	while (flags_next(&cursor, &flag)) {
		fprintf(out, "%s%.*s", before, (int)flag.len, flag.ptr);
		if (has_negative(o, flag))
			fprintf(out, " --no-%.*s", (int)flag.len - 2,
			    flag.ptr + 2);
		before = " ";
	}
	fputc(')', out);
}

static void
zsh_flag(FILE *out, const struct option *o, struct span flag, bool negative)
{
	fputs("\t'", out);
	zsh_exclusion(out, o);
	if (negative)
		fprintf(out, "--no-%.*s", (int)flag.len - 2, flag.ptr + 2);
	else
		fprintf(out, "%.*s%s", (int)flag.len, flag.ptr,
		    o->arg == NULL ? "" : flag.len == 2 ? "+" : "=");
	fputs(negative ? "[Not\\: " : "[", out);
	quote(out, o->help, "[]:\\");
	fputc(']', out);
	zsh_action(out, o);
	fputs("' \\\n", out);
}

static void
zsh_option(FILE *out, const struct option *o)
{
	const char *cursor = o->flags;
	struct span flag;

	while (flags_next(&cursor, &flag)) {
		zsh_flag(out, o, flag, false);
		if (has_negative(o, flag))
			zsh_flag(out, o, flag, true);
	}
}

void
conf_complete_zsh(FILE *out)
{
	fputs("#compdef bicorn\n"
	      "# zsh completion for bicorn(8), made from its table of "
	      "settings.\n\n"
	      "_bicorn_app() {\n"
	      "\tlocal -a modules\n"
	      "\tmodules=(*.py(N:r))\n"
	      "\t_alternative \\\n"
	      "\t    'modules:Python module:compadd -a modules' \\\n"
	      "\t    'files:application in C:_files -g \"*.so\"' \\\n"
	      "\t    'directories:directory:_files -/'\n"
	      "}\n\n"
	      "_arguments -s -S \\\n", out);
	each_option(out, zsh_option);
	fputs("\t'1:application:_bicorn_app'\n", out);
}

/* --- fish ----------------------------------------------------------------- */

static void
fish_value(FILE *out, const struct option *o)
{
	switch (o->arg == NULL ? HINT_WORDS + 1 : (int)o->hint) {
	case HINT_NONE:
		fputs(" -x", out);
		break;
	case HINT_FILE:
		fputs(" -r -F", out);
		break;
	case HINT_DIR:
		fputs(" -x -a '(__fish_complete_directories)'", out);
		break;
	case HINT_USER:
		fputs(" -x -a '(__fish_complete_users)'", out);
		break;
	case HINT_GROUP:
		fputs(" -x -a '(__fish_complete_groups)'", out);
		break;
	case HINT_WORDS:
		fprintf(out, " -x -a '%s'", o->words);
		break;
	}
}

static void
fish_help(FILE *out, const struct option *o, const char *before)
{
	fprintf(out, " -d '%s", before);
	for (size_t i = 0; i < o->help.len; i++) {
		if (strchr("'\\", o->help.ptr[i]) != NULL)
			fputc('\\', out);
		fputc(o->help.ptr[i], out);
	}
	fputs("'\n", out);
}

static void
fish_option(FILE *out, const struct option *o)
{
	const char *cursor = o->flags;
	struct span flag;

	fputs("complete -c bicorn", out);
	while (flags_next(&cursor, &flag))
		if (flag.len == 2)
			fprintf(out, " -s %c", flag.ptr[1]);
		else
			fprintf(out, " -l %.*s", (int)flag.len - 2,
			    flag.ptr + 2);
	fish_value(out, o);
	fish_help(out, o, "");
	flag = flags_main(o->flags);
	if (!has_negative(o, flag))
		return;
	fprintf(out, "complete -c bicorn -l no-%.*s", (int)flag.len - 2,
	    flag.ptr + 2);
	fish_help(out, o, "Not: ");
}

void
conf_complete_fish(FILE *out)
{
	fputs("# fish completion for bicorn(8), made from its table of "
	      "settings.\n\n"
	      "function __bicorn_apps\n"
	      "\tfor f in *.py\n"
	      "\t\tstring replace -r '\\.py$' '' -- $f\n"
	      "\tend\n"
	      "\tfor f in *.so\n"
	      "\t\techo $f\n"
	      "\tend\n"
	      "\t__fish_complete_directories\n"
	      "end\n\n"
	      "complete -c bicorn -f -a '(__bicorn_apps)'\n", out);
	each_option(out, fish_option);
}
