/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_LISTEN_H
#define BICORN_NET_LISTEN_H

/*
 * Listening sockets.  The arbiter opens them, owns them across generations
 * and hands them to its workers; only it unlinks the path of a unix socket.
 */

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct listener {
	int fd;            /* non-blocking, close-on-exec */
	char *spec;        /* as the operator wrote it, the key over reloads */
	char *name;        /* "http://127.0.0.1:8000", "unix:/run/x.sock" */
	char *host;        /* numeric address, or the path of a unix socket */
	unsigned port;     /* the one in use, also when 0 was asked; 0: unix */
	bool is_unix;
	bool tls;
	bool inherited;    /* fd://N or socket activation: path not ours */
	dev_t dev;         /* of the unix socket that we made ... */
	ino_t ino;         /* ... so that only that one is unlinked */
};

struct listen_options {
	int backlog;
	bool reuse_port; /* SO_REUSEPORT */
	bool tls;        /* only for the name */
	mode_t umask;    /* for a unix socket */
	uid_t uid;       /* owner of a unix socket, -1: as it comes */
	gid_t gid;
};

/*
 * Opens what spec says: HOST, HOST:PORT, :PORT, [v6]:PORT, tcp://HOST:PORT,
 * unix:PATH, unix:@NAME (abstract), fd://N.  HOST may be a name, which then
 * opens its first address.  A unix socket that nobody answers on is
 * replaced; one that is in use, or a path that is no socket, is an error.
 * The caller frees with listen_close().
 */
int listen_open(const char *spec, const struct listen_options *options,
    struct listener **out, struct err *err);

/* Only checks the text of spec. */
int listen_check(const char *spec, struct err *err);

/*
 * A second socket on the same address, for a worker under reuse_port.
 * Replaces l->fd.
 */
int listen_again(struct listener *l, const struct listen_options *options,
    struct err *err);

/*
 * Closes and frees; with unlink_path also removes the path of a unix socket,
 * if it is still the one that listen_open() made.
 */
void listen_close(struct listener **lp, bool unlink_path);

#endif
