/* SPDX-License-Identifier: MIT */
#include "http/response.h"

#include "http/bytes.h"

#define REASON(status, text)                                                   \
	case status:                                                           \
		return SPAN(text)

/* The registry of status codes: RFC 9110, 15, and what others added. */
struct span
http_reason(unsigned status)
{
	switch (status) {
		REASON(100, "Continue");
		REASON(101, "Switching Protocols");
		REASON(102, "Processing");
		REASON(103, "Early Hints");
		REASON(104, "Upload Resumption Supported");
		REASON(200, "OK");
		REASON(201, "Created");
		REASON(202, "Accepted");
		REASON(203, "Non-Authoritative Information");
		REASON(204, "No Content");
		REASON(205, "Reset Content");
		REASON(206, "Partial Content");
		REASON(207, "Multi-Status");
		REASON(208, "Already Reported");
		REASON(226, "IM Used");
		REASON(300, "Multiple Choices");
		REASON(301, "Moved Permanently");
		REASON(302, "Found");
		REASON(303, "See Other");
		REASON(304, "Not Modified");
		REASON(305, "Use Proxy");
		REASON(307, "Temporary Redirect");
		REASON(308, "Permanent Redirect");
		REASON(400, "Bad Request");
		REASON(401, "Unauthorized");
		REASON(402, "Payment Required");
		REASON(403, "Forbidden");
		REASON(404, "Not Found");
		REASON(405, "Method Not Allowed");
		REASON(406, "Not Acceptable");
		REASON(407, "Proxy Authentication Required");
		REASON(408, "Request Timeout");
		REASON(409, "Conflict");
		REASON(410, "Gone");
		REASON(411, "Length Required");
		REASON(412, "Precondition Failed");
		REASON(413, "Content Too Large");
		REASON(414, "URI Too Long");
		REASON(415, "Unsupported Media Type");
		REASON(416, "Range Not Satisfiable");
		REASON(417, "Expectation Failed");
		REASON(418, "I'm a Teapot");
		REASON(421, "Misdirected Request");
		REASON(422, "Unprocessable Content");
		REASON(423, "Locked");
		REASON(424, "Failed Dependency");
		REASON(425, "Too Early");
		REASON(426, "Upgrade Required");
		REASON(428, "Precondition Required");
		REASON(429, "Too Many Requests");
		REASON(431, "Request Header Fields Too Large");
		REASON(451, "Unavailable For Legal Reasons");
		REASON(500, "Internal Server Error");
		REASON(501, "Not Implemented");
		REASON(502, "Bad Gateway");
		REASON(503, "Service Unavailable");
		REASON(504, "Gateway Timeout");
		REASON(505, "HTTP Version Not Supported");
		REASON(506, "Variant Also Negotiates");
		REASON(507, "Insufficient Storage");
		REASON(508, "Loop Detected");
		REASON(510, "Not Extended");
		REASON(511, "Network Authentication Required");
	default:
		return SPAN("Unknown");
	}
}

bool
http_name_ok(struct span name)
{
	unsigned not_token = 0;

	for (size_t i = 0; i < name.len; i++)
		not_token |= http_bytes[(unsigned char)name.ptr[i]];
	return name.len > 0 && !(not_token & HTTP_B_NOT_TOKEN);
}

/* No control byte among 8; false also when there is a tab. */
static inline bool
surely_ok(const char *p)
{
	uint64_t x = http_load8(p);

	return (http_below(x, 0x20) | http_equal(x, 0x7f)) == 0;
}

bool
http_value_ok(struct span value)
{
	size_t i = 0;

	while (i < value.len) {
		if (value.len - i >= 8 && surely_ok(value.ptr + i))
			i += 8;
		else if (http_bytes[(unsigned char)value.ptr[i]] & HTTP_B_STOP)
			return false;
		else
			i++;
	}
	return true;
}

static inline enum http_response_field
when(bool is, enum http_response_field what)
{
	return is ? what : HTTP_R_PASS;
}

/* "Trailers" is no field, but what PEP 3333 calls hop-by-hop. */
enum http_response_field
http_response_field(struct span name)
{
	const char *p = name.ptr;

	switch (name.len) {
	case 2:
		return when(span_ieq(name, SPAN("TE")), HTTP_R_DROP);
	case 4:
		return when(http_same4(p, "date", 4), HTTP_R_DROP);
	case 6:
		return when(http_same4(p, "server", 6), HTTP_R_DROP);
	case 7:
		return when(http_same4(p, "upgrade", 7), HTTP_R_UPGRADE);
	case 8:
		return when(http_same8(p, "trailers", 8), HTTP_R_DROP);
	case 10:
		if (http_same8(p, "keep-alive", 10))
			return HTTP_R_DROP;
		return when(http_same8(p, "connection", 10), HTTP_R_CONNECTION);
	case 14:
		return when(http_same8(p, "content-length", 14), HTTP_R_LENGTH);
	case 17:
		return when(
		    span_ieq(name, SPAN("Transfer-Encoding")), HTTP_R_DROP);
	case 18:
		return when(
		    span_ieq(name, SPAN("Proxy-Authenticate")), HTTP_R_DROP);
	case 19:
		return when(
		    span_ieq(name, SPAN("Proxy-Authorization")), HTTP_R_DROP);
	default:
		return HTTP_R_PASS;
	}
}

bool
http_list_has(struct span list, struct span token)
{
	struct span part;

	while (span_next(&list, ',', &part))
		if (span_ieq(span_trim(part), token))
			return true;
	return false;
}
