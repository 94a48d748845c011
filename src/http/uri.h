/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_URI_H
#define BICORN_HTTP_URI_H

/* Pieces of request targets, RFC 3986.  Pure functions, any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/*
 * Percent-decodes in to out, which has room for in.len bytes; returns the
 * length.  A '%' that two hex digits do not follow stays as it is.  out may
 * be in.ptr.
 */
size_t http_uri_decode(struct span in, char *out);

/*
 * Splits "example.org:8000" or "[::1]:8000".  port_out is the text behind
 * the colon, empty when there is none.  host_out keeps the brackets of an IPv6
 * address.  False when it is no host and port that RFC 9110, 7.2 allows: a
 * user, an empty host, a port above 65535.  Both are empty then.
 */
bool http_uri_authority(struct span in, struct span *host_out,
    struct span *port_out);

#endif
