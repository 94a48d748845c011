/* SPDX-License-Identifier: MIT */
#include "conf/value.h"

#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/must.h"
#include "conf/arena.h"
#include "conf/cpus.h"
#include "conf/groups.h"
#include "conf/number.h"
#include "conf/rules.h"

static const char no_memory[] = "out of memory";

/* --- range --------------------------------------------------------------- */

static int64_t
scale(const struct setting *s)
{
	return s->kind == KIND_TIME ? 1000 : 1;
}

static int64_t
lowest(const struct setting *s)
{
	return (int64_t)(s->min * (double)scale(s) + 0.5);
}

static int64_t
highest(const struct setting *s)
{
	return (int64_t)(s->max * (double)scale(s) + 0.5);
}

static bool
add_number(struct buf *b, const struct setting *s, int64_t number)
{
	char text[NUMBER_ROOM];

	if (s->kind == KIND_TIME)
		number_seconds(text, number);
	else if (s->kind == KIND_SIZE)
		number_size(text, number);
	else
		number_plain(text, number);
	return buf_str(b, text);
}

bool
value_range(struct buf *b, const struct setting *s)
{
	if (s->kind != KIND_INT && s->kind != KIND_TIME &&
	    s->kind != KIND_SIZE)
		return true;
	return add_number(b, s, lowest(s)) && buf_str(b, "..") &&
	    add_number(b, s, highest(s)) &&
	    buf_str(b, s->kind == KIND_TIME ? " seconds" : "");
}

/* Whether a number is one of a row's special values beside its range. */
static bool
takes_auto(const struct setting *s)
{
	return setting_id(s) == SETTING_workers;
}

/* err = BEFORE, the range, AFTER. */
static int
refuse(struct err *err, const struct setting *s, const char *before,
    const char *after)
{
	struct buf range = { 0 };

	if (value_range(&range, s) && buf_add(&range, "", 1))
		err_set(err, "%s%s%s%s", before, range.data,
		    takes_auto(s) ? " or auto" : "", after);
	else
		err_set(err, "%s", no_memory);
	buf_fini(&range);
	return -1;
}

/* --- text to value ------------------------------------------------------- */

static int
parse_bool(const char *text, struct value *out, struct err *err)
{
	static const char *const words[][2] = { { "false", "true" },
		{ "no", "yes" }, { "off", "on" }, { "0", "1" }, { "n", "y" } };
	struct span word = span_of(text);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		out->on = span_ieq(word, span_of(words[i][1]));
		if (out->on || span_ieq(word, span_of(words[i][0])))
			return 0;
	}
	err_set(err, "must be true or false");
	return -1;
}

static int
parse_number(const struct setting *s, const char *text, struct value *out,
    struct err *err)
{
	static const char *const wants[] = {
		[KIND_INT] = "must be a whole number, ",
		[KIND_TIME] = "must be a duration, ",
		[KIND_SIZE] = "must be a size in bytes, ",
	};
	static const char *const units[] = {
		[KIND_INT] = "",
		[KIND_TIME] = ", or have a unit: ms, s, m or h",
		[KIND_SIZE] = ", or have a unit: k, M, G or T",
	};
	enum number_verdict verdict;

	if (takes_auto(s) && strcmp(text, "auto") == 0) {
		out->automatic = true;
		out->number = cpus_usable((unsigned)s->max);
		return 0;
	}
	if (s->kind == KIND_TIME)
		verdict = number_parse_time(text, &out->number);
	else if (s->kind == KIND_SIZE)
		verdict = number_parse_size(text, &out->number);
	else
		verdict = number_parse_int(text, &out->number);
	if (verdict == NUMBER_BAD)
		return refuse(err, s, wants[s->kind], units[s->kind]);
	if (verdict == NUMBER_TINY) {
		err_set(err, "is less than %s", s->kind == KIND_TIME ?
			"a millisecond" : "a byte");
		return -1;
	}
	if (verdict == NUMBER_HUGE || out->number < lowest(s) ||
	    out->number > highest(s))
		return refuse(err, s, "must be ", "");
	return 0;
}

