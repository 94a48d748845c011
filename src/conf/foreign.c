/* SPDX-License-Identifier: MIT */
#include "conf/foreign.h"

#include <string.h>

#include "base/err.h"
#include "conf/store.h"

const struct foreign foreign_table[FOREIGN_COUNT] = {
#define GUNICORN(name, flags, takes, def, verdict, why) \
	{ #name, flags, TAKES_##takes, def, VERDICT_##verdict, why },
#include "conf/gunicorn.def"
#undef GUNICORN
};

const struct foreign *
foreign_find(const char *name)
{
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (strcmp(foreign_table[i].name, name) == 0)
			return &foreign_table[i];
	return NULL;
}

/* "--check-config" is the option for check_config. */
static bool
is_option(const char *name)
{
	for (size_t i = 0; i < EXTRA_COUNT; i++) {
		struct span flag = flags_main(extra_table[i].flags);
		size_t at = 2;

		while (at < flag.len && name[at - 2] != '\0' &&
		    (flag.ptr[at] == name[at - 2] ||
			(flag.ptr[at] == '-' && name[at - 2] == '_')))
			at++;
		if (at == flag.len && name[at - 2] == '\0')
			return true;
	}
	return false;
}

bool
foreign_is_own(const struct foreign *f)
{
	return setting_find(f->name) != NULL || is_option(f->name);
}

enum foreign_verdict
foreign_verdict(const struct foreign *f)
{
	if (f->verdict == VERDICT_TRANSLATED || !foreign_is_own(f))
		return f->verdict;
	return VERDICT_HONOURED;
}

/* gunicorn's sample of a settings file has ssl_context, and no TLS. */
enum foreign_verdict
foreign_verdict_in(const struct store *st, const struct foreign *f)
{
	if (f == &foreign_table[FOREIGN_ssl_context] &&
	    st->settings.certfile.count == 0 &&
	    st->settings.certdir == NULL)
		return VERDICT_IGNORED;
	return foreign_verdict(f);
}

void
foreign_store(struct store *st, const struct foreign *f, const char *text,
    const struct written *w)
{
	struct slot *slot = &st->foreign[f - foreign_table];

	slot->written = *w;
	slot->text = text;
}

/* Whether it was given the value that it has anyway. */
static bool
says_nothing(const struct foreign *f, const char *text)
{
	static const char *const off[] = { "false", "no", "off", "0", "" };

	if (strcmp(text, f->def) == 0 || *text == '\0')
		return true;
	if (f->takes != TAKES_NONE || strcmp(f->def, "false") != 0)
		return false;
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++)
		if (span_ieq(span_of(text), span_of(off[i])))
			return true;
	return false;
}

static int
check_one(struct store *st, const struct foreign *f, const struct slot *slot,
    struct err *err)
{
	enum foreign_verdict verdict = foreign_verdict_in(st, f);

	if (slot->text == NULL || st->explains || verdict < VERDICT_IGNORED ||
	    says_nothing(f, slot->text))
		return 0;
	err_set(err, "%s%s", verdict == VERDICT_IGNORED ? "ignored: " : "",
	    f->why);
	written_blame(&slot->written, err);
	if (verdict == VERDICT_REFUSED)
		return -1;
	if (store_warn(st, arena_dup(&st->arena, span_of(err->text))))
		return 0;
	err_set(err, "out of memory");
	return -1;
}

int
foreign_check(struct store *st, struct err *err)
{
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (check_one(st, &foreign_table[i], &st->foreign[i], err) !=
		    0)
			return -1;
	return 0;
}

/* --- worker classes ------------------------------------------------------ */

#define GREEN "bicorn waits for slow and idle clients without a thread, so " \
	"threads take the place of greenlets: use -k gthread --threads N, N " \
	"being how many requests are to run at the same time"
#define ASYNC "it runs ASGI applications, and bicorn runs WSGI ones: name a " \
	"WSGI application, or wrap this one (a2wsgi.ASGIMiddleware) and use " \
	"-k gthread"

static const struct {
	const char *word; /* in the name */
	const char *why;  /* NULL: fine */
} classes[] = {
	{ "gevent", GREEN },
	{ "geventlet", GREEN },
	{ "eventlet", GREEN },
	{ "meinheld", GREEN },
	{ "uvicorn", ASYNC },
	{ "aiohttp", ASYNC },
	{ "asgi", ASYNC },
	{ "hypercorn", ASYNC },
	{ "tornado", "Tornado's handlers need its own loop: start that "
		     "application by itself, or serve a WSGI one by "
		     "-k gthread" },
};

static const char *const ours[] = { "gthread", "sync",
	"gunicorn.workers.gthread.ThreadWorker",
	"gunicorn.workers.sync.SyncWorker", "egg:gunicorn#gthread",
	"egg:gunicorn#sync" };

const char *
foreign_worker_class(const char *name)
{
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return NULL;
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (strcasestr(name, classes[i].word) != NULL)
			return classes[i].why;
	if (strpbrk(name, ".:#") != NULL)
		return "a worker class in Python cannot take the place of "
		       "bicorn's workers: use -k gthread, and do what the "
		       "class adds in hooks (post_fork, pre_request and so on)";
	return "must be gthread or sync, which both run the application on "
	       "threads";
}
