/* What a node with the role ingest has beside every node's: logs, clients, coordinators, and the background work on them. Its
 * parts are members of struct node; here is their life. On the main loop. */
#pragma once

#include "chronikd/node.h"

/* Lock and open the folder of the logs. Blocks. Return: 0, or 1 after saying why not. */
int ingest_open(struct node *n);
/* Replicate with the other nodes, over n->mesh.hub, which has not started yet. Return: 0 or negative errno. */
int ingest_join(struct node *n);
/* Make what serves clients, and listen; nothing is served before partitions are open. Return: 0, or 1 after saying why not. */
int ingest_serve(struct node *n);
/* Register, open the logs, and work in the background. */
void ingest_start(struct node *n);
/* Clients go, then the logs are closed; then @stopped. */
void ingest_stop(struct node *n, void (*stopped)(struct node *n));
/* After the main loop has ended: first what serves, then, when nothing asks the controller any more, the logs. */
void ingest_free_serving(struct node *n);
void ingest_close(struct node *n);
