/* SPDX-License-Identifier: MIT */
/*
 * When to read certificates again.  The directories of the files are watched,
 * and those of every symbolic link on the way to them: tools that renew
 * certificates replace files, or turn links far from the name that we know.
 * A look at the files themselves then says whether it was about them.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/certificates.h"
#include "arbiter/certificates_private.h"
#include "arbiter/generation.h"
#include "base/bulletin.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"
#include "score/ledger.h"
#include "tls/ticket_keys.h"

/* Certificate and key are changed one after the other. */
#define SETTLE_MS 500
/* In a directory where something changes all the time. */
#define SETTLE_MOST_MS 3000
/* Looked at without an event: network file systems tell of none. */
#define LOOK_MS 60000
/* A change so recent may be followed by another with the same time stamp. */
#define RECENT_MS 100
#define LINKS_MOST 40

#define EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
	IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | \
	IN_ONLYDIR)

void
certificates_init(struct certificates_watch *w)
{
	*w = (struct certificates_watch){ .fd = -1, .due_ms = CLOCK_NEVER };
}

void
certificates_fini(struct certificates_watch *w)
{
	fd_close(&w->fd);
	bulletin_free(&w->ticket_keys);
}

/* --- what to watch -------------------------------------------------------- */

/* The directory that the last part of path is in. */
static void
watch_directory_of(int fd, const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int len = slash == NULL ? 0 : (int)(slash - path);

	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", len > 0 ? len : 1, path);
	inotify_add_watch(fd, dir, EVENTS);
}

/* Puts what the link at path[0..len) says in the place of that. */
static bool
follow(char *path, size_t len, const char *rest)
{
	char target[PATH_MAX], whole[PATH_MAX];
	ssize_t n;
	size_t dir;
	int size;

	path[len] = '\0';
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	dir = target[0] == '/' || strrchr(path, '/') == NULL ? 0 :
	    (size_t)(strrchr(path, '/') + 1 - path);
	size = snprintf(whole, sizeof(whole), "%.*s%s%s", (int)dir, path,
	    target, rest);
	if (size < 0 || (size_t)size >= sizeof(whole))
		return false;
	memcpy(path, whole, (size_t)size + 1);
	return true;
}

/*
 * The first part of path that is a link: the length up to its end; 0: there
 * is none.
 */
static size_t
find_link(const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	struct stat sb;

	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (lstat(part, &sb) == 0 && S_ISLNK(sb.st_mode))
			return i;
	}
	return 0;
}

static void
watch_path(int fd, const char *path)
{
	char at[PATH_MAX], link[PATH_MAX], rest[PATH_MAX];

	if (strlen(path) >= sizeof(at))
		return;
	strcpy(at, path);
	for (int i = 0; i < LINKS_MOST; i++) {
		size_t len = find_link(at);

		if (len == 0)
			break;
		memcpy(link, at, len);
		link[len] = '\0';
		watch_directory_of(fd, link);
		strcpy(rest, at + len);
		if (!follow(at, len, rest))
			break;
	}
	watch_directory_of(fd, at);
	inotify_add_watch(fd, at, EVENTS); /* where it is a directory */
}

static void
watch_generation_files(int fd, const struct generation *g)
{
	const struct certificates *c = &g->certificates;

	for (size_t i = 0; i < c->path_count; i++)
		watch_path(fd, c->paths[i]);
}

static void
postpone(struct certificates_watch *w, int64_t now_ms)
{
	int64_t due = now_ms + SETTLE_MS;

	if (w->event_ms == 0)
		w->event_ms = now_ms;
	if (due > w->event_ms + SETTLE_MOST_MS)
		due = w->event_ms + SETTLE_MOST_MS;
	w->due_ms = due;
}

/* For those who watch us, which is how an expiry should be noticed first. */
static void
show_expiry(struct arbiter *a)
{
	const struct certificates *c = a->serving != NULL ?
	    &a->serving->certificates : NULL;

	atomic_store(&a->ledger->certificate_expiry,
	    c != NULL && c->vault != NULL ? c->expiry_s : 0);
}

void
certificates_watch_files(struct arbiter *a)
{
	struct certificates_watch *w = &a->certificates;
	struct generation *gs[] = { a->serving, a->candidate };

	show_expiry(a);
	fd_close(&w->fd);
	w->due_ms = CLOCK_NEVER;
	w->event_ms = 0;
	for (size_t i = 0; i < sizeof(gs) / sizeof(gs[0]); i++) {
		if (gs[i] == NULL || gs[i]->certificates.path_count == 0)
			continue;
		if (w->fd < 0)
			w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (w->fd >= 0)
			watch_generation_files(w->fd, gs[i]);
		w->due_ms = clock_ms() + LOOK_MS;
	}
}

/* --- how the files are ---------------------------------------------------- */

static uint64_t
mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3;
}

