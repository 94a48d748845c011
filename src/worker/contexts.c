/* SPDX-License-Identifier: MIT */
#include "worker/contexts.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/bulletin.h"
#include "base/err.h"
#include "conf/conf.h"
#include "log/log.h"
#include "net/conn.h"
#include "net/listen.h"
#include "tls/tls.h"
#include "tls/vault.h"
#include "worker/heritage.h"

/* So long a connection waits for certificates that are new. */
#define WAIT_NS (100 * 1000 * 1000)

/*
 * What is made of that which the vault holds now.  It is the maker's, which
 * may be a thread of its own, until that was joined.
 */
struct making {
	const struct heritage *heritage;
	pthread_t id;
	struct tls **items; /* NULL: it failed, and err says why */
	uint64_t version;
	struct err err;
};

struct contexts {
	const struct heritage *heritage;
	uint64_t version; /* of the vault, when we looked last */
	struct tls **items; /* by listener.number; NULL: plain, or as before */
	struct making *making; /* NULL: no thread makes any */
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
free_items(const struct heritage *h, struct tls **items)
{
	for (size_t i = 0; items != NULL && i < h->listener_count; i++)
		tls_free(&items[i]);
	free(items);
}

static int
make_items(const struct heritage *h, struct tls_bundle *const *bundles,
    struct tls **items, struct err *err)
{
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

static void
make(struct making *m)
{
	size_t count = m->heritage->listener_count;
	struct tls_bundle **bundles = calloc(count, sizeof(*bundles));
	struct tls **items = calloc(count, sizeof(*items));
	int rc = -1;

	if (bundles == NULL || items == NULL)
		err_set(&m->err, "TLS: out of memory");
	else
		rc = vault_get(m->heritage->vault, bundles, count, &m->version,
		    &m->err);
	if (rc == 0)
		rc = make_items(m->heritage, bundles, items, &m->err);
	for (size_t i = 0; bundles != NULL && i < count; i++)
		tls_bundle_free(&bundles[i]);
	free(bundles);
	if (rc == 0)
		m->items = items;
	else
		free_items(m->heritage, items);
}

/* In the place of those that are there, if all went well. */
static int
take(struct contexts *x, const struct making *m)
{
	if (m->items == NULL)
		return -1;
	free_items(x->heritage, x->items);
	x->items = m->items;
	x->version = m->version;
	return 0;
}

/* --- while others are served ---------------------------------------------- */

static void *
making_main(void *arg)
{
	pthread_setname_np(pthread_self(), "certificates");
	make(arg);
	return NULL;
}

/* The thread has ended. */
static void
finish(struct contexts *x)
{
	struct making *m = x->making;

	x->making = NULL;
	if (take(x, m) != 0) {
		x->version = m->version; /* until there are others again */
		log_error("%s; the certificates in use stay", m->err.text);
	}
	free(m);
}

/* Without a thread it is done here. */
static void
begin(struct contexts *x, uint64_t version)
{
	struct making *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		log_error("TLS: out of memory; the certificates in use stay");
		x->version = version;
		return;
	}
	m->heritage = x->heritage;
	m->version = version;
	x->making = m;
	if (pthread_create(&m->id, NULL, making_main, m) == 0)
		return;
	make(m);
	finish(x);
}

/*
 * Thousands of certificates take seconds.  Whoever comes meanwhile gets the
 * ones in use; the first one waits a little, so that as a rule nobody does.
 */
static void
renew(struct contexts *x, uint64_t version)
{
	struct timespec until;
	bool begun = x->making == NULL;

	if (begun)
		begin(x, version);
	if (x->making == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if ((begun ? pthread_timedjoin_np(x->making->id, NULL, &until) :
		     pthread_tryjoin_np(x->making->id, NULL)) == 0)
		finish(x);
}

/* --- all of it ------------------------------------------------------------ */

int
contexts_new(const struct heritage *h, struct contexts **out, struct err *err)
{
	struct making m = { .heritage = h };
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
	make(&m);
	if (take(x, &m) != 0) {
		*err = m.err;
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
	if (x->making != NULL) {
		pthread_join(x->making->id, NULL);
		finish(x);
	}
	free_items(x->heritage, x->items);
	free(x);
}

bool
contexts_attach(struct contexts *x, struct conn *c)
{
	uint64_t version = bulletin_version(x->heritage->vault);

	if (version != x->version)
		renew(x, version);
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
