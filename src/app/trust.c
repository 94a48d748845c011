/* SPDX-License-Identifier: MIT */
/*
 * Whom to believe.  gunicorn's rules, with three exceptions.  Of a chain such
 * as "https, http" the first part counts, which is the client's side.  And a
 * name of forwarder_headers is never taken from a stranger, also not under
 * header_map dangerous, for it may move the application (SCRIPT_NAME); nor
 * is it mixed with the one that a client wrote with a hyphen (Remote-User).
 */
#include "app/trust.h"

#include <stdint.h>
#include <stdlib.h>

#include "app/forwarded.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/span.h"
#include "conf/conf.h"

enum header_map { MAP_DROP, MAP_REFUSE, MAP_DANGEROUS };

/* A field that names the scheme, and the value that means https. */
struct scheme_field {
	struct span name;
	struct span value;
};

struct trust {
	struct addr_list *proxies;
	struct scheme_field *schemes;
	size_t scheme_count;
	struct span *forwarders;
	size_t forwarder_count;
	struct span remote;      /* remote_addr_header; len 0: none */
	bool remote_is_rfc;      /* it is Forwarded */
	uint64_t lengths;  /* of the names that count: bit n for n bytes, 63 */
	uint32_t initials; /* for more; bit c % 32: one begins with c */
	enum header_map map;
	bool forward_any; /* forwarder_headers holds "*" */
};

static unsigned
length_bit(size_t len)
{
	return len < 63 ? (unsigned)len : 63;
}

/* The same for both cases of a letter. */
static unsigned
initial_bit(char c)
{
	return (unsigned char)c % 32;
}

/* A field of that name is of interest. */
static void
note_name(struct trust *t, struct span name)
{
	t->lengths |= UINT64_C(1) << length_bit(name.len);
	t->initials |= UINT32_C(1) << initial_bit(name.ptr[0]);
}

static int
no_memory(struct err *err)
{
	err_set(err, "out of memory");
	return -1;
}

static int
parse_map(const struct settings *s, struct trust *t, struct err *err)
{
	static const struct span names[] = { SPAN("drop"), SPAN("refuse"),
		SPAN("dangerous") };
	struct span how = span_of(s->header_map);

	if (how.ptr == NULL)
		how = names[MAP_DROP];
	for (unsigned i = 0; i < 3; i++) {
		if (span_ieq(how, names[i])) {
			t->map = (enum header_map)i;
			return 0;
		}
	}
	err_set(err, "header_map = %s: must be drop, refuse or dangerous",
	    s->header_map);
	return -1;
}

static int
add_scheme(struct trust *t, const char *item, struct err *err)
{
	struct scheme_field *f = &t->schemes[t->scheme_count];
	struct span rest = span_of(item), name;

	span_next(&rest, '=', &name);
	name = span_trim(name);
	if (rest.ptr == NULL || name.len == 0) {
		err_set(err, "secure_scheme_headers = %s: must be NAME=VALUE",
		    item);
		return -1;
	}
	rest = span_trim(rest);
	f->name.ptr = span_dup(name);
	f->name.len = name.len;
	f->value.ptr = span_dup(rest);
	f->value.len = rest.len;
	t->scheme_count++;
	if (f->name.ptr == NULL || f->value.ptr == NULL)
		return no_memory(err);
	note_name(t, name);
	return 0;
}

static int
parse_schemes(const struct settings *s, struct trust *t, struct err *err)
{
	const struct strlist *list = &s->secure_scheme_headers;

	t->schemes = calloc(list->count + 1, sizeof(t->schemes[0]));
	if (t->schemes == NULL)
		return no_memory(err);
	for (size_t i = 0; i < list->count; i++)
		if (add_scheme(t, list->items[i], err) != 0)
			return -1;
	return 0;
}

static int
parse_forwarders(const struct settings *s, struct trust *t, struct err *err)
{
	const struct strlist *list = &s->forwarder_headers;

	t->forwarders = calloc(list->count + 1, sizeof(t->forwarders[0]));
	if (t->forwarders == NULL)
		return no_memory(err);
	for (size_t i = 0; i < list->count; i++) {
		struct span name = span_trim(span_of(list->items[i]));
		struct span *f = &t->forwarders[t->forwarder_count];

		if (span_eq(name, SPAN("*")))
			t->forward_any = true;
		if (name.len == 0)
			continue;
		f->ptr = span_dup(name);
		f->len = name.len;
		if (f->ptr == NULL)
			return no_memory(err);
		t->forwarder_count++;
	}
	return 0;
}

