/* SPDX-License-Identifier: MIT */
/*
 * The uwsgi packet.  Strict: sizes must fit exactly, variables that frame
 * or route the request come once and are checked as HTTP's own parts are.
 * Fields of the client that the proxy has dealt with, those that frame a
 * message above all, are left out: CONTENT_LENGTH alone says how long the
 * body is.
 */
#include "http/uwsgi.h"

#include <stdlib.h>
#include <string.h>

#include "http/bytes.h"
#include "http/head_private.h"
#include "http/response.h"

#define PACKET_HEAD 4

/* The second one means that SCRIPT_NAME is to be taken off PATH_INFO. */
#define MODIFIER_WSGI 0
#define MODIFIER_SPLIT 30

/* Variables with a meaning here; each may come once. */
enum name {
	N_OTHER,
	N_METHOD,
	N_URI,
	N_PATH,
	N_QUERY,
	N_PROTOCOL,
	N_LENGTH,
	N_TYPE,
	N_REMOTE_ADDR,
	N_REMOTE_PORT,
	N_SERVER_NAME,
	N_SERVER_PORT,
	N_SCRIPT,
	N_UWSGI_SCHEME,
	N_HTTPS,
	N_WSGI_SCHEME,
	N_REQUEST_SCHEME,
	N_COUNT,
};

static const struct {
	struct span name;
	bool shown; /* also among the variables */
} names[N_COUNT] = {
	[N_METHOD] = { { "REQUEST_METHOD", 14 }, false },
	[N_URI] = { { "REQUEST_URI", 11 }, false },
	[N_PATH] = { { "PATH_INFO", 9 }, false },
	[N_QUERY] = { { "QUERY_STRING", 12 }, false },
	[N_PROTOCOL] = { { "SERVER_PROTOCOL", 15 }, false },
	[N_LENGTH] = { { "CONTENT_LENGTH", 14 }, false },
	[N_TYPE] = { { "CONTENT_TYPE", 12 }, false },
	[N_REMOTE_ADDR] = { { "REMOTE_ADDR", 11 }, false },
	[N_REMOTE_PORT] = { { "REMOTE_PORT", 11 }, false },
	[N_SERVER_NAME] = { { "SERVER_NAME", 11 }, false },
	[N_SERVER_PORT] = { { "SERVER_PORT", 11 }, false },
	[N_SCRIPT] = { { "SCRIPT_NAME", 11 }, true },
	[N_UWSGI_SCHEME] = { { "UWSGI_SCHEME", 12 }, true },
	[N_HTTPS] = { { "HTTPS", 5 }, true },
	[N_WSGI_SCHEME] = { { "wsgi.url_scheme", 15 }, false },
	[N_REQUEST_SCHEME] = { { "REQUEST_SCHEME", 14 }, true },
};

/* A packet while it is read. */
struct packet {
	struct http_head *h;
	struct http_cgi *cgi;
	char *data;
	uint32_t end;
	const struct http_limits *limits;
	bool split; /* MODIFIER_SPLIT */
	uint32_t count;
	uint32_t seen; /* a bit for each enum name */
	struct http_part values[N_COUNT];
};

static enum http_verdict
bad(struct packet *p, const char *reason)
{
	return http_head_fail(p->h, 400, reason);
}

static struct span
value_of(const struct packet *p, enum name n)
{
	return http_span(p->data, p->values[n]);
}

/* --- fields --------------------------------------------------------------- */

static enum http_verdict
add_field(struct packet *p, struct http_part name, struct http_part value,
    enum http_field_id id)
{
	struct http_head *h = p->h;
	struct http_field *f;
	uint32_t room = h->field_room;

	if (h->field_count >= p->limits->fields)
		return http_head_fail(h, 431, "too many header fields");
	if (name.len + value.len > p->limits->field_size)
		return http_head_fail(h, 431, "header field too long");
	if (h->field_count == room) {
		room = room == 0 ? 32 : room * 2;
		f = realloc(h->fields, room * sizeof(*f));
		if (f == NULL)
			return http_head_fail(h, 503, "no memory");
		h->fields = f;
		h->field_room = room;
	}
	f = &h->fields[h->field_count];
	*f = (struct http_field){ .name = name, .value = value,
		.id = (uint8_t)id };
	if (id != HTTP_F_OTHER &&
	    http_head_field_done(h, p->data, f) != HTTP_DONE)
		return HTTP_BAD;
	h->field_count++;
	return HTTP_DONE;
}