static int
parse_text(struct arena *a, const struct setting *s, const char *text,
    struct value *out, struct err *err)
{
	if (text[0] == '\0' && s->def[0] != '\0') {
		err_set(err, "must not be empty");
		return -1;
	}
	out->text = NULL; /* empty: unset */
	if (text[0] == '\0')
		return 0;
	if (rules_check(s, text, err) != 0)
		return -1;
	out->text = arena_dup(a, span_of(text));
	if (out->text == NULL) {
		err_set(err, "%s", no_memory);
		return -1;
	}
	return 0;
}

/* Cuts the next item off text and undoes its "\,"; NULL: out of memory. */
static char *
cut_item(struct arena *a, const char **text)
{
	const char *at = *text;
	char *item = arena_alloc(a, strlen(at) + 1), *to = item;
	struct span trimmed;

	if (item == NULL)
		return NULL;
	for (; *at != '\0' && *at != ','; at++) {
		if (at[0] == '\\' && at[1] == ',')
			at++;
		*to++ = *at;
	}
	*text = *at == ',' ? at + 1 : at;
	trimmed = span_trim((struct span){ item, (size_t)(to - item) });
	return arena_dup(a, trimmed);
}

static int
parse_list(struct arena *a, const struct setting *s, const char *text,
    struct value *out, struct err *err)
{
	const char **items;
	size_t count = 0, most = 1;

	for (const char *at = text; *at != '\0'; at++)
		most += *at == ',';
	items = arena_alloc(a, most * sizeof(*items));
	while (items != NULL && *text != '\0') {
		char *item = cut_item(a, &text);

		if (item == NULL)
			items = NULL;
		else if (*item != '\0') /* "a,,b": nothing is no item */
			items[count++] = item;
	}
	if (items == NULL) {
		err_set(err, "%s", no_memory);
		return -1;
	}
	return value_list(a, s, items, count, out, err);
}

int
value_list(struct arena *a, const struct setting *s,
    const char *const *items, size_t count, struct value *out,
    struct err *err)
{
	const char **copy = arena_alloc(a, (count + 1) * sizeof(*copy));

	*out = (struct value){ .list = { copy, count } };
	for (size_t i = 0; copy != NULL && i < count; i++) {
		if (rules_check(s, items[i], err) != 0)
			return -1;
		copy[i] = arena_dup(a, span_of(items[i]));
		if (copy[i] == NULL)
			copy = NULL;
	}
	if (copy == NULL) {
		err_set(err, "%s", no_memory);
		return -1;
	}
	return 0;
}

int
value_parse(struct arena *a, const struct setting *s, const char *text,
    bool commas, struct value *out, struct err *err)
{
	*out = (struct value){ 0 };
	switch (s->kind) {
	case KIND_BOOL:
		return parse_bool(text, out, err);
	case KIND_INT:
	case KIND_TIME:
	case KIND_SIZE:
		return parse_number(s, text, out, err);
	case KIND_TEXT:
		return parse_text(a, s, text, out, err);
	case KIND_LIST:
		if (commas)
			return parse_list(a, s, text, out, err);
		return value_list(a, s, &text, text[0] != '\0', out, err);
	case KIND_GROUPS:
		if (text[0] == '\0')
			return 0;
		err_set(err, "stands in the settings file only");
		return -1;
	}
	must(!"a kind of setting");
	return -1;
}

/* --- value and field ----------------------------------------------------- */

void
value_store(struct settings *to, const struct setting *s,
    const struct value *v)
{
	char *field = (char *)to + s->offset;

	switch (s->kind) {
	case KIND_BOOL:
		*(bool *)(void *)field = v->on;
		break;
	case KIND_INT:
	case KIND_TIME:
	case KIND_SIZE:
		*(int64_t *)(void *)field = v->number;
		break;
	case KIND_TEXT:
		*(const char **)(void *)field = v->text;
		break;
	case KIND_LIST:
		*(struct strlist *)(void *)field = v->list;
		break;
	case KIND_GROUPS:
		*(struct listen_groups *)(void *)field = v->groups;
		break;
	}
	if (setting_id(s) == SETTING_workers)
		to->workers_auto = v->automatic;
}

