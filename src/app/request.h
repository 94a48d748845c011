/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_REQUEST_H
#define BICORN_APP_REQUEST_H

/* A parsed head as the application sees it. */

#include <stdbool.h>
#include <stddef.h>

#include <bicorn/app.h>

#include "base/buf.h"

struct http_head;
struct trust;
struct trust_result;

/* Belongs to one pool thread, which uses it for one request after another. */
struct request {
	struct bicorn_request view;
	struct bicorn_header *headers; /* heap; view.headers points here */
	size_t room;
	char protocol[8];   /* one that is not usual */
	struct buf decoded; /* the path, where it holds a '%' */
};

/*
 * Fills r->view from the head in data; fields that trust hides are left out.
 * In headers there is room for one more.  The view borrows data, h and r.
 * Addresses, scheme and tls are the caller's to fill.  False when out of
 * memory.
 */
bool request_fill(struct request *r, const struct http_head *h,
    const char *data, const struct trust *trust,
    const struct trust_result *trusted);

void request_fini(struct request *r);

#endif
