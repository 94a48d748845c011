/* SPDX-License-Identifier: MIT */
#include "ctl/show.h"

#include <jansson.h>
#include <string.h>

double
show_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

const char *
show_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

const char *
show_time(double seconds, char out[16])
{
	if (seconds >= 172800)
		snprintf(out, 16, "%.0f d", seconds / 86400);
	else if (seconds >= 7200)
		snprintf(out, 16, "%.0f h", seconds / 3600);
	else if (seconds >= 120)
		snprintf(out, 16, "%.0f min", seconds / 60);
	else if (seconds >= 10)
		snprintf(out, 16, "%.0f s", seconds);
	else if (seconds >= 1)
		snprintf(out, 16, "%.1f s", seconds);
	else if (seconds >= 0.01)
		snprintf(out, 16, "%.0f ms", seconds * 1e3);
	else if (seconds >= 0.001)
		snprintf(out, 16, "%.1f ms", seconds * 1e3);
	else if (seconds > 0)
		snprintf(out, 16, "%.0f us", seconds * 1e6);
	else
		snprintf(out, 16, "-");
	return out;
}

const char *
show_bytes(double bytes, char out[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	size_t i = 0;

	while (bytes >= 1000 && i < 4) {
		bytes /= 1000;
		i++;
	}
	snprintf(out, 16, bytes < 10 && i > 0 ? "%.1f %s" : "%.0f %s", bytes,
	    units[i]);
	return out;
}

void
show_text(FILE *out, const char *text, int width)
{
	bool was_first = false;

	for (; *text != '\0' && width != 0; text++, width--) {
		unsigned char c = (unsigned char)*text;
		unsigned char next = (unsigned char)text[1];
		/* U+0080 to U+009F, controls as well, are of two bytes. */
		bool is_first = c == 0xc2 && next >= 0x80 && next < 0xa0;

		fputc(c < 0x20 || c == 0x7f || is_first || was_first ? '?' : c,
		    out);
		was_first = is_first;
	}
}

/* A member of object that is a text, at least so wide. */
static void
show_member(FILE *out, const json_t *object, const char *name, int width)
{
	const char *text = show_string(object, name);
	int len = (int)strnlen(text, 1000);

	show_text(out, text, -1);
	fprintf(out, "%*s", len < width ? width - len : 0, "");
}

/* --- status --------------------------------------------------------------- */

static void
show_part(FILE *out, const json_t *latency, const char *name)
{
	const json_t *one = json_object_get(latency, name);
	char a[16], b[16], c[16], d[16];

	fprintf(out, "  %-12s %9s %9s %9s %9s\n", name,
	    show_time(show_number(one, "p50"), a),
	    show_time(show_number(one, "p90"), b),
	    show_time(show_number(one, "p99"), c),
	    show_time(show_number(one, "max"), d));
}

static void
show_codes(FILE *out, const json_t *status)
{
	const json_t *codes = json_object_get(
	    json_object_get(status, "counters"), "requests");
	json_t *n;
	const char *code;

	fprintf(out, "%-14s %.0f", "Requests:", show_number(status,
	    "requests"));
	json_object_foreach((json_t *)codes, code, n) if (
	    json_integer_value(n) > 0) {
		fputs("  ", out);
		show_text(out, code, -1);
		fprintf(out, " %lld", (long long)json_integer_value(n));
	}
	if (show_number(status, "requests_lost") > 0)
		fprintf(out, "  lost %.0f",
		    show_number(status, "requests_lost"));
	fputc('\n', out);
}

void
show_status(FILE *out, const json_t *status)
{
	const json_t *a = json_object_get(status, "arbiter");
	const json_t *load = json_object_get(status, "load");
	const json_t *recent = json_object_get(status, "recent");
	const json_t *latency = json_object_get(status, "latency");
	char age[16];

	show_text(out, show_string(status, "name"), 60);
	fputs(": ", out);
	show_member(out, a, "state", 0);
	fprintf(out, "%s (bicorn ",
	    json_is_true(json_object_get(status, "ready")) ? "" :
							     ", NOT READY");
	show_member(out, status, "version", 0);
	fprintf(out, ", pid %.0f, up %s, generation %.0f)\n",
	    show_number(a, "pid"), show_time(show_number(a, "uptime"), age),
	    show_number(a, "generation"));
	if (show_number(a, "candidate") > 0)
		fprintf(out, "%-14s generation %.0f boots\n", "Reloading:",
		    show_number(a, "candidate"));
	if (show_string(a, "reload_error")[0] != '\0') {
		fprintf(out, "%-14s ", "Last reload:");
		show_member(out, a, "reload_error", 0);
		fputc('\n', out);
	}
	fprintf(out, "%-14s %.0f of %.0f ready\n", "Workers:",
	    show_number(load, "workers_ready"),
	    show_number(a, "workers_wanted"));
	fprintf(out, "%-14s %.0f of %.0f busy, %.0f requests queued\n",
	    "Threads:", show_number(load, "threads_busy"),
	    show_number(load, "threads"), show_number(load, "queued"));
	fprintf(out, "%-14s %.0f\n", "Connections:",
	    show_number(load, "connections"));
	show_codes(out, status);
	fprintf(out, "%-14s %.1f requests/s\n", "Now:",
	    show_number(recent, "rate"));
	fprintf(out, "%-14s %9s %9s %9s %9s\n", "Since start:", "p50", "p90",
	    "p99", "max");
	show_part(out, latency, "queue");
	show_part(out, latency, "application");
	show_part(out, latency, "send");
	show_part(out, latency, "total");
}

/* --- tables --------------------------------------------------------------- */

void
show_workers(FILE *out, const json_t *workers)
{
	json_t *w;
	size_t i;

	fprintf(out, "%8s %4s %-9s %8s %8s %7s %6s %6s %10s\n", "PID", "GEN",
	    "STATE", "AGE", "MEMORY", "BUSY", "CONN", "QUEUE", "REQUESTS");
	json_array_foreach(workers, i, w)
	{
		char age[16], memory[16], busy[32];

		snprintf(busy, sizeof(busy), "%.0f/%zu",
		    show_number(w, "busy"),
		    json_array_size(json_object_get(w, "threads")));
		fprintf(out, "%8.0f %4.0f ", show_number(w, "pid"),
		    show_number(w, "generation"));
		show_member(out, w, "state", 9);
		fprintf(out, " %8s %8s %7s %6.0f %6.0f %10.0f\n",
		    show_time(show_number(w, "age"), age),
		    show_bytes(show_number(w, "memory"), memory), busy,
		    show_number(w, "connections"), show_number(w, "queued"),
		    show_number(w, "requests"));
	}
}

void
show_requests(FILE *out, const json_t *requests)
{
	json_t *r;
	size_t i;

	fprintf(out, "%8s %7s %9s  %s\n", "PID", "THREAD", "FOR", "REQUEST");
	json_array_foreach(requests, i, r)
	{
		char age[16];

		fprintf(out, "%8.0f %7.0f %9s  ", show_number(r, "pid"),
		    show_number(r, "thread"),
		    show_time(show_number(r, "seconds"), age));
		show_text(out, show_string(r, "request"), -1);
		fputc('\n', out);
	}
}

static void
show_lines(FILE *out, const char *text)
{
	const char *end;

	for (; *text != '\0'; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		show_text(out, text, (int)(end - text));
		fputc('\n', out);
	}
}

void
show_stacks(FILE *out, const json_t *stacks)
{
	json_t *s;
	size_t i;

	json_array_foreach(stacks, i, s)
	{
		fprintf(out, "%sWorker %.0f", i > 0 ? "\n" : "",
		    show_number(s, "pid"));
		fputc(':', out);
		if (show_string(s, "error")[0] != '\0')
			fputc(' ', out);
		show_member(out, s, "error", 0);
		fputc('\n', out);
		show_lines(out, show_string(s, "stacks"));
	}
}

void
show_settings(FILE *out, const json_t *settings)
{
	show_lines(out, show_string(settings, "text"));
}
