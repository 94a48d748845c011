/* SPDX-License-Identifier: MIT */
#include "arbiter/reading.h"

#include <stdlib.h>
#include <string.h>

#include "arbiter/arbiter_private.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "conf/conf.h"

static struct helper_reading *
under_way(struct conf_reading *r)
{
	struct helper_reading *last =
	    r->count > 0 ? &r->files[r->count - 1].answer : NULL;

	return last != NULL && !helper_read_is_over(last) ? last : NULL;
}

static int
begin_file(struct conf_reading *r, const struct settings *base,
    const char *name, struct err *err)
{
	struct reading_file *f = &r->files[r->count];

	if (r->count == READING_FILES) {
		err_set(err, "%s: too many files in Python", name);
		return -1;
	}
	f->name = strdup(name);
	if (f->name == NULL) {
		err_sys(err, "%s", name);
		return -1;
	}
	if (helper_read_start(&f->answer, base, name, err) != 0) {
		free(f->name);
		return -1;
	}
	r->count++;
	return -1; /* for now */
}

/* For struct conf_evaluator: what is known, or a beginning and -1. */
static int
evaluate(void *own, const struct settings *base, const char *name,
    conf_take_fn take, void *arg, struct err *err)
{
	struct conf_reading *r = own;

	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->files[i].name, name) == 0)
			return helper_read_deliver(&r->files[i].answer, name,
			    take, arg, err);
	return begin_file(r, base, name, err);
}

static int
load(struct arbiter *a, struct settings **out, struct err *err)
{
	const struct conf_evaluator python = { evaluate, &a->reading };
	enum conf_action action;
	struct err ignored;
	int status, rc;

	*out = NULL;
	if (origin_enter(&a->origin, err) != 0)
		return -1;
	rc = settings_load(a->argc, a->argv, &python, out, &action, &status,
	    err);
	if (origin_leave(&a->origin, rc == 0 ? err : &ignored) != 0)
		rc = -1;
	if (rc != 0)
		settings_free(out);
	return rc;
}

void
reading_begin(struct arbiter *a)
{
	reading_drop(a);
	a->reading.busy = true;
}

enum reading_result
reading_step(struct arbiter *a, struct settings **out, struct err *err)
{
	struct conf_reading *r = &a->reading;
	struct helper_reading *now = under_way(r);
	int rc;

	*out = NULL;
	if (now != NULL)
		helper_read_some(now, clock_ms());
	if (under_way(r) != NULL)
		return READING_WAITS;
	rc = load(a, out, err);
	if (rc != 0 && under_way(r) != NULL)
		return READING_WAITS;
	reading_drop(a);
	return rc == 0 ? READING_DONE : READING_FAILED;
}

void
reading_drop(struct arbiter *a)
{
	struct conf_reading *r = &a->reading;

	for (size_t i = 0; i < r->count; i++) {
		helper_read_fini(&r->files[i].answer);
		free(r->files[i].name);
	}
	*r = (struct conf_reading){ .busy = false };
}

int
reading_fd(const struct arbiter *a)
{
	const struct conf_reading *r = &a->reading;

	return r->count > 0 ? r->files[r->count - 1].answer.fd : -1;
}

int64_t
reading_deadline(const struct arbiter *a)
{
	const struct conf_reading *r = &a->reading;

	return r->count > 0 ? r->files[r->count - 1].answer.due_ms
			    : CLOCK_NEVER;
}

bool
reading_ended(struct arbiter *a, pid_t pid, int status)
{
	struct helper_reading *now = under_way(&a->reading);

	if (now == NULL || now->pid != pid)
		return false;
	helper_read_ended(now, status);
	return true;
}

void
reading_forget(struct arbiter *a)
{
	struct helper_reading *now = under_way(&a->reading);

	if (now != NULL)
		fd_close(&now->fd);
}
