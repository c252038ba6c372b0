/* Open addressing with linear probing; see keymap.h. */
#include "plog/keymap.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/macros.h"
#include "sys/clock.h"

struct keymap_slot {
        uint64_t hash[2];
        int64_t offset; /* of the newest record, plus one: 0 is an empty slot */
};

enum { SIZE_MIN = 256 };

/* At most three of four slots are taken. */
static size_t room(size_t size)
{
        return size / 4 * 3;
}

int keymap_init(struct keymap *m, size_t bytes_max)
{
        uint8_t key[16];
        size_t hash_len = 16;
        OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &hash_len),
                                OSSL_PARAM_construct_end() };
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);

        *m = (struct keymap){ .size = SIZE_MIN, .size_max = SIZE_MIN };
        while (m->size_max * 2 * sizeof *m->slots <= bytes_max)
                m->size_max *= 2;
        m->slots = calloc(m->size, sizeof *m->slots);
        m->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
        EVP_MAC_free(mac);
        random_bytes(key, sizeof key);
        if (m->slots && m->mac && EVP_MAC_init(m->mac, key, sizeof key, params) == 1)
                return 0;
        keymap_fini(m);
        return -ENOMEM;
}

void keymap_fini(struct keymap *m)
{
        free(m->slots);
        EVP_MAC_CTX_free(m->mac);
        *m = (struct keymap){ 0 };
}

static bool hash_of(const struct keymap *m, struct span key, uint64_t ret[2])
{
        size_t len = 0;

        return EVP_MAC_init(m->mac, NULL, 0, NULL) == 1 && EVP_MAC_update(m->mac, key.data, key.len) == 1 &&
               EVP_MAC_final(m->mac, (uint8_t *)ret, &len, 16) == 1 && len == 16;
}

/* Where the hash is, or the empty slot where it would go. */
static struct keymap_slot *slot_of(struct keymap_slot *slots, size_t size, const uint64_t hash[2])
{
        for (size_t i = hash[0] & (size - 1);; i = (i + 1) & (size - 1))
                if (!slots[i].offset || (slots[i].hash[0] == hash[0] && slots[i].hash[1] == hash[1]))
                        return &slots[i];
}

static int grow(struct keymap *m)
{
        size_t size = m->size * 2;
        struct keymap_slot *slots = calloc(size, sizeof *slots);

        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < m->size; i++)
                if (m->slots[i].offset)
                        *slot_of(slots, size, m->slots[i].hash) = m->slots[i];
        free(m->slots);
        m->slots = slots;
        m->size = size;
        return 0;
}

int keymap_put(struct keymap *m, struct span key, int64_t offset)
{
        struct keymap_slot *slot;
        uint64_t hash[2];

        if (!hash_of(m, key, hash))
                return -EIO;
        slot = slot_of(m->slots, m->size, hash);
        if (!slot->offset && m->count == room(m->size)) {
                int r = m->size == m->size_max ? KEYMAP_FULL : grow(m);

                if (r)
                        return r;
                slot = slot_of(m->slots, m->size, hash);
        }
        m->count += !slot->offset;
        *slot = (struct keymap_slot){ { hash[0], hash[1] }, offset + 1 };
        return 0;
}

int64_t keymap_get(const struct keymap *m, struct span key)
{
        uint64_t hash[2];

        return hash_of(m, key, hash) ? slot_of(m->slots, m->size, hash)->offset - 1 : -2;
}