/* '_' in names that become those of fields. */
static void
hyphenate(char *name, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (name[i] == '_')
			name[i] = '-';
}

static struct http_part
trim(const char *data, struct http_part part)
{
	struct span s = span_trim(http_span(data, part));

	return (struct http_part){ (uint32_t)(s.ptr - data),
		(uint32_t)s.len };
}

/* HTTP_NAME: a field of the client. */
static enum http_verdict
take_field(struct packet *p, struct http_part name, struct http_part value)
{
	enum http_field_id id;
	struct span text;

	name.at += 5;
	name.len -= 5;
	hyphenate(p->data + name.at, name.len);
	text = http_span(p->data, name);
	if (!http_name_ok(text))
		return bad(p, "invalid header name");
	value = trim(p->data, value);
	id = http_field_id(text.ptr, text.len);
	switch (id) {
	case HTTP_F_CONTENT_LENGTH:
	case HTTP_F_CONTENT_TYPE:
	case HTTP_F_TRANSFER_ENCODING:
		return HTTP_DONE;
	case HTTP_F_HOST:
		return add_field(p, name, value, id);
	default:
		return add_field(p, name, value, HTTP_F_OTHER);
	}
}

/* --- variables ------------------------------------------------------------ */

static enum http_verdict
keep(struct packet *p, struct http_part name, struct http_part value)
{
	struct http_cgi *cgi = p->cgi;
	uint16_t room = cgi->variable_room;
	struct http_field *grown;

	if (cgi->variable_count == room) {
		room = room == 0 ? 32 : (uint16_t)(room * 2);
		grown = realloc(cgi->variables, room * sizeof(*grown));
		if (grown == NULL)
			return http_head_fail(p->h, 503, "no memory");
		cgi->variables = grown;
		cgi->variable_room = room;
	}
	cgi->variables[cgi->variable_count++] =
	    (struct http_field){ .name = name, .value = value };
	return HTTP_DONE;
}

static bool
name_is_sane(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (!HTTP_IS_ALNUM(c) && c != '_' && c != '-' && c != '.')
			return false;
	}
	return name.len > 0;
}

static bool
has_controls(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (http_bytes[(unsigned char)value.ptr[i]] & HTTP_B_STOP)
			return true;
	return false;
}

static enum name
name_of(struct span name)
{
	for (unsigned i = 1; i < N_COUNT; i++)
		if (span_eq(name, names[i].name))
			return (enum name)i;
	return N_OTHER;
}

static bool
begins_http(struct span name)
{
	return name.len > 5 && memcmp(name.ptr, "HTTP_", 5) == 0;
}

static enum http_verdict
take_variable(struct packet *p, struct http_part name, struct http_part value)
{
	struct span text = http_span(p->data, name);
	enum name n = name_of(text);
	bool is_field = begins_http(text);

	if (!name_is_sane(text))
		return bad(p, "invalid name of a variable");
	/* Paths are decoded: any byte may stand in one. */
	if ((is_field || (n != N_OTHER && n != N_PATH && n != N_SCRIPT)) &&
	    has_controls(http_span(p->data, value)))
		return bad(p, "control byte in a variable");
	if (is_field)
		return take_field(p, name, value);
	if (n == N_OTHER)
		return keep(p, name, value);
	if (p->seen >> n & 1)
		return bad(p, "repeated variable");
	p->seen |= UINT32_C(1) << n;
	p->values[n] = value;
	/* These become fields. */
	if (n == N_LENGTH || n == N_TYPE) {
		value = trim(p->data, value);
		if (value.len == 0)
			return HTTP_DONE;
		hyphenate(p->data + name.at, name.len);
		return add_field(p, name, value,
		    n == N_LENGTH ? HTTP_F_CONTENT_LENGTH :
				    HTTP_F_CONTENT_TYPE);
	}
	return names[n].shown && n != N_SCRIPT ? keep(p, name, value) :
						 HTTP_DONE;
}

/* A length of 16 bits, low byte first, and that many bytes. */
static bool
take_text(const struct packet *p, uint32_t *at, struct http_part *out)
{
	uint32_t len;

	if (p->end - *at < 2)
		return false;
	len = (uint32_t)(unsigned char)p->data[*at] |
	    (uint32_t)(unsigned char)p->data[*at + 1] << 8;
	*at += 2;
	if (len > p->end - *at)
		return false;
	*out = (struct http_part){ *at, len };
	*at += len;
	return true;
}

