/* SPDX-License-Identifier: MIT */
#include "arbiter/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"

/* What goes through the pipe: the exit code, then the text. */
struct report {
	unsigned char code;
	char text[sizeof(((struct err *)0)->text)];
};

/* The process that was started: waits and exits. */
static _Noreturn void
wait_for_daemon(int fd, pid_t middle)
{
	struct report r = { .code = 1 };
	ssize_t n;

	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	n = fd_read_all(fd, &r, sizeof(r) - 1);
	if (n < 1) {
		r.code = 1;
		snprintf(r.text, sizeof(r.text), "%s",
		    "the daemon died while it started");
	}
	if (r.code != 0)
		log_complain("error", r.text);
	fflush(NULL);
	_exit(r.code);
}

static int
to_dev_null(bool keep_output)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	for (int std = 0; std <= 2; std++) {
		if (keep_output && std != STDIN_FILENO && !isatty(std))
			continue;
		if (dup2(fd, std) < 0)
			return -1;
	}
	if (fd > 2)
		fd_close(&fd);
	return 0;
}

int
daemon_start(struct daemon *d, bool keep_output, struct err *err)
{
	int ends[2];
	pid_t pid;

	d->report = -1;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		err_sys(err, "daemon: pipe");
		return -1;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		err_sys(err, "daemon: fork");
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	if (pid > 0) {
		fd_close(&ends[1]);
		wait_for_daemon(ends[0], pid);
	}
	fd_close(&ends[0]);
	d->report = ends[1];

	/* Not a session leader, hence never again with a terminal. */
	if (setsid() < 0 || (pid = fork()) < 0) {
		err_sys(err, "daemon");
		return -1;
	}
	if (pid > 0)
		_exit(0);
	umask(022);
	if (to_dev_null(keep_output) != 0) {
		err_sys(err, "daemon: /dev/null");
		return -1;
	}
	return 0;
}

static void
send_report(struct daemon *d, const struct report *r)
{
	/* Nobody may be left to read it; SIGPIPE is not worth a death. */
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);

	if (d->report >= 0)
		fd_write_all(d->report, r, 1 + strlen(r->text));
	fd_close(&d->report);
	signal(SIGPIPE, old);
}

void
daemon_ready(struct daemon *d)
{
	struct report r = { .code = 0 };

	send_report(d, &r);
}

void
daemon_failed(struct daemon *d, int code, const char *text)
{
	struct report r = { .code = (unsigned char)code };

	snprintf(r.text, sizeof(r.text), "%s", text);
	send_report(d, &r);
}
