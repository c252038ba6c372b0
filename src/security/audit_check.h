/* Whether an audit log is whole and unchanged: reading of what audit_entry.h writes. Pure: the same in chronikd, chronik-ctl and
 * the fuzzer; nothing of what is read is believed. One thread for each check. */
#pragma once

#include "security/audit_entry.h"

enum audit_fault {
        AUDIT_WHOLE,
        AUDIT_E_MALFORMED, /* no entry as a node writes it */
        AUDIT_E_GAP,       /* its number does not follow that of the entry before */
        AUDIT_E_CHANGED,   /* its hash is another one: it, or what was before it, was changed */
        AUDIT_E_SIGNATURE, /* a checkpoint, or what must be there, that the key did not sign */
        AUDIT_E_KEY,       /* signed by a key that is not trusted */
        AUDIT_E_NODE,      /* of another node than the entry before */
        AUDIT_E_START,     /* it begins later than it must, or with what is no checkpoint */
        AUDIT_E_TAIL,      /* it ends before it must */
        AUDIT_E_LAST_KEY,  /* it ends before the last of the keys that are trusted has signed */
        AUDIT_E_NO_MEMORY, /* nothing was found out */
};

/* A sentence without its end, for people. Static. */
const char *audit_fault_text(enum audit_fault fault);

/* One entry as far as the check is concerned; texts are borrowed from the line. */
struct audit_line {
        uint64_t seq;
        int64_t time_ms;
        int32_t node;
        struct str kind;
        struct str members;               /* all but the hash, and what hashes and signatures are over */
        struct str what;                  /* what follows the kind, as JSON members: "," and so on; may be empty */
        uint8_t hash[AUDIT_HASH_LEN];     /* as it says */
        bool is_checkpoint;               /* or hands over; then: */
        uint8_t previous[AUDIT_HASH_LEN]; /* hash of the entry before */
        uint8_t public_key[AUDIT_KEY_LEN];
        uint8_t signature[AUDIT_SIGNATURE_LEN];
        struct str of_signature; /* what it is over */
        bool is_handover;        /* then: */
        uint8_t next_key[AUDIT_KEY_LEN];
};
/* @text: without the newline. False: it is no entry. */
bool audit_line_read(struct str text, struct audit_line *ret);

/* What must be there. */
struct audit_head {
        int32_t node;
        uint64_t first, last;
        uint8_t hash[AUDIT_HASH_LEN]; /* of the last */
        uint8_t public_key[AUDIT_KEY_LEN];
};
/* @text: with or without the newline. Return: AUDIT_WHOLE; AUDIT_E_MALFORMED; AUDIT_E_SIGNATURE. */
enum audit_fault audit_head_read(struct str text, struct audit_head *ret);

/* Where a key handed over to another one. */
struct audit_key_change {
        uint64_t seq;
        int64_t time_ms;
        uint8_t to[AUDIT_KEY_LEN];
};

/* A log is signed by one key after the other, each named by a hand-over that the one before has signed. Where keys are trusted, each must be the
 * next of them in their order, and the last of them must be reached: who has stolen an earlier key can neither go on with it nor end the log
 * before it was replaced. Otherwise the first is believed, and whom it and its heirs hand over to. */
struct audit_check {
        const uint8_t (
                *keys)[AUDIT_KEY_LEN]; /* trusted, oldest first; borrowed. NULL: the key of the first checkpoint is */
        size_t keys_count;
        bool has_head;
        struct audit_head head; /* what must be there */

        struct audit_chain chain;   /* as far as it was read; its seq is 0 before the first entry */
        uint8_t key[AUDIT_KEY_LEN]; /* that has to sign */
        bool has_key;               /* there was a checkpoint */
        size_t key_index;           /* of @key among those that are trusted */
        struct audit_key_change changes[AUDIT_KEYS_MAX];
        size_t changes_count; /* all; those that are kept are the first */
        int32_t node;
        uint64_t first;     /* entry that was read */
        uint64_t entries;   /* and how many */
        uint64_t signed_to; /* the last checkpoint */
        uint64_t dropped;   /* as the log says itself */
        uint64_t seen;      /* number that the entry at fault gives; 0: none */
};

/* The next line, without its newline. After a fault the check is over. */
enum audit_fault audit_check_line(struct audit_check *c, struct str text);
/* There is nothing more: is it all there? */
enum audit_fault audit_check_end(struct audit_check *c);
