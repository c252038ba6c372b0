/* Metrics as OpenTelemetry sends them: the message MetricsData of opentelemetry-proto 1 in protobuf's wire format, as far as clients
 * of Kafka push them (KIP-714): numbers that are gauges or sums. Everything else is skipped. Nothing is allocated and nothing is
 * copied: the caller gets each point as it is found, whose texts point into the message. Pure. */
#pragma once

#include "base/span.h"
#include "base/strbuf.h"

enum otlp_kind {
        OTLP_GAUGE,
        OTLP_COUNTER,    /* a monotonic sum since its start */
        OTLP_DELTA,      /* what was added to such a sum since the point before */
        OTLP_UP_AND_DOWN /* a sum that also falls, since its start */
};

/* Attributes: a message whose field @number is a list of them. */
struct otlp_attributes {
        struct span message;
        uint32_t number;
};

struct otlp_point {
        struct str name, description; /* of the metric; may be empty */
        enum otlp_kind kind;
        double value;
        struct otlp_attributes resource, own; /* of who sends it, of the point */
};

/* Outcomes. */
enum { OTLP_OK, OTLP_E_MALFORMED };

/* Call @fn for each point of @message with a value, in their order. Return: 0; OTLP_E_MALFORMED, perhaps after some points; what @fn
 * returns when that is not 0. */
int otlp_read(struct span message, int (*fn)(void *arg, const struct otlp_point *p), void *arg);

/* The next attribute; false at the end. @value gets text, numbers as text, true or false; lists, maps and bytes are left out, with
 * an empty value. Only for what otlp_read() gave, which was checked. */
bool otlp_attribute_next(struct otlp_attributes *rest, struct str *ret_key, struct strbuf *value);
