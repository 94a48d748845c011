/* SPDX-License-Identifier: MIT */
#include "arbiter/certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/certificates_private.h"
#include "arbiter/generation.h"
#include "arbiter/privileges.h"
#include "base/bulletin.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"
#include "net/listen.h"
#include "tls/ticket_keys.h"
#include "tls/tls.h"
#include "tls/vault.h"

/* Checking a thousand new certificates takes a second. */
#define CHECK_MS 30000

/* What was read for one generation. */
struct reading {
	const struct sockets *sockets;
	struct tls_bundle **bundles; /* by listener */
};

static void
warn(void *arg, const char *text)
{
	(void)arg;
	log_warning("%s", text);
}

static int
no_memory(struct err *err)
{
	err_set(err, "TLS: out of memory");
	return -1;
}

/* --- reading -------------------------------------------------------------- */

static void
reading_fini(struct reading *r)
{
	for (size_t i = 0; r->bundles != NULL && i < r->sockets->count; i++)
		tls_bundle_free(&r->bundles[i]);
	free(r->bundles);
	r->bundles = NULL;
}

/* Whether an earlier listener has the same settings, and so the bundle. */
static bool
is_repeated(const struct sockets *k, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (k->items[j]->tls &&
		    k->items[j]->settings == k->items[i]->settings)
			return true;
	return false;
}

static int
read_files(const struct sockets *k, bool loud, struct reading *out,
    struct err *err)
{
	*out = (struct reading){ k, calloc(k->count + 1, sizeof(void *)) };
	if (out->bundles == NULL)
		return no_memory(err);
	for (size_t i = 0; i < k->count; i++) {
		struct tls_config config;

		if (!k->items[i]->tls || is_repeated(k, i))
			continue;
		tls_config_of(k->items[i]->settings, &config);
		if (tls_load(&config, loud ? warn : NULL, NULL,
			&out->bundles[i], err) != 0)
			return -1;
	}
	return 0;
}

/* --- checking ------------------------------------------------------------- */

/*
 * What those who serve have was checked before: with thousands of certificates
 * that takes seconds, and most are the same.  By listener; NULL: none.
 */
static struct tls_bundle **
known_bundles(const struct arbiter *a)
{
	const struct generation *g = a->serving;
	struct tls_bundle **known;
	uint64_t version;
	struct err ignored;

	if (g == NULL || g->certificates.vault == NULL)
		return NULL;
	known = calloc(g->sockets.count + 1, sizeof(*known));
	if (known != NULL && vault_get(g->certificates.vault, known,
		g->sockets.count, &version, &ignored) != 0) {
		free(known);
		known = NULL;
	}
	return known;
}

/* In a process that ends with it. */
static int
check_all(const struct arbiter *a, const struct reading *r,
    int64_t *expiry_out, struct err *err)
{
	struct tls_bundle **known = known_bundles(a);

	*expiry_out = INT64_MAX;
	for (size_t i = 0; i < r->sockets->count; i++) {
		struct tls_config config;
		struct tls *t = NULL;

		if (r->bundles[i] == NULL)
			continue;
		tls_config_of(r->sockets->items[i]->settings, &config);
		if (known != NULL && i < a->serving->sockets.count)
			config.known = known[i];
		if (tls_new(&config, r->bundles[i], warn, NULL, &t, err) != 0)
			return -1;
		if (tls_expiry(t) < *expiry_out)
			*expiry_out = tls_expiry(t);
		tls_free(&t);
	}
	return 0;
}

/*
 * What was read is understood in a child: the arbiter, which keeps its
 * privileges, does not parse it; and the library's generator is not set up
 * in a process whose children would all go on from the same state.  It
 * says when the first certificate expires, or what is wrong.
 */
static _Noreturn void
check_in_child(const struct arbiter *a, const struct reading *r, int fd)
{
	const struct privileges kept = { .uid = a->uid, .gid = a->gid,
		.no_new_privs = true };
	int64_t expiry_s;
	struct err err;
	int rc;

	rc = privileges_drop(&kept, &err);
	if (rc == 0)
		rc = check_all(a, r, &expiry_s, &err);
	if (rc != 0)
		fd_write_all(fd, err.text, strlen(err.text));
	else
		dprintf(fd, "%lld", (long long)expiry_s);
	_exit(rc == 0 ? 0 : 1);
}

/* Reads what the child has to say, up to its end; false: it takes too long. */
static bool
hear(int fd, char *text, size_t room)
{
	int64_t end_ms = clock_ms() + CHECK_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end_ms - clock_ms();
		ssize_t n;

		text[len] = '\0';
		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return false;
		if (p.revents == 0)
			continue;
		n = read(fd, text + len, room - 1 - len);
		if (n == 0 || (n < 0 && errno != EINTR))
			return true;
		len += n > 0 ? (size_t)n : 0;
		if (len == room - 1)
			return true;
	}
}

