/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_CONDITIONAL_H
#define BICORN_HOSTS_STATIC_CONDITIONAL_H

/* Conditional requests, RFC 9110, section 13.  Pure functions, any thread. */

#include <stdbool.h>
#include <stdint.h>

#include <bicorn/app.h>

/* What a file is compared by. */
struct validators {
	struct bicorn_str etag; /* strong, with its quotes */
	int64_t modified;       /* seconds since 1970 */
	int64_t now;            /* seconds since 1970 */
};

/* The fields of one request that matter here, found in one pass. */
struct conditions {
	const struct bicorn_request *request;
	bool if_match;
	bool if_none_match;
	/* Fields that may come once; one that comes twice counts as broken. */
	struct bicorn_str if_modified_since;   /* ptr NULL: none */
	struct bicorn_str if_unmodified_since; /* ptr NULL: none */
	struct bicorn_str if_range;            /* ptr NULL: none */
	struct bicorn_str range;               /* ptr NULL: none */
};

enum conditional_verdict {
	CONDITIONAL_GO,           /* answer as if there were no condition */
	CONDITIONAL_NOT_MODIFIED, /* 304 */
	CONDITIONAL_FAILED,       /* 412 */
};

void conditional_collect(const struct bicorn_request *r,
    struct conditions *out);

/* The verdict for GET and HEAD, in the order of RFC 9110, 13.2.2. */
enum conditional_verdict conditional_check(const struct conditions *c,
    const struct validators *v);

/* True when the request's Range field is to be looked at. */
bool conditional_range(const struct conditions *c, const struct validators *v);

#endif
