/* The metrics that one client has pushed, as series for Prometheus (KIP-714). The caller has the lock of telemetry.c. */
#pragma once

#include "base/list.h"
#include "base/strbuf.h"
#include "coord/map.h"
#include "obs/otlp.h"

/* What all clients of a node may take together. */
struct series_budget {
        size_t bytes;
        size_t count;
};

struct series {
        struct map_node node;
        struct ilist link;
        double value;
        int64_t pushed_ms; /* on the monotonic clock */
        bool is_counter;
        uint16_t name_len;
        uint16_t text_len;
        char text[]; /* the name, then the labels: ,topic="t" */
};

struct series_set {
        struct map map;
        struct ilist all;
        struct series_budget *budget;
        size_t count;
};

/* Outcomes. */
enum { SERIES_OK, SERIES_E_REFUSED };

void series_set_init(struct series_set *s, uint64_t seed, struct series_budget *budget);
void series_set_fini(struct series_set *s);

/* What a point says, as of @now_ms. Return: 0; SERIES_E_REFUSED: there is no room, or its name or labels are too long, or there is no
 * name; -ENOMEM. */
int series_set_put(struct series_set *s, const struct otlp_point *p, int64_t now_ms);
/* What was not pushed since then goes. */
void series_set_expire(struct series_set *s, int64_t since_ms);

/* Append the attributes as labels, ,name="value", a bounded number of them; names that come again and those that every series has
 * anyway are left out. */
void series_labels(struct strbuf *out, struct otlp_attributes a);
