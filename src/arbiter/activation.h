/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_ACTIVATION_H
#define BICORN_ARBITER_ACTIVATION_H

/*
 * Sockets that the service manager opened for us: LISTEN_PID names this
 * process, LISTEN_FDS says how many there are, from descriptor 3 on.
 */

#include "conf/conf.h"

struct err;

/*
 * Lists them as fd://3, fd://4, ...; none when the variables are not meant
 * for us.  Removes the variables.  Freed with activation_free().
 */
int activation_take(struct strlist *out, struct err *err);
void activation_free(struct strlist *list);

#endif
