/* The files of the key that signs an audit log, for the node that writes it: PATH, the key itself (PEM, mode 0600, made when it is missing);
 * PATH.earlier, the public keys that were before it, oldest first, so that the node can check what they signed; PATH.next, a key that is about to
 * take its place. Whether it has is said by the log alone: its hand-over entry names the next key (FORMAT.md), and a node that was stopped between
 * the two puts the file in its place at its next start. Blocks; one thread at a time. */
#pragma once

#include "security/audit_check.h"

struct audit_keys {
        char *path;
        struct audit_key *key;
        struct audit_key *next; /* prepared; NULL: none */
        uint8_t earlier[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        size_t earlier_count;
};

/* Read the key, or make it. @handed_to: the key that the log handed over to last, as far as is known; NULL: none.
 * Return: 0, and @k is to be given to audit_keys_fini(); negative errno, @why says what to do, and @k is still to be given to it. */
int audit_keys_open(struct audit_keys *k, const char *path, const uint8_t *handed_to, char *why, size_t why_size);
void audit_keys_fini(struct audit_keys *k);

/* Make the next key, as a file beside the one in use. Return: 0 or negative errno, and nothing has changed. */
int audit_keys_prepare(struct audit_keys *k);
/* The log has handed over to it, on stable storage: it is the one in use. A file that could not be put in its place is said, and put there at
 * the next start. */
void audit_keys_commit(struct audit_keys *k);
/* The log has not: it is forgotten. */
void audit_keys_abandon(struct audit_keys *k);
