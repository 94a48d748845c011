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

#include "path.h"
#include "send.h"
#include "tree.h"
#include "types.h"

/* Constant after site_load(). */
struct site {
	const struct bicorn_server *server;
	char *directory;
	bool follow;
};

/* Owned by one pool thread. */
struct visitor {
	struct tree tree;
	int64_t refreshed_s;
	int64_t complained_s;
	char small[SEND_SMALL_BYTES];
};

static int64_t
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* At most one line per second and thread: the cause is likely to last. */
static void
complain(const struct bicorn_exchange *x, const char *name, int error)
{
	struct visitor *v = x->thread;
	char text[512];

	if (v->complained_s == seconds_now())
		return;
	v->complained_s = seconds_now();
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

static void
serve_name(struct bicorn_exchange *x, char name[PATH_NAME_MAX], size_t len)
{
	struct visitor *v = x->thread;
	bool directory = path_is_directory(name, len);
	struct file f;

	path_add_index(name, &len);
	switch (tree_resolve(&v->tree, name, &f.fd, &f.st)) {
	case TREE_FILE:
		f.type = types_find(name, len);
		send_file(x, &f, v->small);
		close(f.fd);
		break;
	case TREE_DIRECTORY:
		/* One that is named index.html is not an index. */
		if (directory)
			send_status(x, 404);
		else
			redirect_to_directory(x, name, len);
		break;
	case TREE_NOT_FOUND:
		send_status(x, 404);
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
	}
}

static void
site_handle(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct visitor *v = x->thread;
	char name[PATH_NAME_MAX];
	int64_t now = seconds_now();
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
	if (v->refreshed_s != now) {
		v->refreshed_s = now;
		tree_refresh(&v->tree);
	}
	/* The path of http://example.org is empty and stands for "/". */
	if (path_decode(r->raw_path.len > 0 ? r->raw_path : bicorn_str("/"),
		name, &len))
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
	site->server = l->server;
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

static int
visitor_start(void *app, unsigned number, void **thread_out)
{
	const struct site *site = app;
	struct visitor *v = calloc(1, sizeof(*v));

	(void)number;
	*thread_out = NULL;
	if (v == NULL)
		return -1;
	if (tree_open(&v->tree, site->directory, site->follow) != 0) {
		free(v);
		return -1;
	}
	v->refreshed_s = seconds_now();
	v->complained_s = -1;
	*thread_out = v;
	return 0;
}

static void
visitor_stop(void *app, void *thread)
{
	struct visitor *v = thread;

	(void)app;
	if (v == NULL)
		return;
	tree_close(&v->tree);
	free(v);
}

BICORN_APP(.handle = site_handle, .load = site_load, .unload = site_unload,
    .thread_start = visitor_start, .thread_stop = visitor_stop)
