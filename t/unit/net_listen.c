/* SPDX-License-Identifier: MIT */
/* TCP listeners and inherited ones, with real sockets. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "net/listen.h"

static struct listen_options
options(void)
{
	return (struct listen_options){
		.backlog = 16,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
	};
}

static struct listener *
open_with(const char *spec, const struct listen_options *o)
{
	struct listener *l;
	struct err err = { "" };

	if (listen_open(spec, o, &l, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(fcntl(l->fd, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(l->fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_string_equal(l->spec, spec);
	return l;
}

static struct listener *
open_plain(const char *spec)
{
	struct listen_options o = options();

	return open_with(spec, &o);
}

static bool
has_v6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool yes = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	fd_close(&fd);
	return yes;
}

/* Whether a client gets through. */
static bool
connects(const char *host, unsigned port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port) };
	bool is_v6 = strchr(host, ':') != NULL, ok;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, host, &v4.sin_addr);
	inet_pton(AF_INET6, host, &v6.sin6_addr);
	ok = (is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof(v6)) :
		      connect(fd, (struct sockaddr *)&v4, sizeof(v4))) == 0;
	fd_close(&fd);
	return ok;
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, name, &value, &len);
	return value;
}

static void
test_tcp(void **state)
{
	struct listener *l = open_plain("127.0.0.1:0");
	char name[64];

	(void)state;
	assert_true(l->port > 0);
	assert_string_equal(l->host, "127.0.0.1");
	snprintf(name, sizeof(name), "http://127.0.0.1:%u", l->port);
	assert_string_equal(l->name, name);
	assert_false(l->is_unix);
	assert_false(l->inherited);
	assert_true(option(l->fd, SOL_SOCKET, SO_REUSEADDR) != 0);
	assert_true(option(l->fd, IPPROTO_TCP, TCP_NODELAY) != 0);
	assert_true(connects("127.0.0.1", l->port));
	listen_close(&l, true);
	assert_null(l);
	listen_close(&l, true);
}

static void
test_tls_name(void **state)
{
	struct listen_options o = options();
	struct listener *l;

	(void)state;
	o.tls = true;
	l = open_with("localhost:0", &o);
	assert_true(l->tls);
	assert_true(strncmp(l->name, "https://127.0.0.1:", 18) == 0);
	listen_close(&l, false);
}

static void
test_v6(void **state)
{
	struct listener *l;
	char name[64];

	(void)state;
	if (!has_v6())
		skip();
	l = open_plain("[::1]:0");
	snprintf(name, sizeof(name), "http://[::1]:%u", l->port);
	assert_string_equal(l->name, name);
	assert_string_equal(l->host, "::1");
	assert_true(connects("::1", l->port));
	assert_false(connects("127.0.0.1", l->port));
	listen_close(&l, false);
}

/* ":PORT" is everywhere. */
static void
test_all(void **state)
{
	struct listener *l = open_plain(":0");

	(void)state;
	assert_true(connects("127.0.0.1", l->port));
	if (has_v6())
		assert_true(connects("::1", l->port));
	listen_close(&l, false);
}

/* "[::]:P" takes v4 too, and leaves it where 0.0.0.0:P is asked for. */
static void
test_both_families(void **state)
{
	struct listen_options o = options();
	struct listener *probe, *v6, *v4;
	char spec6[32], spec4[32];
	const char *beside[2] = { spec6, spec4 };

	(void)state;
	if (!has_v6())
		skip();
	probe = open_plain("[::]:0");
	assert_true(connects("127.0.0.1", probe->port));
	assert_true(connects("::1", probe->port));
	snprintf(spec6, sizeof(spec6), "[::]:%u", probe->port);
	snprintf(spec4, sizeof(spec4), "0.0.0.0:%u", probe->port);
	listen_close(&probe, false);

	o.beside = beside;
	o.beside_count = 2;
	v6 = open_with(spec6, &o);
	assert_false(connects("127.0.0.1", v6->port));
	v4 = open_with(spec4, &o);
	assert_true(connects("127.0.0.1", v4->port));
	assert_true(connects("::1", v6->port));
	listen_close(&v6, false);
	listen_close(&v4, false);
}