static enum http_verdict
take_all(struct packet *p)
{
	struct http_part name, value;

	for (uint32_t at = PACKET_HEAD; at < p->end;) {
		if (!take_text(p, &at, &name) || !take_text(p, &at, &value))
			return bad(p, "invalid uwsgi packet");
		if (++p->count > HTTP_UWSGI_VARIABLES_MAX)
			return http_head_fail(p->h, 431,
			    "too many variables");
		if (take_variable(p, name, value) != HTTP_DONE)
			return HTTP_BAD;
	}
	return HTTP_DONE;
}

/* --- what they come to ---------------------------------------------------- */

static enum http_verdict
obey_method(struct packet *p)
{
	struct span method = value_of(p, N_METHOD);
	bool any = (p->limits->permit & HTTP_PERMIT_METHOD) != 0;

	if (!http_name_ok(method))
		return bad(p, "invalid method");
	for (size_t i = 0; i < method.len && !any; i++)
		if (!(http_bytes[(unsigned char)method.ptr[i]] &
			HTTP_B_METHOD))
			return bad(p, "invalid method");
	if (!any && (method.len < HTTP_METHOD_MIN ||
		method.len > HTTP_METHOD_MAX))
		return bad(p, "invalid method");
	p->h->method = p->values[N_METHOD];
	return HTTP_DONE;
}

static enum http_verdict
obey_target(struct packet *p)
{
	struct http_head *h = p->h;
	struct span uri = value_of(p, N_URI);

	if (uri.len == 0)
		return bad(p, "invalid REQUEST_URI");
	for (size_t i = 0; i < uri.len; i++) {
		if (!(http_bytes[(unsigned char)uri.ptr[i]] & HTTP_B_MARK))
			continue;
		if (uri.ptr[i] != '?')
			return bad(p, "invalid REQUEST_URI");
		if (h->query.at == 0)
			h->query.at = p->values[N_URI].at + (uint32_t)i + 1;
	}
	h->target = p->values[N_URI];
	if (h->method.len + h->target.len + 10 > p->limits->line)
		return http_head_fail(h, 414, "request line too long");
	if (http_head_target(h, p->data) != HTTP_DONE)
		return HTTP_BAD;
	p->cgi->raw_path = h->path;
	return HTTP_DONE;
}

/* --- the path ------------------------------------------------------------- */

/* Whether s, percent-decoded, is a and b behind it. */
static bool
decodes_to(struct span s, struct span a, struct span b)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++, n++) {
		int high = -1, low = -1;
		char c = s.ptr[i];

		if (c == '%' && s.len - i > 2) {
			high = http_hex((unsigned char)s.ptr[i + 1]);
			low = http_hex((unsigned char)s.ptr[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n >= a.len + b.len ||
		    c != (n < a.len ? a.ptr[n] : b.ptr[n - a.len]))
			return false;
	}
	return n == a.len + b.len;
}

static bool
is_below(struct span path, struct span script)
{
	return path.len >= script.len &&
	    memcmp(path.ptr, script.ptr, script.len) == 0 &&
	    (path.len == script.len || path.ptr[script.len] == '/');
}

/*
 * A proxy that is told SCRIPT_NAME often goes on to send the whole path as
 * PATH_INFO (nginx's $document_uri).  That it did is known from REQUEST_URI,
 * which otherwise is the one and the other.
 */
static bool
holds_script(const struct packet *p, struct span path, struct span script)
{
	if (script.len == 0 || !is_below(path, script))
		return false;
	if (p->split)
		return true;
	return (p->seen >> N_URI & 1) != 0 &&
	    !decodes_to(http_span(p->data, p->cgi->raw_path), script, path);
}

static void
obey_paths(struct packet *p)
{
	struct http_part script = p->values[N_SCRIPT];
	struct http_part path = p->values[N_PATH];

	if (script.len > 0 && p->data[script.at + script.len - 1] == '/')
		script.len--;
	if (holds_script(p, http_span(p->data, path),
		http_span(p->data, script))) {
		path.at += script.len;
		path.len -= script.len;
	}
	p->cgi->script_name = script;
	p->cgi->path_given = (p->seen >> N_PATH & 1) != 0;
	if (p->cgi->path_given)
		p->h->path = path;
	if (p->seen >> N_QUERY & 1)
		p->h->query = p->values[N_QUERY];
}

/* --- the rest ------------------------------------------------------------- */

static uint16_t
port_of(struct span text)
{
	unsigned long long port;

	return span_uint(text, &port) && port <= 65535 ? (uint16_t)port : 0;
}

/* The first of these that is there has its say. */
static void
obey_scheme(struct packet *p)
{
	static const enum name order[] = { N_UWSGI_SCHEME, N_HTTPS,
		N_WSGI_SCHEME, N_REQUEST_SCHEME };

	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		struct span s = value_of(p, order[i]);

		if (s.len == 0)
			continue;
		p->cgi->scheme_given = true;
		p->cgi->https = span_ieq(s, SPAN("https")) ||
		    (order[i] == N_HTTPS &&
			(span_ieq(s, SPAN("on")) || span_eq(s, SPAN("1"))));
		return;
	}
}

