/* SPDX-License-Identifier: MIT */
/*
 * The forms of a request target (RFC 9112, 3.2).  The parser has made sure
 * that there is no white space, control byte or '#' in it.
 */
#include <string.h>

#include "http/head_private.h"
#include "http/uri.h"

static enum http_verdict
invalid(struct http_head *h)
{
	return http_head_fail(h, 400, "invalid target");
}

/* Splits what stands from `at` to the end of the target. */
static void
set_path(struct http_head *h, uint32_t at)
{
	uint32_t end = h->target.at + h->target.len;

	if (h->query.at != 0) {
		h->query.len = end - h->query.at;
		end = h->query.at - 1;
	}
	h->path = (struct http_part){ at, end - at };
}

/* The bytes of "http://" or "https://" at the beginning, 0 if neither. */
static uint32_t
scheme_len(struct span target)
{
	struct span plain = SPAN("http://"), secure = SPAN("https://");

	if (target.len >= plain.len &&
	    span_ieq((struct span){ target.ptr, plain.len }, plain))
		return (uint32_t)plain.len;
	if (target.len >= secure.len &&
	    span_ieq((struct span){ target.ptr, secure.len }, secure))
		return (uint32_t)secure.len;
	return 0;
}

/* absolute-form: there must be a host, and no user (RFC 9110, 4.2). */
static enum http_verdict
absolute_form(struct http_head *h, const char *data)
{
	uint32_t at = scheme_len(http_span(data, h->target)), end;
	struct span host, port;

	if (at == 0)
		return invalid(h);
	at += h->target.at;
	end = h->target.at + h->target.len;
	if (h->query.at != 0)
		end = h->query.at - 1;
	h->authority.at = at;
	while (at < end && data[at] != '/')
		at++;
	h->authority.len = at - h->authority.at;
	if (!http_uri_authority(http_span(data, h->authority), &host, &port))
		return invalid(h);
	set_path(h, at);
	return HTTP_DONE;
}

/* authority-form, of CONNECT only: the port is required. */
static enum http_verdict
authority_form(struct http_head *h, const char *data)
{
	struct span host, port;

	if (!http_uri_authority(http_span(data, h->target), &host, &port) ||
	    port.len == 0)
		return invalid(h);
	h->authority = h->target;
	h->path = (struct http_part){ h->target.at, 0 };
	return HTTP_DONE;
}

enum http_verdict
http_head_target(struct http_head *h, const char *data)
{
	struct span method = http_span(data, h->method);

	if (data[h->target.at] == '/' && !span_eq(method, SPAN("CONNECT"))) {
		set_path(h, h->target.at);
		return HTTP_DONE;
	}
	if (span_eq(method, SPAN("CONNECT")))
		return authority_form(h, data);
	if (data[h->target.at] != '*')
		return absolute_form(h, data);
	if (h->target.len != 1 || !span_eq(method, SPAN("OPTIONS")))
		return invalid(h);
	h->path = h->target;
	return HTTP_DONE;
}
