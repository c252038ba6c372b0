/* Share groups as part of a node: where the partitions are led, and the way to the groups' coordinators. */
#pragma once

struct node;
struct strbuf;

/* Serve other nodes: before the hub starts. Return: 0 or negative errno. */
int sharing_join(struct node *n);
/* Once the coordinators are there. On the main loop. Return: 0 or -ENOMEM. */
int sharing_open(struct node *n);
/* Its metrics. */
void sharing_metrics(struct node *n, struct strbuf *out);
