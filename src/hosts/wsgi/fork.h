/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FORK_H
#define BICORN_HOSTS_WSGI_FORK_H

/* Processes that an application forks. */

/* Looks after them from now on; -1 with an exception. */
int fork_watch(void);

#endif
