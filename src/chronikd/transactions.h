/* Transactions as part of a node: their coordinators, and the way between those and the partitions' leaders. */
#pragma once

struct node;

/* First of all. */
void transactions_init(struct node *n);
/* Serve other nodes: before the hub starts. Return: 0 or negative errno. */
int transactions_join(struct node *n);
/* The coordinators, once those of groups are there. On the main loop. Return: 0 or -ENOMEM. */
int transactions_open(struct node *n);
