/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_CACHE_H
#define BICORN_HOSTS_STATIC_CACHE_H

/*
 * Small files in memory, so that a popular one costs a look at its inode and
 * neither an opening nor a reading.  Each thread has its own cache.
 *
 * What is served is never older than the file: every use asks the kernel
 * whether the name still stands for the same inode, unchanged.  Once a
 * second the name is resolved anew, so that a link that was turned to lead
 * out of the tree is noticed as well.  No descriptor of a file is kept: one
 * that is removed is gone.
 */

#include <stdint.h>
#include <sys/stat.h>

struct cache;
struct tree;

/*
 * So much is sent with sendfile(2): that needs a system call of its own behind
 * the head, and copying costs more.
 */
#define CACHE_SENDFILE_MIN 8192

/* A file in memory, valid until the next call of cache_keep(). */
struct cached {
	struct stat st;
	const char *content; /* st.st_size bytes */
	int fd;              /* they are in this file as well, which nobody
				changes, unless it is -1, ... */
	off_t at;            /* ... from here on */
};

/* NULL when out of memory. */
struct cache *cache_new(void);
void cache_free(struct cache **cp);

/* The file of that name, or NULL when it is not here or has changed. */
const struct cached *cache_find(struct cache *c, const struct tree *t,
    const char *name, int64_t now_s);

/*
 * Keeps a copy of a file that tree_resolve() has just opened, in place of
 * another one.  A file that changed in this very second is not kept: it may
 * change again without a sign of it.  now_s is the wall clock's.
 */
void cache_keep(struct cache *c, const char *name, const struct stat *st,
    const char *content, int64_t now_s);

#endif
