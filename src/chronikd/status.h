/* The node's state in words: what `systemctl status` shows. */
#pragma once

#include "chronikd/lookout.h"

struct node;

enum { STATUS_SIZE = 300 };

struct status {
        struct lookout lookout;
        struct node *n;
        char text[STATUS_SIZE], told[STATUS_SIZE];
};

/* "serving: leads 12 of 30 partitions, 2 not in sync; controller, node 1 is the active one". Walks over the metadata; any thread. */
void status_words(struct node *n, char ret_text[STATUS_SIZE]);
/* Tell systemd from now on when it changes, until s->lookout is stopped. Main loop. */
void status_start(struct status *s, struct node *n);
/* What is missing in the cluster without this node, told to the operator when it has handed over what it could. On the pool: walks over
 * the metadata. */
void status_tell_losses(struct node *n);
