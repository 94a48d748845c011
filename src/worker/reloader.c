/* SPDX-License-Identifier: MIT */
#include "worker/reloader.h"

#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/target.h"
#include "base/err.h"
#include "base/fd.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/heritage.h"
#include "worker/scoreboard.h"
#include "worker/worker_private.h"

#ifndef GLOB_ONLYDIR /* a hint of glibc; the slash says it, too */
#define GLOB_ONLYDIR 0
#endif

/* What was imported meanwhile, and new files of patterns, are found then. */
#define REFRESH_MS 1000

/* Without inotify, files are looked at so often. */
#define POLL_MS 200

/* Directories below each other that ** goes through. */
#define DEEPEST 16

/* Which state a file is in: writing it or putting another in its place
 * changes one of these. */
struct look {
	int64_t changed_ns; /* the time of the inode */
	int64_t modified_ns;
	off_t size;
	ino_t inode;
};

struct watched_file {
	char *path;
	unsigned hash;
	struct look look;
};

struct reloader {
	/* Constant after reloader_start(). */
	struct worker *w;
	pthread_t id;
	int inotify; /* -1: files are polled */
	int leave;   /* an eventfd */

	/* The thread's. */
	struct watched_file *files;
	size_t count, room;
	bool first;      /* what is found now was there before */
	int64_t newest_ns; /* of the changes found, 0: none */
};

/* --- the files ----------------------------------------------------------- */

static int64_t
nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool
look_at(const char *path, struct look *out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	*out = (struct look){ nanoseconds(&st.st_ctim),
		nanoseconds(&st.st_mtim), st.st_size, st.st_ino };
	return true;
}

/* Another owner or another link makes no other file. */
static bool
is_same(const struct look *a, const struct look *b)
{
	return a->modified_ns == b->modified_ns && a->size == b->size &&
	    a->inode == b->inode;
}

static unsigned
hash_of(const char *text)
{
	unsigned h = 2166136261u;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

static bool
is_known(const struct reloader *r, const char *path, unsigned hash)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->files[i].hash == hash &&
		    strcmp(r->files[i].path, path) == 0)
			return true;
	return false;
}

/* Changes are seen by the directory: editors put a new file in its place. */
static void
watch_directory(struct reloader *r, const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;

	if (r->inotify < 0 || len >= sizeof(dir))
		return;
	memcpy(dir, path, len);
	dir[len] = '\0';
	/* For one that is watched already this does nothing. */
	inotify_add_watch(r->inotify,
	    slash == NULL ? "." : len == 0 ? "/" : dir,
	    IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB);
}

static bool
make_room(struct reloader *r)
{
	size_t room = r->room > 0 ? 2 * r->room : 256;
	struct watched_file *more;

	if (r->count < r->room)
		return true;
	more = realloc(r->files, room * sizeof(*more));
	if (more == NULL)
		return false;
	r->files = more;
	r->room = room;
	return true;
}

static struct watched_file *
add(struct reloader *r, const char *path)
{
	unsigned hash = hash_of(path);
	struct watched_file f = { .hash = hash };

	if (is_known(r, path, hash) || !look_at(path, &f.look) ||
	    !make_room(r))
		return NULL;
	f.path = strdup(path);
	if (f.path == NULL)
		return NULL;
	watch_directory(r, path);
	r->files[r->count] = f;
	return &r->files[r->count++];
}

/* A module that was imported late is no change. */
static void
add_module(void *arg, const char *path)
{
	if (path != NULL)
		add(arg, path);
}

static void
note_change(struct reloader *r, const struct watched_file *f)
{
	log_info("Worker reloading: %s modified", f->path);
	if (f->look.changed_ns > r->newest_ns)
		r->newest_ns = f->look.changed_ns;
}

/* A new file of a pattern is one. */
static void
add_extra(struct reloader *r, const char *path)
{
	struct watched_file *f = add(r, path);

	if (f != NULL && !r->first)
		note_change(r, f);
}

/* --- patterns ------------------------------------------------------------ */