static int
parse_remote(const struct settings *s, struct trust *t, struct err *err)
{
	struct span name = span_of(s->remote_addr_header);

	if (name.len == 0)
		return 0;
	t->remote.ptr = span_dup(name);
	if (t->remote.ptr == NULL)
		return no_memory(err);
	t->remote.len = name.len;
	t->remote_is_rfc = span_ieq(name, SPAN("Forwarded"));
	note_name(t, name);
	return 0;
}

int
trust_new(const struct settings *s, struct trust **out, struct err *err)
{
	struct trust *t = calloc(1, sizeof(*t));
	int rc = -1;

	*out = NULL;
	if (t == NULL)
		return no_memory(err);
	if (addr_list_new(s->forwarded_allow_ips.items,
		s->forwarded_allow_ips.count, &t->proxies, err) != 0) {
		err_prefix(err, "forwarded_allow_ips: ");
		goto out;
	}
	if (parse_map(s, t, err) != 0 || parse_schemes(s, t, err) != 0 ||
	    parse_forwarders(s, t, err) != 0 || parse_remote(s, t, err) != 0)
		goto out;
	*out = t;
	t = NULL;
	rc = 0;
out:
	trust_free(&t);
	return rc;
}

void
trust_free(struct trust **tp)
{
	struct trust *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->scheme_count; i++) {
		free((char *)t->schemes[i].name.ptr);
		free((char *)t->schemes[i].value.ptr);
	}
	for (size_t i = 0; i < t->forwarder_count; i++)
		free((char *)t->forwarders[i].ptr);
	free((char *)t->remote.ptr);
	free(t->schemes);
	free(t->forwarders);
	addr_list_free(&t->proxies);
	free(t);
}

/* The scheme that a field states; TRUST_SCHEME_NONE: it is not about that. */
static enum trust_scheme
stated_scheme(const struct trust *t, const struct http_field *f,
    const char *data)
{
	struct span name = http_span(data, f->name), value, first;

	for (size_t i = 0; i < t->scheme_count; i++) {
		if (!span_ieq(name, t->schemes[i].name))
			continue;
		value = http_span(data, f->value);
		span_next(&value, ',', &first);
		return span_eq(span_trim(first), t->schemes[i].value) ?
		    TRUST_SCHEME_HTTPS :
		    TRUST_SCHEME_HTTP;
	}
	return TRUST_SCHEME_NONE;
}

/* Cheap, and false for nearly every field that is met. */
static bool
may_matter(const struct trust *t, const struct http_field *f,
    const char *data)
{
	return (t->lengths >> length_bit(f->name.len) & 1) != 0 &&
	    (t->initials >> initial_bit(data[f->name.at]) & 1) != 0;
}

/* Which of forwarder_headers that is; forwarder_count: none. */
static size_t
forwarder_of(const struct trust *t, struct span name)
{
	size_t i;

	for (i = 0; i < t->forwarder_count; i++)
		if (span_ieq(name, t->forwarders[i]))
			break;
	return i;
}

/* Whether an environ has both under one name. */
static bool
is_twin(struct span name, struct span of)
{
	if (name.len != of.len)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		struct span a = { name.ptr + i, 1 }, b = { of.ptr + i, 1 };

		if (!span_ieq(a, b) && !(*a.ptr == '-' && *b.ptr == '_'))
			return false;
	}
	return true;
}

/* A trusted peer said the same, with an underscore. */
static bool
is_outdone(const struct trust *t, const struct trust_result *r,
    struct span name)
{
	for (size_t i = 0; i < t->forwarder_count && i < 64; i++)
		if ((r->said >> i & 1) != 0 &&
		    is_twin(name, t->forwarders[i]))
			return true;
	return false;
}

bool
trust_peer(const struct trust *t, const struct addr *peer)
{
	return addr_list_has(t->proxies, peer);
}

bool
trust_hides(const struct trust *t, const struct trust_result *r,
    const struct http_field *field, const char *data)
{
	struct span name = http_span(data, field->name);

	if (!field->underscore)
		return is_outdone(t, r, name);
	if (forwarder_of(t, name) < t->forwarder_count)
		return !r->peer_trusted;
	if (t->forward_any && r->peer_trusted)
		return false;
	return t->map != MAP_DANGEROUS;
}

