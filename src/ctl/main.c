/* SPDX-License-Identifier: MIT */
/* bicornctl(8): asks and commands a bicorn that runs. */
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "ctl/link.h"
#include "ctl/prompt.h"
#include "ctl/show.h"
#include "ctl/top.h"

/* Exit codes. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1, /* bicorn refused, failed, or is not ready */
	CTL_USAGE = 2,
	CTL_LOST = 3, /* bicorn cannot be reached */
};

#define DEFAULT_SOCKET "/run/bicorn/control.sock"
#define RELOAD_LOOK_NS (100 * 1000 * 1000)
#define WORDS_MAX 16

struct ctl {
	struct link link;
	bool json;
	struct err err;
};

/* The words of one command, and the options among them. */
struct call {
	const char *words[WORDS_MAX]; /* without options; [0] is its name */
	int count;
	bool quick;
	bool wait;
	bool no_wait;
	long top_count;
	double top_delay;
};

static int
exit_of(enum link_result rc)
{
	switch (rc) {
	case LINK_OK:
		return CTL_OK;
	case LINK_REFUSED:
		return CTL_REFUSED;
	default:
		return CTL_LOST;
	}
}

static int
complain(struct ctl *c, int code)
{
	if (c->json)
		printf("{\"ok\": false}\n");
	fputs("bicornctl: ", stderr);
	show_text(stderr, c->err.text, -1); /* it may be the other side's */
	fputc('\n', stderr);
	return code;
}

static int
misuse(struct ctl *c, const char *text)
{
	err_set(&c->err, "%s (bicornctl --help)", text);
	return complain(c, CTL_USAGE);
}

