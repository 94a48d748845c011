/* SPDX-License-Identifier: MIT */
#include "worker/contexts.h"

#include <stdlib.h>

#include "base/bulletin.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/log.h"
#include "net/conn.h"
#include "net/listen.h"
#include "tls/tls.h"
#include "tls/vault.h"
#include "worker/heritage.h"

struct contexts {
	const struct heritage *heritage;
	uint64_t version; /* of the vault, when we looked last */
	struct tls **items; /* by listener.number; NULL: plain, or as before */
};

/*
 * Listeners with the same settings share a context, that of the first of
 * them; the arbiter makes bundles by the same rule.
 */
static size_t
first_alike(const struct heritage *h, size_t number)
{
	size_t i = 0;

	while (h->listeners[i]->settings != h->listeners[number]->settings ||
	    !h->listeners[i]->tls)
		i++;
	return i;
}

static void
free_items(const struct contexts *x, struct tls **items)
{
	for (size_t i = 0; items != NULL && i < x->heritage->listener_count;
	     i++)
		tls_free(&items[i]);
	free(items);
}

static int
make_items(const struct contexts *x, struct tls_bundle *const *bundles,
    struct tls **items, struct err *err)
{
	const struct heritage *h = x->heritage;

	for (size_t i = 0; i < h->listener_count; i++) {
		struct tls_config config;

		if (!h->listeners[i]->tls || first_alike(h, i) != i)
			continue;
		tls_config_of(h->listeners[i]->settings, &config);
		if (h->listeners[i]->settings->tls_tickets)
			config.tickets = h->tickets;
		if (tls_new(&config, bundles[i], NULL, NULL, &items[i],
			err) != 0)
			return -1;
	}
	return 0;
}

/* In the place of those that are there, if all goes well. */
static int
renew(struct contexts *x, struct err *err)
{
	size_t count = x->heritage->listener_count;
	struct tls_bundle **bundles = calloc(count, sizeof(*bundles));
	struct tls **items = calloc(count, sizeof(*items));
	int rc = -1;

	if (bundles == NULL || items == NULL)
		err_set(err, "TLS: out of memory");
	else
		rc = vault_get(x->heritage->vault, bundles, count,
		    &x->version, err);
	if (rc == 0)
		rc = make_items(x, bundles, items, err);
	for (size_t i = 0; bundles != NULL && i < count; i++)
		tls_bundle_free(&bundles[i]);
	free(bundles);
	if (rc == 0) {
		free_items(x, x->items);
		x->items = items;
	} else {
		free_items(x, items);
	}
	return rc;
}

int
contexts_new(const struct heritage *h, struct contexts **out, struct err *err)
{
	struct contexts *x;
	bool any = false;

	*out = NULL;
	for (size_t i = 0; i < h->listener_count; i++)
		any |= h->listeners[i]->tls;
	if (!any)
		return 0;
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		err_set(err, "TLS: out of memory");
		return -1;
	}
	x->heritage = h;
	if (renew(x, err) != 0) {
		contexts_free(&x);
		return -1;
	}
	*out = x;
	return 0;
}

void
contexts_free(struct contexts **xp)
{
	struct contexts *x = *xp;

	*xp = NULL;
	if (x == NULL)
		return;
	free_items(x, x->items);
	free(x);
}

bool
contexts_attach(struct contexts *x, struct conn *c)
{
	uint64_t version = bulletin_version(x->heritage->vault);
	struct err err;

	if (version != x->version && renew(x, &err) != 0) {
		x->version = version; /* until there are others again */
		log_error("%s; the certificates in use stay", err.text);
	}
	return tls_attach(
	    x->items[first_alike(x->heritage, c->listener->number)], c);
}

/* --- checking ------------------------------------------------------------- */

static void
warn(void *arg, const char *text)
{
	(void)arg;
	log_warning("%s", text);
}

static int
check_one(const struct settings *s, struct err *err)
{
	struct tls_bundle *bundle = NULL;
	struct tls_config config;
	struct tls *t = NULL;
	int rc;

	tls_config_of(s, &config);
	if (tls_load(&config, warn, NULL, &bundle, err) != 0)
		return -1;
	rc = tls_new(&config, bundle, warn, NULL, &t, err);
	tls_bundle_free(&bundle);
	tls_free(&t);
	return rc;
}

int
contexts_check(const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < s->addresses.count; i++)
		if (s->listens[i].tls &&
		    check_one(s->listens[i].settings, err) != 0)
			return -1;
	return 0;
}
