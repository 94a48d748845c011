/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_LISTEN_PRIVATE_H
#define BICORN_NET_LISTEN_PRIVATE_H

/*
 * What the files of the listeners share.  Functions that fail write the
 * line for the operator and leave errno as listen_open() promises.
 */

#include <stddef.h>
#include <sys/un.h>

struct err;
struct listener;
struct listen_options;

#define LISTEN_HOST_MAX 254
#define LISTEN_PATH_ROOM sizeof(((struct sockaddr_un *)NULL)->sun_path)

enum target_kind { TARGET_TCP, TARGET_UNIX, TARGET_FD };

/* What a spec says. */
struct target {
	enum target_kind kind;
	char host[LISTEN_HOST_MAX + 1]; /* TCP; "" for all addresses */
	unsigned port;                  /* TCP */
	const char *path;               /* UNIX: into the spec; '@': abstract */
	int fd;                         /* FD */
};

/* Takes spec apart; t borrows from it.  err may be NULL. */
int target_parse(const char *spec, struct target *t, struct err *err);

/* Fail with a text of ours, with errno, for want of memory: always -1. */
int listen_bad(const char *spec, const char *why, struct err *err);
int listen_fail(const char *spec, struct err *err);
int listen_no_memory(struct err *err);

/* Binds and listens on a path or abstract name; fills in l. */
int listen_open_unix(struct listener *l, const char *path,
    const struct listen_options *o, struct err *err);

/* Sets name, host and is_unix of l. */
int listen_describe_unix(struct listener *l, const char *path,
    struct err *err);

/* Unlinks the path of l if it is still the socket that we made. */
void listen_unlink(const struct listener *l);

#endif
