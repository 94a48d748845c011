/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a format, and as what a client sent: a line is one line of
 * valid UTF-8 without control characters, and not longer than it may be.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/must.h"
#include "base/span.h"
#include "log/access.h"

#define LINE_MOST 16384
#define DEFAULT_FORMAT \
	"%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\""

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span
look_up(void *arg, char kind, struct span name)
{
	const struct span *value = arg;

	(void)kind;
	return name.len % 4 == 3 ? SPAN_NONE : *value;
}

/* Neither a quote nor a line end of the client's may be bare. */
static void
check(const char *line, size_t len)
{
	must(len > 0 && len <= LINE_MOST && line[len - 1] == '\n');
	for (size_t i = 0; i + 1 < len; i++)
		must(((unsigned char)line[i] >= 0x20 || line[i] == '\t') &&
		    line[i] != 0x7f);
}

static void
write_line(const char *format, struct span value)
{
	struct access_record r = {
		.remote = value,
		.method = value,
		.target = value,
		.path = value,
		.query = value,
		.protocol = value,
		.status = 200,
		.lookup = look_up,
		.lookup_arg = &value,
	};
	struct access_log *a;
	struct err err;
	char line[LINE_MOST + 1];
	int ends[2], saved;
	ssize_t n;

	/* The log writes to standard output, which is a socket for once. */
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
	saved = dup(STDOUT_FILENO);
	must(saved >= 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
	if (access_open("-", false, format, (uid_t)-1, (gid_t)-1, &a,
		&err) == 0) {
		access_write(a, &r);
		access_free(&a);
		n = recv(ends[0], line, sizeof(line), MSG_DONTWAIT);
		must(n > 0);
		check(line, (size_t)n);
	} else {
		must(err.text[0] != '\0');
	}
	must(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct span value;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	value = (struct span){ text, size };
	write_line(text, value);
	write_line(DEFAULT_FORMAT, value);
	free(text);
	return 0;
}
