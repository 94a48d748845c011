/* SPDX-License-Identifier: MIT */
/* Any bytes as a uwsgi packet: what is accepted lies within it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/uwsgi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits usual = { 4094, 100, 8190, 0 };

static void
must_be_inside(const struct http_head *h, struct http_part part)
{
	must(part.at <= h->length && part.len <= h->length - part.at);
}

static void
must_make_sense(const struct http_head *h, const char *data, size_t len)
{
	const struct http_cgi *cgi = h->cgi;

	must(h->length <= len && h->length <= HTTP_UWSGI_MAX);
	must(h->method.len >= 3 && h->field_count <= usual.fields);
	must(!h->chunked && !h->keep_alive && h->minor == 0);
	must_be_inside(h, h->method);
	must_be_inside(h, h->target);
	must_be_inside(h, h->path);
	must_be_inside(h, h->query);
	must_be_inside(h, h->authority);
	must_be_inside(h, cgi->protocol);
	must_be_inside(h, cgi->remote_addr);
	must_be_inside(h, cgi->server_name);
	must_be_inside(h, cgi->raw_path);
	must_be_inside(h, cgi->script_name);
	must(cgi->variable_count <= HTTP_UWSGI_VARIABLES_MAX);
	for (uint32_t i = 0; i < cgi->variable_count; i++) {
		must_be_inside(h, cgi->variables[i].name);
		must_be_inside(h, cgi->variables[i].value);
	}
	for (uint32_t i = 0; i < h->field_count; i++) {
		struct span value = http_span(data, h->fields[i].value);

		must_be_inside(h, h->fields[i].name);
		must_be_inside(h, h->fields[i].value);
		must(memchr(value.ptr, '\n', value.len) == NULL);
		must(memchr(value.ptr, '\r', value.len) == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 5);
	struct http_head h = { 0 };
	struct http_cgi cgi = { 0 };
	size_t body = size < 65535 ? size : 65535;
	enum http_verdict v;

	must(copy != NULL);
	/* Its size is right, so that the rest is looked at. */
	copy[0] = (char)(size > 0 && data[0] & 1 ? 30 : 0);
	copy[1] = (char)(body & 255);
	copy[2] = (char)(body >> 8);
	copy[3] = 0;
	memcpy(copy + 4, data, size);
	v = http_uwsgi_parse(&h, &cgi, copy, size + 4, &usual);
	must(v != HTTP_MORE);
	must(v != HTTP_BAD || (h.status >= 400 && h.reason != NULL));
	if (v == HTTP_DONE)
		must_make_sense(&h, copy, size + 4);
	http_head_reset(&h);
	http_cgi_reset(&cgi);
	/* And as it is. */
	memcpy(copy, data, size);
	v = http_uwsgi_parse(&h, &cgi, copy, size, &usual);
	must(v != HTTP_MORE || size < HTTP_UWSGI_MAX);
	if (v == HTTP_DONE)
		must_make_sense(&h, copy, size);
	http_head_fini(&h);
	http_cgi_fini(&cgi);
	free(copy);
	return 0;
}
