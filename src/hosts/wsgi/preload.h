/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_PRELOAD_H
#define BICORN_HOSTS_WSGI_PRELOAD_H

/*
 * preload_app: members of struct bicorn_app.  The template's thread, which
 * is Python's main thread in it and in each worker.
 */

void preload_prepare(void *app);
void preload_parent(void *app);
void preload_child(void *app);

#endif