static enum http_verdict
take_scheme(enum trust_scheme scheme, struct trust_result *out)
{
	if (scheme == TRUST_SCHEME_NONE)
		return HTTP_DONE;
	if (out->scheme != TRUST_SCHEME_NONE && out->scheme != scheme) {
		out->reason = "fields that disagree about the scheme";
		return HTTP_BAD;
	}
	out->scheme = scheme;
	return HTTP_DONE;
}

/* --- where the client is -------------------------------------------------- */

/* What a proxy says of the one in front of it. */
struct hop {
	struct addr addr;
	bool known; /* addr is one */
	enum trust_scheme scheme;
};

static struct hop
read_hop(const struct trust *t, struct span item)
{
	struct hop h = { .scheme = TRUST_SCHEME_NONE };
	struct span node = item, proto = SPAN_NONE;

	if (t->remote_is_rfc && !forwarded_element(item, &node, &proto))
		return h;
	if (proto.ptr != NULL)
		h.scheme = span_ieq(proto, SPAN("https")) ?
		    TRUST_SCHEME_HTTPS :
		    TRUST_SCHEME_HTTP;
	h.known = node.ptr != NULL && forwarded_address(node, &h.addr);
	return h;
}

/*
 * From the last item of the last such field backwards, as long as who said
 * it is a proxy that is believed.  One that does not say an address is the
 * end of what is known.
 */
static enum http_verdict
walk(const struct trust *t, const struct addr *peer,
    const struct http_head *h, const char *data, struct trust_result *out)
{
	struct hop at = { .addr = *peer, .known = true };
	enum trust_scheme scheme = TRUST_SCHEME_NONE;
	bool moved = false;

	for (uint32_t i = h->field_count; i > 0 && at.known; i--) {
		const struct http_field *f = &h->fields[i - 1];
		struct span list = http_span(data, f->value), item;
		struct hop next;

		if (!span_ieq(http_span(data, f->name), t->remote))
			continue;
		while (at.known && addr_list_has(t->proxies, &at.addr) &&
		    forwarded_last(&list, &item)) {
			if (item.len == 0)
				continue;
			next = read_hop(t, item);
			if (next.scheme != TRUST_SCHEME_NONE)
				scheme = next.scheme;
			at.known = next.known;
			if (!next.known)
				break;
			at.addr = next.addr;
			moved = true;
		}
	}
	if (moved) {
		out->remote_len = (uint8_t)addr_text(&at.addr, out->remote);
		out->remote_port = addr_port(&at.addr);
	}
	return take_scheme(scheme, out);
}

/* --- all fields ----------------------------------------------------------- */

/* Not all of it: some is large, and meaningful only with a length. */
static void
forget(struct trust_result *out)
{
	out->scheme = TRUST_SCHEME_NONE;
	out->peer_trusted = out->hides = false;
	out->said = 0;
	out->reason = NULL;
	out->remote_len = 0;
}

static void
note_said(const struct trust *t, const struct http_field *f,
    const char *data, struct trust_result *out)
{
	size_t i;

	if (!f->underscore || !out->peer_trusted)
		return;
	i = forwarder_of(t, http_span(data, f->name));
	if (i == t->forwarder_count || i >= 64)
		return;
	out->said |= UINT64_C(1) << i;
	out->hides = true;
}

enum http_verdict
trust_apply(const struct trust *t, const struct trust_peers *peers,
    const struct http_head *h, const char *data, struct trust_result *out)
{
	bool asked = false; /* the list is searched when a field needs it */
	bool tells = false; /* there is a field with the client's address */

	forget(out);
	for (uint32_t i = 0; i < h->field_count; i++) {
		const struct http_field *f = &h->fields[i];

		if (!f->underscore && !may_matter(t, f, data))
			continue;
		if (!asked)
			out->peer_trusted = addr_list_has(t->proxies,
			    peers->hop);
		asked = true;
		if (out->peer_trusted &&
		    take_scheme(stated_scheme(t, f, data), out) != HTTP_DONE)
			return HTTP_BAD;
		tells = tells || (t->remote.len > 0 &&
			span_ieq(http_span(data, f->name), t->remote));
		note_said(t, f, data, out);
		if (!f->underscore || !trust_hides(t, out, f, data))
			continue;
		if (t->map == MAP_REFUSE) {
			out->reason = "field name with an underscore";
			return HTTP_BAD;
		}
		out->hides = true;
	}
	return tells ? walk(t, peers->peer, h, data, out) : HTTP_DONE;
}
