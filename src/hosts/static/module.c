/* SPDX-License-Identifier: MIT */
/*
 * The static host: an application that serves the files of a directory.
 * Each pool thread has its own view of the tree and its own buffer, so that
 * exchanges share nothing but the constant struct site.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

#include "cache.h"
#include "path.h"
#include "send.h"
#include "tree.h"
#include "types.h"

/*
 * Up to this size, a file is read and sent together with the head, and kept
 * in memory for the next that ask.
 */
#define SMALL_BYTES 16384

/* Constant after site_load(). */
struct site {
	char *directory;
	bool follow;
};

/* Owned by one pool thread.  Times are seconds of the wall clock. */
struct visitor {
	struct tree tree;
	struct cache *cache;
	int64_t now_s; /* of this request */
	int64_t refreshed_s;
	int64_t complained_s;
	char small[SMALL_BYTES];
};

static int64_t
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec;
}

/* At most one line per second and thread: the cause is likely to last. */
static void
complain(const struct bicorn_exchange *x, const char *name, int error)
{
	struct visitor *v = x->thread;
	char text[512];

	if (v->complained_s == v->now_s)
		return;
	v->complained_s = v->now_s;
	snprintf(text, sizeof(text), "static: cannot open %.300s: %s", name,
	    strerror(error));
	bicorn_log(x->server, BICORN_LOG_ERROR, text);
}

static void
redirect_to_directory(struct bicorn_exchange *x, const char *name, size_t len)
{
	char *location = path_location(name, len, x->request->query);

	if (location == NULL)
		send_status(x, 503);
	else
		send_status_with(x, 301, "Location", location);
	free(location);
}

/* Reads len bytes from the beginning; false when there are fewer. */
static bool
read_whole(int fd, char *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = pread(fd, buf + at, len - at, (off_t)at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/*
 * Reads a small file.  Somebody may be writing it, so that it is shorter
 * than it was said to be: then it is looked at again, a few times.
 */
static bool
read_small(struct file *f, char buf[SMALL_BYTES])
{
	int tries;

	for (tries = 0; tries < 3 && f->st.st_size <= SMALL_BYTES; tries++)
		if (read_whole(f->fd, buf, (size_t)f->st.st_size))
			return true;
		else if (fstat(f->fd, &f->st) != 0)
			break;
	return false;
}

static void
serve_file(struct bicorn_exchange *x, const char *name, size_t len,
    struct file *f)
{
	struct visitor *v = x->thread;

	f->type = types_find(name, len);
	f->content = NULL;
	f->at = 0;
	if (read_small(f, v->small)) {
		f->content = v->small;
		cache_keep(v->cache, name, &f->st, v->small, v->now_s);
		close(f->fd); /* it may become shorter, and this does not */
		f->fd = -1;
	}
	send_file(x, f, v->now_s);
	if (f->fd >= 0)
		close(f->fd);
}

static bool
serve_cached(struct bicorn_exchange *x, const char *name, size_t len)
{
	struct visitor *v = x->thread;
	const struct cached *kept =
	    cache_find(v->cache, &v->tree, name, v->now_s);
	struct file f;

	if (kept == NULL)
		return false;
	f.st = kept->st;
	f.type = types_find(name, len);
	f.content = kept->content;
	f.fd = kept->fd;
	f.at = kept->at;
	send_file(x, &f, v->now_s);
	return true;
}

/* Answers for a name that is no regular file that can be read. */
static void
serve_other(struct bicorn_exchange *x, const char *name, size_t len,
    enum tree_verdict verdict)
{
	switch (verdict) {
	case TREE_DIRECTORY:
		redirect_to_directory(x, name, len);
		break;
	case TREE_FORBIDDEN:
		send_status(x, 403);
		break;
	case TREE_BUSY:
		complain(x, name, errno);
		send_status_with(x, 503, "Retry-After", "1");
		break;
	case TREE_ERROR:
		complain(x, name, errno);
		send_status(x, 500);
		break;
	default:
		send_status(x, 404);
		break;
	}
}

static void
serve_name(struct bicorn_exchange *x, char name[PATH_NAME_MAX], size_t len)
{
	struct visitor *v = x->thread;
	bool directory = path_is_directory(name, len);
	enum tree_verdict verdict;
	struct file f;

	path_add_index(name, &len);
	if (serve_cached(x, name, len))
		return;
	verdict = tree_resolve(&v->tree, name, &f.fd, &f.st);
	if (verdict == TREE_FILE)
		serve_file(x, name, len, &f);
	else if (verdict == TREE_DIRECTORY && directory)
		send_status(x, 404); /* a directory named index.html */
	else
		serve_other(x, name, len, verdict);
}

static void
site_handle(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct visitor *v = x->thread;
	char name[PATH_NAME_MAX];
	size_t len;

	if (bicorn_str_eq(r->method, "OPTIONS")) {
		send_options(x);
		return;
	}
	if (!bicorn_str_eq(r->method, "GET") &&
	    !bicorn_str_eq(r->method, "HEAD")) {
		send_status_with(x, 405, "Allow", "GET, HEAD, OPTIONS");
		return;
	}
	v->now_s = seconds_now();
	if (v->refreshed_s != v->now_s) {
		v->refreshed_s = v->now_s;
		tree_refresh(&v->tree);
	}
	if (path_decode(r->raw_path, name, &len))
		serve_name(x, name, len);
	else
		send_status(x, 404);
}

static int
load_failed(struct bicorn_load *l, int result, const char *what, int error)
{
	snprintf(l->error, l->error_size, "%s%s%s", what,
	    error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
	return result;
}

static int
site_load(struct bicorn_load *l)
{
	const char *follow = bicorn_setting(l->server, "static_follow");
	struct site *site;
	struct tree tree;

	if (tree_open(&tree, l->target, false) != 0)
		return load_failed(l, BICORN_LOAD_NOT_FOUND,
		    "cannot serve this directory", errno);
	tree_close(&tree);

	site = calloc(1, sizeof(*site));
	if (site != NULL)
		site->directory = strdup(l->target);
	if (site == NULL || site->directory == NULL) {
		free(site);
		return load_failed(l, BICORN_LOAD_FAILED, "out of memory", 0);
	}
	site->follow = follow != NULL && strcmp(follow, "true") == 0;
	l->app = site;
	return BICORN_LOADED;
}

static void
site_unload(void *app)
{
	struct site *site = app;

	if (site == NULL)
		return;
	free(site->directory);
	free(site);
}

static void
visitor_free(struct visitor *v)
{
	tree_close(&v->tree);
	cache_free(&v->cache);
	free(v);
}

static int
visitor_start(void *app, unsigned number, void **thread_out)
{
	const struct site *site = app;
	struct visitor *v = calloc(1, sizeof(*v));

	(void)number;
	*thread_out = NULL;
	if (v == NULL)
		return -1;
	v->cache = cache_new();
	if (tree_open(&v->tree, site->directory, site->follow) != 0 ||
	    v->cache == NULL) {
		visitor_free(v);
		return -1;
	}
	v->complained_s = -1;
	*thread_out = v;
	return 0;
}

static void
visitor_stop(void *app, void *thread)
{
	(void)app;
	if (thread != NULL)
		visitor_free(thread);
}

BICORN_APP(.handle = site_handle, .load = site_load, .unload = site_unload,
    .thread_start = visitor_start, .thread_stop = visitor_stop)
