/* SPDX-License-Identifier: MIT */
#include "arbiter/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "arbiter/activation.h"
#include "base/buf.h"
#include "base/err.h"
#include "log/log.h"
#include "net/listen.h"

/* How many there are of that spec, which may be more where a port is 0. */
static size_t
count(const struct sockets *k, const char *spec)
{
	size_t n = 0;

	for (size_t i = 0; i < k->count; i++)
		n += strcmp(k->items[i]->spec, spec) == 0;
	return n;
}

/* The one in front of which there are nth of the same spec. */
static struct listener *
find(const struct sockets *k, const char *spec, size_t nth)
{
	for (size_t i = 0; k != NULL && i < k->count; i++)
		if (strcmp(k->items[i]->spec, spec) == 0 && nth-- == 0)
			return k->items[i];
	return NULL;
}

/* A path that was made again is that of the candidate. */
static struct listener *
find_peer(const struct sockets_peers *peers, const char *spec, size_t nth)
{
	struct listener *l = find(peers->sets[0], spec, nth);
	struct listener *newer = find(peers->sets[1], spec, nth);

	if (l == NULL || (newer != NULL && newer->ino != l->ino))
		return newer;
	return l;
}

/* The name says http or https, which a reload may change. */
static char *
name_of(const struct listener *l, bool tls)
{
	const char *rest = strstr(l->name, "://");
	char *name = NULL;

	if (rest == NULL || l->is_unix)
		return strdup(l->name);
	if (asprintf(&name, "%s%s", tls ? "https" : "http", rest) < 0)
		return NULL;
	return name;
}

/* The same socket under a descriptor of its own. */
static int
share(const struct listener *like, const char *spec,
    const struct listen_options *options, struct listener **out,
    struct err *err)
{
	struct listener *l = malloc(sizeof(*l));

	*out = NULL;
	if (l == NULL) {
		err_sys(err, "listen %s", like->spec);
		return -1;
	}
	*l = *like;
	l->tls = options->tls;
	l->fd = fcntl(like->fd, F_DUPFD_CLOEXEC, 3);
	l->spec = strdup(spec);
	l->name = name_of(like, options->tls);
	l->host = like->host != NULL ? strdup(like->host) : NULL;
	if (l->fd < 0 || l->spec == NULL || l->name == NULL ||
	    (l->host == NULL) != (like->host == NULL)) {
		err_sys(err, "listen %s", like->spec);
		listen_close(&l, false);
		return -1;
	}
	if (!options->reuse_port && !l->held)
		listen(l->fd, options->backlog); /* it may have changed */
	*out = l;
	return 0;
}

/*
 * With reuse_port each worker listens for itself, and the arbiter only holds
 * the address: a socket that listens, and on which nobody accepts, would get
 * its share of the connections.
 */
static void
only_hold(const struct listener *l, const struct listen_options *options)
{
	/* One only bound would remember it, and so would its clients. */
	if (options->reuse_port && !options->hold && !l->is_unix &&
	    !l->inherited)
		shutdown(l->fd, SHUT_RD);
}

static int
open_new(const char *spec, const struct listen_options *options,
    struct listener **out, struct err *err)
{
	if (listen_open(spec, options, out, err) != 0)
		return -1;
	only_hold(*out, options);
	return 0;
}

/* What clients of l have to speak, by settings, which l keeps. */
static void
describe_front(struct listener *l, const struct settings *s)
{
	l->settings = s;
	l->uwsgi = s->protocol != NULL && strcmp(s->protocol, "uwsgi") == 0;
	l->proxy_versions = s->proxy_versions;
	l->proxy_required = s->proxy_required;
}

/* Those whose sockets nobody else uses; with `on` they let others in. */
static void
let_in(const struct sockets_peers *peers, bool on)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0;
		     peers->sets[i] != NULL && j < peers->sets[i]->count; j++)
			listen_share_port(peers->sets[i]->items[j], on);
}