static int
check(const struct arbiter *a, const struct reading *r, int64_t *expiry_out,
    struct err *err)
{
	char text[sizeof(err->text)] = "";
	int fds[2], status = 0;
	bool heard;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0) {
		err_sys(err, "TLS: checking certificates");
		return -1;
	}
	pid = fork();
	if (pid == 0)
		check_in_child(a, r, fds[1]);
	fd_close(&fds[1]);
	heard = pid > 0 && hear(fds[0], text, sizeof(text));
	fd_close(&fds[0]);
	if (pid < 0) {
		err_sys(err, "TLS: checking certificates");
		return -1;
	}
	if (!heard)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (heard && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		*expiry_out = strtoll(text, NULL, 10);
		return 0;
	}
	err_set(err, "%s", text[0] != '\0' ? text :
		"TLS: checking the certificates failed");
	return -1;
}

/* --- which files ---------------------------------------------------------- */

static void
forget_paths(struct certificates *c)
{
	for (size_t i = 0; i < c->path_count; i++)
		free(c->paths[i]);
	free(c->paths);
	c->paths = NULL;
	c->path_count = 0;
}

/* Without memory a file is not watched: the others still are. */
static void
add_path(void *arg, const char *path)
{
	struct certificates *c = arg;
	char **paths;

	for (size_t i = 0; i < c->path_count; i++)
		if (strcmp(c->paths[i], path) == 0)
			return;
	paths = realloc(c->paths, (c->path_count + 1) * sizeof(*paths));
	if (paths == NULL)
		return;
	c->paths = paths;
	c->paths[c->path_count] = strdup(path);
	c->path_count += c->paths[c->path_count] != NULL;
}

static void
note_paths(struct certificates *c, const struct settings *s,
    const struct reading *r)
{
	forget_paths(c);
	for (size_t i = 0; i < r->sockets->count; i++)
		if (r->bundles[i] != NULL)
			tls_bundle_paths(r->bundles[i], add_path, c);
	if (s->tls_ticket_keys != NULL)
		add_path(c, s->tls_ticket_keys);
}

/* --- a generation's ------------------------------------------------------- */

static bool
speaks_tls(const struct sockets *k)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->items[i]->tls)
			return true;
	return false;
}

int
certificates_load(struct arbiter *a, struct generation *g, struct err *err)
{
	struct certificates *c = &g->certificates;
	struct reading r = { &g->sockets, NULL };
	int rc = -1;

	if (!speaks_tls(&g->sockets))
		return 0;
	c->vault = vault_new(err);
	if (c->vault == NULL || certificates_keys(a, g->settings, err) != 0)
		return -1;
	if (g->settings->tls_ticket_keys != NULL)
		tls_check_mode("tls_ticket_keys",
		    g->settings->tls_ticket_keys, warn, NULL);
	if (read_files(&g->sockets, true, &r, err) == 0 &&
	    check(a, &r, &c->expiry_s, err) == 0 &&
	    vault_put(c->vault, r.bundles, g->sockets.count, err) == 0) {
		a->certificates.remind_s = (int64_t)clock_wall() + REMIND_S;
		note_paths(c, g->settings, &r);
		c->signature = certificates_signature(c, NULL);
		rc = 0;
	}
	reading_fini(&r);
	return rc;
}

void
certificates_free(struct certificates *c)
{
	bulletin_free(&c->vault);
	forget_paths(c);
}

/* 1: there are new ones; 0: the same as before; -1: they are no good. */
static int
renew(struct arbiter *a, struct generation *g, struct err *err)
{
	struct certificates *c = &g->certificates;
	struct reading r = { &g->sockets, NULL };
	int rc = -1;

	if (read_files(&g->sockets, false, &r, err) == 0) {
		note_paths(c, g->settings, &r);
		rc = 0;
		if (!vault_holds(c->vault, r.bundles, g->sockets.count))
			rc = check(a, &r, &c->expiry_s, err) == 0 &&
			    vault_put(c->vault, r.bundles, g->sockets.count,
				err) == 0 ? 1 : -1;
	}
	reading_fini(&r);
	return rc;
}

static uint64_t
hash(const char *text)
{
	uint64_t sum = 1;

	for (; *text != '\0'; text++)
		sum = (sum ^ (unsigned char)*text) * 0x100000001b3;
	return sum;
}

void
certificates_renew(struct arbiter *a, struct generation *g, bool loud)
{
	struct certificates *c = &g->certificates;
	uint64_t before = c->complaint;
	struct err err;

	c->complaint = 0;
	switch (renew(a, g, &err)) {
	case 1:
		log_info("New certificates are in use");
		break;
	case -1:
		c->complaint = hash(err.text);
		if (loud || c->complaint != before)
			log_error("%s; the certificates in use stay",
			    err.text);
		break;
	default:
		break;
	}
}

void
certificates_remind(struct arbiter *a, struct generation *g)
{
	struct reading r = { &g->sockets, NULL };
	struct err err;

	/* What is wrong with the files is what there is to say. */
	certificates_renew(a, g, true);
	if (g->certificates.complaint == 0 &&
	    (read_files(&g->sockets, false, &r, &err) != 0 ||
		check(a, &r, &g->certificates.expiry_s, &err) != 0))
		log_error("%s", err.text);
	reading_fini(&r);
}

int
certificates_confine(struct arbiter *a, struct generation *g, struct err *err)
{
	if (g->certificates.vault == NULL)
		return 0;
	if (bulletin_confine(g->certificates.vault, err) != 0)
		return -1;
	return bulletin_confine(a->certificates.ticket_keys, err);
}
