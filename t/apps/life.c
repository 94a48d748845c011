/* SPDX-License-Identifier: MIT */
/*
 * An application for the tests of processes: it tells about the one it runs
 * in, and boots as the file that LIFE_BOOT names says: "ok VERSION", "fail",
 * "none", "exit CODE" or "hang".
 */
#define _GNU_SOURCE

#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

struct life {
	char version[32];
};

struct text {
	char data[8192];
	size_t len;
};

static void
add(struct text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->data) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->data + t->len, room, fmt, ap);
	va_end(ap);
	t->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static void
add_link(struct text *t, const char *name, const char *path)
{
	char to[1024];
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	to[n > 0 ? n : 0] = '\0';
	add(t, "%s=%s\n", name, to);
}

static void
add_groups(struct text *t)
{
	gid_t groups[256];
	int n = getgroups(256, groups);

	add(t, "groups=");
	for (int i = 0; i < n; i++)
		add(t, "%s%u", i > 0 ? "," : "", (unsigned)groups[i]);
	add(t, "\n");
}

static void
who(struct bicorn_exchange *x)
{
	struct text t = { .len = 0 };
	mode_t mask = umask(0);

	umask(mask);
	add(&t, "pid=%d\nppid=%d\n", (int)getpid(), (int)getppid());
	add(&t, "uid=%u\neuid=%u\ngid=%u\negid=%u\n", (unsigned)getuid(),
	    (unsigned)geteuid(), (unsigned)getgid(), (unsigned)getegid());
	add(&t, "umask=%03o\n", (unsigned)mask);
	add_groups(&t);
	add_link(&t, "cwd", "/proc/self/cwd");
	add_link(&t, "stdin", "/proc/self/fd/0");
	bicorn_reply(x, 200, "text/plain", t.data, t.len);
}

/* What follows a prefix of the path, or NULL. */
static const char *
after(const struct bicorn_exchange *x, const char *prefix, char out[256])
{
	struct bicorn_str path = x->request->path;
	size_t len = strlen(prefix);

	if (path.len < len || path.len - len > 255 ||
	    memcmp(path.ptr, prefix, len) != 0)
		return NULL;
	memcpy(out, path.ptr + len, path.len - len);
	out[path.len - len] = '\0';
	return out;
}

/* Signals to the process may arrive in any thread. */
static void
sleep_ms(int ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&left, &left) != 0)
		;
}

/* Leaks on purpose, as the applications that max_worker_memory is for. */
static void
grow(size_t bytes)
{
	static void *last;
	void **p = malloc(bytes);

	if (p == NULL)
		return;
	memset(p, 1, bytes);
	*p = last;
	last = p;
}

static void
handle(struct bicorn_exchange *x)
{
	const struct life *life = x->app;
	const char *reply = life->version;
	char rest[256];

	if (bicorn_str_eq(x->request->path, "/who")) {
		who(x);
		return;
	}
	if (after(x, "/sleep/", rest) != NULL)
		sleep_ms(atoi(rest));
	if (after(x, "/exit/", rest) != NULL)
		_exit(atoi(rest));
	if (after(x, "/grow/", rest) != NULL)
		grow((size_t)atoi(rest) << 20);
	if (after(x, "/env/", rest) != NULL)
		reply = getenv(rest) != NULL ? getenv(rest) : "(unset)";
	bicorn_reply(x, 200, "text/plain", reply, strlen(reply));
}

static void
read_boot(char *out, size_t room)
{
	const char *path = getenv("LIFE_BOOT");
	FILE *f = path != NULL ? fopen(path, "r") : NULL;

	snprintf(out, room, "ok");
	if (f == NULL)
		return;
	if (fgets(out, (int)room, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static int
load(struct bicorn_load *l)
{
	struct life *life = calloc(1, sizeof(*life));
	char how[64];

	if (life == NULL)
		return BICORN_LOAD_FAILED;
	read_boot(how, sizeof(how));
	if (strncmp(how, "ok ", 3) == 0)
		snprintf(life->version, sizeof(life->version), "%s", how + 3);
	if (strncmp(how, "exit ", 5) == 0)
		_exit(atoi(how + 5));
	if (strcmp(how, "hang") == 0) {
		bicorn_log(l->server, BICORN_LOG_INFO, "life: hangs");
		pause();
	}
	if (strcmp(how, "fail") == 0 || strcmp(how, "none") == 0) {
		snprintf(l->error, l->error_size, "life: told to %s", how);
		free(life);
		return how[0] == 'f' ? BICORN_LOAD_FAILED :
				       BICORN_LOAD_NOT_FOUND;
	}
	l->app = life;
	return BICORN_LOADED;
}

BICORN_APP(.handle = handle, .load = load, .unload = free)