/* A peer on the very address that l has got. */
static const struct listener *
same_address(const struct sockets_peers *peers, const struct listener *l)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0;
		     peers->sets[i] != NULL && j < peers->sets[i]->count; j++) {
			const struct listener *p = peers->sets[i]->items[j];

			if (!p->is_unix && p->port == l->port &&
			    strcmp(p->host, l->host) == 0)
				return p;
		}
	return NULL;
}

/*
 * The address is taken, perhaps by a listener of our own that goes when this
 * one comes, as 0.0.0.0:80 for 127.0.0.1:80.  Two that share a port may be
 * bound at the same time, and the narrower one gets the clients as soon as it
 * listens, which is when the first new worker is READY.
 */
static int
open_over(const char *spec, const struct listen_options *options,
    const struct sockets_peers *peers, struct listener **out, struct err *err)
{
	struct listen_options over = *options;
	const struct listener *like;
	int rc;

	over.reuse_port = over.hold = true;
	let_in(peers, true);
	rc = listen_open(spec, &over, out, err);
	if (rc == 0 && ((*out)->is_unix || (*out)->inherited))
		return 0;
	like = rc == 0 ? same_address(peers, *out) : NULL;
	if (like != NULL) {
		listen_close(out, false);
		rc = share(like, spec, options, out, err);
	}
	if (rc != 0 || like != NULL)
		let_in(peers, options->reuse_port);
	return rc;
}

static bool
any(const struct sockets *k)
{
	return k != NULL && k->count > 0;
}

static int
open_one(const char *spec, const struct listen_options *options,
    const struct sockets_peers *peers, struct listener **out, struct err *err)
{
	struct err other;

	if (open_new(spec, options, out, err) == 0)
		return 0;
	if (errno != EADDRINUSE ||
	    (!any(peers->sets[0]) && !any(peers->sets[1])))
		return -1;
	if (open_over(spec, options, peers, out, &other) == 0)
		return 0;
	errno = EADDRINUSE;
	return -1;
}

/* A path that was removed comes back with a socket of its own. */
static const struct listener *
unless_lost(const struct listener *like)
{
	if (like == NULL || !listen_is_lost(like))
		return like;
	log_warning("bind = %s: the path is gone; it is made again",
	    like->spec);
	return NULL;
}

static int
add(struct sockets *k, const struct listen_at *at,
    const struct listen_options *options, const struct sockets_peers *peers,
    struct err *err)
{
	const struct listener *like = unless_lost(
	    find_peer(peers, at->spec, count(k, at->spec)));
	struct listener *l = NULL;

	if (like != NULL ?
		share(like, at->spec, options, &l, err) != 0 :
		open_one(at->spec, options, peers, &l, err) != 0)
		return -1;
	l->number = k->count;
	describe_front(l, at->settings);
	k->items[k->count++] = l;
	return 0;
}

void
sockets_settle(const struct sockets *k, const struct settings *s)
{
	for (size_t i = 0; !s->reuse_port && i < k->count; i++)
		if (!k->items[i]->inherited)
			listen_share_port(k->items[i], false);
}

static struct listen_options
options_of(const struct settings *s, const struct listen_at *at,
    const struct strlist *beside)
{
	return (struct listen_options){
		.backlog = (int)at->settings->backlog,
		.reuse_port = s->reuse_port,
		.hold = s->listen_when_ready,
		.tls = at->tls,
		.umask = 0777 & ~s->socket_bits,
		.uid = s->socket_uid,
		.gid = s->socket_gid,
		.beside = beside->items,
		.beside_count = beside->count,
	};
}

/* Of one that is open. */
static struct listen_options
options_for(const struct settings *s, const struct listener *l)
{
	const struct listen_at at = { l->spec, l->settings, l->tls };
	const struct strlist none = { NULL, 0 };

	return options_of(s, &at, &none);
}

/* The listener of that name as the settings have it, or as they are. */
static struct listen_at
settings_for(const struct settings *s, const char *spec)
{
	struct listen_at at = { spec, s, s->tls };

	for (size_t i = 0; i < s->addresses.count; i++)
		if (activation_is(spec, s->listens[i].spec)) {
			at = s->listens[i];
			at.spec = spec;
			break;
		}
	return at;
}

