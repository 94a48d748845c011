/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CTL_SHOW_H
#define BICORN_CTL_SHOW_H

/* Answers as text for people. */

#include <stdbool.h>
#include <stdio.h>

struct json_t;

void show_status(FILE *out, const struct json_t *status);
void show_workers(FILE *out, const struct json_t *workers);
void show_requests(FILE *out, const struct json_t *requests);
void show_stacks(FILE *out, const struct json_t *stacks);
void show_settings(FILE *out, const struct json_t *settings);

/* "1.2 s", "35 ms", "420 us". */
const char *show_time(double seconds, char out[16]);

/* "13 MB". */
const char *show_bytes(double bytes, char out[16]);

/* Without what a terminal would act on; at most `width` columns. */
void show_text(FILE *out, const char *text, int width);

/* A number of an object, 0 when it is not there. */
double show_number(const struct json_t *object, const char *name);
const char *show_string(const struct json_t *object, const char *name);

#endif
