/* The credentials of a store as time goes by: read, renewed, waited for. On the store's loop. */
#pragma once

#include "object/credentials.h"
#include "object/transfer.h"

struct object_store;

struct object_keys {
        struct object_store *s;
        struct object_credentials now;
        bool have;            /* @now can be used */
        bool fetching;        /* a job or a transfer is on its way */
        int64_t checked_ms;   /* when they were read last, by the loop's clock */
        struct ilist waiting; /* tries */
        int result;           /* why there are none */
        char why[OBJECT_TEXT_SIZE];
        struct io_job job; /* reads files */
        struct object_credentials read;
        struct object_transfer *transfer;
        struct object_config c; /* what the job reads; text is the store's */
        unsigned step;          /* of those that are asked for over HTTP */
        char *secret;           /* what the job read for them: a token, a signed claim; free() it */
        char url[512], role[128];
        void (*done)(struct object_keys *k, int result);
};

/* Read what can be read at once. Blocks. Return: 0; OBJECT_BAD_CREDENTIALS, OBJECT_BAD_CONFIG with @ret_why (OBJECT_TEXT_SIZE bytes). */
int object_keys_init(struct object_keys *k, struct object_store *s, char *ret_why);
/* Nothing is on its way. */
void object_keys_fini(struct object_keys *k);

/* Credentials to sign with. If there are none yet, or they expire, they are fetched. @try_link: put into the list of those who wait when
 * there are none now; object_try_go_on() is then called.
 * Return: 0: k->now can be used; -EAGAIN: wait; OBJECT_BAD_CREDENTIALS: k->why. */
int object_keys_get(struct object_keys *k, struct ilist *try_link);
/* The store refused them: the next object_keys_get() reads them again. Return: whether that can change anything. */
bool object_keys_refused(struct object_keys *k);
/* Stop what is on its way. A job may still run: its end is keys_idle(). */
void object_keys_stop(struct object_keys *k);
