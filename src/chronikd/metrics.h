/* What the files metrics*.c share. On threads of the admin listener; all may wait. */
#pragma once

#include "chronikd/node.h"

/* A family with one series. */
void metrics_gauge(struct strbuf *out, const char *name, const char *help, double value);
void metrics_counter(struct strbuf *out, const char *name, const char *help, double value);

/* metrics_cluster.c: quorum, brokers, partitions as the metadata has them, other nodes. */
void metrics_cluster(struct node *n, struct strbuf *out);
