/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_PATH_H
#define BICORN_HOSTS_STATIC_PATH_H

/*
 * From the path of a request to a name relative to the served directory, and
 * back to a path for Location.  Pure functions, any thread.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <bicorn/app.h>

/* Room for a relative name, its end, and "index.html" behind it. */
#define PATH_NAME_MAX (PATH_MAX + 16)

/*
 * Percent-decodes raw into a terminated name relative to the root: "a/b",
 * "a/" when it ended in a slash, "" for the root itself.  Runs of slashes
 * count as one.
 *
 * False when such a name is never served: it holds a NUL or an encoded
 * slash, is longer than the kernel takes, does not begin with a slash, or
 * has a component that begins with a dot, which includes "." and "..".  The
 * only such component allowed is a leading ".well-known" (RFC 8615).
 */
bool path_decode(struct bicorn_str raw, char out[PATH_NAME_MAX],
    size_t *len_out);

/*
 * Appends "index.html" to a name that stands for a directory: "" or one that
 * ends in a slash.  Leaves others alone.
 */
void path_add_index(char name[PATH_NAME_MAX], size_t *len);

/* True for a name that asks for a directory: "" or with a slash at its end. */
bool path_is_directory(const char *name, size_t len);

/*
 * The path of a directory for Location: "/" NAME "/", encoded, and the query
 * where there is one.  It never begins with two slashes or holds a
 * backslash, so it cannot lead to another host.  Terminated, on the heap,
 * the caller frees; NULL when out of memory.
 */
char *path_location(const char *name, size_t len, struct bicorn_str query);

#endif
