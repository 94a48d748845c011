/* SPDX-License-Identifier: MIT */
#include "conf/derive.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"

#include "base/err.h"
#include "base/span.h"
#include "conf/groups.h"
#include "conf/rules.h"
#include "conf/store.h"

/* What the user database may need for one entry, at the very most. */
#define ENTRY_MOST (1 << 20)

/* err = the setting as written, its source, and what err says. */
static int
blame(const struct store *st, enum setting_id id, struct err *err)
{
	written_blame(&st->slots[id].written, err);
	return -1;
}

/* --- user and group ------------------------------------------------------ */

/* (uid_t)-1 means "leave it" to the kernel, so it is no number of a user. */
static bool
is_id(const char *text, unsigned *id_out)
{
	unsigned long long n;

	*id_out = 0;
	if (!span_uint(span_of(text), &n) || n >= (unsigned)-1)
		return false;
	*id_out = (unsigned)n;
	return true;
}

static bool
all_digits(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

/*
 * Calls lookup with a growing buffer; its result, an errno.  Entries of
 * groups with thousands of members are long.
 */
static int
with_buffer(int (*lookup)(void *arg, char *buf, size_t size), void *arg)
{
	int rc = ERANGE;

	for (size_t size = 4096; rc == ERANGE && size <= ENTRY_MOST;
	    size *= 4) {
		char *buf = malloc(size);

		if (buf == NULL)
			return ENOMEM;
		do
			rc = lookup(arg, buf, size);
		while (rc == EINTR);
		free(buf);
	}
	return rc;
}

struct user_query {
	const char *name; /* NULL: by number */
	uid_t uid;
	gid_t gid;
	bool found;
};

static int
lookup_user(void *arg, char *buf, size_t size)
{
	struct user_query *q = arg;
	struct passwd entry, *found = NULL;
	int rc;

	if (q->name != NULL)
		rc = getpwnam_r(q->name, &entry, buf, size, &found);
	else
		rc = getpwuid_r(q->uid, &entry, buf, size, &found);
	q->found = found != NULL;
	if (found != NULL) {
		q->uid = found->pw_uid;
		q->gid = found->pw_gid;
	}
	return rc;
}

struct group_query {
	const char *name;
	gid_t gid;
	bool found;
};

static int
lookup_group(void *arg, char *buf, size_t size)
{
	struct group_query *q = arg;
	struct group entry, *found = NULL;
	int rc = getgrnam_r(q->name, &entry, buf, size, &found);

	q->found = found != NULL;
	if (found != NULL)
		q->gid = found->gr_gid;
	return rc;
}

/* The user that a setting names; that one's group where it is known. */
static int
find_user(struct store *st, enum setting_id id, const char *name,
    bool needs_group, struct user_query *q, struct err *err)
{
	unsigned number;

	*q = (struct user_query){ .name = name, .gid = (gid_t)-1 };
	if (is_id(name, &number)) {
		q->name = NULL;
		q->uid = number;
	}
	with_buffer(lookup_user, q);
	if (q->found || (q->name == NULL && !needs_group))
		return 0;
	err_set(err, q->name == NULL ?
		"no user has this number, so say a group too" :
		"there is no such user");
	return blame(st, id, err);
}

static int
find_group(struct store *st, enum setting_id id, const char *name,
    gid_t *gid_out, struct err *err)
{
	struct group_query q = { .name = name };
	unsigned number;

	if (is_id(name, &number)) {
		*gid_out = number;
		return 0;
	}
	if (!all_digits(name))
		with_buffer(lookup_group, &q);
	if (!q.found) {
		err_set(err, "there is no such group");
		return blame(st, id, err);
	}
	*gid_out = q.gid;
	return 0;
}

static int
derive_user(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;
	struct user_query q;

	s->uid = (uid_t)-1;
	s->gid = (gid_t)-1;
	if (s->user != NULL) {
		if (find_user(st, SETTING_user, s->user, s->group == NULL, &q,
			err) != 0)
			return -1;
		s->uid = q.uid;
		s->gid = q.gid;
	}
	if (s->group != NULL)
		return find_group(st, SETTING_group, s->group, &s->gid, err);
	return 0;
}

/* --- unix sockets -------------------------------------------------------- */

#define SOCKET_MODE 0660 /* for the owner and the proxy's group */

static int
derive_socket(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;
	struct user_query q;

	s->socket_bits = SOCKET_MODE & ~s->umask_mode;
	if (s->socket_mode != NULL)
		rules_mode(s->socket_mode, &s->socket_bits);
	s->socket_uid = s->uid;
	s->socket_gid = s->gid;
	if (s->socket_user != NULL) {
		if (find_user(st, SETTING_socket_user, s->socket_user, false,
			&q, err) != 0)
			return -1;
		s->socket_uid = q.uid;
	}
	if (s->socket_group != NULL)
		return find_group(st, SETTING_socket_group, s->socket_group,
		    &s->socket_gid, err);
	return 0;
}

/* --- files and directories ----------------------------------------------- */

static int
check_directory(struct store *st, enum setting_id id, const char *path,
    struct err *err)
{
	struct stat sb;

	if (path == NULL)
		return 0;
	if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
		return 0;
	err_set(err, "is no directory");
	if (stat(path, &sb) != 0)
		err_set(err, "%s", strerror(errno));
	return blame(st, id, err);
}

/* --- two settings at once ------------------------------------------------ */

bool
derive_is_twice(const char *one, const char *other)
{
	size_t len = strlen(one);

	if (strcmp(one, other) != 0)
		return false;
	return strncmp(one, "unix:", 5) == 0 || len < 2 ||
	    strcmp(one + len - 2, ":0") != 0;
}

static int
check_bind(struct store *st, struct err *err)
{
	const struct strlist *bind = &st->settings.bind;

	if (bind->count == 0 && st->settings.listen.count == 0) {
		err_set(err, "must name an address");
		return blame(st, SETTING_bind, err);
	}
	for (size_t i = 1; i < bind->count; i++)
		for (size_t j = 0; j < i; j++)
			if (derive_is_twice(bind->items[i], bind->items[j])) {
				err_set(err, "%s is there twice",
				    bind->items[i]);
				return blame(st, SETTING_bind, err);
			}
	return 0;
}

static int
warn(struct store *st, enum setting_id id, const char *text, struct err *err)
{
	struct err line;

	err_set(&line, "%s", text);
	written_blame(&st->slots[id].written, &line);
	if (store_warn(st, arena_dup(&st->arena, span_of(line.text))))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

static int
check_connections(struct store *st, struct err *err)
{
	const struct settings *s = &st->settings;

	if (s->worker_connections >= s->threads)
		return 0;
	return warn(st,
	    st->slots[SETTING_worker_connections].written.source.kind !=
		    SOURCE_DEFAULT ?
		SETTING_worker_connections : SETTING_threads,
	    "more threads than connections: some will never work", err);
}

/* --- TLS ------------------------------------------------------------------ */

static int
check_certificates(struct store *st, struct err *err)
{
	const struct settings *s = &st->settings;

	if (s->keyfile.count > 0 && s->certfile.count == 0) {
		err_set(err, "needs certfile as well");
		return blame(st, SETTING_keyfile, err);
	}
	if (s->keyfile.count > 0 && s->keyfile.count != s->certfile.count) {
		err_set(err, "%zu of them for %zu of certfile: there must be "
		    "one for each, in the same order, or none at all",
		    s->keyfile.count, s->certfile.count);
		return blame(st, SETTING_keyfile, err);
	}
#ifndef HAVE_TLS
	if (s->tls) {
		err_set(err, "this bicorn was built without TLS");
		return blame(st, s->certfile.count > 0 ? SETTING_certfile :
		    SETTING_certdir, err);
	}
#endif
	return 0;
}

static int
check_clients(struct store *st, struct err *err)
{
	const struct settings *s = &st->settings;
	unsigned verify;

	rules_cert_reqs(s->cert_reqs, &verify);
	if (s->tls && verify != 0 && s->ca_certs == NULL) {
		err_set(err, "needs ca_certs: who signs the certificates of "
			     "clients?");
		return blame(st, SETTING_cert_reqs, err);
	}
	if (s->crlfile != NULL && s->ca_certs == NULL) {
		err_set(err, "needs ca_certs as well");
		return blame(st, SETTING_crlfile, err);
	}
	if (s->tls && verify == 0 && s->ca_certs != NULL)
		return warn(st, SETTING_ca_certs, "has no effect while "
		    "cert_reqs is none", err);
	return 0;
}

int
derive_tls(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;

	s->tls = s->certfile.count > 0 || s->certdir != NULL;
	return check_certificates(st, err) == 0 ? check_clients(st, err) : -1;
}

/* The value is there because of worker_class, unless somebody gave one. */
static bool
follows(struct store *st, enum setting_id id)
{
	if (st->slots[id].written.source.kind != SOURCE_DEFAULT)
		return false;
	st->slots[id].written = st->slots[SETTING_worker_class].written;
	return true;
}

/*
 * gunicorn's sync worker runs one request at a time: applications that rely
 * on it are not ready for threads.  While it does, it gives no sign of life,
 * so that timeout is what ends a request that hangs.
 */
static void
be_sync(struct store *st)
{
	struct settings *s = &st->settings;

	if (follows(st, SETTING_threads))
		s->threads = 1;
	if (s->threads == 1 && follows(st, SETTING_request_timeout))
		s->request_timeout_ms = s->timeout_ms;
}

static int
check_worker_class(struct store *st, struct err *err)
{
	const struct source *source =
	    &st->slots[SETTING_worker_class].written.source;
	const char *name = st->settings.worker_class;
	const char *why = foreign_worker_class(name);

	if (why != NULL && !st->explains) {
		err_set(err, "%s", why);
		return blame(st, SETTING_worker_class, err);
	}
	if (why == NULL && source->kind != SOURCE_DEFAULT &&
	    strcasestr(name, "sync") != NULL)
		be_sync(st);
	return 0;
}

static int
check_request_id(struct store *st, struct err *err)
{
	if (!st->settings.request_id_response ||
	    st->settings.request_id != NULL)
		return 0;
	return warn(st, SETTING_request_id_response,
	    "without request_id there is no id to send", err);
}

/* --paste names an application too: paste=FILE.ini#NAME. */
static int
derive_app(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;

	s->app = s->wsgi_app;
	if (s->paste == NULL)
		return 0;
	s->app = arena_fmt(&st->arena, "paste=%s", s->paste);
	if (s->app != NULL)
		return 0;
	err_set(err, "out of memory");
	return -1;
}

void
derive_proxy(struct store *st)
{
	struct settings *s = &st->settings;

	rules_proxy_protocol(s->proxy_protocol, &s->proxy_versions,
	    &s->proxy_required);
}

/* Relative to chdir it is looked for once that is where we are. */
static int
check_error_pages(struct store *st, struct err *err)
{
	const struct settings *s = &st->settings;

	if (s->error_pages == NULL ||
	    (s->chdir != NULL && s->error_pages[0] != '/'))
		return 0;
	return check_directory(st, SETTING_error_pages, s->error_pages, err);
}

int
derive(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;

	if (derive_app(st, err) != 0)
		return -1;
	rules_umask(s->umask, &s->umask_mode);
	rules_log_level(s->loglevel, &s->log_level);
	derive_proxy(st);
	if (foreign_check(st, err) != 0 || check_worker_class(st, err) != 0 ||
	    check_bind(st, err) != 0 || check_connections(st, err) != 0 ||
	    derive_tls(st, err) != 0 ||
	    check_request_id(st, err) != 0 ||
	    derive_user(st, err) != 0 || derive_socket(st, err) != 0 ||
	    check_directory(st, SETTING_chdir, s->chdir, err) != 0 ||
	    check_error_pages(st, err) != 0 ||
	    check_directory(st, SETTING_tmp_upload_dir, s->tmp_upload_dir,
		err) != 0 ||
	    groups_derive(st, err) != 0)
		return -1;
	return 0;
}
