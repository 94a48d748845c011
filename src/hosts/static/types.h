/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_TYPES_H
#define BICORN_HOSTS_STATIC_TYPES_H

/* Media types by the ending of a file's name. */

#include <stddef.h>

/*
 * The value of Content-Type for a file of that name, static text;
 * "application/octet-stream" when the ending is not known.  Any thread.
 */
const char *types_find(const char *name, size_t len);

#endif
