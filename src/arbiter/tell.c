/* SPDX-License-Identifier: MIT */
/* What the service manager hears from us, besides the turning points. */
#include <stdio.h>

#include "arbiter/arbiter_private.h"
#include "arbiter/generation.h"

/* How soon a sign of life that could not be given is tried again. */
#define AGAIN_MS 1000

static void
describe_service(const struct arbiter *a, char *out, size_t room)
{
	const struct generation *g = a->serving;
	const char *what = a->started ? "Serving" : "Starting";
	const char *failed = "";

	if (a->candidate != NULL) {
		g = a->candidate;
		what = a->started ? "Reloading" : what;
	} else if (a->reading.busy && a->started) {
		what = "Reading settings";
	} else if (a->reload_error[0] != '\0') {
		failed = "; the last reload failed: ";
	}
	snprintf(out, room, "%s: %zu of %zu workers ready%s%s", what,
	    generation_ready(g), g->wanted, failed,
	    failed[0] != '\0' ? a->reload_error : "");
}

static void
describe(const struct arbiter *a, char *out, size_t room)
{
	size_t left = 0;

	if (a->stop == STOP_NOT) {
		describe_service(a, out, room);
		return;
	}
	if (a->stop == STOP_LATER) {
		snprintf(out, room, "Stopping: serving for shutdown_delay");
		return;
	}
	for (const struct generation *g = a->retired; g != NULL; g = g->next)
		left += generation_alive(g);
	snprintf(out, room, "Stopping: %zu workers left%s%s", left,
	    a->reason != NULL ? "; " : "",
	    a->reason != NULL ? a->reason : "");
}

void
tell_manager(struct arbiter *a, int64_t now_ms)
{
	struct notify *n = &a->notify;
	char text[2 * sizeof(n->status)];

	if (n->fd < 0)
		return;
	notify_again(n);
	describe(a, text, sizeof(text));
	notify_status(n, text);
	if (now_ms < n->due_ms)
		return;
	if (a->serving == NULL || watch_alive(a, a->serving, now_ms))
		notify_alive(n, now_ms);
	else
		n->due_ms = now_ms + AGAIN_MS;
}
