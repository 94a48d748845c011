/* SPDX-License-Identifier: MIT */
/*
 * The tokens of a settings file.  They are those of libconfig; what its
 * versions read differently or without a word of complaint is made plain
 * or refused here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "conf/expand_private.h"

#define MOST_KEYS 1000
#define SHOWN 40

/* A setting that was seen: each may be there once. */
struct key {
	const char *name;
	struct place place;
};

int
scan_fail(struct scan *s, struct err *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(err, "%s, line %u: %s", s->file, s->line, text);
	return -1;
}

int
scan_emit(struct scan *s, const char *text, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++)
		s->x->lines += text[i] == '\n';
	if (buf_add(&s->x->text, text, len))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

static bool
in_name(char c)
{
	return scan_is_alpha(c) || scan_is_digit(c) || c == '_' || c == '-' ||
	    c == '*';
}

static bool
looking_at(const struct scan *s, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(s->end - s->at) >= len &&
	    memcmp(s->at, text, len) == 0;
}

static int
scan_newline(struct scan *s, struct err *err)
{
	s->at++;
	s->line++;
	s->mid_line = false;
	return scan_emit(s, "\n", 1, err);
}

static void
skip_line(struct scan *s)
{
	while (s->at < s->end && *s->at != '\n')
		s->at++;
}

static int
skip_comment(struct scan *s, struct err *err)
{
	unsigned begin = s->line;

	for (s->at += 2; !looking_at(s, "*/"); ) {
		if (s->at >= s->end) {
			s->line = begin;
			return scan_fail(s, err, "this comment has no end");
		}
		if (*s->at != '\n')
			s->at++;
		else if (scan_newline(s, err) != 0)
			return -1;
	}
	s->at += 2;
	return scan_emit(s, " ", 1, err);
}

/* --- names and marks ----------------------------------------------------- */

static int
scan_name(struct scan *s, struct err *err)
{
	struct span word = { s->at, 0 };

	while (in_name(scan_peek(s, word.len)))
		word.len++;
	if (s->last == LAST_EQUALS || s->last == LAST_OPEN ||
	    s->last == LAST_COMMA)
		return scan_truth(s, word, err);
	if (word.len > SHOWN)
		return scan_fail(s, err, "%.*s...: no setting has so long a "
					 "name", SHOWN, word.ptr);
	s->name = word;
	s->name_line = s->line;
	s->last = LAST_NAME;
	s->at += word.len;
	return scan_emit(s, word.ptr, word.len, err);
}