uint64_t
certificates_signature(const struct certificates *c, int64_t *newest_ms_out)
{
	uint64_t sum = 0xcbf29ce484222325;
	int64_t newest = 0;

	for (size_t i = 0; i < c->path_count; i++) {
		struct stat sb;
		int64_t ms;

		if (stat(c->paths[i], &sb) != 0) {
			sum = mix(sum, (uint64_t)errno);
			continue;
		}
		sum = mix(sum, (uint64_t)sb.st_dev);
		sum = mix(sum, (uint64_t)sb.st_ino);
		sum = mix(sum, (uint64_t)sb.st_size);
		sum = mix(sum, (uint64_t)sb.st_mode);
		sum = mix(sum, (uint64_t)sb.st_mtim.tv_sec);
		sum = mix(sum, (uint64_t)sb.st_mtim.tv_nsec);
		sum = mix(sum, (uint64_t)sb.st_ctim.tv_sec);
		sum = mix(sum, (uint64_t)sb.st_ctim.tv_nsec);
		ms = (int64_t)sb.st_ctim.tv_sec * 1000 +
		    sb.st_ctim.tv_nsec / 1000000;
		newest = ms > newest ? ms : newest;
	}
	if (newest_ms_out != NULL)
		*newest_ms_out = newest;
	return sum;
}

/* --- tickets -------------------------------------------------------------- */

static uint32_t
lifetime_of(const struct settings *s)
{
	return (uint32_t)(s->tls_ticket_lifetime_ms / 1000);
}

int
certificates_keys(struct arbiter *a, const struct settings *s, struct err *err)
{
	struct certificates_watch *w = &a->certificates;
	bool changed;

	if (w->ticket_keys == NULL)
		w->ticket_keys = ticket_keys_new(err);
	if (w->ticket_keys == NULL)
		return -1;
	if (s->tls_ticket_keys != NULL) {
		w->keys_of_file = true;
		return ticket_keys_read(w->ticket_keys, s->tls_ticket_keys,
		    lifetime_of(s), &changed, err);
	}
	/* Those there are stay good over a reload, or as long as s says. */
	if (!w->keys_of_file &&
	    ticket_keys_lifetime_s(w->ticket_keys) == lifetime_of(s))
		return 0;
	w->keys_of_file = false;
	return ticket_keys_rotate(w->ticket_keys, lifetime_of(s),
	    (int64_t)clock_wall(), err);
}

static void
renew_keys(struct arbiter *a, const struct settings *s)
{
	struct certificates_watch *w = &a->certificates;
	bool changed = false;
	struct err err;
	int rc = 0;

	if (w->ticket_keys == NULL)
		return;
	if (s->tls_ticket_keys != NULL)
		rc = ticket_keys_read(w->ticket_keys, s->tls_ticket_keys,
		    lifetime_of(s), &changed, &err);
	else if ((int64_t)clock_wall() >= ticket_keys_due_s(w->ticket_keys) ||
	    ticket_keys_lifetime_s(w->ticket_keys) != lifetime_of(s))
		rc = ticket_keys_rotate(w->ticket_keys, lifetime_of(s),
		    (int64_t)clock_wall(), &err);
	if (rc != 0)
		log_error("%s; the keys in use stay", err.text);
	else if (changed)
		log_info("New keys for session tickets are in use");
}

/* --- what is due ---------------------------------------------------------- */

static bool
drain(int fd)
{
	char room[4096] __attribute__((aligned(8)));
	bool any = false;

	while (fd >= 0 && read(fd, room, sizeof(room)) > 0)
		any = true;
	return any;
}

/*
 * True when the files were not as before: once they are, it is over.  What is
 * noted is how they were before they were read.
 */
static bool
look(struct arbiter *a, struct generation *g)
{
	struct certificates *c = &g->certificates;
	struct timespec now;
	int64_t newest_ms;
	uint64_t signature;

	if (c->vault == NULL)
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	signature = certificates_signature(c, &newest_ms);
	if (signature == c->signature)
		return false;
	certificates_renew(a, g, a->certificates.heard);
	c->signature = signature;
	if (newest_ms + RECENT_MS >
	    (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000)
		c->signature = ~signature;
	return true;
}

/*
 * A day later all that was said about dates is said again; by the clock on
 * the wall, as a machine that slept should.  One that was set back does not
 * put it off.
 */
static void
remind(struct arbiter *a)
{
	struct certificates_watch *w = &a->certificates;
	int64_t now_s = (int64_t)clock_wall();

	if (a->serving == NULL || a->serving->certificates.vault == NULL)
		return;
	if (now_s < w->remind_s && w->remind_s <= now_s + REMIND_S)
		return;
	if (now_s >= w->remind_s)
		certificates_remind(a, a->serving);
	w->remind_s = now_s + REMIND_S;
}

void
certificates_due(struct arbiter *a, int64_t now_ms)
{
	struct certificates_watch *w = &a->certificates;
	struct generation *gs[] = { a->serving, a->candidate };
	bool changed = false;

	if (drain(w->fd)) {
		w->heard = true;
		postpone(w, now_ms);
	}
	if (now_ms < w->due_ms)
		return;
	/* Watched before they are read: no change is missed in between. */
	certificates_watch_files(a);
	for (size_t i = 0; i < sizeof(gs) / sizeof(gs[0]); i++)
		if (gs[i] != NULL)
			changed |= look(a, gs[i]);
	w->heard = false;
	remind(a);
	if (a->serving != NULL)
		renew_keys(a, a->serving->settings);
	show_expiry(a);
	if (changed) {
		certificates_watch_files(a); /* there may be others now */
		postpone(w, now_ms);
	}
}
