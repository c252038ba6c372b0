/* See vote.h. */
#include "quorum/vote.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/writer.h"
#include "sys/file.h"

#define MAGIC "CHRONVOT"
#define FORMAT 1

void vote_encode(const struct vote *v, uint8_t ret_bytes[VOTE_LEN])
{
        struct writer w = writer_of(ret_bytes, VOTE_LEN);

        writer_bytes(&w, MAGIC, 8);
        writer_be16(&w, FORMAT);
        writer_be16(&w, 0);
        writer_be32(&w, (uint32_t)v->node_id);
        writer_bytes(&w, v->directory.b, 16);
        writer_be32(&w, (uint32_t)v->term);
        writer_be32(&w, (uint32_t)v->voted_for);
        writer_bytes(&w, v->voted_for_directory.b, 16);
        assert(writer_pos(&w) == VOTE_LEN - 4);
        writer_be32(&w, crc32c(0, ret_bytes, VOTE_LEN - 4));
}

int vote_decode(struct span bytes, struct vote *ret_vote)
{
        struct cursor c = cursor_of(bytes);
        const uint8_t *magic = cursor_take(&c, 8), *directory, *voted_for;
        struct vote v;

        if (bytes.len != VOTE_LEN || memcmp(magic, MAGIC, 8) || cursor_be16(&c) != FORMAT)
                return VOTE_E_DAMAGED;
        cursor_be16(&c);
        v.node_id = cursor_be32s(&c);
        directory = cursor_take(&c, 16);
        v.term = cursor_be32s(&c);
        v.voted_for = cursor_be32s(&c);
        voted_for = cursor_take(&c, 16);
        if (cursor_be32(&c) != crc32c(0, bytes.data, VOTE_LEN - 4) || !cursor_ok(&c) || v.term < 0)
                return VOTE_E_DAMAGED;
        memcpy(v.directory.b, directory, 16);
        memcpy(v.voted_for_directory.b, voted_for, 16);
        *ret_vote = v;
        return VOTE_OK;
}

int vote_read(const char *path, struct vote *ret_vote)
{
        CLEANUP(freep) char *data = NULL;
        size_t len;
        int r = file_read_whole(path, 4096, &data, &len);

        if (r == -ENOENT)
                return VOTE_E_MISSING;
        if (r)
                return r == -EFBIG ? VOTE_E_DAMAGED : r;
        return vote_decode(span_of(data, len), ret_vote);
}

int vote_write(const char *path, const struct vote *v)
{
        uint8_t bytes[VOTE_LEN];

        vote_encode(v, bytes);
        return file_replace(path, span_of(bytes, sizeof bytes));
}