static void
print_json(const json_t *data)
{
	json_dumpf(data, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	putchar('\n');
}

static int
ask(struct ctl *c, const char *command, json_t *argument, json_t **data)
{
	enum link_result rc = link_ask(&c->link, command, argument, data,
	    &c->err);

	return rc == LINK_OK ? CTL_OK : complain(c, exit_of(rc));
}

/* --- commands that show --------------------------------------------------- */

static int
show(struct ctl *c, const struct call *call, json_t *argument,
    void (*as_text)(FILE *, const json_t *))
{
	json_t *data;
	int code = ask(c, call->words[0], argument, &data);

	if (code != CTL_OK)
		return code;
	if (c->json)
		print_json(data);
	else
		as_text(stdout, data);
	json_decref(data);
	return CTL_OK;
}

static int
run_status(struct ctl *c, const struct call *call)
{
	json_t *data;
	int code = ask(c, call->words[0], NULL, &data);
	bool ready;

	if (code != CTL_OK)
		return code;
	if (c->json)
		print_json(data);
	else
		show_status(stdout, data);
	ready = json_is_true(json_object_get(data, "ready"));
	json_decref(data);
	return ready ? CTL_OK : CTL_REFUSED;
}

static int
run_workers(struct ctl *c, const struct call *call)
{
	return show(c, call, NULL, show_workers);
}

static int
run_requests(struct ctl *c, const struct call *call)
{
	return show(c, call, NULL, show_requests);
}

static bool
number_of(const char *text, json_int_t *out)
{
	char *end;

	*out = strtoll(text, &end, 10);
	return *text != '\0' && *end == '\0' && *out > 0;
}

static int
run_stacks(struct ctl *c, const struct call *call)
{
	json_int_t pid = 0;

	if (call->count > 1 && !number_of(call->words[1], &pid))
		return misuse(c, "stacks takes the pid of a worker");
	return show(c, call, json_integer(pid), show_stacks);
}

static int
print_value(struct ctl *c, const json_t *settings, const char *name)
{
	const json_t *value = json_object_get(
	    json_object_get(settings, "values"), name);

	if (value == NULL) {
		err_set(&c->err, "there is no setting %s", name);
		return complain(c, CTL_REFUSED);
	}
	if (c->json)
		json_dumpf(value, stdout, JSON_ENCODE_ANY);
	else if (json_string_value(value) != NULL)
		show_text(stdout, json_string_value(value), -1);
	putchar('\n');
	return CTL_OK;
}

static int
run_settings(struct ctl *c, const struct call *call)
{
	json_t *data;
	int code = ask(c, call->words[0], NULL, &data);

	if (code != CTL_OK)
		return code;
	if (call->count > 1)
		code = print_value(c, data, call->words[1]);
	else if (c->json)
		print_json(json_object_get(data, "values"));
	else
		show_settings(stdout, data);
	json_decref(data);
	return code;
}

static int
run_top(struct ctl *c, const struct call *call)
{
	struct top_options o = {
		.count = call->top_count,
		.delay_s = call->top_delay > 0 ? call->top_delay : 1,
		.json = c->json,
	};
	enum link_result rc;

	if (o.count == 0 && (c->json || !isatty(STDOUT_FILENO)))
		o.count = 1;
	rc = top_run(&c->link, &o, &c->err);
	return rc == LINK_OK ? CTL_OK : complain(c, exit_of(rc));
}

/* --- commands that change something --------------------------------------- */

static int
print_message(struct ctl *c, json_t *data)
{
	if (c->json)
		print_json(data);
	else {
		show_text(stdout, show_string(data, "message"), -1);
		putchar('\n');
	}
	json_decref(data);
	return CTL_OK;
}

static int
command(struct ctl *c, const char *name, json_t *argument)
{
	json_t *data;
	int code = ask(c, name, argument, &data);

	return code == CTL_OK ? print_message(c, data) : code;
}

/*
 * Until the generation serves, or has been given up.  Where another reload
 * came upon it, that one counts: *number is the generation that serves then.
 */
static int
await_reload(struct ctl *c, double *number)
{
	const struct timespec pause = { .tv_nsec = RELOAD_LOOK_NS };

	for (;;) {
		json_t *status, *a;
		double serving, candidate;
		const char *why;
		int code = ask(c, "status", NULL, &status);

		if (code != CTL_OK)
			return code;
		a = json_object_get(status, "arbiter");
		serving = show_number(a, "generation");
		candidate = show_number(a, "candidate");
		why = show_string(a, "reload_error");
		err_set(&c->err, "reload: %s",
		    why[0] != '\0' ? why : "it was given up");
		json_decref(status);
		if (serving >= *number) {
			*number = serving;
			return CTL_OK;
		}
		if (candidate < *number)
			return complain(c, CTL_REFUSED);
		*number = candidate;
		nanosleep(&pause, NULL);
	}
}

static int
run_reload(struct ctl *c, const struct call *call)
{
	double number = 0;
	json_t *data;
	int code = ask(c, "reload", NULL, &data);

	if (code != CTL_OK)
		return code;
	if (call->no_wait)
		return print_message(c, data);
	if (sscanf(show_string(data, "message"), "generation %lf", &number) !=
	    1)
		number = 0;
	json_decref(data);
	code = await_reload(c, &number);
	if (code != CTL_OK)
		return code;
	return print_message(c,
	    json_pack("{s:o}", "message",
		json_sprintf("generation %.0f serves", number)));
}

static int
run_reopen(struct ctl *c, const struct call *call)
{
	return command(c, call->words[0], NULL);
}

static int
run_number(struct ctl *c, const struct call *call)
{
	json_int_t number;

	if (call->count < 2 || !number_of(call->words[1], &number))
		return misuse(c, strcmp(call->words[0], "scale") == 0
			? "scale takes a number of workers"
			: "retire takes the pid of a worker");
	return command(c, call->words[0], json_integer(number));
}

static int
run_stop(struct ctl *c, const struct call *call)
{
	int code = command(c, call->quick ? "stop-quick" : "stop", NULL);

	if (code == CTL_OK && call->wait)
		link_await_end(&c->link);
	return code;
}

static int
run_log_level(struct ctl *c, const struct call *call)
{
	if (call->count < 2)
		return misuse(c, "log-level takes a level");
	return command(c, call->words[0], json_string(call->words[1]));
}

/* --- the command line ----------------------------------------------------- */

static const struct {
	const char *name;
	int most; /* words behind it */
	int (*run)(struct ctl *c, const struct call *call);
	const char *help;
} commands[] = {
	{ "status", 0, run_status, "how the service is; fails when not ready" },
	{ "top", 0, run_top, "the same, live (-n COUNT, -d SECONDS)" },
	{ "workers", 0, run_workers, "the workers" },
	{ "requests", 0, run_requests, "the requests in flight, oldest first" },
	{ "stacks", 1, run_stacks, "[PID]  what the threads are doing" },
	{ "settings", 1, run_settings, "[NAME]  the settings as they were read" },
	{ "reload", 0, run_reload, "reads settings and application again" },
	{ "reopen", 0, run_reopen, "opens the logs again" },
	{ "scale", 1, run_number, "N  so many workers, until the next reload" },
	{ "retire", 1, run_number, "PID  replaces a worker" },
	{ "stop", 0, run_stop, "stops, at once with --quick" },
	{ "log-level", 1, run_log_level, "LEVEL  until the next reload" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void
print_help(void)
{
	puts("Usage: bicornctl [-s SOCKET] [--json] [COMMAND [ARGUMENT]]\n\n"
	     "Asks and commands a bicorn that has a control_socket.  Without "
	     "a command it\nreads commands from the terminal.\n\nCommands:");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	puts("\nOptions:\n"
	     "  -s, --socket PATH   the control socket; else "
	     "$BICORN_CONTROL_SOCKET,\n"
	     "                      else " DEFAULT_SOCKET "\n"
	     "  -j, --json          answer in JSON\n"
	     "      --no-wait       reload: do not wait for its end\n"
	     "      --quick         stop: do not finish requests\n"
	     "      --wait          stop: wait until it is gone\n"
	     "  -n, --count N       top: pictures, then the end\n"
	     "  -d, --delay SECONDS top: between two pictures\n"
	     "  -h, --help\n"
	     "  -V, --version\n\n"
	     "Exit codes: 0 done, 1 refused, failed or not ready, 2 usage, "
	     "3 not reachable.");
}

static int
run(struct ctl *c, const struct call *call)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(call->words[0], commands[i].name) != 0)
			continue;
		if (call->count - 1 > commands[i].most)
			return misuse(c, "too many arguments");
		return commands[i].run(c, call);
	}
	err_set(&c->err, "there is no command %s (bicornctl --help)",
	    call->words[0]);
	return complain(c, CTL_USAGE);
}

