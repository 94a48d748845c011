/* SPDX-License-Identifier: MIT */
#include "worker/ident.h"

#include <sys/random.h>

#include "app/trust.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "worker/client.h"
#include "worker/front.h"
#include "worker/inbound.h"
#include "worker/worker_private.h"

/* What an id may consist of, so that it needs no quotes anywhere. */
static bool
is_fit(struct span s)
{
	if (s.len == 0 || s.len > IDENT_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= 'a' && c <= 'z') && strchr("-_.:=+/@~;,", c) == NULL)
			return false;
	}
	return true;
}

/* Random, and different each time: the finaliser of splitmix64. */
static uint64_t
next(uint64_t *seed)
{
	uint64_t v = *seed += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

static void
sow(struct ident *id)
{
	if (id->seed[0] != 0)
		return;
	if (getrandom(id->seed, sizeof(id->seed), GRND_NONBLOCK) !=
	    sizeof(id->seed)) {
		id->seed[0] = (uint64_t)clock_us();
		id->seed[1] = (uint64_t)(uintptr_t)id;
	}
	id->seed[0] |= 1;
}

static void
put_hex(char out[16], uint64_t v)
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
}

static struct span
received(const struct worker *w, const struct client *c, struct span name)
{
	const struct http_field *f;

	if (c->in == NULL || !trust_peer(w->trust, front_hop(c)))
		return SPAN_NONE;
	f = http_head_field(&c->in->head, c->in->in.data, name);
	return f != NULL ? http_span(c->in->in.data, f->value) : SPAN_NONE;
}

void
ident_take(struct ident *id, const struct worker *w, const struct client *c)
{
	const char *field = w->settings->request_id;
	struct span theirs;

	id->len = 0;
	if (field == NULL)
		return;
	theirs = received(w, c, span_of(field));
	if (is_fit(theirs)) {
		memcpy(id->text, theirs.ptr, theirs.len);
		id->len = theirs.len;
		return;
	}
	sow(id);
	put_hex(id->text, next(&id->seed[0]));
	put_hex(id->text + 16, next(&id->seed[1]));
	id->len = 32;
}
