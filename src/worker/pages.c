/* SPDX-License-Identifier: MIT */
#include "worker/pages.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/span.h"
#include "http/response.h"

#define FILE_MAX 65536
#define COUNT_MAX 128

/* In the order in which one is taken when the client does not care. */
enum page_type { PAGE_HTML, PAGE_TEXT, PAGE_JSON, PAGE_TYPES };

static const struct {
	const char *suffix;
	struct span type;    /* what is sent */
	struct span range;   /* what Accept has to name, or ... */
	struct span group;   /* ... all of this group */
	struct span problem; /* ... or this, which is then sent */
} types[] = {
	[PAGE_HTML] = { "html", SPAN("text/html; charset=utf-8"),
	    SPAN("text/html"), SPAN("text/*"), SPAN("application/xhtml+xml") },
	[PAGE_TEXT] = { "txt", SPAN("text/plain; charset=utf-8"),
	    SPAN("text/plain"), SPAN("text/*"), SPAN("text/plain") },
	[PAGE_JSON] = { "json", SPAN("application/json"),
	    SPAN("application/json"), SPAN("application/*"),
	    SPAN("application/problem+json") },
};

/* A file: status is 404, or 4 for all of a class. */
struct custom {
	unsigned status;
	enum page_type type;
	struct span body;
};

struct pages {
	size_t count;
	struct custom items[COUNT_MAX];
};

/* --- the operator's ------------------------------------------------------- */

/* "404.html", "5xx.json"; false for any other name. */
static bool
read_name(const char *name, unsigned *status_out, enum page_type *type_out)
{
	const char *suffix = strchr(name, '.');

	*status_out = 0;
	*type_out = PAGE_HTML;
	if (suffix != name + 3 || name[0] < '4' || name[0] > '5')
		return false;
	if (span_ieq((struct span){ name + 1, 2 }, SPAN("xx")))
		*status_out = (unsigned)(name[0] - '0');
	else if (name[1] >= '0' && name[1] <= '9' && name[2] >= '0' &&
	    name[2] <= '9')
		*status_out = (unsigned)strtoul(name, NULL, 10);
	else
		return false;
	for (int i = 0; i < PAGE_TYPES; i++)
		if (strcmp(suffix + 1, types[i].suffix) == 0) {
			*type_out = (enum page_type)i;
			return true;
		}
	return false;
}

static int
load_file(struct pages *p, const char *dir, const char *name, struct err *err)
{
	struct custom *c = &p->items[p->count];
	char path[PATH_MAX];
	size_t len;
	char *data;

	if (!read_name(name, &c->status, &c->type))
		return 0;
	if (p->count == COUNT_MAX - 1) {
		err_set(err, "error_pages = %s: more than %d pages", dir,
		    COUNT_MAX - 1);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	data = fd_slurp(path, FILE_MAX, &len);
	if (data == NULL) {
		err_sys(err, "error_pages: %s", path);
		return -1;
	}
	c->body = (struct span){ data, len };
	p->count++;
	return 0;
}

static int
load_all(struct pages *p, const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int rc = 0;

	if (d == NULL) {
		err_sys(err, "error_pages = %s", dir);
		return -1;
	}
	while (rc == 0 && (entry = readdir(d)) != NULL)
		rc = load_file(p, dir, entry->d_name, err);
	closedir(d);
	return rc;
}

int
pages_load(const char *dir, struct pages **out, struct err *err)
{
	struct pages *p;

	*out = NULL;
	if (dir == NULL)
		return 0;
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		err_set(err, "error_pages: out of memory");
		return -1;
	}
	if (load_all(p, dir, err) != 0) {
		pages_free(&p);
		return -1;
	}
	*out = p;
	return 0;
}

void
pages_free(struct pages **pp)
{
	struct pages *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		free((char *)p->items[i].body.ptr);
	free(p);
}

static const struct custom *
find(const struct pages *p, unsigned status, enum page_type type)
{
	for (size_t i = 0; p != NULL && i < p->count; i++)
		if (p->items[i].status == status && p->items[i].type == type)
			return &p->items[i];
	return NULL;
}

/* --- what the client accepts ---------------------------------------------- */

/* "q=0.5" among the parameters, in thousandths; 1000 when there is none. */
static unsigned
quality(struct span parameters)
{
	struct span part;

	while (span_next(&parameters, ';', &part)) {
		unsigned q = 0, unit = 1000;

		part = span_trim(part);
		if (part.len < 3 || (part.ptr[0] | 0x20) != 'q' ||
		    part.ptr[1] != '=')
			continue;
		for (size_t i = 2; i < part.len && i < 7; i++) {
			char c = part.ptr[i];

			if (c == '.')
				continue;
			if (c < '0' || c > '9')
				break;
			q += (unsigned)(c - '0') * unit;
			unit /= 10;
		}
		return q < 1000 ? q : 1000;
	}
	return 1000;
}

