/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_ENV_H
#define BICORN_CONF_ENV_H

/*
 * The environment.  An empty variable counts as unset everywhere.  Not to
 * be called while another thread changes the environment.
 */

struct arena;
struct err;
struct setting;
struct store;

/* The value of a variable, or NULL. */
const char *env_get(const char *name);

/*
 * Every BICORN_NAME.  A variable that is none, but nearly, is a warning;
 * others are left alone: in Kubernetes a service of that name makes
 * BICORN_PORT and the like.  0, or -1.
 */
int env_apply(struct store *st, struct err *err);

/*
 * Variables that are not bicorn's own but customary (PORT,
 * WEB_CONCURRENCY...), for settings that nobody has set.  0, or -1.
 */
int env_fallback(struct store *st, struct err *err);

/* "BICORN_WORKERS"; NULL when out of memory. */
const char *env_name(struct arena *a, const struct setting *s);

#endif