static void
add_glob(struct reloader *r, const char *pattern)
{
	glob_t found = { 0 };

	if (glob(pattern, GLOB_NOCHECK, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_extra(r, found.gl_pathv[i]);
	globfree(&found);
}

static void add_pattern(struct reloader *r, const char *pattern,
    unsigned depth);

/* For "DIR / ** / REST": REST in DIR and in all that is below. */
static void
add_below(struct reloader *r, const char *dir, const char *rest,
    unsigned depth)
{
	char path[PATH_MAX];
	glob_t found = { 0 };

	if ((size_t)snprintf(path, sizeof(path), "%s%s", dir, rest) <
	    sizeof(path))
		add_pattern(r, path, depth + 1);
	if (depth >= DEEPEST ||
	    (size_t)snprintf(path, sizeof(path), "%s*/", dir) >=
		sizeof(path))
		return;
	if (glob(path, GLOB_ONLYDIR | GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_below(r, found.gl_pathv[i], rest, depth + 1);
	globfree(&found);
}

static void
add_pattern(struct reloader *r, const char *pattern, unsigned depth)
{
	const char *stars = strstr(pattern, "**");
	char dir[PATH_MAX];
	size_t len;

	if (stars == NULL) {
		add_glob(r, pattern);
		return;
	}
	len = (size_t)(stars - pattern);
	if (len >= sizeof(dir) || depth > DEEPEST)
		return;
	memcpy(dir, pattern, len);
	dir[len] = '\0';
	stars += strspn(stars, "*");
	add_below(r, dir, *stars == '/' ? stars + 1 :
		*stars == '\0' ? "*" : stars, depth);
}

/* --- looking ------------------------------------------------------------- */

static void
add_target(struct reloader *r)
{
	struct target t;

	if (target_read(r->w->settings->app, &t) != 0)
		return;
	if (t.kind == TARGET_NATIVE)
		add_extra(r, t.path);
	target_fini(&t);
}

static void
refresh(struct reloader *r)
{
	const struct settings *s = r->w->settings;
	const struct app *a = &r->w->app;

	if (APP_HAS(a->ops, files))
		a->ops->files(a->instance, add_module, r);
	add_target(r);
	if (s->file != NULL)
		add_extra(r, s->file_path != NULL ? s->file_path : s->file);
	for (size_t i = 0; i < s->reload_extra_files.count; i++)
		add_pattern(r, s->reload_extra_files.items[i], 0);
	r->first = false;
}

/* One that is not there is on its way: editors rename. */
static void
compare(struct reloader *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct watched_file *f = &r->files[i];
		struct look now;

		if (!look_at(f->path, &now) || is_same(&f->look, &now))
			continue;
		f->look = now;
		note_change(r, f);
	}
}

static void
tell(struct reloader *r)
{
	if (r->newest_ns == 0)
		return;
	atomic_store(&r->w->score->changed_ns, r->newest_ns);
	scoreboard_notify(r->w->heritage->board);
	r->newest_ns = 0;
}

/* Waits for a change, for the next look, or for the end: then false. */
static bool
wait_for(struct reloader *r)
{
	struct pollfd p[] = {
		{ .fd = r->leave, .events = POLLIN },
		{ .fd = r->inotify, .events = POLLIN },
	};
	char events[4096];

	poll(p, 2, r->inotify >= 0 ? REFRESH_MS : POLL_MS);
	if (p[0].revents != 0)
		return false;
	while (p[1].revents != 0 &&
	    read(r->inotify, events, sizeof(events)) > 0)
		;
	return true;
}

static void *
reloader_main(void *arg)
{
	struct reloader *r = arg;
	unsigned rounds = 0;

	pthread_setname_np(pthread_self(), "reloader");
	while (wait_for(r)) {
		compare(r);
		if (r->inotify >= 0 ||
		    ++rounds % (REFRESH_MS / POLL_MS) == 0)
			refresh(r);
		tell(r);
	}
	return NULL;
}

/* --- beginning and end --------------------------------------------------- */

static int
open_engine(struct reloader *r, struct err *err)
{
	const char *engine = r->w->settings->reload_engine;

	if (strcmp(engine, "poll") == 0)
		return 0;
	r->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->inotify >= 0 || strcmp(engine, "auto") == 0)
		return 0;
	err_sys(err, "reload_engine = inotify");
	return -1;
}

static void
free_reloader(struct reloader *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->files[i].path);
	free(r->files);
	fd_close(&r->inotify);
	fd_close(&r->leave);
	free(r);
}

int
reloader_start(struct worker *w, struct reloader **out, struct err *err)
{
	struct reloader *r;
	int rc;

	*out = NULL;
	if (!w->settings->reload)
		return 0;
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	r->w = w;
	r->inotify = -1;
	r->first = true;
	r->leave = eventfd(0, EFD_CLOEXEC);
	if (open_engine(r, err) != 0) {
		free_reloader(r);
		return -1;
	}
	refresh(r); /* before anybody is told that we are ready */
	rc = pthread_create(&r->id, NULL, reloader_main, r);
	if (rc != 0) {
		err_set(err, "thread for reload: %s", strerror(rc));
		free_reloader(r);
		return -1;
	}
	*out = r;
	return 0;
}

void
reloader_stop(struct reloader **rp)
{
	struct reloader *r = *rp;
	const uint64_t one = 1;

	*rp = NULL;
	if (r == NULL)
		return;
	if (write(r->leave, &one, sizeof(one)) == sizeof(one))
		pthread_join(r->id, NULL);
	free_reloader(r);
}
