/* SPDX-License-Identifier: MIT */
/*
 * Opening listening sockets.  The text of a spec is first taken apart into
 * a struct target (listen_spec.c), then one function per kind opens it.
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/fd.h"
#include "net/listen_private.h"

/* Room for any address that a listener can have. */
union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

/* ---- what every kind needs ---------------------------------------------- */

int
listen_no_memory(struct err *err)
{
	err_set(err, "out of memory");
	errno = ENOMEM;
	return -1;
}

/* The reason in errno, with what to do about it where that is known. */
int
listen_fail(const char *spec, struct err *err)
{
	int saved = errno;
	const char *hint = "";

	if (saved == EADDRINUSE)
		hint = "; is another server running there?";
	else if (saved == EADDRNOTAVAIL)
		hint = "; no interface of this machine has that address";
	else if (saved == ENOENT)
		hint = "; the directory of a unix socket has to be there";
	err_set(err, "bind = %s: %s%s", spec, strerror(saved), hint);
	errno = saved;
	return -1;
}

/* As listen_fail(), for an address whose port may be a reserved one. */
static int
fail_tcp(const char *spec, unsigned port, struct err *err)
{
	int saved = errno;

	if (saved != EACCES || port >= 1024)
		return listen_fail(spec, err);
	err_set(err,
	    "bind = %s: %s; ports below 1024 need root or the capability "
	    "CAP_NET_BIND_SERVICE",
	    spec, strerror(saved));
	errno = saved;
	return -1;
}

static int
set_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

/* Fills in name, host and port from the socket's own address. */
static int
describe_tcp(struct listener *l, const union name *n, bool tls,
    struct err *err)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	bool v6;

	memset(&a, 0, sizeof(a));
	if (n->any.sa_family == AF_INET6)
		a.v6 = n->v6;
	else
		a.v4 = n->v4;
	addr_text(&a, text);
	v6 = strchr(text, ':') != NULL;
	l->port = addr_port(&a);
	l->host = strdup(text);
	if (l->host == NULL ||
	    asprintf(&l->name, "%s://%s%s%s:%u", tls ? "https" : "http",
		v6 ? "[" : "", text, v6 ? "]" : "", l->port) < 0) {
		l->name = NULL;
		return listen_no_memory(err);
	}
	return 0;
}

/* ---- TCP ---------------------------------------------------------------- */

/*
 * Bytes that the kernel takes of a response before they can be sent.  Many
 * clients that read slowly would otherwise fill its memory for sockets,
 * megabytes each, and with it stop all others.
 */
#define UNSENT_MAX (128 * 1024)

static void
bound_unsent(int fd)
{
#ifdef TCP_NOTSENT_LOWAT
	const int max = UNSENT_MAX;

	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &max, sizeof(max));
#else
	(void)fd;
#endif
}

/*
 * A socket with everything set but the address.  TCP_NODELAY and the like
 * pass on to the connections that are accepted.
 */
static int
tcp_socket(int family, bool v6_only, bool reuse_port)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int only = v6_only;

	if (fd < 0)
		return -1;
	if (set_on(fd, SOL_SOCKET, SO_REUSEADDR) != 0 ||
	    set_on(fd, IPPROTO_TCP, TCP_NODELAY) != 0 ||
	    (reuse_port && set_on(fd, SOL_SOCKET, SO_REUSEPORT) != 0) ||
	    (family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only,
		    sizeof(only)) != 0))
		fd_close(&fd);
	else
		bound_unsent(fd);
	return fd;
}

/* Whether one of the other specs claims the v4 side of that port. */
static bool
v4_claimed(const struct listen_options *o, unsigned port)
{
	for (size_t i = 0; i < o->beside_count; i++) {
		struct target t;
		struct in_addr a;

		if (target_parse(o->beside[i], &t, NULL) == 0 &&
		    t.kind == TARGET_TCP && t.port == port && port != 0 &&
		    inet_pton(AF_INET, t.host, &a) == 1 &&
		    a.s_addr == INADDR_ANY)
			return true;
	}
	return false;
}

/* Sets l->fd; false with errno. */
static bool
try_address(struct listener *l, const struct sockaddr *sa, socklen_t len,
    bool v6_only, const struct listen_options *o)
{
	l->fd = tcp_socket(sa->sa_family, v6_only, o->reuse_port);
	if (l->fd < 0)
		return false;
	if (bind(l->fd, sa, len) != 0 ||
	    (!o->hold && listen(l->fd, o->backlog) != 0)) {
		fd_close(&l->fd);
		return false;
	}
	return true;
}

