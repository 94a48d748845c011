/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_FIELD_H
#define BICORN_HTTP_FIELD_H

/* One complete field line; for the files of this room. */

#include <stdbool.h>

#include "http/head.h"

/*
 * Splits data[at..at+len), a line without CR LF, into name and value.
 * Returns NULL or why it is no field line.
 */
const char *http_field_split(const char *data, uint32_t at, uint32_t len,
    struct http_field *field_out);

/* Whether a field of that name may stand in a trailer section. */
bool http_trailer_allowed(struct span name);

#endif