void
value_load(const struct settings *from, const struct setting *s,
    struct value *out)
{
	const char *field = (const char *)from + s->offset;

	*out = (struct value){ 0 };
	switch (s->kind) {
	case KIND_BOOL:
		out->on = *(const bool *)(const void *)field;
		break;
	case KIND_INT:
	case KIND_TIME:
	case KIND_SIZE:
		out->number = *(const int64_t *)(const void *)field;
		break;
	case KIND_TEXT:
		out->text = *(const char *const *)(const void *)field;
		break;
	case KIND_LIST:
		out->list = *(const struct strlist *)(const void *)field;
		break;
	case KIND_GROUPS:
		out->groups =
		    *(const struct listen_groups *)(const void *)field;
		break;
	}
	if (setting_id(s) == SETTING_workers)
		out->automatic = from->workers_auto;
}

/* --- value to text ------------------------------------------------------- */

static bool
plain_list(struct buf *b, const struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0 && !buf_str(b, ","))
			return false;
		for (const char *c = list->items[i]; *c != '\0'; c++)
			if ((*c == ',' && !buf_str(b, "\\")) ||
			    !buf_add(b, c, 1))
				return false;
	}
	return true;
}

bool
value_plain(struct buf *b, const struct setting *s, const struct value *v)
{
	char number[NUMBER_ROOM];

	switch (s->kind) {
	case KIND_BOOL:
		return buf_str(b, v->on ? "true" : "false");
	case KIND_INT:
	case KIND_SIZE:
		number_plain(number, v->number);
		return buf_str(b, number);
	case KIND_TIME:
		number_seconds(number, v->number);
		return buf_str(b, number);
	case KIND_TEXT:
		return buf_str(b, v->text != NULL ? v->text : "");
	case KIND_LIST:
		return plain_list(b, &v->list);
	case KIND_GROUPS:
		return v->groups.count == 0 || groups_conf(b, &v->groups);
	}
	return false;
}

/* A string of libconfig. */
static bool
conf_string(struct buf *b, const char *text)
{
	bool ok = buf_str(b, "\"");

	for (; ok && *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			ok = buf_fmt(b, "\\%c", c);
		else if (c == '\n')
			ok = buf_str(b, "\\n");
		else if (c < ' ' || c == 0x7f)
			ok = buf_fmt(b, "\\x%02x", c);
		else
			ok = buf_add(b, &c, 1);
	}
	return ok && buf_str(b, "\"");
}

static bool
conf_list(struct buf *b, const struct strlist *list)
{
	bool ok = buf_str(b, "[");

	for (size_t i = 0; ok && i < list->count; i++)
		ok = buf_str(b, i > 0 ? ", " : " ") &&
		    conf_string(b, list->items[i]);
	return ok && buf_str(b, list->count > 0 ? " ]" : "]");
}

static bool
conf_number(struct buf *b, const struct setting *s, const struct value *v)
{
	char text[NUMBER_ROOM];

	if (v->automatic)
		return conf_string(b, "auto");
	if (s->kind == KIND_SIZE) {
		number_size(text, v->number);
		if (text[strspn(text, "0123456789")] != '\0')
			return conf_string(b, text);
	}
	/* libconfig's own integers have 32 bits, L stands for 64. */
	return add_number(b, s, v->number) &&
	    buf_str(b, s->kind != KIND_TIME && v->number > INT_MAX ? "L" : "");
}

bool
value_conf(struct buf *b, const struct setting *s, const struct value *v)
{
	switch (s->kind) {
	case KIND_BOOL:
		return buf_str(b, v->on ? "true" : "false");
	case KIND_INT:
	case KIND_TIME:
	case KIND_SIZE:
		return conf_number(b, s, v);
	case KIND_TEXT:
		return conf_string(b, v->text != NULL ? v->text : "");
	case KIND_LIST:
		return conf_list(b, &v->list);
	case KIND_GROUPS:
		return groups_conf(b, &v->groups);
	}
	return false;
}
