/* Text as Java sees it: UTF-16 units, one or two for a character. Kafka counts and hashes strings in these. */
#pragma once

#include "base/span.h"

enum { UTF16_REPLACEMENT = 0xfffd };

/* Take the next character off the front of @s (not empty). Bytes that are no UTF-8 count as U+FFFD, one by one.
 * Return: how many units, 1 or 2, are in @ret_units. */
unsigned utf16_next(struct str *s, uint16_t ret_units[2]);

/* Units of the whole text. */
size_t utf16_len(struct str s);
