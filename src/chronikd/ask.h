/* For threads that may wait (admin requests): ask the coordinator or the controller, and wait for the answer. */
#pragma once

#include "chronikd/node.h"

/* @rq initialised, its inputs set. On return it is answered. */
void ask_coord(struct node *n, struct coord_request *rq);
/* The same of the coordinator of transactions on this node; and of the one of an id, wherever that is. */
void ask_txns(struct node *n, struct coord_request *rq);
/* What changes something is recorded as asked for by @who; NULL: by the node itself. */
void ask_txn_abort(struct node *n, const struct http_request *who, struct txn_abort *a);
void ask_controller(struct node *n, const struct http_request *who, struct controller_request *rq);
