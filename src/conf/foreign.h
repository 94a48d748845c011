/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_FOREIGN_H
#define BICORN_CONF_FOREIGN_H

#include <stdbool.h>

#include "base/span.h"

/*
 * Whether word, "--reload" or "reload", is a setting of gunicorn's that
 * there is none for here: then it is no misspelt one of ours.
 */
bool foreign_known(struct span word);

#endif
