/* SCRAM, the server's side: a user proves to know a password that the server does not keep, and the server proves to know the user.
 * Pure: bytes in, bytes or an outcome out; nonces are given. Without channel binding, as Kafka has it.
 * Sources: RFC 5802, RFC 7677 (SHA-256), KIP-84 (Kafka's use of it), KIP-48 (the extension "tokenauth"). */
#pragma once

#include "base/macros.h"
#include "base/span.h"
#include "base/strbuf.h"

/* Numbered as in AlterUserScramCredentials (KIP-554). */
enum scram_mechanism { SCRAM_UNKNOWN, SCRAM_SHA_256, SCRAM_SHA_512, SCRAM_MECHANISM_END };

enum {
        SCRAM_KEY_LEN_MAX = 64,
        SCRAM_SALT_LEN_MAX = 256,
        SCRAM_ITERATIONS_MIN = 4096,
        SCRAM_ITERATIONS_MAX = 16384,
        SCRAM_MESSAGE_LEN_MAX = 8192, /* of a client */
};

/* What is kept of a user: none of it is the password, and none of it lets its reader in. */
struct scram_keys {
        uint8_t stored[SCRAM_KEY_LEN_MAX], server[SCRAM_KEY_LEN_MAX]; /* scram_key_len() bytes of each */
};

/* While a password is rotated, two count. The first message of the server has one salt and one number of iterations in it, and at that moment
 * nobody can know which password the client has: so the new one has salt and iterations of the earlier one for as long as both count. The
 * client's proof is compared with the keys of either, and whichever fits signs the answer. What that costs: who has read the keys tries each
 * guess against both passwords with one derivation, and sees whether they are the same; and what was computed beforehand for this salt, which
 * every client is told, is good for the new password, too. A password that is set anew without an overlap has a salt of its own again. */
struct scram_credential {
        int32_t iterations;
        struct span salt; /* borrowed */
        struct scram_keys keys;
        bool has_earlier; /* @earlier counts as well */
        struct scram_keys earlier;
};

enum {
        SCRAM_OK,
        SCRAM_E_MALFORMED, /* no message of SCRAM */
        SCRAM_E_ENCODING,  /* the user's name is written wrongly, is no UTF-8, empty or too long */
        SCRAM_E_BINDING,   /* channel binding, or an extension that one may not overlook */
        SCRAM_E_AUTHZID,   /* to act as somebody else */
        SCRAM_E_NONCE,     /* the answer to another exchange */
        SCRAM_E_PROOF,     /* a wrong password; or there is no such user, which is not told apart */
};
/* The word of RFC 5802 section 7 for an outcome (but 0), for diagnostics: "invalid-proof". Static. */
const char *scram_error_text(int outcome);

/* "SCRAM-SHA-256"; the other way round SCRAM_UNKNOWN for what is no name. Static. */
const char *scram_name(enum scram_mechanism m);
enum scram_mechanism scram_by_name(struct str name);
/* Bytes of its digest: 32 or 64. */
size_t scram_key_len(enum scram_mechanism m);

/* Hi() of RFC 5802: what a password becomes, scram_key_len() bytes. Takes milliseconds, on purpose: not for a loop.
 * Return: 0; -ENOMEM: OpenSSL would not. */
int scram_salt_password(enum scram_mechanism m, struct span password, struct span salt, int32_t iterations,
                        uint8_t ret_salted[SCRAM_KEY_LEN_MAX]);
/* The keys from a salted password of scram_key_len() bytes. Return: 0; -ENOMEM. */
int scram_derive(enum scram_mechanism m, const uint8_t *salted, struct scram_keys *ret_keys);
/* In the time that it takes whatever they are: do the stored keys agree? */
bool scram_keys_equal(enum scram_mechanism m, const struct scram_keys *a, const struct scram_keys *b);

/* Which password of a credential is shown. */
enum scram_match { SCRAM_NO_MATCH, SCRAM_MATCH, SCRAM_MATCH_EARLIER };
/* In the time that it takes whatever they are, and whether there is an earlier password or not: whose stored keys does @shown have? */
enum scram_match scram_match(enum scram_mechanism m, const struct scram_keys *shown, const struct scram_credential *c);

/* One to stand in for a user who is not there: the same for the same name and seed, of the shape of @like (NULL: of no user's).
 * @seed: secret. @salt_mem: what the salt of the result lies in. Nobody knows its password. Return: 0; -ENOMEM. */
int scram_decoy(enum scram_mechanism m, struct span seed, struct str user, const struct scram_credential *like,
                uint8_t salt_mem[SCRAM_SALT_LEN_MAX], struct scram_credential *ret_credential);

/* ---- one exchange; used by one thread at a time ---- */

struct scram;

/* NULL: out of memory. */
struct scram *scram_new(enum scram_mechanism m);
/* Wipes it. NULL is fine. Returns NULL. */
struct scram *scram_free(struct scram *s);
DEFINE_FREEP(struct scram, scram_free)

/* The client's first message. Return: SCRAM_OK: scram_user() is known, and scram_challenge() is next; SCRAM_E_*; -ENOMEM. After a
 * failure the exchange has ended. */
int scram_take_first(struct scram *s, struct span message);
/* Who the client says it is; borrowed from @s. */
struct str scram_user(const struct scram *s);
/* The user is a delegation token, the password its HMAC (KIP-48). */
bool scram_by_token(const struct scram *s);
/* The first message has been taken. */
bool scram_is_begun(const struct scram *s);
/* What the server answers, appended to @out. @c is the user's credential (copied), or a decoy with @known false. @nonce: of the
 * server, printable without commas, new each time. Return: 0; -ENOMEM. */
int scram_challenge(struct scram *s, const struct scram_credential *c, bool known, struct str nonce,
                    struct strbuf *out);
/* The client's final message. Return: SCRAM_OK: it is the user, and @out has the server's last message appended; SCRAM_E_*; -ENOMEM. */
int scram_take_final(struct scram *s, struct span message, struct strbuf *out);
/* It was the password from before the rotation that has shown it. */
bool scram_by_earlier(const struct scram *s);
