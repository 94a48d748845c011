/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_LISTEN_H
#define BICORN_NET_LISTEN_H

/*
 * Listening sockets.  The arbiter opens them, owns them across generations
 * and hands them to its workers; only it unlinks the path of a unix socket.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct settings;

struct listener {
	int fd;            /* non-blocking, close-on-exec */
	char *spec;        /* as the operator wrote it, the key over reloads */
	char *name;        /* "http://127.0.0.1:8000", "unix:/run/x.sock" */
	char *host;        /* numeric address, or the path of a unix socket */
	unsigned port;     /* the one in use, also when 0 was asked; 0: unix */
	bool is_unix;
	bool tls;
	bool uwsgi;        /* speaks that, and not HTTP */
	bool proxy_required;
	unsigned proxy_versions; /* enum proxy_version; 0: no PROXY header */
	size_t number;     /* of its generation's listeners, from 0 */
	const struct settings *settings; /* what counts there; not ours */
	bool inherited;    /* fd://N or socket activation: path not ours */
	bool held;         /* only bound: the workers, once READY, listen */
	bool borrowed;     /* the arbiter before us still has it */
	dev_t dev;         /* of the unix socket that we made ... */
	ino_t ino;         /* ... so that only that one is unlinked */
};

struct listen_options {
	int backlog;
	bool reuse_port; /* SO_REUSEPORT */
	bool hold;       /* bind, but do not listen yet */
	bool tls;        /* only for the name */
	mode_t umask;    /* for a unix socket */
	uid_t uid;       /* owner of a unix socket, -1: as it comes */
	gid_t gid;

	/*
	 * Every spec that is open or to be opened beside this one, itself
	 * included or not; may be NULL.  [::]:PORT takes v4 clients as well
	 * unless one of these is 0.0.0.0:PORT.
	 */
	const char *const *beside;
	size_t beside_count;
};

/*
 * Opens what spec says: HOST, HOST:PORT, :PORT (all addresses, v4 and v6),
 * [v6]:PORT, tcp://HOST:PORT, unix:PATH, unix:@NAME (abstract), fd://N.
 * PORT is 8000 when left out.  HOST may be a name, which then opens its
 * first v4 address, or its first one when there is no v4.  A unix socket
 * that nobody answers on is replaced; one that is in use, or a path that is
 * no socket, is an error.  The caller frees with listen_close().
 *
 * On failure errno tells whether trying again makes sense: EADDRINUSE; it
 * is EINVAL for a spec that cannot be right.  Changes the umask for a moment,
 * may wait for a name server, and locks the directory of a unix socket: only
 * for the arbiter, which has one thread.
 */
int listen_open(const char *spec, const struct listen_options *options,
    struct listener **out, struct err *err);

/*
 * A socket that another arbiter opened by that spec, which may not listen
 * yet.  fd is taken.
 */
int listen_adopt(const char *spec, int fd, struct listener **out,
    struct err *err);

/*
 * Only checks the text of spec; *local_out is false for an address that is
 * reached from other machines.
 */
int listen_check(const char *spec, bool *local_out, struct err *err);

/* Whether a numeric address is that of this machine itself. */
bool listen_is_loopback(const char *host);

/*
 * Changes mode and owner of the path of a unix socket to what options say;
 * does nothing to other sockets and to paths that are not ours.
 */
int listen_give(const struct listener *l, const struct listen_options *options,
    struct err *err);

/* Whether somebody removed the path of a unix socket that we have made. */
bool listen_is_lost(const struct listener *l);

/*
 * A second socket on the same address, for a worker under reuse_port.
 * Replaces l->fd.
 */
int listen_again(struct listener *l, const struct listen_options *options,
    struct err *err);

/*
 * From now on nobody new can connect to it, and who has begun to may come to
 * an end: closing the socket now and not in a moment would reset those.
 * False where that cannot be done, and is not needed: unix sockets, whose
 * path is gone by then.  For all processes that have the socket.
 */
bool listen_quiet(const struct listener *l);
bool listen_is_quiet(const struct listener *l);

/*
 * SO_REUSEPORT of an open socket: while two have it, the address of one may
 * be a part of the other's.
 */
void listen_share_port(const struct listener *l, bool on);

/*
 * Closes and frees; with unlink_path also removes the path of a unix socket,
 * if it is still the one that listen_open() made.
 */
void listen_close(struct listener **lp, bool unlink_path);

#endif
