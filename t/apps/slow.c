/* SPDX-License-Identifier: MIT */
/* What normal clients and attackers ask for in test_slow.py and bench/. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

#define BIG (8 * 1024 * 1024)

struct slow {
	const struct bicorn_server *server;
	int fd; /* BIG bytes */
};

static char big[BIG]; /* each place tells where it is */

static void
hello(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", "Hello, World!\n", 14);
}

static void
whole(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", big, BIG);
}

static void
less(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", big, BIG / 32);
}

static void
pieces(struct bicorn_exchange *x)
{
	size_t at;

	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	for (at = 0; at < BIG; at += 65536)
		if (bicorn_write(x, big + at, 65536) != BICORN_OK ||
		    bicorn_flush(x) != BICORN_OK)
			return;
}

static sem_t let;

/* All but the last byte, which waits until somebody asks for /let. */
static void
held(struct bicorn_exchange *x)
{
	bicorn_respond(x, 200, NULL, 0, BIG);
	bicorn_write(x, big, BIG - 1);
	sem_wait(&let);
	bicorn_write(x, big + BIG - 1, 1);
}

static void
let_go(struct bicorn_exchange *x)
{
	sem_post(&let);
	hello(x);
}

static void
file(struct bicorn_exchange *x)
{
	const struct slow *s = x->app;

	bicorn_respond(x, 200, NULL, 0, BIG);
	bicorn_send_file(x, s->fd, 0, BIG);
}

/* Reads the body as it comes and says how long it was. */
static void
sink(struct bicorn_exchange *x)
{
	char buf[65536], text[32];
	long long sum = 0;
	int64_t n;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0)
		sum += n;
	snprintf(text, sizeof(text), "%lld %d\n", sum, (int)n);
	bicorn_reply(x, 200, "text/plain", text, strlen(text));
}

/* /wait?MS */
static void
wait_ms(struct bicorn_exchange *x)
{
	struct bicorn_str q = x->request->query;
	long ms = q.len > 0 ? strtol(q.ptr, NULL, 10) : 1000;
	struct timespec t;

	bicorn_logf(x->server, BICORN_LOG_INFO, "slow: waits");
	t.tv_sec = ms / 1000;
	t.tv_nsec = ms % 1000 * 1000000;
	nanosleep(&t, NULL);
	hello(x);
}

static const struct {
	const char *path;
	void (*show)(struct bicorn_exchange *x);
} pages[] = {
	{ "/hello", hello },
	{ "/big", whole },
	{ "/big/less", less },
	{ "/big/pieces", pieces },
	{ "/big/file", file },
	{ "/big/held", held },
	{ "/let", let_go },
	{ "/sink", sink },
	{ "/wait", wait_ms },
};

static void
handle(struct bicorn_exchange *x)
{
	size_t i;

	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (bicorn_str_eq(x->request->path, pages[i].path)) {
			pages[i].show(x);
			return;
		}
	bicorn_reply(x, 404, "text/plain", "no such page\n", 13);
}

static int
load(struct bicorn_load *l)
{
	char name[] = "/tmp/slow-XXXXXX";
	struct slow *s = calloc(1, sizeof(*s));
	size_t i;

	if (s == NULL)
		return BICORN_LOAD_FAILED;
	s->server = l->server;
	for (i = 0; i < BIG; i++)
		big[i] = (char)('a' + (i ^ i >> 8 ^ i >> 16) % 26);
	s->fd = mkstemp(name);
	unlink(name);
	if (s->fd < 0 || write(s->fd, big, BIG) != BIG) {
		free(s);
		return BICORN_LOAD_FAILED;
	}
	l->app = s;
	return BICORN_LOADED;
}

static void
unload(void *app)
{
	struct slow *s = app;

	close(s->fd);
	free(s);
}

BICORN_APP(.handle = handle, .load = load, .unload = unload)
