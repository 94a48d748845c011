/* SPDX-License-Identifier: MIT */
#include "http/bytes.h"

#define BYTE(c)                                                                \
	((HTTP_IS_STOP(c) ? HTTP_B_STOP : 0) |                                 \
	    (HTTP_IS_PLAIN_NAME(c) ? 0 : HTTP_B_NOT_PLAIN) |                   \
	    (HTTP_IS_TOKEN(c) ? 0 : HTTP_B_NOT_TOKEN) |                        \
	    (HTTP_IS_MARK(c) ? HTTP_B_MARK : 0) |                              \
	    (HTTP_IS_METHOD(c) ? HTTP_B_METHOD : 0) |                          \
	    (HTTP_IS_HOST(c) ? HTTP_B_HOST : 0))
#define BYTES4(c) BYTE(c), BYTE(c + 1), BYTE(c + 2), BYTE(c + 3)
#define BYTES16(c) BYTES4(c), BYTES4(c + 4), BYTES4(c + 8), BYTES4(c + 12)
#define BYTES64(c) BYTES16(c), BYTES16(c + 16), BYTES16(c + 32), BYTES16(c + 48)

const uint8_t http_bytes[256] = {
	BYTES64(0),
	BYTES64(64),
	BYTES64(128),
	BYTES64(192),
};