/* Behind the name of a setting at the top: it must be a new one. */
static int
note_key(struct scan *s, struct err *err)
{
	const struct key *keys = (const void *)s->x->keys.data;
	size_t count = s->x->keys.len / sizeof(*keys);
	struct key key = { arena_dup(&s->x->arena, s->name),
		{ s->file, s->line } };

	for (size_t i = 0; key.name != NULL && i < count; i++)
		if (strcmp(keys[i].name, key.name) == 0) {
			err_set(err, "%s (%s, line %u): set twice; first in "
				     "%s, line %u",
			    key.name, s->file, s->line, keys[i].place.file,
			    keys[i].place.line);
			return -1;
		}
	if (count >= MOST_KEYS)
		return scan_fail(s, err, "more than %d settings", MOST_KEYS);
	if (key.name != NULL && buf_add(&s->x->keys, &key, sizeof(key)))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

/* Whether names stand here, and not the values of a list. */
static bool
in_settings(const struct scan *s)
{
	return s->nesting == 0 || s->open[s->nesting - 1] == '{';
}

static int
open_bracket(struct scan *s, char c, struct err *err)
{
	if (s->nesting >= DEEPEST_NESTING)
		return scan_fail(s, err, "brackets are more than %d deep",
		    DEEPEST_NESTING);
	s->open[s->nesting++] = c;
	s->last = c == '{' ? LAST_NOTHING : LAST_OPEN;
	return 0;
}

static int
close_bracket(struct scan *s, char c, struct err *err)
{
	const char *pairs = "{}[]()";

	if (s->nesting == 0 ||
	    strchr(pairs, s->open[s->nesting - 1])[1] != c)
		return scan_fail(s, err, "%c closes nothing", c);
	s->nesting--;
	s->last = LAST_VALUE;
	return 0;
}

static int
scan_mark(struct scan *s, struct err *err)
{
	char c = *s->at++;
	int rc = 0;

	if (strchr("{[(", c) != NULL) {
		rc = open_bracket(s, c, err);
	} else if (strchr("}])", c) != NULL) {
		rc = close_bracket(s, c, err);
	} else if (c == '=' || c == ':') {
		s->last = LAST_EQUALS;
		if (s->nesting == 0)
			rc = note_key(s, err);
	} else {
		s->last = in_settings(s) ? LAST_NOTHING : LAST_COMMA;
	}
	return rc != 0 ? -1 : scan_emit(s, &c, 1, err);
}

/* --- includes ------------------------------------------------------------ */

static int
scan_directive(struct scan *s, struct err *err)
{
	char *name;
	size_t len;

	if (s->mid_line || !looking_at(s, "@include"))
		return scan_fail(s, err, "@include \"FILE\" stands in a line "
					 "of its own");
	if (s->nesting > 0)
		return scan_fail(s, err, "@include is not for inside brackets");
	s->at += strlen("@include");
	while (scan_peek(s, 0) == ' ' || scan_peek(s, 0) == '\t')
		s->at++;
	if (scan_peek(s, 0) != '"')
		return scan_fail(s, err, "@include needs a \"FILE\"");
	len = scan_measure_text(s, err);
	if (len == 0)
		return -1;
	name = arena_dup(&s->x->arena, (struct span){ s->at + 1, len - 2 });
	s->at += len;
	if (name == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	if (*name == '\0')
		return scan_fail(s, err, "@include needs a \"FILE\"");
	s->last = LAST_NOTHING;
	return scan_include(s, name, err);
}

/* --- all ----------------------------------------------------------------- */

static int
refuse_byte(struct scan *s, struct err *err)
{
	unsigned char c = (unsigned char)*s->at;

	if (c == '\0')
		return scan_fail(s, err, "a byte of value 0: is this a "
					 "settings file?");
	if (c > ' ' && c < 0x7f)
		return scan_fail(s, err, "unexpected %c", c);
	return scan_fail(s, err, "unexpected byte 0x%02x", c);
}

static bool
starts_number(const struct scan *s)
{
	char c = scan_peek(s, 0);

	if (c == '-' || c == '+')
		return scan_is_digit(scan_peek(s, 1)) || scan_peek(s, 1) == '.';
	return scan_is_digit(c) || (c == '.' && scan_is_digit(scan_peek(s, 1)));
}

static int
fail_unfinished(struct scan *s, struct err *err)
{
	s->line = s->name_line;
	return scan_fail(s, err, "%.*s has no value", (int)s->name.len,
	    s->name.ptr);
}

/* Whether the next byte is one of set, which holds no byte of value 0. */
static bool
next_is(const struct scan *s, const char *set)
{
	return scan_peek(s, 0) != '\0' && strchr(set, scan_peek(s, 0)) != NULL;
}

static bool
starts_value(const struct scan *s)
{
	return next_is(s, "\"{[(") || starts_number(s) ||
	    scan_is_alpha(scan_peek(s, 0));
}

/*
 * Whether the next token fits behind the last one.  libconfig would only
 * say "syntax error", often a line late, and 1.5 then forgets some memory.
 */
static int
check_settings(struct scan *s, struct err *err)
{
	bool fits;

	if (s->last == LAST_NAME)
		return next_is(s, "=:") ? 0 : fail_unfinished(s, err);
	if (s->last == LAST_EQUALS)
		return starts_value(s) ? 0 : fail_unfinished(s, err);
	if (s->last == LAST_TEXT && next_is(s, "\""))
		return 0;
	fits = scan_is_alpha(scan_peek(s, 0)) || next_is(s, "*@}])") ||
	    (s->last != LAST_NOTHING && next_is(s, ";,"));
	return fits ? 0 : refuse_byte(s, err);
}

static int
check_list(struct scan *s, struct err *err)
{
	bool nested = next_is(s, "{[(");
	bool fits;

	if (nested && s->open[s->nesting - 1] == '[')
		fits = false; /* libconfig has plain values there */
	else if (s->last == LAST_OPEN)
		fits = starts_value(s) || next_is(s, "}])@");
	else if (s->last == LAST_COMMA)
		fits = starts_value(s);
	else
		fits = next_is(s, ",}])@") ||
		    (s->last == LAST_TEXT && next_is(s, "\""));
	return fits ? 0 : refuse_byte(s, err);
}

/* One token that is neither blank nor comment. */
static int
scan_token(struct scan *s, struct err *err)
{
	char c = *s->at;
	int rc;

	rc = in_settings(s) ? check_settings(s, err) : check_list(s, err);
	if (rc != 0)
		return -1;
	if (c == '"')
		rc = scan_text(s, err);
	else if (c == '@')
		rc = scan_directive(s, err);
	else if (starts_number(s))
		rc = scan_number(s, err);
	else if (scan_is_alpha(c) || c == '*')
		rc = scan_name(s, err);
	else if (next_is(s, "{}[]()=:,;"))
		rc = scan_mark(s, err);
	else
		rc = refuse_byte(s, err);
	s->mid_line = true;
	return rc;
}

int
scan_all(struct scan *s, struct err *err)
{
	int rc = 0;

	while (rc == 0 && s->at < s->end) {
		if (*s->at == '\n')
			rc = scan_newline(s, err);
		else if (*s->at == '#' || looking_at(s, "//"))
			skip_line(s);
		else if (looking_at(s, "/*"))
			rc = skip_comment(s, err);
		else if (strchr(" \t\r\f", *s->at) != NULL && *s->at != '\0') {
			s->at++;
			rc = scan_emit(s, " ", 1, err);
		} else
			rc = scan_token(s, err);
	}
	if (rc == 0 && s->nesting > 0)
		return scan_fail(s, err, "a bracket is not closed");
	if (rc == 0 && (s->last == LAST_NAME || s->last == LAST_EQUALS))
		return fail_unfinished(s, err);
	return rc != 0 ? -1 : scan_emit(s, "\n", 1, err);
}