/* Settings for an inherited socket that does not come are a mistake. */
static void
look_for_missing(const struct settings *s, const struct strlist *inherited)
{
	for (size_t i = 0; i < s->addresses.count; i++) {
		const char *asked = s->listens[i].spec;
		bool there = false;

		for (size_t j = 0; j < inherited->count; j++)
			there = there ||
			    activation_is(inherited->items[j], asked);
		if (!there && strncmp(asked, "fd://", 5) == 0)
			log_warning("listen: bind = %s: no such socket was "
				    "inherited: its settings do not count",
			    asked);
	}
}

int
sockets_open(struct sockets *out, const struct strlist *inherited,
    const struct settings *s, const struct sockets_peers *peers,
    struct err *err)
{
	const struct strlist *specs = inherited->count > 0 ? inherited :
							     &s->addresses;
	int saved;

	out->count = 0;
	out->items = calloc(specs->count + 1, sizeof(struct listener *));
	if (out->items == NULL) {
		err_sys(err, "listeners");
		return -1;
	}
	if (inherited->count > 0)
		look_for_missing(s, inherited);
	for (size_t i = 0; i < specs->count; i++) {
		struct listen_at at = inherited->count > 0 ?
			settings_for(s, specs->items[i]) : s->listens[i];
		struct listen_options options = options_of(s, &at, specs);

		if (inherited->count > 0 && count(out, at.spec) > 0)
			continue;
		if (add(out, &at, &options, peers, err) == 0)
			continue;
		saved = errno;
		sockets_close(out, peers);
		errno = saved;
		return -1;
	}
	return 0;
}

void
sockets_give(const struct sockets *k, const struct settings *s)
{
	struct err err;

	for (size_t i = 0; i < k->count; i++) {
		const struct listen_options options = options_for(s,
		    k->items[i]);

		if (listen_give(k->items[i], &options, &err) != 0)
			log_error("%s", err.text);
	}
}

static bool
goes_on(const struct sockets_peers *peers, const struct listener *l)
{
	return l->is_unix ? find_peer(peers, l->spec, 0) != NULL :
			    same_address(peers, l) != NULL;
}

void
sockets_quiet(const struct sockets *k, const struct sockets_peers *peers)
{
	for (size_t i = 0; i < k->count; i++)
		if (!goes_on(peers, k->items[i]))
			listen_quiet(k->items[i]);
}

/* Others of the same spec may be on another path, where that was removed. */
static bool
is_last(const struct listener *l, const struct sockets_peers *peers)
{
	const struct listener *other = find_peer(peers, l->spec, 0);

	return other == NULL || other->ino != l->ino;
}

static void
close_all(struct sockets *k, const struct sockets_peers *peers)
{
	for (size_t i = 0; i < k->count; i++)
		listen_close(&k->items[i],
		    peers != NULL && is_last(k->items[i], peers));
	free(k->items);
	k->items = NULL;
	k->count = 0;
}

void
sockets_close(struct sockets *k, const struct sockets_peers *peers)
{
	close_all(k, peers);
}

void
sockets_forget(struct sockets *k)
{
	close_all(k, NULL);
}

int
sockets_again(struct sockets *k, const struct settings *s, struct err *err)
{
	if (!s->reuse_port)
		return 0;
	for (size_t i = 0; i < k->count; i++) {
		const struct listen_options options = options_for(s,
		    k->items[i]);

		if (listen_again(k->items[i], &options, err) != 0)
			return -1;
		only_hold(k->items[i], &options);
	}
	return 0;
}

char *
sockets_names(const struct sockets *k)
{
	struct buf b = { 0 };
	bool ok = buf_reserve(&b, 1);

	for (size_t i = 0; i < k->count; i++)
		ok = ok && buf_fmt(&b, "%s%s", i > 0 ? "," : "",
		    k->items[i]->name);
	ok = ok && buf_add(&b, "", 1);
	if (!ok)
		buf_fini(&b);
	return b.data;
}
