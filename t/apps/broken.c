/* SPDX-License-Identifier: MIT */
/*
 * Applications that cannot be loaded, each in its own way, chosen by a macro
 * of the name.
 */
#include <bicorn/app.h>

static void
handle(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", "still here\n", 11);
}

#if defined(LOAD_FAILS) || defined(LOAD_NOT_FOUND) || defined(LOAD_SILENT) || \
    defined(LOAD_LONG)
static int
load(struct bicorn_load *l)
{
#if defined(LOAD_LONG)
	memset(l->error, 'x', l->error_size);
	return BICORN_LOAD_FAILED;
#elif defined(LOAD_SILENT)
	(void)l;
	return BICORN_LOAD_FAILED;
#else
	snprintf(l->error, l->error_size, "the moon is in the wrong phase");
#if defined(LOAD_NOT_FOUND)
	return BICORN_LOAD_NOT_FOUND;
#else
	return BICORN_LOAD_FAILED;
#endif
#endif
}
BICORN_APP(.handle = handle, .load = load)

#elif defined(THREAD_FAILS)
static int
thread_start(void *app, unsigned number, void **thread_out)
{
	(void)app;
	*thread_out = NULL;
	return number == 1 ? -1 : 0;
}
BICORN_APP(.handle = handle, .thread_start = thread_start)

#elif defined(UNDEFINED_SYMBOL)
extern int nobody_defines_this(void);
static void
handle_undefined(struct bicorn_exchange *x)
{
	handle(x);
	nobody_defines_this();
}
BICORN_APP(.handle = handle_undefined)

#elif defined(NO_SYMBOL)
BICORN_APP_AS(another_name, .handle = handle)

#else
#ifndef MAJOR
#define MAJOR BICORN_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR BICORN_ABI_MINOR
#endif
#ifndef SIZE
#define SIZE sizeof(struct bicorn_app)
#endif
#ifdef NO_HANDLE
#define HANDLE NULL
#else
#define HANDLE handle
#endif
extern BICORN_EXPORT const struct bicorn_app bicorn_app;
const struct bicorn_app bicorn_app = { .size = SIZE,
	.abi_major = MAJOR,
	.abi_minor = MINOR,
	.handle = HANDLE };
/* handle() is used in every variant. */
extern void (*const keep)(struct bicorn_exchange *x);
void (*const keep)(struct bicorn_exchange *x) = handle;
#endif
