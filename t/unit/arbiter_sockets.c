/* SPDX-License-Identifier: MIT */
/* Listeners that generations share. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/sockets.h"
#include "base/err.h"
#include "conf/conf.h"
#include "net/listen.h"

static const struct sockets_peers nobody = { { NULL, NULL } };
static char dir[] = "/tmp/bicorn-sockets.XXXXXX";
static char spec[80];
static const char *path; /* in spec */

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(spec, sizeof(spec), "unix:%s/s", dir);
	path = spec + strlen("unix:");
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static struct settings
plain(void)
{
	struct settings s;

	memset(&s, 0, sizeof(s));
	s.backlog = 16;
	s.uid = (uid_t)-1;
	s.gid = (gid_t)-1;
	return s;
}

static int
connects_to(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int rc = connect(fd, (const struct sockaddr *)&a, sizeof(a));

	close(fd);
	return rc == 0;
}

static void
test_each_once(void **state)
{
	const char *const items[] = { "127.0.0.1:0", spec, "127.0.0.1:0" };
	const struct strlist specs = { items, 3 };
	struct settings s = plain();
	struct sockets k;
	struct err err;
	char want[128], *names;

	(void)state;
	assert_int_equal(sockets_open(&k, &specs, &s, &nobody, &err), 0);
	assert_int_equal(k.count, 2);
	names = sockets_names(&k);
	snprintf(want, sizeof(want), "http://127.0.0.1:%u,%s",
	    k.items[0]->port, spec);
	assert_string_equal(names, want);
	free(names);
	sockets_close(&k, &nobody);
	assert_int_equal(access(path, F_OK), -1);
}

/* The next generation keeps what it names; the old one goes. */
static void
test_handing_over(void **state)
{
	const char *const items[] = { "127.0.0.1:0", spec };
	const struct strlist both = { items, 2 }, tcp = { items, 1 };
	struct settings s = plain(), tls = plain();
	struct sockets old, new;
	struct sockets_peers peers;
	struct err err;
	unsigned port;

	(void)state;
	tls.tls = true;
	assert_int_equal(sockets_open(&old, &both, &s, &nobody, &err), 0);
	port = old.items[0]->port;
	peers = (struct sockets_peers){ { &old, NULL } };
	assert_int_equal(sockets_open(&new, &tcp, &tls, &peers, &err), 0);
	assert_int_equal(new.items[0]->port, port);
	assert_int_not_equal(new.items[0]->fd, old.items[0]->fd);
	assert_true(new.items[0]->tls);
	assert_memory_equal(new.items[0]->name, "https://127.0.0.1:", 18);

	peers = (struct sockets_peers){ { &new, NULL } };
	sockets_close(&old, &peers);
	assert_true(connects_to(port));
	assert_int_equal(access(path, F_OK), -1);
	sockets_close(&new, &nobody);
	assert_false(connects_to(port));
}

static void
test_kept_path_stays(void **state)
{
	const char *const items[] = { spec };
	const struct strlist specs = { items, 1 };
	struct settings s = plain();
	struct sockets old, new;
	struct sockets_peers peers;
	struct err err;

	(void)state;
	assert_int_equal(sockets_open(&old, &specs, &s, &nobody, &err), 0);
	peers = (struct sockets_peers){ { NULL, &old } };
	assert_int_equal(sockets_open(&new, &specs, &s, &peers, &err), 0);
	peers = (struct sockets_peers){ { &new, NULL } };
	sockets_close(&old, &peers);
	assert_int_equal(access(path, F_OK), 0);
	sockets_forget(&new); /* as a worker does with those of others */
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

/* Nothing is left open, and what others have is left alone. */
static void
test_failure_undoes(void **state)
{
	const char *items[] = { spec, "127.0.0.1:0", "" };
	const struct strlist one = { items, 1 }, two = { items, 2 };
	struct settings s = plain();
	struct sockets old, busy, k;
	struct sockets_peers peers;
	struct err err;
	char taken[64];

	(void)state;
	assert_int_equal(sockets_open(&busy,
			     &(struct strlist){ items + 1, 1 }, &s, &nobody,
			     &err), 0);
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", busy.items[0]->port);
	items[1] = taken;
	assert_int_equal(sockets_open(&k, &two, &s, &nobody, &err), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_non_null(strstr(err.text, taken));
	assert_int_equal(k.count, 0);
	assert_int_equal(access(path, F_OK), -1);

	assert_int_equal(sockets_open(&old, &one, &s, &nobody, &err), 0);
	peers = (struct sockets_peers){ { &old, NULL } };
	assert_int_equal(sockets_open(&k, &two, &s, &peers, &err), -1);
	assert_int_equal(access(path, F_OK), 0);
	sockets_close(&old, &nobody);
	sockets_close(&busy, &nobody);
}

/* With reuse_port the arbiter's own socket must take no connection. */
static void
test_reuse_port_only_holds(void **state)
{
	const char *const items[] = { "127.0.0.1:0" };
	const struct strlist specs = { items, 1 };
	struct settings s = plain();
	const struct listen_options own = { .backlog = 16,
		.reuse_port = true,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	struct sockets k, workers;
	struct sockets_peers peers;
	struct err err;
	unsigned port;

	(void)state;
	s.reuse_port = true;
	assert_int_equal(sockets_open(&k, &specs, &s, &nobody, &err), 0);
	port = k.items[0]->port;
	assert_false(connects_to(port));
	peers = (struct sockets_peers){ { &k, NULL } };
	assert_int_equal(sockets_open(&workers, &specs, &s, &peers, &err), 0);
	assert_int_equal(listen_again(workers.items[0], &own, &err), 0);
	assert_int_equal(workers.items[0]->port, port);
	for (int i = 0; i < 16; i++) {
		int fd;

		assert_true(connects_to(port));
		fd = accept(workers.items[0]->fd, NULL, NULL);
		assert_true(fd >= 0);
		close(fd);
	}
	sockets_close(&workers, &peers);
	sockets_close(&k, &nobody);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_handing_over),
		cmocka_unit_test(test_kept_path_stays),
		cmocka_unit_test(test_failure_undoes),
		cmocka_unit_test(test_reuse_port_only_holds),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
