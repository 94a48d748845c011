/* SPDX-License-Identifier: MIT */
#include "app/request.h"

#include <stdlib.h>
#include <string.h>

#include "app/trust.h"
#include "http/head.h"
#include "http/uri.h"
#include "http/uwsgi.h"

static struct bicorn_str
str_of(const char *data, struct http_part part)
{
	return (struct bicorn_str){ data + part.at, part.len };
}

static bool
reserve(struct request *r, size_t count)
{
	struct bicorn_header *grown;

	if (count <= r->room)
		return true;
	grown = realloc(r->headers, count * sizeof(*grown));
	if (grown == NULL)
		return false;
	r->headers = grown;
	r->room = count;
	return true;
}

static bool
fill_headers(struct request *r, const struct http_head *h, const char *data,
    const struct trust *trust, const struct trust_result *trusted)
{
	size_t n = 0;

	if (!reserve(r, h->field_count + 1))
		return false;
	for (uint32_t i = 0; i < h->field_count; i++) {
		const struct http_field *f = &h->fields[i];

		if (trusted->hides && trust_hides(trust, trusted, f, data))
			continue;
		r->headers[n].name = str_of(data, f->name);
		r->headers[n].value = str_of(data, f->value);
		/* RFC 9112, 3.2.2: the target's authority replaces Host. */
		if (f->id == HTTP_F_HOST && h->authority.len > 0)
			r->headers[n].value = str_of(data, h->authority);
		n++;
	}
	r->view.headers = r->headers;
	r->view.header_count = n;
	return true;
}

static bool
fill_path(struct request *r, const struct http_head *h, const char *data)
{
	struct bicorn_str raw = str_of(data, h->path);

	if (h->cgi != NULL && h->cgi->path_given) {
		r->view.path = raw;
		r->view.raw_path = str_of(data, h->cgi->raw_path);
		if (h->cgi->raw_path.len == 0)
			r->view.raw_path = raw;
		return true;
	}
	/* "http://example.org" and CONNECT have no path of their own. */
	if (raw.len == 0)
		raw = (struct bicorn_str){ "/", 1 };
	r->view.raw_path = r->view.path = raw;
	if (memchr(raw.ptr, '%', raw.len) == NULL)
		return true;
	r->decoded.len = 0;
	if (!buf_reserve(&r->decoded, raw.len))
		return false;
	r->view.path.ptr = r->decoded.data;
	r->view.path.len = http_uri_decode(
	    (struct span){ raw.ptr, raw.len }, r->decoded.data);
	return true;
}

static void
fill_protocol(struct request *r, const struct http_head *h, const char *data)
{
	struct bicorn_request *v = &r->view;

	v->protocol = (struct bicorn_str){
		h->minor == 0 ? "HTTP/1.0" : "HTTP/1.1", 8
	};
	if (h->cgi != NULL) {
		v->protocol = (struct bicorn_str){ "HTTP/1.1", 8 };
		if (h->cgi->protocol.len > 0)
			v->protocol = str_of(data, h->cgi->protocol);
	} else if (h->version[0] != 0) {
		memcpy(r->protocol, "HTTP/0.0", 8);
		r->protocol[5] = (char)h->version[0];
		r->protocol[7] = (char)h->version[1];
		v->protocol = (struct bicorn_str){ r->protocol, 8 };
	}
}

bool
request_fill(struct request *r, const struct http_head *h, const char *data,
    const struct trust *trust, const struct trust_result *trusted)
{
	struct bicorn_request *v = &r->view;

	v->size = sizeof(*v);
	v->method = str_of(data, h->method);
	v->target = str_of(data, h->target);
	v->query = str_of(data, h->query);
	fill_protocol(r, h, data);
	v->host = (struct bicorn_str){ "", 0 };
	if (h->authority.len > 0)
		v->host = str_of(data, h->authority);
	else if (h->host >= 0)
		v->host = str_of(data, h->fields[h->host].value);
	return fill_path(r, h, data) &&
	    fill_headers(r, h, data, trust, trusted);
}

void
request_fini(struct request *r)
{
	free(r->headers);
	buf_fini(&r->decoded);
	*r = (struct request){ 0 };
}
