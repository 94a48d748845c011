/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_TRUST_H
#define BICORN_APP_TRUST_H

/*
 * What a proxy in front may tell: the scheme that the client used, where it
 * is, and fields whose names hold an underscore, which an environ cannot tell
 * from the ones with a hyphen.  Compiled once from the settings, then
 * constant: any thread.
 */

#include <stdbool.h>

#include "base/addr.h"
#include "http/head.h"

struct err;
struct settings;
struct trust;

/* The scheme, as far as the fields have a say. */
enum trust_scheme {
	TRUST_SCHEME_NONE, /* the connection decides */
	TRUST_SCHEME_HTTP,
	TRUST_SCHEME_HTTPS,
};

/* What trust_apply() found out about one request. */
struct trust_result {
	enum trust_scheme scheme;
	bool peer_trusted;  /* meaningful only with hides */
	bool hides;         /* trust_hides() is to be asked for each field */
	uint64_t said;      /* a bit for each of forwarder_headers, the first
			       64, that a trusted peer sent */
	const char *reason; /* after HTTP_BAD: static text for the log */

	/* Of the client, as remote_addr_header tells. */
	uint8_t remote_len;  /* 0: it does not */
	unsigned remote_port; /* 0: not known */
	char remote[ADDR_TEXT_MAX];
};

/* Who is at the other end. */
struct trust_peers {
	const struct addr *hop;  /* of the socket: who sent the fields */
	const struct addr *peer; /* ... or for whom, by the PROXY protocol */
};

/*
 * Reads forwarded_allow_ips, secure_scheme_headers, forwarder_headers,
 * remote_addr_header and header_map.  s is not kept.  The caller frees with
 * trust_free().
 */
int trust_new(const struct settings *s, struct trust **out, struct err *err);
void trust_free(struct trust **tp);

/*
 * Looks at the fields of a complete head.  HTTP_DONE, or HTTP_BAD for a
 * request to be refused with 400: fields of a trusted peer that disagree
 * about the scheme, or a name with an underscore under header_map refuse.
 * Costs one comparison per field where none is of interest.
 */
enum http_verdict trust_apply(const struct trust *t,
    const struct trust_peers *peers, const struct http_head *h,
    const char *data, struct trust_result *out);

/* Whether that peer is one of forwarded_allow_ips. */
bool trust_peer(const struct trust *t, const struct addr *peer);

/* Whether the application must not see that field. */
bool trust_hides(const struct trust *t, const struct trust_result *r,
    const struct http_field *field, const char *data);

#endif