/* How exactly a media range names the type, 0: not at all. */
static unsigned
fits(struct span range, int type, bool *problem_out)
{
	if (span_ieq(range, types[type].problem)) {
		*problem_out = true;
		return 3;
	}
	if (span_ieq(range, types[type].range))
		return 3;
	if (span_ieq(range, types[type].group))
		return 2;
	return span_eq(range, SPAN("*/*")) ? 1 : 0;
}

/* The quality that the most exact range gives the type. */
static unsigned
wanted(struct span accept, int type, bool *problem_out)
{
	unsigned best = 0, q = 0;
	struct span item, range;

	*problem_out = false;
	while (span_next(&accept, ',', &item)) {
		bool problem = false;
		unsigned exact;

		if (!span_next(&item, ';', &range))
			continue;
		exact = fits(span_trim(range), type, &problem);
		if (exact < best || exact == 0)
			continue;
		best = exact;
		q = quality(item);
		*problem_out = problem;
	}
	/* Among equals the one that is named comes first. */
	return q > 0 ? q * 4 + best : 0;
}

static enum page_type
choose(struct span accept, bool *problem_out)
{
	enum page_type chosen = PAGE_HTML;
	unsigned most = 0;

	*problem_out = false;
	for (int i = 0; accept.ptr != NULL && i < PAGE_TYPES; i++) {
		bool problem;
		unsigned q = wanted(accept, i, &problem);

		if (q > most) {
			most = q;
			chosen = (enum page_type)i;
			*problem_out = problem && i == PAGE_JSON;
		}
	}
	return chosen;
}

/* --- our own -------------------------------------------------------------- */

static void
make_html(struct page *out, unsigned status, struct span reason,
    const char *why, struct span id)
{
	int n = snprintf(out->small, sizeof(out->small),
	    "<html>\n  <head>\n    <title>%.*s</title>\n  </head>\n  <body>\n"
	    "    <h1><p>%.*s</p></h1>\n    %s\n%s%.*s%s  </body>\n</html>\n",
	    (int)reason.len, reason.ptr, (int)reason.len, reason.ptr, why,
	    id.len > 0 ? "    <p>Request " : "", (int)id.len, id.ptr,
	    id.len > 0 ? "</p>\n" : "");

	(void)status;
	out->body = (struct span){ out->small, (size_t)n };
}

static void
make_text(struct page *out, unsigned status, struct span reason,
    const char *why, struct span id)
{
	int n = snprintf(out->small, sizeof(out->small),
	    "%u %.*s\n%s%s%s%.*s%s", status, (int)reason.len, reason.ptr, why,
	    *why != '\0' ? "\n" : "", id.len > 0 ? "Request " : "",
	    (int)id.len, id.ptr, id.len > 0 ? "\n" : "");

	out->body = (struct span){ out->small, (size_t)n };
}

/* The members of RFC 9457. */
static void
make_json(struct page *out, unsigned status, struct span reason,
    const char *why, struct span id)
{
	int n = snprintf(out->small, sizeof(out->small),
	    "{\"status\":%u,\"title\":\"%.*s\"%s%s%s%s%.*s%s}\n", status,
	    (int)reason.len, reason.ptr, *why != '\0' ? ",\"detail\":\"" : "",
	    why, *why != '\0' ? "\"" : "",
	    id.len > 0 ? ",\"request_id\":\"" : "", (int)id.len, id.ptr,
	    id.len > 0 ? "\"" : "");

	out->body = (struct span){ out->small, (size_t)n };
}

void
pages_make(const struct pages *p, unsigned status, const char *why,
    struct span accept, struct span id, struct page *out)
{
	struct span reason = http_reason(status);
	const struct custom *c;
	enum page_type type;
	bool problem;

	type = choose(accept, &problem);
	out->type = problem ? types[type].problem : types[type].type;
	c = find(p, status, type);
	if (c == NULL)
		c = find(p, status / 100, type);
	if (c != NULL)
		out->body = c->body;
	else if (type == PAGE_HTML)
		make_html(out, status, reason, why, id);
	else if (type == PAGE_TEXT)
		make_text(out, status, reason, why, id);
	else
		make_json(out, status, reason, why, id);
}
