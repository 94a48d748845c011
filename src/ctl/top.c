/* SPDX-License-Identifier: MIT */
/*
 * A picture each second: on a terminal in place, with the keyboard read
 * meanwhile; elsewhere one below the other.
 */
#include "ctl/top.h"

#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "ctl/show.h"

/* The other screen, without a cursor; and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define LINE_END "\033[K\n"
#define REST_CLEAR "\033[J"

struct screen {
	bool live;
	int signals; /* resizes, and what would end us */
	struct termios before;
	int rows, columns;
};

/* --- the terminal --------------------------------------------------------- */

static void
measure(struct screen *s)
{
	struct winsize size;

	s->rows = 24;
	s->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
		s->rows = size.ws_row;
		s->columns = size.ws_col;
	}
}

static void
screen_enter(struct screen *s)
{
	struct termios raw;
	sigset_t mask;

	s->signals = -1;
	s->live = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
	    tcgetattr(STDIN_FILENO, &s->before) == 0;
	s->rows = s->columns = 1000000;
	if (!s->live)
		return;
	sigemptyset(&mask);
	sigaddset(&mask, SIGWINCH);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	s->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	raw = s->before;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs(ENTER, stdout);
	measure(s);
}

static void
screen_leave(struct screen *s)
{
	if (!s->live)
		return;
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	fd_close(&s->signals);
}

/* --- the picture ---------------------------------------------------------- */

/*
 * The oldest first, without a table of all of them: the next is the oldest of
 * those that are younger than the last, or as old and behind it.
 */
static const json_t *
next_request(const json_t *workers, double last, size_t last_at,
    const json_t **its_out, size_t *number_out, size_t *at_out)
{
	const json_t *best = NULL;
	json_t *w, *t;
	size_t i, j, at = 0;

	json_array_foreach(workers, i, w) json_array_foreach(
	    json_object_get(w, "threads"), j, t)
	{
		double age = show_number(t, "seconds");

		at++;
		if (json_object_get(t, "request") == NULL || age > last ||
		    (age == last && at <= last_at) ||
		    (best != NULL && age <= show_number(best, "seconds")))
			continue;
		best = t;
		*its_out = w;
		*number_out = j;
		*at_out = at;
	}
	return best;
}

/* Pictures are drawn into memory first, then cut to the screen. */
static void
draw_requests(FILE *out, const json_t *workers)
{
	const json_t *best, *its;
	double last = HUGE_VAL;
	size_t number, at = 0;
	char text[16];

	fprintf(out, "\n%8s %7s %9s  %s\n", "PID", "THREAD", "FOR",
	    "REQUEST");
	for (int lines = 0; lines < 200; lines++) {
		best = next_request(workers, last, at, &its, &number, &at);
		if (best == NULL)
			return;
		last = show_number(best, "seconds");
		fprintf(out, "%8.0f %7zu %9s  ", show_number(its, "pid"),
		    number, show_time(last, text));
		show_text(out, show_string(best, "request"), -1);
		fputc('\n', out);
	}
}

static void
draw_head(FILE *out, const json_t *status)
{
	const json_t *a = json_object_get(status, "arbiter");
	const json_t *load = json_object_get(status, "load");
	const json_t *recent = json_object_get(status, "recent");
	const json_t *total = json_object_get(
	    json_object_get(recent, "latency"), "total");
	const json_t *queue = json_object_get(
	    json_object_get(recent, "latency"), "queue");
	char t[5][16];

	fputs("bicorn: ", out);
	show_text(out, show_string(status, "name"), 40);
	fputs(", ", out);
	show_text(out, show_string(a, "state"), 40);
	fprintf(out, ", up %s, generation %.0f\n",
	    show_time(show_number(a, "uptime"), t[0]),
	    show_number(a, "generation"));
	fprintf(out,
	    "%.0f requests/s   p50 %s  p90 %s  p99 %s   queue p99 %s\n",
	    show_number(recent, "rate"),
	    show_time(show_number(total, "p50"), t[1]),
	    show_time(show_number(total, "p90"), t[2]),
	    show_time(show_number(total, "p99"), t[3]),
	    show_time(show_number(queue, "p99"), t[4]));
	fprintf(out,
	    "%.0f of %.0f threads busy   %.0f queued   %.0f connections   "
	    "%.0f requests so far\n\n",
	    show_number(load, "threads_busy"), show_number(load, "threads"),
	    show_number(load, "queued"), show_number(load, "connections"),
	    show_number(status, "requests"));
}

static void
print_cut(const struct screen *s, const char *text)
{
	int row = 0;

	fputs(HOME, stdout);
	for (; *text != '\0' && row < s->rows - 1; row++) {
		const char *end = strchrnul(text, '\n');
		int len = (int)(end - text);

		printf("%.*s" LINE_END, len < s->columns ? len : s->columns,
		    text);
		text = *end == '\n' ? end + 1 : end;
	}
	printf("q quits" REST_CLEAR);
}

static void
draw(const struct screen *s, const json_t *status)
{
	const json_t *workers = json_object_get(status, "workers");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return;
	draw_head(out, status);
	show_workers(out, workers);
	draw_requests(out, workers);
	fclose(out);
	if (s->live)
		print_cut(s, text);
	else
		fputs(text, stdout);
	fflush(stdout);
	free(text);
}

/* --- the loop ------------------------------------------------------------- */

static bool
wants_out(void *arg)
{
	struct screen *s = arg;
	struct pollfd p = { STDIN_FILENO, POLLIN, 0 };
	struct signalfd_siginfo info;
	char key;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGWINCH)
			return true;
		measure(s);
	}
	if (poll(&p, 1, 0) <= 0)
		return false;
	return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q';
}

/* True when it is over. */
static bool
wait_until(struct screen *s, const json_t *status, int64_t until_ms)
{
	struct pollfd fds[2] = {
		{ s->live ? STDIN_FILENO : -1, POLLIN, 0 },
		{ s->signals, POLLIN, 0 },
	};

	for (;;) {
		int64_t left = until_ms - clock_ms();

		if (left <= 0)
			return false;
		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (wants_out(s))
			return true;
		draw(s, status);
	}
}

enum link_result
top_run(struct link *l, const struct top_options *o, struct err *err)
{
	enum link_result rc = LINK_OK;
	struct screen s;
	json_t *status = NULL;

	if (o->json)
		s = (struct screen){ .signals = -1 };
	else
		screen_enter(&s);
	if (!o->json && s.live) {
		l->wants_out = wants_out;
		l->arg = &s;
	}
	for (long i = 0; rc == LINK_OK && (o->count == 0 || i < o->count);
	     i++) {
		int64_t next_ms = clock_ms() + (int64_t)(o->delay_s * 1000);

		json_decref(status);
		rc = link_ask(l, "status", NULL, &status, err);
		if (rc != LINK_OK)
			break;
		if (o->json) {
			json_dumpf(status, stdout, JSON_COMPACT);
			putchar('\n');
			fflush(stdout);
		} else {
			draw(&s, status);
		}
		if (o->count != 0 && i + 1 == o->count)
			break;
		if (wait_until(&s, status, next_ms))
			break;
	}
	json_decref(status);
	l->wants_out = NULL; /* at the prompt the line stays */
	if (!o->json)
		screen_leave(&s);
	return rc == LINK_LEFT ? LINK_OK : rc;
}
