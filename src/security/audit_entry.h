/* The audit log: what an entry looks like, and the chain that ties each to the one before. Pure. Format: FORMAT.md.
 *
 * An entry is a line of JSON whose members stand in a fixed order, so that it has one form. Its last member is the SHA-256 of the hash of the
 * entry before and of its own bytes up to there: who changes, removes or inserts an entry has to make every later one anew. Checkpoints are
 * entries that a key of the node signs (Ed25519): who does not have the key cannot do that. */
#pragma once

#include "base/strbuf.h"
#include "sys/clock.h"

enum {
        AUDIT_HASH_LEN = 32,
        AUDIT_KEY_LEN = 32, /* public */
        AUDIT_SIGNATURE_LEN = 64,
        AUDIT_KEYS_MAX = 64, /* that one log is signed by, one after the other */
        AUDIT_KEY_HEX_SIZE = 2 * AUDIT_KEY_LEN + 1,
        AUDIT_TEXT_LEN_MAX = 1024, /* of a name or reason; more is cut off */
        AUDIT_VALUE_LEN_MAX =
                16 * 1024, /* of what something was or is; longer ones are left out, and the entry says so */
        AUDIT_LINE_LEN_MAX = 128 * 1024, /* of a whole entry, far above what the limits above make */
};

enum audit_kind {
        AUDIT_START,      /* the node began to write; how much of an unfinished entry it removed */
        AUDIT_CHECKPOINT, /* signed */
        AUDIT_HANDOVER,   /* signed likewise: another key signs from now on */
        AUDIT_DROPPED,    /* entries that there was no room for */
        AUDIT_LOGIN,      /* a client proved who it is */
        AUDIT_LOGIN_FAILED,
        AUDIT_DENIED,
        AUDIT_GRANTED,
        AUDIT_CHANGE, /* something was changed, or was to be */
        AUDIT_KINDS_END
};

/* "login_failed". Static. */
const char *audit_kind_name(enum audit_kind kind);

/* What happened. Texts are borrowed; null ones are left out, and what is no UTF-8 in them is replaced. */
struct audit_entry {
        enum audit_kind kind; /* AUDIT_LOGIN or later */
        int64_t time_ms;      /* wall clock */
        int32_t node;
        struct str principal; /* "User:alice" */
        struct str role;      /* of an operator */
        struct str host;
        struct str listener;
        struct str api; /* of the request */
        bool has_correlation_id;
        int32_t correlation_id;
        struct str client_id;
        struct str operation; /* "READ", "CREATE_TOPICS"; of an authentication its mechanism */
        struct str resource;  /* "TOPIC" */
        struct str name;
        struct str outcome; /* "done", or why not */
        struct str before;  /* JSON */
        struct str after;   /* likewise */
};

/* Append the members of @e as they stand between the sequence number and the hash. Latches when memory is out. */
void audit_entry_write(const struct audit_entry *e, struct strbuf *out);
/* The same of an entry that says how the log began to be written, or what there was no room for. */
void audit_start_write(int64_t time_ms, int32_t node, int64_t torn_bytes, struct strbuf *out);
void audit_dropped_write(int64_t time_ms, int32_t node, uint64_t count, struct strbuf *out);
/* Append @s as a JSON text in quotes, cut to AUDIT_TEXT_LEN_MAX. */
void audit_text_write(struct str s, struct strbuf *out);

/* ---- keys ---- */

struct audit_key; /* private and public */

/* Return: 0; -ENOMEM. */
int audit_key_generate(struct audit_key **ret_key);
/* From PEM (PKCS #8). Return: 0; -EINVAL: it is none, or of another kind than Ed25519. */
int audit_key_read(struct span pem, struct audit_key **ret_key);
/* Append it as PEM: a secret. */
int audit_key_write(const struct audit_key *k, struct strbuf *out);
/* NULL is fine. Returns NULL. */
struct audit_key *audit_key_free(struct audit_key *k);
DEFINE_FREEP(struct audit_key, audit_key_free)
/* The public one. */
void audit_key_public(const struct audit_key *k, uint8_t ret_key[AUDIT_KEY_LEN]);
/* 64 digits in lower case. False: @text is not that. */
void audit_hex(const uint8_t *data, size_t len, char *ret_text);
bool audit_unhex(struct str text, uint8_t *ret_data, size_t len);

/* Is it the signature of @what by @key? For audit_check.h. */
bool audit_signature_is_of(const uint8_t key[AUDIT_KEY_LEN], const uint8_t signature[AUDIT_SIGNATURE_LEN],
                           struct str what);

/* ---- the chain, as who writes it has it ---- */

struct audit_chain {
        uint64_t seq; /* of the last entry; 0: there is none */
        uint8_t hash[AUDIT_HASH_LEN];
};

/* SHA-256 over a hash and @bytes. Return: 0; -ENOMEM. */
int audit_hash(const uint8_t previous[AUDIT_HASH_LEN], struct str bytes, uint8_t ret_hash[AUDIT_HASH_LEN]);
/* Append the next entry, a line, with @members of audit_*_write(). Return: 0; -ENOMEM, and the chain is as it was. */
int audit_chain_add(struct audit_chain *c, struct str members, struct strbuf *out);
/* The same of a checkpoint. */
int audit_chain_checkpoint(struct audit_chain *c, const struct audit_key *key, int64_t time_ms, int32_t node,
                           struct strbuf *out);
/* The same of an entry in which @key, which signs it, hands over to @next: from here on the chain is signed by that. */
int audit_chain_handover(struct audit_chain *c, const struct audit_key *key, const struct audit_key *next,
                         int64_t time_ms, int32_t node, struct strbuf *out);
/* What must be there, in a file of its own: from entry @first on up to where the chain is now. Appends a line. Return: likewise. */
int audit_head_write(const struct audit_chain *c, uint64_t first, const struct audit_key *key, int32_t node,
                     struct strbuf *out);