/* All addresses: one socket for v6 and v4, or v4 where there is no v6. */
static bool
try_any(struct listener *l, unsigned port, const struct listen_options *o)
{
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_ANY_INIT };
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_ANY) } };

	if (try_address(l, (const struct sockaddr *)&v6, sizeof(v6),
		v4_claimed(o, port), o))
		return true;
	if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		return false;
	return try_address(l, (const struct sockaddr *)&v4, sizeof(v4), false,
	    o);
}

/* The first v4 address, or else the first. */
static const struct addrinfo *
choose(const struct addrinfo *list)
{
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		if (ai->ai_family == AF_INET)
			return ai;
	return list;
}

/* An address that stands for all of v6 serves v4 as well if it may. */
static bool
wants_v6_only(const struct addrinfo *ai, unsigned port,
    const struct listen_options *o)
{
	const struct sockaddr_in6 *v6 =
	    (const struct sockaddr_in6 *)(const void *)ai->ai_addr;

	if (ai->ai_family != AF_INET6)
		return false;
	return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) && v4_claimed(o, port);
}

static int
open_host(struct listener *l, const struct target *t,
    const struct listen_options *o, struct err *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	const struct addrinfo *ai;
	char port[8];
	int gai, rc = -1;

	snprintf(port, sizeof(port), "%u", t->port);
	gai = getaddrinfo(t->host, port, &hints, &list);
	if (gai != 0) {
		err_set(err, "bind = %s: cannot find host %s: %s", l->spec,
		    t->host, gai_strerror(gai));
		errno = EADDRNOTAVAIL;
		return -1;
	}
	ai = choose(list);
	if (try_address(l, ai->ai_addr, ai->ai_addrlen,
		wants_v6_only(ai, t->port, o), o))
		rc = 0;
	else
		fail_tcp(l->spec, t->port, err);
	freeaddrinfo(list);
	return rc;
}

static int
open_tcp(struct listener *l, const struct target *t,
    const struct listen_options *o, struct err *err)
{
	union name n;
	socklen_t len = sizeof(n);

	if (t->host[0] != '\0') {
		if (open_host(l, t, o, err) != 0)
			return -1;
	} else if (!try_any(l, t->port, o)) {
		return fail_tcp(l->spec, t->port, err);
	}
	if (getsockname(l->fd, &n.any, &len) != 0)
		return listen_fail(l->spec, err);
	return describe_tcp(l, &n, o->tls, err);
}

/* ---- inherited sockets -------------------------------------------------- */

static int
socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, option, &value, &len) != 0)
		return -1;
	return value;
}

/*
 * The path of a bound unix socket, in the form of a spec.  Behind one that
 * fills all of sun_path the kernel counts a NUL for which there is no room.
 */
static void
unix_path(const union name *n, socklen_t len, char out[LISTEN_PATH_ROOM + 1])
{
	size_t used = len > offsetof(struct sockaddr_un, sun_path) ?
	    len - offsetof(struct sockaddr_un, sun_path) :
	    0;

	if (used > LISTEN_PATH_ROOM)
		used = LISTEN_PATH_ROOM;
	memcpy(out, n->un.sun_path, used);
	out[used] = '\0';
	if (used > 0 && out[0] == '\0')
		out[0] = '@';
}

static int
check_inherited(const char *spec, int fd, struct err *err)
{
	int type = socket_option(fd, SO_TYPE);

	if (type < 0 && errno == EBADF)
		return listen_bad(spec, "no such descriptor was inherited",
		    err);
	if (type < 0)
		return listen_bad(spec, "that descriptor is no socket", err);
	if (type != SOCK_STREAM)
		return listen_bad(spec, "that is no stream socket", err);
	if (socket_option(fd, SO_ACCEPTCONN) != 1)
		return listen_bad(spec, "that socket is not listening", err);
	return 0;
}

