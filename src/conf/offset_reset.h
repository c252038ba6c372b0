/* Where a share group begins to read a partition that it has not read before (share.auto.offset.reset): KIP-932 and KIP-1106. Pure. */
#pragma once

#include "base/span.h"

enum conf_offset_reset_kind {
        CONF_OFFSET_RESET_LATEST,
        CONF_OFFSET_RESET_EARLIEST,
        CONF_OFFSET_RESET_BY_DURATION, /* at the first record that is not older than duration_ms */
};

struct conf_offset_reset {
        enum conf_offset_reset_kind kind;
        int64_t duration_ms; /* 0 unless by duration; never negative */
};

/* Read "earliest", "latest" or "by_duration:DURATION", the duration as Java reads ISO 8601: PnDTnHnMn.nS, each part may be left out (not
 * all) and have a sign, their sum none below zero. What is less than a millisecond is cut off.
 * Return: false when @text is none of these, or longer than an int64_t counts. */
bool conf_offset_reset_parse(struct str text, struct conf_offset_reset *ret);
