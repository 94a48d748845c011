/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_RESPONSE_H
#define BICORN_HTTP_RESPONSE_H

/* The head of a response: what may stand in it and how it is written. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define HTTP_DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* The usual reason phrase, "Unknown" where there is none. */
struct span http_reason(unsigned status);

/* RFC 9110, 5.6.7, in GMT; not terminated.  From 1970 to 9999. */
void http_date(int64_t seconds, char out[HTTP_DATE_LEN]);

/* A field name: a token (RFC 9110, 5.1), at least one byte. */
bool http_name_ok(struct span name);

/*
 * A field value or reason phrase that can be sent: no control byte but tab.
 * Bytes above 127 pass.
 */
bool http_value_ok(struct span value);

/* What an application's response field means to the server. */
enum http_response_field {
	HTTP_R_PASS,   /* sent as it is */
	HTTP_R_DROP,   /* the server's own or hop-by-hop: left out */
	HTTP_R_LENGTH, /* Content-Length: the server frames by it */
	HTTP_R_CONNECTION, /* its tokens are looked at; then left out */
	HTTP_R_UPGRADE,    /* passes with a connection that is taken over */
};
enum http_response_field http_response_field(struct span name);

/* True when the comma-separated list holds that token, in any case. */
bool http_list_has(struct span list, struct span token);

#endif
