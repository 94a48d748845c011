/* SPDX-License-Identifier: MIT */
#include "conf/expand.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "conf/expand_private.h"

/* Far beyond any use; they end loops of includes and mistaken files. */
#define LARGEST_FILE (1 << 20)
#define LARGEST_TEXT (4 << 20)
#define DEEPEST 10
#define MOST_SEGMENTS 2000

struct segment {
	unsigned first; /* line of the expanded text */
	struct place place;
};

static int
no_memory(struct err *err)
{
	err_set(err, "out of memory");
	return -1;
}

/* From here on, lines are those of file, beginning with line. */
static int
begin_segment(struct expansion *x, const char *file, unsigned line)
{
	const struct segment s = { x->lines + 1, { file, line } };

	return buf_add(&x->segments, &s, sizeof(s)) ? 0 : -1;
}

struct place
expand_place(const struct expansion *x, unsigned line)
{
	const struct segment *s = (const void *)x->segments.data;
	size_t i = x->segments.len / sizeof(*s);

	while (i > 0 && s[i - 1].first > line)
		i--;
	if (i == 0)
		return (struct place){ "?", line };
	return (struct place){ s[i - 1].place.file,
		s[i - 1].place.line + (line - s[i - 1].first) };
}

/* path as file means it: relative to the directory that file is in. */
static char *
resolve(struct arena *a, const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');

	if (path[0] == '/' || slash == NULL)
		return arena_dup(a, span_of(path));
	return arena_fmt(a, "%.*s%s", (int)(slash + 1 - file), file, path);
}

/* A pattern for glob() in which only the tail is one. */
static char *
pattern_of(struct arena *a, const char *path, size_t tail_len)
{
	size_t head = strlen(path) - tail_len;
	char *pattern = arena_alloc(a, 2 * head + tail_len + 1), *to = pattern;

	if (pattern == NULL)
		return NULL;
	for (size_t i = 0; i < head; i++) {
		if (strchr("*?[\\", path[i]) != NULL)
			*to++ = '\\';
		*to++ = path[i];
	}
	memcpy(to, path + head, tail_len);
	return pattern;
}

static int expand_at(struct expansion *x, const char *path, unsigned depth,
    struct err *err);

static int
expand_pattern(struct expansion *x, const char *pattern, unsigned depth,
    struct err *err)
{
	glob_t found = { 0 };
	int rc = glob(pattern, 0, NULL, &found);

	if (rc == GLOB_NOSPACE) {
		no_memory(err);
	} else if (rc == GLOB_ABORTED) {
		err_sys(err, "%s", pattern);
	} else {
		/* No file at all is what a fresh conf.d looks like. */
		rc = 0;
		for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
			char *path = arena_dup(&x->arena,
			    span_of(found.gl_pathv[i]));

			rc = path != NULL ?
			    expand_at(x, path, depth, err) : no_memory(err);
		}
	}
	globfree(&found);
	return rc != 0 ? -1 : 0;
}

static int
expand_include(struct scan *s, const char *name, struct err *err)
{
	struct expansion *x = s->x;
	char *path = resolve(&x->arena, s->file, name);
	char *pattern;

	if (path == NULL)
		return no_memory(err);
	if (strpbrk(name, "*?[") == NULL || access(path, F_OK) == 0) {
		if (access(path, R_OK) == 0)
			return expand_at(x, path, s->depth + 1, err);
		return scan_fail(s, err, "cannot include %s: %s", path,
		    strerror(errno));
	}
	pattern = pattern_of(&x->arena, path, strlen(name));
	if (pattern == NULL)
		return no_memory(err);
	return expand_pattern(x, pattern, s->depth + 1, err);
}

int
scan_include(struct scan *s, const char *name, struct err *err)
{
	struct expansion *x = s->x;

	if (s->depth >= DEEPEST)
		return scan_fail(s, err, "@include is more than %d deep; does "
			"a file include itself?", DEEPEST);
	if (x->segments.len / sizeof(struct segment) >= MOST_SEGMENTS)
		return scan_fail(s, err, "too many included files");
	/* The included text begins and ends with a line of its own. */
	if (scan_emit(s, "\n", 1, err) != 0 ||
	    expand_include(s, name, err) != 0)
		return -1;
	return begin_segment(x, s->file, s->line) != 0 ? no_memory(err) : 0;
}

/* One file's text. */
static int
expand_one(struct expansion *x, const char *name, const char *text,
    size_t len, unsigned depth, struct err *err)
{
	struct scan s = { .x = x, .file = name, .at = text, .end = text + len,
		.line = 1, .depth = depth };

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		s.at += 3; /* the mark that some editors put in front */
	if (begin_segment(x, name, 1) != 0)
		return no_memory(err);
	if (scan_all(&s, err) != 0)
		return -1;
	if (x->text.len > LARGEST_TEXT)
		return scan_fail(&s, err, "this and what it includes is more "
			"than %d MiB", LARGEST_TEXT >> 20);
	return 0;
}

static int
expand_at(struct expansion *x, const char *path, unsigned depth,
    struct err *err)
{
	size_t len = 0;
	char *text = fd_slurp(path, LARGEST_FILE, &len);
	int rc;

	if (text == NULL && errno == EFBIG)
		err_set(err, "%s: is no settings file: larger than %d MiB",
		    path, LARGEST_FILE >> 20);
	else if (text == NULL)
		err_sys(err, "%s", path);
	if (text == NULL)
		return -1;
	rc = expand_one(x, path, text, len, depth, err);
	free(text);
	return rc;
}

/* buf_add() of one byte more than counts: libconfig wants an end. */
static int
terminate(struct expansion *x, struct err *err)
{
	if (!buf_add(&x->text, "", 1))
		return no_memory(err);
	x->text.len--;
	return 0;
}

int
expand_file(struct expansion *x, const char *path, struct err *err)
{
	char *name = arena_dup(&x->arena, span_of(path));

	if (name == NULL)
		return no_memory(err);
	if (expand_at(x, name, 0, err) != 0)
		return -1;
	return terminate(x, err);
}

int
expand_text(struct expansion *x, const char *name, const char *text,
    size_t len, struct err *err)
{
	if (expand_one(x, name, text, len, 0, err) != 0)
		return -1;
	return terminate(x, err);
}

void
expand_fini(struct expansion *x)
{
	buf_fini(&x->text);
	buf_fini(&x->segments);
	buf_fini(&x->keys);
	arena_fini(&x->arena);
}
