/* SPDX-License-Identifier: MIT */
#include "worker/front.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/worker_private.h"

/* Of one listener; NULL where nobody asks. */
struct front {
	struct addr_list *proxy;
	struct addr_list *uwsgi;
};

struct fronts {
	size_t count;
	struct front items[]; /* by listener.number */
};

static int
make_list(const struct strlist *texts, const char *name,
    struct addr_list **out, struct err *err)
{
	if (addr_list_new(texts->items, texts->count, out, err) == 0)
		return 0;
	err_prefix(err, "%s: ", name);
	return -1;
}

static int
make(struct front *f, const struct listener *l, struct err *err)
{
	if (l->proxy_versions != 0 &&
	    make_list(&l->settings->proxy_allow_ips, "proxy_allow_ips",
		&f->proxy, err) != 0)
		return -1;
	if (l->uwsgi &&
	    make_list(&l->settings->uwsgi_allow_ips, "uwsgi_allow_ips",
		&f->uwsgi, err) != 0)
		return -1;
	return 0;
}

int
fronts_new(const struct heritage *h, struct fronts **out, struct err *err)
{
	struct fronts *f = calloc(1, sizeof(*f) +
	    h->listener_count * sizeof(f->items[0]));

	*out = NULL;
	if (f == NULL) {
		err_sys(err, "listeners");
		return -1;
	}
	f->count = h->listener_count;
	for (size_t i = 0; i < h->listener_count; i++) {
		const struct listener *l = h->listeners[i];

		if (make(&f->items[l->number], l, err) != 0) {
			fronts_free(&f);
			return -1;
		}
	}
	*out = f;
	return 0;
}

void
fronts_free(struct fronts **fp)
{
	struct fronts *f = *fp;

	*fp = NULL;
	for (size_t i = 0; f != NULL && i < f->count; i++) {
		addr_list_free(&f->items[i].proxy);
		addr_list_free(&f->items[i].uwsgi);
	}
	free(f);
}

const struct addr *
front_hop(const struct client *c)
{
	return c->conn.proxy != NULL ? &c->conn.proxy->hop : &c->conn.peer;
}

static const struct front *
of(const struct worker *w, const struct client *c)
{
	return &w->fronts->items[c->conn.listener->number];
}

bool
front_may_proxy(const struct worker *w, const struct client *c)
{
	return addr_list_has(of(w, c)->proxy, &c->conn.peer);
}

bool
front_may_uwsgi(const struct worker *w, const struct client *c)
{
	return addr_list_has(of(w, c)->uwsgi, front_hop(c));
}
