/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_FORWARDED_H
#define BICORN_APP_FORWARDED_H

/*
 * X-Forwarded-For and Forwarded (RFC 7239), read from the end: what stands
 * there was said by the proxy next to us.  Pure functions, any thread.
 */

#include <stdbool.h>

#include "base/addr.h"
#include "base/span.h"

/*
 * Cuts the last item off *list, at a comma that is not within quotes.
 * False when nothing is left.
 */
bool forwarded_last(struct span *list, struct span *item_out);

/*
 * "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80", in quotes
 * or not.  False for anything else: "unknown", "_hidden", "".
 */
bool forwarded_address(struct span text, struct addr *out);

/*
 * The values of for= and proto= in an element of Forwarded, without quotes;
 * ptr is NULL where there is none.  False: it is no such element.
 */
bool forwarded_element(struct span element, struct span *for_out,
    struct span *proto_out);

#endif
