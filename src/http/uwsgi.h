/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_UWSGI_H
#define BICORN_HTTP_UWSGI_H

/*
 * The head of a request in the uwsgi protocol: a packet of CGI variables.
 * It becomes a struct http_head like any other, so that everything behind
 * the parser need not know; what only the variables say is kept beside it.
 * No I/O, no lock, no log; one owner at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"

/* Four bytes, and a size of 16 bits. */
#define HTTP_UWSGI_MAX (4 + 65535)
#define HTTP_UWSGI_VARIABLES_MAX 1000

/* Parts of len 0 were not given. */
struct http_cgi {
	struct http_part protocol;    /* of the client: "HTTP/2.0" */
	struct http_part remote_addr;
	struct http_part server_name;
	struct http_part raw_path;    /* of REQUEST_URI, not decoded */
	struct http_part script_name;
	bool path_given; /* head.path is PATH_INFO: decoded, may be empty */
	bool scheme_given;
	bool https;
	uint16_t remote_port;         /* 0: not given */
	uint16_t server_port;
	uint16_t variable_count;
	uint16_t variable_room;
	struct http_field *variables; /* heap: what is not in the head */
};

/*
 * Looks at data[0..len), as http_head_parse() does.  HTTP_DONE: h and cgi
 * are filled, h->length bytes are the packet, whose names of fields were
 * rewritten: HTTP_USER_AGENT is User-Agent, in capitals.  The connection is
 * to be closed after the response, which is framed as for HTTP/1.0.  Both
 * are zeroed by the caller before the first call.
 */
enum http_verdict http_uwsgi_parse(struct http_head *h, struct http_cgi *cgi,
    char *data, size_t len, const struct http_limits *limits);

/* Forgets what a request said, and keeps the memory; frees that. */
void http_cgi_reset(struct http_cgi *cgi);
void http_cgi_fini(struct http_cgi *cgi);

#endif