static bool
is_protocol(struct span s)
{
	return s.len >= 6 && s.len <= 16 && !memcmp(s.ptr, "HTTP/", 5);
}

static enum http_verdict
obey(struct packet *p)
{
	struct http_head *h = p->h;
	struct http_cgi *cgi = p->cgi;

	if ((p->seen >> N_METHOD & 1) == 0)
		return bad(p, "no REQUEST_METHOD");
	if ((p->seen & (1u << N_URI | 1u << N_PATH)) == 0)
		return bad(p, "neither REQUEST_URI nor PATH_INFO");
	if (obey_method(p) != HTTP_DONE)
		return HTTP_BAD;
	h->target = h->path = p->values[N_PATH];
	if ((p->seen >> N_URI & 1) != 0 && obey_target(p) != HTTP_DONE)
		return HTTP_BAD;
	obey_paths(p);
	obey_scheme(p);
	if (is_protocol(value_of(p, N_PROTOCOL)))
		cgi->protocol = p->values[N_PROTOCOL];
	cgi->remote_addr = p->values[N_REMOTE_ADDR];
	cgi->remote_port = port_of(value_of(p, N_REMOTE_PORT));
	cgi->server_name = p->values[N_SERVER_NAME];
	cgi->server_port = port_of(value_of(p, N_SERVER_PORT));
	h->line_done = true;
	h->length = p->end;
	return HTTP_DONE;
}

/* The first four bytes: what it is, and how long. */
static enum http_verdict
begin(struct packet *p, size_t len)
{
	unsigned modifier;

	if (len == 0)
		return HTTP_MORE;
	modifier = (unsigned char)p->data[0];
	if (modifier != MODIFIER_WSGI && modifier != MODIFIER_SPLIT)
		return bad(p, "not a request of the uwsgi protocol");
	p->split = modifier == MODIFIER_SPLIT;
	if (len < PACKET_HEAD)
		return HTTP_MORE;
	if (p->data[3] != 0)
		return bad(p, "not a request of the uwsgi protocol");
	p->end = PACKET_HEAD + ((uint32_t)(unsigned char)p->data[1] |
	    (uint32_t)(unsigned char)p->data[2] << 8);
	if (p->end == PACKET_HEAD)
		return bad(p, "empty uwsgi packet");
	return len < p->end ? HTTP_MORE : HTTP_DONE;
}

enum http_verdict
http_uwsgi_parse(struct http_head *h, struct http_cgi *cgi, char *data,
    size_t len, const struct http_limits *limits)
{
	struct packet p = { .h = h, .cgi = cgi, .data = data,
		.limits = limits };
	enum http_verdict v;

	h->content_length = -1;
	h->host = -1;
	h->minor = 0;
	v = begin(&p, len);
	if (v == HTTP_DONE)
		v = take_all(&p);
	if (v == HTTP_DONE)
		v = obey(&p);
	if (v == HTTP_DONE)
		h->cgi = cgi;
	return v;
}

void
http_cgi_reset(struct http_cgi *cgi)
{
	*cgi = (struct http_cgi){ .variables = cgi->variables,
		.variable_room = cgi->variable_room };
}

void
http_cgi_fini(struct http_cgi *cgi)
{
	free(cgi->variables);
	*cgi = (struct http_cgi){ 0 };
}