static int
describe_open(struct listener *l, int fd, bool tls, struct err *err)
{
	char path[LISTEN_PATH_ROOM + 1];
	union name n;
	socklen_t len = sizeof(n);

	memset(&n, 0, sizeof(n));
	if (getsockname(fd, &n.any, &len) != 0 ||
	    fd_nonblock(fd, true) != 0 || fd_cloexec(fd, true) != 0)
		return listen_fail(l->spec, err);
	if (n.any.sa_family == AF_UNIX) {
		unix_path(&n, len, path);
		if (listen_describe_unix(l, path, err) != 0)
			return -1;
	} else if (n.any.sa_family == AF_INET || n.any.sa_family == AF_INET6) {
		set_on(fd, IPPROTO_TCP, TCP_NODELAY);
		bound_unsent(fd);
		if (describe_tcp(l, &n, tls, err) != 0)
			return -1;
	} else {
		return listen_bad(l->spec,
		    "that is neither a TCP nor a unix socket", err);
	}
	l->fd = fd;
	return 0;
}

static int
open_inherited(struct listener *l, const struct target *t,
    const struct listen_options *o, struct err *err)
{
	if (check_inherited(l->spec, t->fd, err) != 0)
		return -1;
	l->inherited = true;
	l->held = false;
	return describe_open(l, t->fd, o->tls, err);
}

/* ---- the interface ------------------------------------------------------ */

static int
open_target(struct listener *l, const struct target *t,
    const struct listen_options *o, struct err *err)
{
	switch (t->kind) {
	case TARGET_TCP:
		return open_tcp(l, t, o, err);
	case TARGET_UNIX:
		return listen_open_unix(l, t->path, o, err);
	case TARGET_FD:
		return open_inherited(l, t, o, err);
	}
	return listen_bad(l->spec, "not an address", err);
}

int
listen_open(const char *spec, const struct listen_options *options,
    struct listener **out, struct err *err)
{
	struct listener *l = NULL;
	struct target t;
	int saved;

	*out = NULL;
	if (target_parse(spec, &t, err) != 0)
		return -1;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return listen_no_memory(err);
	l->fd = -1;
	l->tls = options->tls;
	l->held = options->hold;
	l->spec = strdup(spec);
	if (l->spec == NULL) {
		listen_close(&l, false);
		return listen_no_memory(err);
	}
	if (open_target(l, &t, options, err) != 0) {
		saved = errno;
		listen_close(&l, true);
		errno = saved;
		return -1;
	}
	*out = l;
	return 0;
}

int
listen_adopt(const char *spec, int fd, struct listener **out, struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct target t;

	*out = NULL;
	if (l == NULL || (l->spec = strdup(spec)) == NULL) {
		free(l);
		return listen_no_memory(err);
	}
	l->fd = -1;
	l->borrowed = true;
	l->inherited = target_parse(spec, &t, NULL) == 0 && t.kind == TARGET_FD;
	if (describe_open(l, fd, false, err) != 0) {
		listen_close(&l, false);
		fd_close(&fd);
		return -1;
	}
	*out = l;
	return 0;
}

int
listen_again(struct listener *l, const struct listen_options *options,
    struct err *err)
{
	union name n;
	socklen_t len = sizeof(n), only_len = sizeof(int);
	struct listener fresh = { .fd = -1 };
	int only = 0;

	if (l->is_unix || l->inherited)
		return 0; /* there is but one; workers share it */
	if (getsockname(l->fd, &n.any, &len) != 0)
		return listen_fail(l->spec, err);
	if (n.any.sa_family == AF_INET6 &&
	    getsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &only_len) != 0)
		return listen_fail(l->spec, err);
	if (!try_address(&fresh, &n.any, len, only != 0, options))
		return fail_tcp(l->spec, l->port, err);
	fd_close(&l->fd);
	l->fd = fresh.fd;
	return 0;
}

bool
listen_quiet(const struct listener *l)
{
	/* The flags of the segment: SYN without ACK is dropped. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	/* One that somebody else opened may be used again after us. */
	if (l->is_unix || l->inherited)
		return false;
	return setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		   sizeof(program)) == 0;
}

bool
listen_is_quiet(const struct listener *l)
{
	socklen_t len = 0; /* asks for the length, in instructions */

	return !l->is_unix && !l->inherited &&
	    getsockopt(l->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == 0 &&
	    len > 0;
}

void
listen_share_port(const struct listener *l, bool on)
{
	int value = on;

	if (!l->is_unix)
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &value,
		    sizeof(value));
}

void
listen_close(struct listener **lp, bool unlink_path)
{
	struct listener *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	if (unlink_path)
		listen_unlink(l);
	fd_close(&l->fd);
	free(l->spec);
	free(l->name);
	free(l->host);
	free(l);
}
