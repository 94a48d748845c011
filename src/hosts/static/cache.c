/* SPDX-License-Identifier: MIT */
/*
 * A table of slots, one for each value of the hash: a new file takes the
 * place of the one that is there.  Bounded by the number of slots and by
 * the bytes in all of them.
 */
#include "cache.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

#define SLOTS 256 /* a power of two */
#define BYTES_MAX (1 << 20)

struct slot {
	struct cached file;
	char *name;         /* heap, the content behind it; NULL: empty */
	size_t bytes;       /* of that memory */
	int64_t resolved_s; /* when tree_resolve() said where it leads */
};

/* Owned by one thread. */
struct cache {
	size_t bytes; /* of all slots */
	size_t hand;  /* where room is made next */
	struct slot slots[SLOTS];
};

struct cache *
cache_new(void)
{
	return calloc(1, sizeof(struct cache));
}

static void
empty(struct cache *c, struct slot *s)
{
	free(s->name);
	c->bytes -= s->bytes;
	memset(s, 0, sizeof(*s));
}

void
cache_free(struct cache **cp)
{
	size_t i;

	if (*cp == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		empty(*cp, &(*cp)->slots[i]);
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

void
cache_keep(struct cache *c, const char *name, const struct stat *st,
    const char *content, int64_t now_s)
{
	struct slot *s = slot_of(c, name);
	size_t name_len = strlen(name) + 1;
	size_t bytes = name_len + (size_t)st->st_size;

	if (st->st_ctim.tv_sec >= now_s)
		return;
	empty(c, s);
	make_room(c, bytes);
	s->name = malloc(bytes);
	if (s->name == NULL)
		return;
	memcpy(s->name, name, name_len);
	memcpy(s->name + name_len, content, (size_t)st->st_size);
	s->bytes = bytes;
	s->resolved_s = now_s;
	s->file.st = *st;
	s->file.content = s->name + name_len;
	c->bytes += bytes;
}
