/* SPDX-License-Identifier: MIT */
/*
 * Preconditions: whether a file is sent at all, and whether a part of it
 * fits to what the client has.
 */
#include "conditional.h"

#include <stddef.h>
#include <string.h>

#include "date.h"

/*
 * Keeps the value of a field that may come only once.  The second one makes
 * it an empty value, which is no date, no tag and no range.
 */
static void
keep_single(struct bicorn_str *slot, struct bicorn_str value)
{
	*slot = slot->ptr == NULL ? value : bicorn_str("");
}

void
conditional_collect(const struct bicorn_request *r, struct conditions *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	out->request = r;
	for (i = 0; i < r->header_count; i++) {
		const struct bicorn_header *h = &r->headers[i];
		char first = 0;

		if (h->name.len > 0)
			first = (char)(h->name.ptr[0] | 0x20);
		if (first == 'r' && bicorn_str_ieq(h->name, "Range"))
			keep_single(&out->range, h->value);
		if (first != 'i')
			continue;
		if (bicorn_str_ieq(h->name, "If-None-Match"))
			out->if_none_match = true;
		else if (bicorn_str_ieq(h->name, "If-Match"))
			out->if_match = true;
		else if (bicorn_str_ieq(h->name, "If-Modified-Since"))
			keep_single(&out->if_modified_since, h->value);
		else if (bicorn_str_ieq(h->name, "If-Unmodified-Since"))
			keep_single(&out->if_unmodified_since, h->value);
		else if (bicorn_str_ieq(h->name, "If-Range"))
			keep_single(&out->if_range, h->value);
	}
}

/*
 * Takes the next entity tag off a list, with its quotes and without "W/",
 * which *weak_out tells.  False at the end, or at what is no tag.
 */
static bool
next_tag(struct bicorn_str *list, struct bicorn_str *tag_out, bool *weak_out)
{
	const char *p = list->ptr, *end = p + list->len, *quote;

	while (p < end && (*p == ' ' || *p == '\t' || *p == ','))
		p++;
	*weak_out = end - p >= 2 && p[0] == 'W' && p[1] == '/';
	if (*weak_out)
		p += 2;
	if (p == end || *p != '"')
		return false;
	quote = memchr(p + 1, '"', (size_t)(end - p - 1));
	if (quote == NULL)
		return false;
	tag_out->ptr = p;
	tag_out->len = (size_t)(quote + 1 - p);
	list->ptr = quote + 1;
	list->len = (size_t)(end - list->ptr);
	return true;
}

static bool
same(struct bicorn_str a, struct bicorn_str b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/*
 * True when one line of If-Match or If-None-Match names the tag.  The file's
 * own tag is strong, so that weak tags match by weak comparison only.
 */
static bool
line_matches(struct bicorn_str line, struct bicorn_str etag, bool weak_too)
{
	struct bicorn_str tag;
	bool weak;

	if (bicorn_str_eq(line, "*"))
		return true;
	while (next_tag(&line, &tag, &weak))
		if ((weak_too || !weak) && same(tag, etag))
			return true;
	return false;
}

/* Looks at all lines of that name; they are one list in pieces. */
static bool
any_line_matches(const struct conditions *c, const char *name,
    struct bicorn_str etag, bool weak_too)
{
	const struct bicorn_request *r = c->request;
	size_t i;

	for (i = 0; i < r->header_count; i++)
		if (bicorn_str_ieq(r->headers[i].name, name) &&
		    line_matches(r->headers[i].value, etag, weak_too))
			return true;
	return false;
}

enum conditional_verdict
conditional_check(const struct conditions *c, const struct validators *v)
{
	int64_t date;

	if (c->if_match) {
		if (!any_line_matches(c, "If-Match", v->etag, false))
			return CONDITIONAL_FAILED;
	} else if (c->if_unmodified_since.ptr != NULL) {
		date = date_parse(c->if_unmodified_since, v->now);
		if (date >= 0 && v->modified > date)
			return CONDITIONAL_FAILED;
	}

	if (c->if_none_match) {
		if (any_line_matches(c, "If-None-Match", v->etag, true))
			return CONDITIONAL_NOT_MODIFIED;
	} else if (c->if_modified_since.ptr != NULL) {
		date = date_parse(c->if_modified_since, v->now);
		if (date >= 0 && v->modified <= date)
			return CONDITIONAL_NOT_MODIFIED;
	}
	return CONDITIONAL_GO;
}

bool
conditional_range(const struct conditions *c, const struct validators *v)
{
	struct bicorn_str rest = c->if_range, tag;
	bool weak;

	if (c->range.ptr == NULL)
		return false;
	if (c->if_range.ptr == NULL)
		return true;
	if (next_tag(&rest, &tag, &weak))
		return !weak && rest.len == 0 && same(tag, v->etag);
	/*
	 * A date must be the very one that was sent, not merely a later one.
	 * One in the future was never sent.
	 */
	return v->modified <= v->now &&
	    date_parse(c->if_range, v->now) == v->modified;
}