/* --- at the prompt -------------------------------------------------------- */

static void
run_line(struct ctl *c, char *line)
{
	struct call call = { .count = 0 };
	char *word, *rest;

	for (word = strtok_r(line, " \t", &rest);
	     word != NULL && call.count < WORDS_MAX;
	     word = strtok_r(NULL, " \t", &rest)) {
		if (strcmp(word, "--quick") == 0)
			call.quick = true;
		else if (strcmp(word, "--no-wait") == 0)
			call.no_wait = true;
		else if (strcmp(word, "--wait") == 0)
			call.wait = true;
		else
			call.words[call.count++] = word;
	}
	if (call.count == 0)
		return;
	if (strcmp(call.words[0], "help") == 0)
		print_help();
	else
		run(c, &call);
}

static int
converse(struct ctl *c)
{
	const char *words[COMMAND_COUNT + 3];
	size_t n = 0;
	char *line;

	for (; n < COMMAND_COUNT; n++)
		words[n] = commands[n].name;
	words[n++] = "help";
	words[n++] = "quit";
	words[n] = NULL;
	prompt_begin(words);
	while ((line = prompt_line("bicorn> ")) != NULL) {
		bool over = strcmp(line, "quit") == 0 ||
		    strcmp(line, "exit") == 0 || strcmp(line, "q") == 0;

		if (!over)
			run_line(c, line);
		free(line);
		if (over)
			break;
	}
	return CTL_OK;
}

/* --- the beginning -------------------------------------------------------- */

enum long_option { OPT_NO_WAIT = 256, OPT_QUICK, OPT_WAIT };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "count", required_argument, NULL, 'n' },
	{ "delay", required_argument, NULL, 'd' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "no-wait", no_argument, NULL, OPT_NO_WAIT },
	{ "quick", no_argument, NULL, OPT_QUICK },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ NULL, 0, NULL, 0 },
};

static bool
count_of(const char *text, long *out)
{
	json_int_t n;

	if (!number_of(text, &n) || n > INT_MAX)
		return false;
	*out = (long)n;
	return true;
}

static bool
delay_of(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == '\0' && *out >= 0.01 && *out <= 86400;
}

/* -1: go on; else the exit code. */
static int
read_options(int argc, char **argv, struct ctl *c, struct call *call,
    const char **path)
{
	int o;

	while ((o = getopt_long(argc, argv, "s:jn:d:hV", long_options,
		    NULL)) != -1) {
		switch (o) {
		case 's':
			*path = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'n':
			if (!count_of(optarg, &call->top_count))
				return misuse(c, "--count takes a number");
			break;
		case 'd':
			if (!delay_of(optarg, &call->top_delay))
				return misuse(c, "--delay takes seconds");
			break;
		case 'h':
			print_help();
			return CTL_OK;
		case 'V':
			puts("bicornctl (bicorn " PACKAGE_VERSION ")");
			return CTL_OK;
		case OPT_NO_WAIT:
			call->no_wait = true;
			break;
		case OPT_QUICK:
			call->quick = true;
			break;
		case OPT_WAIT:
			call->wait = true;
			break;
		default:
			return CTL_USAGE;
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	const char *path = getenv("BICORN_CONTROL_SOCKET");
	struct ctl c = { .link = { .fd = -1 } };
	struct call call = { .count = 0 };
	int code = read_options(argc, argv, &c, &call, &path);

	if (code >= 0)
		return code;
	for (; optind < argc && call.count < WORDS_MAX; optind++)
		call.words[call.count++] = argv[optind];
	if (call.count == 0 && !isatty(STDIN_FILENO))
		return misuse(&c, "no command");
	if (link_open(&c.link, path != NULL ? path : DEFAULT_SOCKET,
		&c.err) != LINK_OK)
		return complain(&c, CTL_LOST);
	code = call.count > 0 ? run(&c, &call) : converse(&c);
	link_close(&c.link);
	return code;
}
