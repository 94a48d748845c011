/* SPDX-License-Identifier: MIT */
/*
 * An application for the tests of workers: answers at once, keeps its thread
 * until it is told to go on, sends much, forks.
 */
#define _GNU_SOURCE

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

static void
reply(struct bicorn_exchange *x, const char *text)
{
	bicorn_reply(x, 200, "text/plain", text, strlen(text));
}

/* What follows "?", as a number. */
static long long
number(const struct bicorn_exchange *x)
{
	char text[32] = "";
	struct bicorn_str q = x->request->query;

	memcpy(text, q.ptr, q.len < 31 ? q.len : 31);
	return strtoll(text, NULL, 10);
}

static void
pid(struct bicorn_exchange *x)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", (int)getpid());
	reply(x, text);
}

/* Says that it holds a thread, until the file of that name is there. */
static void
hold(struct bicorn_exchange *x)
{
	char name[4096];
	struct bicorn_str q = x->request->query;

	snprintf(name, sizeof(name), "%.*s", (int)q.len, q.ptr);
	bicorn_logf(x->server, BICORN_LOG_INFO, "work: holding %s", name);
	while (access(name, F_OK) != 0)
		poll(NULL, 0, 2);
	reply(x, "held");
}

static void
nap(struct bicorn_exchange *x)
{
	poll(NULL, 0, (int)number(x));
	reply(x, "slept");
}

static void
spin_for(long long us)
{
	struct timespec now, begun;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000000 +
		(now.tv_nsec - begun.tv_nsec) / 1000 < us);
}

/* Computes for so many microseconds. */
static void
spin(struct bicorn_exchange *x)
{
	spin_for(number(x));
	reply(x, "hello");
}

/* The same, and sends back what follows "?". */
static void
echo(struct bicorn_exchange *x)
{
	spin_for(number(x));
	bicorn_reply(x, 200, "text/plain", x->request->query.ptr,
	    x->request->query.len);
}

static void
big(struct bicorn_exchange *x)
{
	size_t len = (size_t)number(x);
	char *data = malloc(len);

	if (data == NULL)
		return;
	for (size_t i = 0; i < len; i++)
		data[i] = (char)('a' + i % 23);
	bicorn_reply(x, 200, "text/plain", data, len);
	free(data);
	bicorn_log(x->server, BICORN_LOG_INFO, "work: thread is free");
}

/* Head and body by themselves. */
static void
parts(struct bicorn_exchange *x)
{
	static const char data[1024 * 1024];
	size_t len = (size_t)number(x) % sizeof(data);

	if (bicorn_respond(x, 200, NULL, 0, (int64_t)len) == BICORN_OK)
		bicorn_write(x, data, len);
}

/* Of unknown length, until the connection ends under HTTP/1.0. */
static void
stream(struct bicorn_exchange *x)
{
	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	for (long long n = number(x); n > 0; n--)
		if (bicorn_write(x, "0123456789", 10) != BICORN_OK ||
		    bicorn_flush(x) != BICORN_OK)
			return;
}

static void
cut(struct bicorn_exchange *x)
{
	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	bicorn_write(x, "half", 4);
	bicorn_flush(x);
	bicorn_abort(x);
}

/* A child that keeps all descriptors, as of a library that forks. */
static void
fork_child(struct bicorn_exchange *x)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		poll(NULL, 0, 30000);
		_exit(0);
	}
	reply(x, "forked");
}

/* The length of the body, and its sum. */
static void
sum(struct bicorn_exchange *x)
{
	unsigned long long bytes = 0, total = 0;
	unsigned char buf[65536];
	char text[64];
	int64_t n;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0) {
		bytes += (unsigned long long)n;
		for (int64_t i = 0; i < n; i++)
			total += buf[i];
	}
	snprintf(text, sizeof(text), "%llu %llu %d", bytes, total, (int)n);
	reply(x, text);
}

static void
hello(struct bicorn_exchange *x)
{
	reply(x, "hello");
}

static const struct {
	const char *path;
	void (*show)(struct bicorn_exchange *x);
} pages[] = {
	{ "/pid", pid },
	{ "/hold", hold },
	{ "/nap", nap },
	{ "/spin", spin },
	{ "/echo", echo },
	{ "/big", big },
	{ "/stream", stream },
	{ "/cut", cut },
	{ "/parts", parts },
	{ "/fork", fork_child },
	{ "/sum", sum },
};

static void
handle(struct bicorn_exchange *x)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (bicorn_str_eq(x->request->path, pages[i].path)) {
			pages[i].show(x);
			return;
		}
	hello(x);
}

BICORN_APP(.handle = handle)