static void
test_in_use(void **state)
{
	struct listener *l = open_plain("127.0.0.1:0"), *second;
	struct listen_options o = options();
	struct err err = { "" };
	char spec[32];

	(void)state;
	snprintf(spec, sizeof(spec), "127.0.0.1:%u", l->port);
	assert_int_equal(listen_open(spec, &o, &second, &err), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(err.text, spec));
	assert_non_null(strstr(err.text, "in use"));
	listen_close(&l, false);
	/* At once again after a connection was there: SO_REUSEADDR. */
	l = open_plain(spec);
	assert_true(connects("127.0.0.1", l->port));
	listen_close(&l, false);
	l = open_plain(spec);
	listen_close(&l, false);
}

static void
fails(const char *spec, int number, const char *part)
{
	struct listen_options o = options();
	struct listener *l = (struct listener *)&o;
	struct err err = { "" };

	assert_int_equal(listen_open(spec, &o, &l, &err), -1);
	assert_int_equal(errno, number);
	assert_null(l);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void
test_errors(void **state)
{
	(void)state;
	fails("192.0.2.77:0", EADDRNOTAVAIL, "no interface");
	fails("does-not-exist.invalid:80", EADDRNOTAVAIL, "cannot find host");
	fails("127.0.0.1:99999", EINVAL, "0 to 65535");
	if (geteuid() != 0)
		fails("127.0.0.1:1", EACCES, "CAP_NET_BIND_SERVICE");
}

static void
test_reuse_port(void **state)
{
	struct listen_options o = options();
	struct listener *l, *second;
	struct err err = { "" };
	char spec[32];
	int old;

	(void)state;
	o.reuse_port = true;
	l = open_with("127.0.0.1:0", &o);
	snprintf(spec, sizeof(spec), "127.0.0.1:%u", l->port);
	second = open_with(spec, &o);
	old = dup(second->fd); /* so that the number cannot be the same */
	if (listen_again(second, &o, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(connects("127.0.0.1", l->port));
	listen_close(&l, false);
	close(old);
	assert_true(connects("127.0.0.1", second->port));
	listen_close(&second, false);
}

static void
test_inherited(void **state)
{
	struct listener *l = open_plain("127.0.0.1:0"), *again;
	char spec[32];
	int fd = dup(l->fd);

	(void)state;
	fd_nonblock(fd, false);
	snprintf(spec, sizeof(spec), "fd://%d", fd);
	again = open_plain(spec);
	assert_int_equal(again->fd, fd);
	assert_true(again->inherited);
	assert_int_equal(again->port, l->port);
	assert_string_equal(again->name, l->name);
	assert_string_equal(again->host, l->host);
	listen_close(&l, false);
	assert_true(connects("127.0.0.1", again->port));
	listen_close(&again, true);
}

static void
refuses_fd(int fd, const char *part)
{
	char spec[32];

	snprintf(spec, sizeof(spec), "fd://%d", fd);
	fails(spec, EINVAL, part);
}

static void
test_inherited_errors(void **state)
{
	int ends[2], dgram = socket(AF_INET, SOCK_DGRAM, 0),
	    idle = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(pipe(ends), 0);
	refuses_fd(9999, "no such descriptor");
	refuses_fd(ends[0], "no socket");
	refuses_fd(dgram, "no stream socket");
	refuses_fd(idle, "not listening");
	/* It is not ours to close when it was refused. */
	assert_true(fcntl(idle, F_GETFD) >= 0);
	close(ends[0]);
	close(ends[1]);
	close(dgram);
	close(idle);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tls_name),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_both_families),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_reuse_port),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_inherited_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
