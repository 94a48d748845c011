/* SPDX-License-Identifier: MIT */
/*
 * A table of slots, one for each value of the hash: a new file takes the
 * place of the one that is there.  Bounded by the number of slots and by
 * the bytes in all of them.
 *
 * What is worth sendfile(2) lies in a file in memory, one after the other.
 * Nothing there is ever written anew, because a socket may still have to send
 * it: when that file is full another one takes its place, and the kernel
 * keeps of the old one what it needs.
 */
#include "cache.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tree.h"

#define SLOTS 256 /* a power of two */
#define BYTES_MAX (1 << 20)
/* Bytes in the file in memory. */
#define PAGES_MAX (1 << 20)
#define PAGE 4096

struct slot {
	struct cached file;
	char *name;         /* heap, the content behind it; NULL: empty */
	size_t bytes;       /* of that memory */
	int64_t resolved_s; /* when tree_resolve() said where it leads */
};

/* Owned by one thread. */
struct cache {
	size_t bytes;    /* of all slots */
	size_t hand;     /* where room is made next */
	int pages_fd;    /* the file in memory, or -1 ... */
	char *pages;     /* ... and where it is mapped */
	size_t pages_at; /* where the next content goes */
	struct slot slots[SLOTS];
};

struct cache *
cache_new(void)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->pages_fd = -1;
	return c;
}

static void
empty(struct cache *c, struct slot *s)
{
	free(s->name);
	c->bytes -= s->bytes;
	memset(s, 0, sizeof(*s));
}

static void
drop_pages(struct cache *c)
{
	if (c->pages_fd < 0)
		return;
	munmap(c->pages, PAGES_MAX);
	close(c->pages_fd);
	c->pages_fd = -1;
}

void
cache_free(struct cache **cp)
{
	size_t i;

	if (*cp == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		empty(*cp, &(*cp)->slots[i]);
	drop_pages(*cp);
	free(*cp);
	*cp = NULL;
}

/* FNV-1a. */
static struct slot *
slot_of(struct cache *c, const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &c->slots[(hash ^ hash >> 16) % SLOTS];
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The time of the last change of the inode cannot be set by anybody. */
static bool
unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size && a->st_mode == b->st_mode &&
	    same_time(a->st_mtim, b->st_mtim) &&
	    same_time(a->st_ctim, b->st_ctim);
}

const struct cached *
cache_find(struct cache *c, const struct tree *t, const char *name,
    int64_t now_s)
{
	struct slot *s = slot_of(c, name);
	struct stat st;

	if (s->name == NULL || strcmp(s->name, name) != 0)
		return NULL;
	if (s->resolved_s == now_s && fstatat(t->fd, name, &st, 0) == 0 &&
	    unchanged(&st, &s->file.st))
		return &s->file;
	empty(c, s);
	return NULL;
}

/* Empties slots, one after the other, until there is room. */
static void
make_room(struct cache *c, size_t bytes)
{
	while (c->bytes + bytes > BYTES_MAX) {
		empty(c, &c->slots[c->hand]);
		c->hand = (c->hand + 1) % SLOTS;
	}
}

/* An empty file in memory, in place of the one that is full. */
static bool
renew_pages(struct cache *c)
{
	size_t i;
	void *at;

	for (i = 0; i < SLOTS; i++)
		if (c->slots[i].name != NULL && c->slots[i].file.fd >= 0)
			empty(c, &c->slots[i]);
	drop_pages(c);
	c->pages_fd = memfd_create("static", MFD_CLOEXEC);
	if (c->pages_fd < 0)
		return false;
	at = mmap(NULL, PAGES_MAX, PROT_READ, MAP_SHARED, c->pages_fd, 0);
	if (at == MAP_FAILED) {
		close(c->pages_fd);
		c->pages_fd = -1;
		return false;
	}
	c->pages = at;
	c->pages_at = 0;
	return true;
}

/* False when there is no such file, or no memory for more of it. */
static bool
keep_pages(struct cache *c, struct cached *f, const char *content, size_t len)
{
	if ((c->pages_fd < 0 || c->pages_at + len > PAGES_MAX) &&
	    !renew_pages(c))
		return false;
	if (pwrite(c->pages_fd, content, len, (off_t)c->pages_at) !=
	    (ssize_t)len)
		return false;
	f->content = c->pages + c->pages_at;
	f->fd = c->pages_fd;
	f->at = (off_t)c->pages_at;
	c->pages_at += (len + PAGE - 1) / PAGE * PAGE;
	return true;
}

void
cache_keep(struct cache *c, const char *name, const struct stat *st,
    const char *content, int64_t now_s)
{
	size_t name_len = strlen(name) + 1, len = (size_t)st->st_size;
	struct cached f = { .st = *st, .fd = -1 };
	struct slot *s = slot_of(c, name);
	size_t bytes = name_len;

	if (st->st_ctim.tv_sec >= now_s)
		return;
	empty(c, s);
	if (len < CACHE_SENDFILE_MIN || !keep_pages(c, &f, content, len))
		bytes += len;
	make_room(c, bytes);
	s->name = malloc(bytes);
	if (s->name == NULL)
		return;
	memcpy(s->name, name, name_len);
	if (f.fd < 0)
		f.content = memcpy(s->name + name_len, content, len);
	s->bytes = bytes;
	s->resolved_s = now_s;
	s->file = f;
	c->bytes += bytes;
}
