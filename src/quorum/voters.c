/* See voters.h. */
#include "quorum/voters.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "quorum/peer_quorum.h"
#include "sys/file.h"

#define MAGIC "CHRONVTR"
#define FORMAT 1
#define FILE_HEAD_LEN 20

static int take_member(struct voters *v, const struct quorum_voters_member *m)
{
        struct voters_member *to;

        if (m->node < 0 || m->address.len >= PEER_ADDRESS_SIZE || memchr(m->address.p, 0, m->address.len) ||
            v->count == RAFT_MEMBERS_MAX || voters_find(v, m->node))
                return VOTERS_E_DAMAGED;
        to = &v->at[v->count++];
        to->raft = (struct raft_member){ { m->node, m->directory }, m->voter };
        memcpy(to->address, m->address.p, m->address.len);
        return 0;
}

int voters_decode(struct span payload, struct voters *ret_voters)
{
        CLEANUP(arena_finip) struct arena mem;
        struct cursor c = cursor_of(payload);
        struct quorum_voters m;
        struct raft_members members;
        struct voters v = { 0 };
        uint16_t version = cursor_be16(&c);
        int r;

        arena_init(&mem, 0);
        if (!cursor_ok(&c) || version || payload.len > VOTERS_LEN_MAX)
                return VOTERS_E_DAMAGED;
        r = quorum_voters_decode(&m, &c, 0, &mem);
        if (r)
                return r < 0 ? r : VOTERS_E_DAMAGED;
        if (cursor_left(&c) || m.expected_count > RAFT_MEMBERS_MAX || m.members_count < 1)
                return VOTERS_E_DAMAGED;
        for (int32_t i = 0; i < m.members_count; i++)
                if (take_member(&v, &m.members[i]))
                        return VOTERS_E_DAMAGED;
        voters_members(&v, &members);
        if (!raft_members_are_sane(&members))
                return VOTERS_E_DAMAGED;
        for (int32_t i = 0; i < m.expected_count; i++) {
                if (m.expected[i] < 0 || voters_expect(&v, m.expected[i]))
                        return VOTERS_E_DAMAGED;
                v.expected[v.expected_count++] = m.expected[i];
        }
        *ret_voters = v;
        return 0;
}

int voters_encode(const struct voters *v, uint8_t **ret_payload, size_t *ret_len)
{
        struct quorum_voters_member members[RAFT_MEMBERS_MAX];
        struct quorum_voters m;
        struct writer w;
        uint8_t *payload;
        size_t len;

        quorum_voters_init(&m);
        m.members = members;
        m.members_count = (int32_t)v->count;
        m.expected = (int32_t *)v->expected;
        m.expected_count = (int32_t)v->expected_count;
        for (uint32_t i = 0; i < v->count; i++) {
                quorum_voters_member_init(&members[i]);
                members[i].node = v->at[i].raft.id.node;
                members[i].directory = v->at[i].raft.id.directory;
                members[i].voter = v->at[i].raft.is_voter;
                members[i].address = str_of(v->at[i].address);
        }
        len = 2 + quorum_voters_size(&m, 0);
        payload = malloc(len);
        if (!payload)
                return -ENOMEM;
        w = writer_of(payload, len);
        writer_be16(&w, 0);
        quorum_voters_encode(&m, &w, 0);
        *ret_payload = payload;
        *ret_len = len;
        return 0;
}

void voters_members(const struct voters *v, struct raft_members *ret_members)
{
        ret_members->count = v->count;
        for (uint32_t i = 0; i < v->count; i++)
                ret_members->at[i] = v->at[i].raft;
}

struct voters_member *voters_find(const struct voters *v, int32_t node)
{
        for (uint32_t i = 0; i < v->count; i++)
                if (v->at[i].raft.id.node == node)
                        return (struct voters_member *)&v->at[i];
        return NULL;
}

bool voters_expect(const struct voters *v, int32_t node)
{
        for (uint32_t i = 0; i < v->expected_count; i++)
                if (v->expected[i] == node)
                        return true;
        return false;
}

void voters_next(const struct voters *v, const struct raft_members *next, int32_t node, const char *address,
                 struct voters *ret_voters)
{
        memset(ret_voters, 0, sizeof *ret_voters);
        ret_voters->count = next->count;
        for (uint32_t i = 0; i < next->count; i++) {
                const struct voters_member *old = voters_find(v, next->at[i].id.node);
                struct voters_member *m = &ret_voters->at[i];

                m->raft = next->at[i];
                if (m->raft.id.node == node && address)
                        memcpy(m->address, address, strnlen(address, sizeof m->address - 1));
                else if (old)
                        memcpy(m->address, old->address, sizeof m->address);
        }
        for (uint32_t i = 0; i < v->expected_count; i++)
                if (!voters_find(ret_voters, v->expected[i]))
                        ret_voters->expected[ret_voters->expected_count++] = v->expected[i];
}

/* ---- the file ---- */

int voters_file_decode(struct span bytes, int64_t *ret_index, struct voters *ret_voters)
{
        struct cursor c = cursor_of(bytes);
        const uint8_t *magic = cursor_take(&c, 8);
        uint16_t format = cursor_be16(&c);
        int64_t index;

        cursor_be16(&c);
        index = cursor_be64s(&c);
        if (cursor_left(&c) < 4 || memcmp(magic, MAGIC, 8) || format != FORMAT || index < 0 ||
            load_be32(bytes.data + bytes.len - 4) != crc32c(0, bytes.data, bytes.len - 4))
                return VOTERS_E_DAMAGED;
        *ret_index = index;
        return voters_decode(span_of(c.at, cursor_left(&c) - 4), ret_voters);
}

int voters_read(const char *path, int64_t *ret_index, struct voters *ret_voters)
{
        CLEANUP(freep) char *data = NULL;
        size_t len;
        int r = file_read_whole(path, VOTERS_LEN_MAX + FILE_HEAD_LEN + 4, &data, &len);

        if (r == -ENOENT)
                return VOTERS_E_MISSING;
        if (r)
                return r == -EFBIG ? VOTERS_E_DAMAGED : r;
        return voters_file_decode(span_of(data, len), ret_index, ret_voters);
}

int voters_write(const char *path, int64_t index, struct span payload)
{
        size_t len = FILE_HEAD_LEN + payload.len + 4;
        CLEANUP(freep) uint8_t *bytes = malloc(len);
        struct writer w = writer_of(bytes, len);

        if (!bytes)
                return -ENOMEM;
        writer_bytes(&w, MAGIC, 8);
        writer_be16(&w, FORMAT);
        writer_be16(&w, 0);
        writer_be64(&w, (uint64_t)index);
        assert(writer_pos(&w) == FILE_HEAD_LEN);
        writer_bytes(&w, payload.data, payload.len);
        writer_be32(&w, crc32c(0, bytes, writer_pos(&w)));
        return file_replace(path, span_of(bytes, len));
}
